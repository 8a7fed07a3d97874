"""Looks, every few hours, whether the last decisions keep to the app's bounds of fairness, and says what it saw.

A niced process beside this one reads the journal and computes the figures, so no decision waits for it: see
`homeostat report fairness --month recent`. A thread starts it and waits.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeostat.adapters.process.beside import CommandFailed, answer_until
from homeostat.ports import Clock

if TYPE_CHECKING:
    from homeostat.engine.readings import Value

FIRST_S = 60.0  # A server that starts has other work; a journal that is empty has nothing to see.
SECONDS_MAX = 600.0
_VERDICTS = {"PASS": 1.0, "INCONCLUSIVE": 0.0, "FAIL": -1.0}


@dataclass(frozen=True, slots=True)
class Seen:
    """The figures that were found last. at_ns : when; report : as `homeostat report fairness` prints it"""

    at_ns: int
    report: Mapping[str, Any]


class FairnessWatch:
    """See the module. `close` ends it, and the process.

    words : the options of `homeostat report` that name the app and its stores
    every_s : between two looks
    """

    def __init__(
        self, words: Sequence[str], every_s: float, clock: Clock, *, first_s: float = FIRST_S,
        program: Sequence[str] | None = None, on_turn: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._words = ["report", "fairness", "--month=recent", "--json", *words]
        self._every_s, self._first_s, self._clock = every_s, first_s, clock
        self._program, self._on_turn = program, on_turn
        self._seen: Seen | None = None
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fairness", daemon=True)

    def start(self) -> None:
        """Look from now on, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End the process and the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Look once. It raises nothing: the trouble says what failed, and the figures before stay with their time."""
        try:
            report = json.loads(answer_until(self._words, SECONDS_MAX, self._stop, self._program))
            self._seen, self._trouble = Seen(self._clock.now_ns(), report), ""
        except (CommandFailed, ValueError) as error:
            self._trouble = str(error)

    def notes(self) -> list[str]:
        """Sentences for people: each bound that is broken or open, and why nothing is known."""
        seen = self._seen
        found = [f"fairness can't be looked at: {self._trouble}"] if self._trouble else []
        if seen is None:
            return found or ["fairness was not looked at yet"]
        open_ = [one for one in seen.report["bounds"] if one["verdict"] != "PASS"]
        return found + [f"fairness is {one['verdict']}: {one['why']}" for one in open_]

    def readings(self) -> dict[str, Value]:
        """Verdict and largest difference by measure, and when it was looked at; nothing before the first look."""
        seen = self._seen
        if seen is None:
            return {}
        verdicts, differences = dict[str, float](), dict[str, float]()
        for one in seen.report["bounds"]:
            verdict, name = _VERDICTS[one["verdict"]], one["measure"]
            verdicts[name] = min(verdict, verdicts.get(name, verdict))
            if one["difference"] is not None:
                differences[name] = float(one["difference"])
        return {
            "homeostat_fairness_verdict": verdicts, "homeostat_fairness_difference": differences,
            "homeostat_fairness_timestamp_seconds": seen.at_ns / 1e9,
        }  # fmt: skip

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._stop.wait(wait_s):
            self.look()
            self._on_turn()
            wait_s = self._every_s
