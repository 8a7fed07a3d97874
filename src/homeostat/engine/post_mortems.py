"""Post-mortems of incidents: made from the stores, and written beside them when an incident is closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE, replace_file
from homeostat.errors import Unavailable
from homeostat.maintain.post_mortem.content import Record, post_mortem
from homeostat.maintain.post_mortem.document import Block, markdown, page
from homeostat.ports.incidents import Incidents
from homeostat.ports.plans import NoResponse, Plans
from homeostat.records.incidents import Phase
from homeostat.records.responses import Response

FOLDER = "post-mortems"
FORMS = {"md": markdown, "html": page}
_LOOKED_AT = 100  # Of the newest closed incidents.


def blocks_of(incidents: Incidents, plans: Plans | None, id: str, currency: str = "") -> list[Block]:
    """The post-mortem of an incident as it is now. Raises UnknownIncident, Unavailable."""
    incident = incidents.get(id)
    signals, history = incidents.signals_of(incident.signals), incidents.history(id)
    return post_mortem(Record(incident, signals, history, response_of(plans, id), currency))


def response_of(plans: Plans | None, id: str) -> Response | None:
    """The response to an incident; None where nothing was done about it."""
    if plans is None:
        return None
    try:
        return plans.get(id)
    except NoResponse:
        return None


def write_post_mortem(folder: Path, id: str, blocks: list[Block], mode: int = FILE_MODE) -> list[Path]:
    """Write both forms, a file each, and return their paths. Raises Unavailable."""
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        for ending, form in FORMS.items():
            path = folder / f"{id}.{ending}"
            replace_file(path, [_bytes(form(blocks))], mode=mode)
            paths.append(path)
    except OSError as error:
        raise Unavailable(f"{folder} can't be written: {error}") from error
    return paths


@dataclass(slots=True)
class PostMortems:
    """Writes the post-mortem of each incident that is closed, in a data folder. One thread uses it.

    It is written again where the incident was opened again and closed; one that says the same is left alone.
    """

    folder: Path
    incidents: Incidents
    plans: Plans
    currency: str
    say: Callable[[str], None]
    _seen: int = -1
    _waiting: set[str] = field(default_factory=set)

    def step(self) -> int:
        """Write those that are due; returns how many. Raises Unavailable.

        Only news of incidents, and responses that are not at their end, are a reason to look.
        """
        last = self.incidents.planned()
        if last == self._seen and not self._waiting:
            return 0
        closed = [kept.incident.id for kept in self.incidents.list([Phase.CLOSED], _LOOKED_AT)]
        due = closed if last != self._seen else [id for id in closed if id in self._waiting]
        count = sum(self._see_to(id) for id in due)
        self._seen = last
        return count

    def _see_to(self, id: str) -> bool:
        response = response_of(self.plans, id)
        if response is not None and response.phase != Phase.CLOSED:
            self._waiting.add(id)  # It is written once loop 2 has finished with it, too.
            return False
        self._waiting.discard(id)
        blocks = blocks_of(self.incidents, self.plans, id, self.currency)
        if self._is_there(id, blocks):
            return False
        write_post_mortem(self.folder / FOLDER, id, blocks)
        self.say(f"incident {id} is closed: its post-mortem is {FOLDER}/{id}.html")
        return True

    def _is_there(self, id: str, blocks: list[Block]) -> bool:
        try:
            return all(
                (self.folder / FOLDER / f"{id}.{ending}").read_bytes() == _bytes(form(blocks))
                for ending, form in FORMS.items()
            )
        except OSError:
            return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
