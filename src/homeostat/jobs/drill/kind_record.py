"""The record of one kind of action in a drill: how often it was done, and in how many of these runs that was right."""

from __future__ import annotations

from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import Any

from homeostat.stats.intervals import share_interval

_MAKE = "; make one with homeostat drill APP --half whole --out DIR"


@dataclass(frozen=True, slots=True)
class KindRecord:
    """Counts of runs in which a kind of action was done.

    seeds : of the drill; runs : with the action; actions : in all, undone ones among them
    """

    kind: str
    app: str
    seeds: int
    runs: int
    right: int
    harmful: int
    actions: int
    undone: int

    @property
    def text(self) -> str:
        """One sentence.

        >>> KindRecord("map", "shop", 3, 0, 0, 0, 0, 0).text
        'in a drill of shop, 3 seeds, map was done in no run'
        """
        where = f"in a drill of {self.app}, {self.seeds} seeds"
        if not self.runs:
            return f"{where}, {self.kind} was done in no run"
        return (
            f"{where}, {self.kind} was done in {self.runs} runs: right in {_share(self.right, self.runs)}, "
            f"harmful in {_share(self.harmful, self.runs)}, {self.undone} of {self.actions} undone"
        )


def record_of(place: Path, kind: str) -> KindRecord:
    """The record of a kind of action. Raises ValueError where there is no drill of the whole half.

    place : the folder of a drill, or its summary.json
    """
    folder = place if place.is_dir() else place.parent
    try:
        summary = loads((folder / "summary.json").read_bytes())
        lines = [loads(line) for line in (folder / "runs.jsonl").read_bytes().splitlines() if line.strip()]
        runs = [one for one in lines if any(act["kind"] == kind for act in one["actions"])]
        acts = [act for one in runs for act in one["actions"] if act["kind"] == kind]
        return KindRecord(
            kind, str(summary["app"]), len(summary["seeds"]), len(runs), sum(map(_right, runs)),
            sum(bool(one["harmful"]) for one in runs), len(acts), sum(bool(act["undone"]) for act in acts),
        )  # fmt: skip
    except OSError as error:
        why = f"{error.filename} can't be read ({error.strerror})"
        raise ValueError(f"{folder} holds no drill: {why}{_MAKE}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{folder} holds no drill of the whole half ({why}){_MAKE}") from error


def _right(one: dict[str, Any]) -> bool:
    return bool(one["right"])


def _share(count: int, runs: int) -> str:
    """A count with its share and the 95 % interval of that."""
    found = share_interval(count / runs, runs)
    return f"{count} ({count / runs:.0%}, {found.low:.0%} to {found.high:.0%})"
