"""Whether the models answer as they did: the risk and scores against those that the features let expect.

A drift of the features moves both, so it shows little here. Another version, library or setting moves the answers only.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.surrogate import Surrogate, log_odds
from homeostat.maintain.monitor.switches import Switches
from homeostat.maintain.monitor.youth import DAY_NS
from homeostat.records.arrays import Float, State
from homeostat.records.decisions import mark_of
from homeostat.records.signals import Kind, Measured, Series, Side

_ROWS_LEAST = 10
_MEAN_LEAST = 0.3  # Of a usual residual: less is not worth a word.
_SQUARE_LEAST = 0.25  # In logarithms: more than a quarter.
_DAYS_LEAST = 4
_FADES = 0.93
_WIDTH_MAX = 256  # Features beyond these are not looked at.


class ModelsMonitor:
    """See the module. Series, by kind:

    distribution : of the risk (node fusion) and of each scorer but those of rules: the mean of what features don't
        explain, in usual residuals beyond 0.3; and how much larger its squares are than usual, as a logarithm beyond
        0.25
    version : the effect of a switch to another version on these, a fact: 0 unless they moved with the switch, far more
        than they ever do from tick to tick
    """

    name = "models"

    def __init__(self, names: Names) -> None:
        self._names = names
        self._width = min(len(names.features), _WIDTH_MAX)
        nodes = ["fusion", *(f"scorer:{one}" for one in names.learned)]
        self._columns = [names.scorers.index(one) for one in names.learned]
        sides: tuple[tuple[str, Side], ...] = (("unexplained mean", "both"), ("unexplained square", "up"))
        pairs = [(node, text, side) for node in nodes for text, side in sides]
        self.series: tuple[Series, ...] = (
            *(
                Series(self.name, node, Kind.DISTRIBUTION, text, "deviations", side, "mean")
                for node, text, side in pairs
            ),
            Series(self.name, "version", Kind.VERSION, "effect of a version", "deviations", "up", "fact"),
        )
        self._surrogate = Surrogate(self._width, len(nodes))
        self._switches = Switches(2 * len(nodes))
        k = len(nodes)
        self._memory: Memory = {
            "day": np.zeros(1, np.int64), "days": np.zeros(1, np.int64), "usual": np.zeros(k),
            "today": np.zeros((2, k)),
            "past": np.zeros((2, k)), "waiting": np.zeros((2, 2, k)),
        }  # fmt: skip
        self._last_version = ""
        self._noted: dict[str, object] = {}

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, n = Figures(len(self.series)), len(tick)
        means: Float = np.full(len(self.series) - 1, np.nan)
        if n and self._width:
            keys = tick.events.keys  # An event of each entity: a flood of few must not stand for all.
            at = np.sort(np.unique(keys[:, 0], return_index=True)[1]) if keys.shape[1] else np.arange(n)
            answers = np.column_stack([tick.risk[at], tick.scores[at][:, self._columns]])
            residual = self._surrogate.residuals(tick.features.values[at, : self._width], log_odds(answers))
            self._sizes(residual, means, found)
            self._learn(residual)
        day = tick.end_ns // DAY_NS
        if day != self._memory["day"][0]:
            if self._memory["day"][0]:
                self._surrogate.end_day()
                self._end_day()
            self._memory["day"][0] = day
        effect = self._switches.effect(means, _version_code(tick), float(n))
        found.set(len(self.series) - 1, effect, max(1.0, float(n)))
        self._noted = {"versions": list(tick.versions)}
        return found.measured()

    def _sizes(self, residual: Float, means: Float, found: Figures) -> None:
        """Mean and mean square of each answer's residuals against the usual ones, with their standard errors."""
        usual = self._memory["usual"]
        residual = residual / np.sqrt(np.where(usual > 0, usual, np.nan))
        known = np.isfinite(residual)
        m = known.sum(axis=0).astype(np.float64)
        some = m >= _ROWS_LEAST
        if not some.any():
            return
        of = np.where(known, residual, 0.0)
        square = of * of
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second, fourth = of.sum(axis=0) / m, square.sum(axis=0) / m, (square * square).sum(axis=0) / m
        spread = np.sqrt(np.stack([second - first * first, fourth - second * second]) / m)
        with np.errstate(divide="ignore", invalid="ignore"):
            means[0::2], means[1::2] = np.where(some, first, np.nan), np.where(some, np.log(second), np.nan)
            spread[1] /= second
        found.set(slice(0, len(means), 2), _beyond(means[0::2], _MEAN_LEAST), m, spread[0])
        found.set(slice(1, len(means), 2), _beyond(means[1::2], _SQUARE_LEAST), m, spread[1])

    def _learn(self, residual: Float) -> None:
        """Count what is usual: today's squares, cut where they are far beyond those of the past."""
        memory = self._memory
        square = residual * residual
        there = np.isfinite(square)
        most = np.where(memory["usual"] > 0, 25.0 * memory["usual"], np.inf)
        memory["today"][0] += there.sum(axis=0)
        memory["today"][1] += np.where(there, np.minimum(square, most), 0.0).sum(axis=0)

    def _end_day(self) -> None:
        """The counts of some days ago become the past, and the past fades."""
        memory = self._memory
        early = memory["days"][0] < _DAYS_LEAST
        memory["past"] *= _FADES
        memory["past"] += memory["today"] if early else memory["waiting"][-1]
        memory["waiting"][1:] = memory["waiting"][:-1].copy()
        memory["waiting"][0] = 0.0 if early else memory["today"]
        memory["today"][...] = 0.0
        memory["days"][0] += memory["past"][0].any()
        if memory["days"][0] >= _DAYS_LEAST:
            memory["usual"][...] = memory["past"][1] / np.maximum(memory["past"][0], 1.0)

    def notes(self, series: int) -> dict[str, object]:
        """The versions of the tick."""
        return dict(self._noted) if series == len(self.series) - 1 else {}

    def _parts(self) -> dict[str, Memory]:
        return {"own": self._memory, "switches": self._switches.memory, "surrogate": self._surrogate.memory}

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self._parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self._parts().items():
            taken(memory, part(state, name))


def _beyond(value: Float, least: float) -> Float:
    """The part of each value that is beyond what matters."""
    found: Float = np.sign(value) * np.maximum(np.abs(value) - least, 0.0)
    return found


def _version_code(tick: Tick) -> int:
    """A number for the version that made most of a tick's decisions; 0 for none."""
    if not len(tick):
        return 0
    most = tick.versions[int(np.bincount(tick.version).argmax())]
    return int(mark_of(most))
