"""Why an incident has no plan yet, for a person who asks about its plan."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.cli.failures import CommandError
from homeostat.cli.plan_stores import incidents_of

if TYPE_CHECKING:
    from homeostat.records.incidents import Incident
    from homeostat.records.responses import Response


def unplanned(id: str, response: Response | None, data: Path | None, config: Path | None) -> CommandError:
    """The error that says how far an incident is, and when a plan can be expected.

    response : the last one that is stored; None where there is none
    """
    found = None if response is not None else _incident(id, data, config)
    shows = f"homeostat incidents show {id}"
    if response is None and found is None:
        return CommandError(f"there is no incident {id}: homeostat incidents list shows those that there are")
    if response is None or response.findings is None:
        phase = found.phase if found is not None else response.phase if response is not None else ""
        if phase == "closed":
            return CommandError(f"incident {id} was closed before anything was planned: {shows} says by whom")
        return CommandError(
            f"incident {id} has no plan yet: it is {phase}. homeostat maintain investigates it two hours of event time "
            f"after it began, and plans then; {shows} has what is known by now"
        )
    if response.findings.conclusion == "inconclusive":
        missing = "; ".join(response.findings.missing[:3])
        why = f" ({missing})" if missing else ""
        return CommandError(
            f"incident {id} has no plan: its investigation showed no cause{why}, so nothing can be planned, and a "
            f"person has to look: {shows}"
        )
    if response.findings.conclusion == "none":
        return CommandError(f"incident {id} has no plan: its investigation found that nothing is wrong any more")
    step = "planned" if response.plan is None else "ruled on"
    return CommandError(
        f"incident {id} is {response.phase}, and not {step} yet: homeostat maintain does so in its next turn"
    )


def _incident(id: str, data: Path | None, config: Path | None) -> Incident | None:
    """The incident of an id; None where there is none."""
    from homeostat.ports.incidents import UnknownIncident

    with incidents_of(data, config) as store, suppress(UnknownIncident):
        return store.get(id)
    return None
