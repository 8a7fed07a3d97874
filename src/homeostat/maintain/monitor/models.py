"""Whether the models answer as they did: the risk and scores against those that the features let expect.

A drift of the features moves both, so it shows little here. Another version, library or setting moves the answers only.
Of a tick, at most `SAMPLE` events are looked at, evenly spread, and of each entity the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.reference import looked_at
from homeostat.maintain.monitor.rows_of_ticks import firsts, offsets_among, ticks_of
from homeostat.maintain.monitor.surrogate import Surrogate, log_odds
from homeostat.maintain.monitor.switches import Switches
from homeostat.maintain.monitor.youth import DAY_NS
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.decisions import mark_of
from homeostat.records.signals import Kind, Measured, Series, Side

_ROWS_LEAST = 10
_MEAN_LEAST = 0.3  # Of a usual residual: less is not worth a word.
_SQUARE_LEAST = 0.25  # In logarithms: more than a quarter.
_DAYS_LEAST = 4
_FADES = 0.93
_CUT = 25.0  # Squares beyond so many usual ones teach no more than this.
_WIDTH_MAX = 256  # Features beyond these are not looked at.


class ModelsMonitor(Remembering):
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
        self._ticks: Sequence[Tick] = ()  # Of the last block, for notes.

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        whole, offsets, ticks = block.whole, block.offsets, len(block)
        rows = np.arange(len(whole))
        if whole.events.keys.shape[1]:  # An event of each entity: a flood of few must not stand for all.
            first = firsts(whole.events.keys[:, 0], offsets) == rows
            rows, offsets = rows[first], offsets_among(offsets, first)
        some, offsets = looked_at(offsets)
        rows = rows[some]
        answers = log_odds(np.column_stack([whole.risk[rows], whole.scores[rows][:, self._columns]]))
        sums = Sizes(*(np.zeros((ticks, answers.shape[1])) for _ in Sizes._fields))
        days, begin = block.end_ns // DAY_NS, 0
        while begin < ticks:
            some = np.flatnonzero(days[begin:] != self._memory["day"][0])
            stop = begin + int(some[0]) + 1 if len(some) else ticks
            if self._width:
                self._look(whole.features.values, rows, answers, offsets[begin : stop + 1], begin, sums)
            self._pass(int(days[stop - 1]))
            begin = stop
        found, n = Figures(len(self.series), ticks), block.rows.astype(np.float64)
        means = self._sizes(sums, found)
        effect = self._switches.effects(means, self._versions(block))
        found.set(len(self.series) - 1, effect, np.maximum(1.0, n))
        self._ticks = block.ticks
        return found.measured()

    def _look(self, features: Float, rows: Int, answers: Float, offsets: Int, tick: int, sums: Sizes) -> None:
        """Take ticks of one day, and add up their residuals. offsets : of these; tick : the first of them."""
        at = slice(offsets[0], offsets[-1])
        residual = self._surrogate.residuals(features, answers[at], rows[at])
        usual = self._memory["usual"]
        limit = np.where(usual > 0, _CUT * usual, np.inf)
        scaled = residual / np.sqrt(np.where(usual > 0, usual, np.nan))
        _add_up(residual, scaled, limit, offsets, tick, sums, self._memory["today"])

    def _pass(self, day: int) -> None:
        """Time has come to a day."""
        memory = self._memory
        if day != memory["day"][0]:
            if memory["day"][0]:
                self._surrogate.end_day()
                self._end_day()
            memory["day"][0] = day

    def _sizes(self, sums: Sizes, found: Figures) -> Float:
        """Mean and mean square of each answer's residuals against the usual ones, with their standard errors.

        Returns (ticks, figures) means and logarithms of squares, NaN where there were few.
        """
        m = sums.n
        means = np.full((len(m), len(self.series) - 1), np.nan)
        some = np.flatnonzero((m >= _ROWS_LEAST).any(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second, fourth = sums.first / m, sums.second / m, sums.fourth / m
            of_mean = np.sqrt((second - first * first) / m)
            of_square = np.sqrt((fourth - second * second) / m) / second
            means[:, 0::2] = np.where(m >= _ROWS_LEAST, first, np.nan)
            means[:, 1::2] = np.where(m >= _ROWS_LEAST, np.log(second), np.nan)
        for k, (least, spread) in enumerate(((_MEAN_LEAST, of_mean), (_SQUARE_LEAST, of_square))):
            found.set_at(some, slice(k, means.shape[1], 2), _beyond(means[some, k::2], least), m[some], spread[some])
        return means

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

    @staticmethod
    def _versions(block: Block) -> Int:
        """(ticks,) a number for the version that made most of a tick's decisions; 0 for none."""
        versions, n = block.whole.versions, len(block)
        found = np.zeros(n, np.int64)
        if not versions:
            return found
        place = ticks_of(block.offsets) * len(versions) + block.whole.version
        counts = np.bincount(place, minlength=n * len(versions)).reshape(n, len(versions))
        marks = np.array([int(mark_of(one)) for one in versions], np.int64)
        found[:] = np.where(counts.any(axis=1), marks[counts.argmax(axis=1)], 0)
        even = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) > 1
        for tick in np.flatnonzero(even & (block.rows > 0)).tolist():
            one = block.ticks[tick]  # Of versions with as many decisions, the tick's first.
            found[tick] = int(mark_of(one.versions[int(np.bincount(one.version).argmax())]))
        return found

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The versions of the tick."""
        of_versions = series == len(self.series) - 1 and self._ticks
        return {"versions": list(self._ticks[at].versions)} if of_versions else {}

    def parts(self) -> dict[str, Memory]:
        return {"own": self._memory, "switches": self._switches.memory, "surrogate": self._surrogate.memory}


def _beyond(value: Float, least: float) -> Float:
    """The part of each value that is beyond what matters."""
    found: Float = np.sign(value) * np.maximum(np.abs(value) - least, 0.0)
    return found


class Sizes(NamedTuple):
    """Of each tick and answer, (k, answers): how many residuals are known, and the sums of three powers of them."""

    n: Float
    first: Float
    second: Float
    fourth: Float


@compiled
def _add_up(
    residual: Float, scaled: Float, limit: Float, offsets: Int, tick: int, into: Sizes, today: Float
) -> None:  # fmt: skip
    """Add up residuals by tick, from `tick` on; and count what is usual, `today`: squares of at most `limit`."""
    for j in range(len(offsets) - 1):
        for i in range(offsets[j] - offsets[0], offsets[j + 1] - offsets[0]):
            for k in range(residual.shape[1]):
                square = residual[i, k] * residual[i, k]
                if square < math.inf:
                    today[0, k] += 1.0
                    today[1, k] += min(square, limit[k])
                value = scaled[i, k]
                if abs(value) < math.inf:
                    into.n[tick + j, k] += 1.0
                    into.first[tick + j, k] += value
                    into.second[tick + j, k] += value * value
                    into.fourth[tick + j, k] += value * value * (value * value)
