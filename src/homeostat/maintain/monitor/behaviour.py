"""The actions of an app: its mix of actions, what they are expected to cost, and whom they are about."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering, hashed
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.rows_of_ticks import (
    counts_of,
    firsts,
    offsets_among,
    pairs_of,
    ticks_of,
    totals_of,
)  # fmt: skip
from homeostat.maintain.monitor.youth import Youth
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.compiled import compiled
from homeostat.records.events import EventBatch
from homeostat.records.identity import ABSENT, text_of
from homeostat.records.signals import Kind, Measured, Series

CostsOf = Callable[[EventBatch], tuple[Float, Float]]
"""Events -> what each action costs if the outcome is positive, and if it is negative: two (n, actions)."""

_ROWS_LEAST = 20
_BAND = 0.3  # In log-odds, on both sides of a threshold.
_MEAN_FADES = 0.999
_COPIES_MAX = 3
_DAY = 24  # Ticks, of an hour each unless the app says otherwise.
_MIX_LEAST, _PRIOR, _MIX_FACTOR, _COST_FACTOR, _USUAL_RATE = 300.0, 5.0, 3.0, 4.0, 0.003
_CROWD, _CROWD_LEAST, _CROWD_RATE = 8.0, 4.0, 0.01  # A campaign of five times the events is no crowd.


class BehaviourMonitor(Remembering):
    """See the module. Series, by kind:

    actions : how far the odds of each action in the last day are beyond three times the usual; and the expected cost
        of a decision beyond four times the usual, as logarithms: a milder population is no trouble
    configuration : the expected cost that the proposals could have avoided, in parts of the ordinary cost: no drift of
        inputs brings it about, since a policy that minimises costs has none of it
    flood : how many times the usual events the busiest entities have, as a logarithm beyond 8, by entity
    distribution : the share of entities that are new, by entity
    probing : of events near the threshold of a harsher action, the share that are just below it

    costs : of the app, None where it declares none; then its thresholds are `cuts`
    cuts : the risks from which on each harsher action is proposed
    """

    name = "behaviour"

    def __init__(self, names: Names, costs: CostsOf | None, cuts: tuple[float, ...] = ()) -> None:
        self._names, self._costs, self._cuts = names, costs, np.array(cuts, np.float64)
        name, entities = self.name, [f"entity:{one}" for one in names.entities]
        self.series: tuple[Series, ...] = (
            Series(name, "policy", Kind.ACTIONS, "expected cost", "log times", "both", "mean", seasonal=True),
            Series(name, "settings", Kind.CONFIGURATION, "avoidable cost", "ordinary costs", "up", "mean"),
            Series(name, "policy", Kind.PROBING, "just below a threshold", side="up"),
            *(
                Series(name, f"action:{one}", Kind.ACTIONS, "mix", "log odds", "both", "mean", seasonal=True)
                for one in names.actions
            ),
            *(Series(name, node, Kind.FLOOD, "crowding", "log times", "up", "mean") for node in entities),
            *(Series(name, node, Kind.DISTRIBUTION, "new keys", side="up") for node in entities),
        )
        self._youth = [Youth(15) for _ in entities]
        actions = len(names.actions)
        self._memory: Memory = {
            "cost": np.zeros(2), "crowd": np.full(len(entities), np.nan), "mix": np.zeros((_DAY, actions + 1)),
            "odds": np.full(actions, np.nan), "spent": np.zeros((_DAY, 2)), "usual": np.full(1, np.nan),
        }  # fmt: skip
        self._block: Block | None = None  # The last one, for notes.

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found = Figures(len(self.series), len(block))
        actions, entities = len(self._names.actions), len(self._names.entities)
        self._mix(block, found)
        self._money(block, found)
        copies = _few_copies(block.whole.events, block.offsets)
        for k in range(entities):
            self._people(block, k, copies, (3 + actions + k, 3 + actions + entities + k), found)
        self._block = block
        return found.measured()

    def _mix(self, block: Block, found: Figures) -> None:
        """How far the log-odds of each action, over the last day, are beyond a factor of three of the usual ones."""
        actions, n = len(self._names.actions), block.rows
        action = block.whole.action
        known = (action >= 0) & (action < actions)
        place = ticks_of(block.offsets)[known] * actions + action[known]
        counts = np.bincount(place, minlength=len(block) * actions).reshape(len(block), actions)
        some = np.flatnonzero(n)
        total = _last_day(self._memory["mix"], np.column_stack([counts[some], n[some]]).astype(np.float64))
        total, some = total[total[:, -1] >= _MIX_LEAST], some[total[:, -1] >= _MIX_LEAST]
        each, of = total[:, :-1], total[:, -1:]
        odds = np.log((each + _PRIOR) / (of - each + _PRIOR))
        found.set_at(some, slice(3, 3 + actions), _beyond(odds, self._memory["odds"], _MIX_FACTOR), of)

    def _money(self, block: Block, found: Figures) -> None:
        """Expected costs, and how near decisions are to a harsher action."""
        whole, risk = block.whole, block.whole.risk
        ok = np.isfinite(risk) & (whole.proposed >= 0) & (whole.proposed < len(self._names.actions))
        at, offsets = np.flatnonzero(ok), offsets_among(block.offsets, ok)
        if not len(at):
            return
        if self._costs is None:
            if len(self._cuts):
                self._probed(np.searchsorted(self._cuts, _moved(risk[at]), "right"), offsets, found)
            return
        positive, negative = self._costs(whole.events if len(at) == len(whole) else whole.events.rows(at))
        r = risk[at][:, None]
        cost = r * positive + (1 - r) * negative
        cost[np.isnan(cost)] = np.inf
        rows = np.arange(len(at))
        proposed = cost[rows, whole.proposed[at]]
        taken_ = cost[rows, np.clip(whole.action[at], 0, cost.shape[1] - 1)]
        fine = np.isfinite(proposed) & np.isfinite(taken_)
        of_fine = offsets_among(offsets, fine)
        ordinary = self._ordinary(taken_[fine], of_fine, np.diff(offsets) > 0)
        each = ordinary[ticks_of(of_fine)]
        self._expected(taken_[fine] / each, of_fine, ordinary > 0, found)
        avoidable = np.minimum((proposed - cost.min(axis=1))[fine] / each, 1e3)
        self._avoided(avoidable, of_fine, (whole.explored[at] == 0)[fine] & (each > 0), found)
        best = np.empty((len(at), 3), np.int64)
        _cheapest(_moved(risk[at]), np.array(positive, np.float64), np.array(negative, np.float64), best)
        self._probed(best, offsets, found)

    def _ordinary(self, cost: Float, offsets: Int, decided: Mask) -> Float:
        """(k,) the mean cost of a decision before each tick, which fades slowly; NaN before it is known.

        decided : (k,) whether a tick has decisions
        """
        found, memory = np.full(len(decided), np.nan), self._memory["cost"]
        total, rows = memory.tolist()
        sums, counts = totals_of(cost, offsets), np.diff(offsets).tolist()
        for tick in np.flatnonzero(decided).tolist():
            if rows >= _ROWS_LEAST:
                found[tick] = total / rows
            total, rows = total * _MEAN_FADES + sums[tick], rows * _MEAN_FADES + counts[tick]
        memory[:] = total, rows
        return found

    def _expected(self, of: Float, offsets: Int, known: Mask, found: Figures) -> None:
        """How far the expected cost of a decision, over the last day, is beyond a factor of four of the usual one.

        of : costs in ordinary ones; known : (k,) whether a tick has ordinary ones
        """
        m = np.diff(offsets)
        some = np.flatnonzero(known & (m > 0))
        total = _last_day(self._memory["spent"], np.column_stack([np.array(totals_of(of, offsets))[some], m[some]]))
        enough = (total[:, 1] >= _MIX_LEAST) & (total[:, 0] > 0)
        some, total = some[enough], total[enough]
        now = np.log(total[:, :1] / total[:, 1:])
        beyond = _beyond(now, self._memory["usual"], _COST_FACTOR)
        found.set_at(some, slice(0, 1), beyond, total[:, 1:])

    def _avoided(self, avoidable: Float, offsets: Int, policy: Mask, found: Figures) -> None:
        """The mean cost that proposals of the policy could have avoided, in ordinary ones."""
        among = offsets_among(offsets, policy)
        m = np.diff(among).astype(np.float64)
        found.set(1, np.array(totals_of(avoidable[policy], among)) / np.maximum(m, 1.0), m)

    def _probed(self, best: Int, offsets: Int, found: Figures) -> None:
        """best : (n, 3) the harsher action at somewhat less, the same and somewhat more risk."""
        below = counts_of(offsets, best[:, 2] > best[:, 1])
        above = counts_of(offsets, best[:, 0] < best[:, 1])
        found.share(2, below, below + above)

    def _people(self, block: Block, entity: int, copies: Mask, at: tuple[int, int], found: Figures) -> None:
        """Keys that are new, and how far events gather on few.

        at : the series of both, crowding first
        """
        keys = block.whole.events.keys[:, entity]
        there = keys != ABSENT
        keys, offsets = keys[there], offsets_among(block.offsets, there)
        young, known = self._youth[entity].new_of_ticks(keys, offsets, block.end_ns)
        m = np.diff(offsets).astype(np.float64)
        found.share(at[1], counts_of(offsets, young), np.where(known, m, 0.0))
        single = ~copies[there]
        self._crowding(entity, keys[single], offsets_among(offsets, single), m >= _ROWS_LEAST, at[0], found)

    def _crowding(self, entity: int, keys: Int, offsets: Int, enough: Mask, at: int, found: Figures) -> None:
        """How far events gather on few entities: the size of an entity as an event sees it, against the usual one.

        Twice the pairs of events of one entity are the sum of its squares, so their root is that of the largest.

        enough : (k,) whether a tick has enough events to say so
        """
        sizes = np.sqrt(2.0 * pairs_of(firsts(keys, offsets), offsets)).tolist()
        usual, beyond = float(self._memory["crowd"][entity]), np.zeros(len(sizes))
        for tick in np.flatnonzero(enough).tolist():
            size = sizes[tick]
            usual = size if usual != usual else usual
            much = np.log(max(size, _CROWD_LEAST) / max(usual, _CROWD_LEAST)) - np.log(_CROWD)
            if much <= 0:
                usual += _CROWD_RATE * (size - usual)
            beyond[tick] = max(float(much), 0.0)
        self._memory["crowd"][entity] = usual
        found.set(at, beyond, np.where(enough, np.diff(offsets), 0.0))

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The busiest entity of the tick."""
        start = 3 + len(self._names.actions)
        entities = len(self._names.entities)
        if self._block is None or not start <= series < start + entities:
            return {}
        column, events = series - start, self._block.ticks[at].events
        keys = events.keys[:, column]
        known, first, counts = np.unique(keys[keys != ABSENT], return_index=True, return_counts=True)
        if not len(known):
            return {}
        most = int(counts.argmax())
        check = events.key_checks[np.flatnonzero(keys != ABSENT)[first[most]], column]
        text = text_of(int(known[most]), int(check), events.texts)
        return {"busiest": text, "events": int(counts[most]), "of": int(counts.sum())}

    def parts(self) -> dict[str, Memory]:
        return {"own": self._memory} | {f"youth_{k}": one.memory for k, one in enumerate(self._youth)}


def _last_day(ring: Float, rows: Float) -> Float:
    """(n, columns) at each of the rows, the sums of the last `_DAY`, this one included. The ring keeps the last."""
    both = np.concatenate([ring[1:], rows])
    found = np.zeros(rows.shape)
    _roll(both, len(ring), found)
    if len(rows):
        ring[...] = both[-len(ring) :]
    return found


def _beyond(now: Float, usual: Float, factor: float) -> Float:
    """(n, columns) the part of each logarithm that is beyond a factor of the usual one.

    The usual one, (columns,), follows slowly from row to row while it is within.
    """
    found = np.zeros(now.shape)
    _follow(now, usual, float(np.log(factor)), found)
    return found


@compiled
def _roll(rows: Float, length: int, into: Float) -> None:
    for k in range(len(into)):
        for j in range(k, k + length):
            for column in range(rows.shape[1]):
                into[k, column] += rows[j, column]


@compiled
def _follow(now: Float, usual: Float, room: float, into: Float) -> None:
    for k in range(len(now)):
        for column in range(now.shape[1]):
            if usual[column] != usual[column]:
                usual[column] = now[k, column]
            moved = now[k, column] - usual[column]
            into[k, column] = np.sign(moved) * max(abs(moved) - room, 0.0)
            if into[k, column] == 0.0:
                usual[column] += _USUAL_RATE * moved


@compiled
def _cheapest(risk: Float, positive: Float, negative: Float, best: Int) -> None:
    """The action of the least expected cost at each of three risks (n, 3); one whose cost is not known is taken."""
    for i in range(len(risk)):
        for j in range(3):
            least = math.inf
            best[i, j] = 0
            for action in range(positive.shape[1]):
                cost = risk[i, j] * positive[i, action] + (1 - risk[i, j]) * negative[i, action]
                if cost != cost:
                    best[i, j] = action
                    break
                if cost < least:
                    least = cost
                    best[i, j] = action


def _few_copies(events: EventBatch, offsets: Int) -> Mask:
    """(n,) rows that repeat the content of an earlier one of their tick which came a few times at most.

    Those are the transport's; a flood repeats itself far more often.
    """
    first = firsts(hashed(events.keys, events.numbers), offsets)
    counts = np.bincount(first, minlength=len(first))
    found: Mask = (counts[first] <= _COPIES_MAX) & (first != np.arange(len(first)))
    return found


def _moved(risk: Float) -> Float:
    """(n, 3) the risk with somewhat less, the same and somewhat more log-odds."""
    with np.errstate(divide="ignore"):
        odds = np.log(risk) - np.log1p(-risk)
    moved: Float = 1.0 / (1.0 + np.exp(-np.stack([odds - _BAND, odds, odds + _BAND], axis=1)))
    return moved
