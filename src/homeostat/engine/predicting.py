"""Starts the process that sends predictions beside a server with a data folder, and says how its targets fare."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.adapters.disk.prediction_progress import Progress, load_progress
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.companion import Companion
from homeostat.engine.keeping import Patience, ProcessKeeper, Running, Sign
from homeostat.engine.shared.health import Diagnosis
from homeostat.engine.watching import name_of
from homeostat.ports import Clock

if TYPE_CHECKING:
    from homeostat.engine.readings import Value

_HANGS_S, _LOADING_S = 300.0, 900.0  # Without a sign of life; until the first, kernels may be compiled.
_LIVES_NS = 150 * 10**9  # A target that hangs gives a sign after each try.


class PredictionsKeeper:
    """See the module. `close` ends it, and the process.

    words : the arguments of `homeostat` that start the process
    names : of the targets
    owner : the name of the process
    say : gets a sentence when something changes
    """

    def __init__(
        self, words: Sequence[str], names: Sequence[str], data: Path, owner: str, *, clock: Clock | None = None,
        say: Callable[[str], None] = lambda text: None, start: Callable[[], Running] | None = None,
    ) -> None:  # fmt: skip
        self._words, self._names, self._data = (*words, "--owner", owner), names, data
        self._owner, self._say, self._clock = owner, say, SystemClock() if clock is None else clock
        self._keeper = ProcessKeeper(
            "predictions", self._look, start or self._started, owner, Patience(_HANGS_S, _LOADING_S),
            store="the progress of predictions", said=self._failed, clock=clock,
        )  # fmt: skip
        self._found: Mapping[str, Progress] = {}

    def start(self) -> None:
        """Look after it from now on, in a thread."""
        self._keeper.begin()

    def close(self) -> None:
        """End the process and the thread."""
        self._keeper.close()

    def turn(self) -> None:
        """Look once. It raises nothing: a failure is the trouble."""
        self._keeper.turn()

    def readings(self) -> dict[str, Value]:
        """Its figures by name of a declared metric. Any thread may ask."""
        found = self._found
        return {
            "homeostat_predictions_up": {name: not one.trouble and self._lives(one) for name, one in found.items()},
            "homeostat_predictions_sent_total": {name: one.sent for name, one in found.items()},
            "homeostat_predictions_skipped_total": {name: one.skipped for name, one in found.items()},
            "homeostat_predictions_refused_total": {name: one.refused for name, one in found.items()},
            "homeostat_predictions_behind_entries": {name: one.behind for name, one in found.items()},
        }

    def notes(self) -> list[str]:
        """The notices for people: why nothing is sent."""
        notes = [f"predictions: {self._keeper.trouble}"] if self._keeper.trouble else []
        return notes + [f"predictions to {name}: {one.trouble}" for name, one in self._found.items() if one.trouble]

    def _lives(self, one: Progress) -> bool:
        return self._clock.now_ns() - one.at_ns <= _LIVES_NS

    def _look(self) -> None:
        found = load_progress(self._data)
        self._found = {name: found[name] for name in self._names if name in found}
        last = max(self._found.values(), key=lambda one: one.at_ns, default=None)
        sign = None if last is None else Sign(last.owner, False, last.at_ns, last.began_ns)
        self._keeper.tend(sign)

    def _failed(self, trouble: str) -> None:
        self._say(f"predictions: {trouble}")

    def _started(self) -> Companion:
        return Companion(
            [sys.executable, "-P", "-m", "homeostat", "predictions", *self._words, "--parent", str(os.getpid())]
        )


def keeper_in(
    app: str, names: Sequence[str], data: Path, say: Callable[[str], None], bundle: Path | None = None
) -> PredictionsKeeper:
    """The keeper of a server on a data folder, started.

    app, bundle : as the server was given them
    names : of the app's targets
    """
    named = () if bundle is None else ("--bundle", str(bundle))
    made = PredictionsKeeper((app, "--data", str(data), *named), names, data, f"{name_of(data)}-predictions", say=say)
    made.start()
    return made


def of_predictions(names: Sequence[str], found: Mapping[str, Progress], now_ns: int) -> Iterator[Diagnosis]:
    """How each target of an app is, for `homeostat doctor`."""
    for name in names:
        what, one = f"predictions to {name}", found.get(name)
        if one is None:
            mend = "A server with this data folder sends them; on servers run homeostat predictions."
            yield Diagnosis(what, "warning", "nothing was ever sent", mend)
            continue
        seen = f"{one.sent:,} sent, {one.skipped:,} skipped, {one.refused:,} refused, {one.behind:,} entries wait"
        if one.trouble:
            mend = "Mend the target, or its address and keys; what waits is then sent in order."
            yield Diagnosis(what, "warning", f"{seen}; {one.trouble}", mend)
        elif now_ns - one.at_ns > _LIVES_NS:
            mend = "Start the server, or homeostat predictions, again."
            yield Diagnosis(
                what, "warning", f"{seen}; no process has sent for {(now_ns - one.at_ns) / 1e9:,.0f} s", mend
            )
        else:
            yield Diagnosis(what, "ok", seen)
