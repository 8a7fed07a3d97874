"""How far each target of predictions is: a small file for each in `predictions/`, replaced whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from homeostat.adapters.disk.files import FOLDER_MODE, replace_file
from homeostat.errors import Unavailable

FOLDER = "predictions"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a target is.

    entry, row : the last journal entry that was dealt with, and how many rows of the next one
    sent, skipped, refused : predictions handed over; left out since they were too old; that the target will never take
    behind : journal entries that wait
    trouble : why nothing can be sent at present; empty where all is well
    owner : the process that sends; began_ns, at_ns : when it began, and its last sign of life
    """

    entry: int = 0
    row: int = 0
    sent: int = 0
    skipped: int = 0
    refused: int = 0
    behind: int = 0
    trouble: str = ""
    owner: str = ""
    began_ns: int = 0
    at_ns: int = 0


def save_progress(folder: Path, name: str, progress: Progress) -> None:
    """Write a target's progress. Raises Unavailable."""
    place = folder / FOLDER
    try:
        place.mkdir(exist_ok=True, mode=FOLDER_MODE)
    except OSError as error:
        raise Unavailable(f"{place} can't be made: {error.strerror}") from error
    replace_file(place / f"{name}.json", [json.dumps(asdict(progress)).encode()])


def load_progress(folder: Path) -> Mapping[str, Progress]:
    """The progress of each target that ever sent. Raises Unavailable where a file can't be read."""
    found = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            found[path.stem] = msgspec.json.decode(path.read_bytes(), type=Progress)
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"{path} can't be read ({error}): remove it, and its target begins with the newest decisions"
            ) from error
    return found
