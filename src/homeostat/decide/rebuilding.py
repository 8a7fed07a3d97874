"""Makes the windows again of the journal's events, as the repairs in force let the stages see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from homeostat.decide.admission import Watermark
from homeostat.decide.contracts import Rebuildable
from homeostat.decide.stages import Stages
from homeostat.ports import Entry
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch
from homeostat.records.renaming import events_as, outcomes_as

if TYPE_CHECKING:
    from homeostat.decide.loop import DecisionLoop


def asks_to_rebuild(changes: Iterable[Change]) -> int | None:
    """The number of the last change among these by which windows are made again; None where there is none."""
    found = [one.number for one in changes if one.kind == ChangeKind.REBUILD and one.body is not None]
    return found[-1] if found else None


def blank_stages(stages: Stages) -> Stages:
    """The same stages whose windows have seen nothing, beside which nobody learns."""
    featurizer, repairing = stages.featurizer, stages.repairing
    assert isinstance(featurizer, Rebuildable), "a setup refuses windows that can't be made again"
    return replace(
        stages, featurizer=featurizer.blank(), joiner=None, canary=None,
        watermark=Watermark(stages.watermark.lateness_ns), repairing=None if repairing is None else repairing.blank(),
    )  # fmt: skip


def feed(scratch: DecisionLoop, number: int) -> None:
    """Let a loop's windows see all that the journal holds before the change of this number.

    scratch : a loop of `blank_stages`
    Raises Unavailable, Unnamed.
    """
    stages = scratch.stages
    for body in _before(scratch.recording.journal.read(), number):
        if isinstance(body, DecisionBatch):
            came = stages.watermark.unmarked(events_as(body.events.as_came, body.words, stages.words, stages.coding))
            scratch.absorb(came if stages.repairing is None else stages.repairing.repaired(came))
        elif not isinstance(body, ChangeBatch):
            scratch.remember(outcomes_as(body, stages.words.entities, stages.coding))


def _before(entries: Iterable[Entry], number: int) -> Iterator[Body]:
    """The bodies of the journal up to the entry of a change."""
    for entry in entries:
        if isinstance(entry.body, ChangeBatch) and any(one.number == number for one in entry.body.changes):
            return
        if len(entry.body):
            yield entry.body
