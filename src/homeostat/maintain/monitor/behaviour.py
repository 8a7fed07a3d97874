"""The actions of an app: its mix of actions, what they are expected to cost, and whom they are about."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.coincidences import pairs
from homeostat.maintain.monitor.figures import Figures, Memory, copied, hashed, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.youth import Youth
from homeostat.records.arrays import Float, Int, Mask, State
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


class BehaviourMonitor:
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
        self._copies: Mask = np.zeros(0, bool)
        self._events: EventBatch | None = None  # Of the last tick, for notes.

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, n = Figures(len(self.series)), len(tick)
        actions, entities = len(self._names.actions), len(self._names.entities)
        if n:
            known = tick.action[(tick.action >= 0) & (tick.action < actions)]
            self._mix(np.bincount(known, minlength=actions).astype(np.float64), float(n), found)
            self._money(tick, found)
        self._copies, self._events = _few_copies(tick.events), tick.events
        for k in range(entities):
            self._people(tick, k, 3 + actions + k, 3 + actions + entities + k, found)
        return found.measured()

    def _money(self, tick: Tick, found: Figures) -> None:
        """Expected costs, and how near decisions are to a harsher action."""
        risk = tick.risk
        ok = np.isfinite(risk) & (tick.proposed >= 0) & (tick.proposed < len(self._names.actions))
        at = np.flatnonzero(ok)
        if not len(at):
            return
        if self._costs is None:
            if len(self._cuts):
                self._probed(np.searchsorted(self._cuts, _moved(risk[at]), "right"), found)
            return
        positive, negative = self._costs(tick.events if len(at) == len(tick) else tick.events.rows(at))
        r = risk[at][:, None]
        cost = r * positive + (1 - r) * negative
        cost[np.isnan(cost)] = np.inf
        rows = np.arange(len(at))
        proposed, taken_ = cost[rows, tick.proposed[at]], cost[rows, np.clip(tick.action[at], 0, cost.shape[1] - 1)]
        least = cost.min(axis=1)
        fine = np.isfinite(proposed) & np.isfinite(taken_)
        ordinary = self._ordinary(taken_[fine])
        m = int(fine.sum())
        if m and ordinary > 0:
            of = taken_[fine] / ordinary
            self._expected(float(of.sum()), float(m), found)
            policy = fine & (tick.explored[at] == 0)
            if policy.any():
                avoidable = (proposed - least)[policy] / ordinary
                found.set(1, float(np.minimum(avoidable, 1e3).mean()), float(policy.sum()))
        moved = _moved(risk[at])[:, :, None]
        self._probed((moved * positive[:, None, :] + (1 - moved) * negative[:, None, :]).argmin(axis=2), found)

    def _mix(self, counts: Float, n: float, found: Figures) -> None:
        """How far the log-odds of each action, over the last day, are beyond a factor of three of the usual ones."""
        total, of = self._last_day(self._memory["mix"], np.append(counts, n))[:-1], 0.0
        of = float(self._memory["mix"][:, -1].sum())
        if of < _MIX_LEAST:
            return
        odds, usual = np.log((total + _PRIOR) / (of - total + _PRIOR)), self._memory["odds"]
        found.set(slice(3, 3 + len(counts)), _beyond(odds, usual, _MIX_FACTOR), of)

    def _expected(self, cost: float, m: float, found: Figures) -> None:
        """How far the expected cost of a decision, over the last day, is beyond a factor of four of the usual one."""
        total, of = self._last_day(self._memory["spent"], np.array([cost, m])).tolist()
        if of >= _MIX_LEAST and total > 0:
            now = np.array([np.log(total / of)])
            found.set(0, float(_beyond(now, self._memory["usual"], _COST_FACTOR)[0]), of)

    def _last_day(self, ring: Float, row: Float) -> Float:
        """The sums of the last 24 rows, this one included."""
        ring[:-1] = ring[1:].copy()
        ring[-1] = row
        found: Float = ring.sum(axis=0)
        return found

    def _probed(self, best: Int, found: Figures) -> None:
        """best : (n, 3) the harsher action at somewhat less, the same and somewhat more risk."""
        below = float((best[:, 2] > best[:, 1]).sum())
        above = float((best[:, 0] < best[:, 1]).sum())
        found.share(2, below, below + above)

    def _ordinary(self, cost: Float) -> float:
        """The mean cost of a decision in the past, which fades slowly."""
        memory = self._memory["cost"]
        before = memory[0] / memory[1] if memory[1] >= _ROWS_LEAST else float("nan")
        memory *= _MEAN_FADES
        memory += (cost.sum(), len(cost))
        return before

    def _people(self, tick: Tick, entity: int, same: int, new: int, found: Figures) -> None:
        keys = tick.events.keys[:, entity]
        there = keys != ABSENT
        keys = keys[there]
        m = len(keys)
        young = self._youth[entity].new(keys, tick.end_ns)
        if young is not None:
            found.share(new, float(young.sum()), float(m))
        if m >= _ROWS_LEAST:
            self._crowding(entity, keys[~self._copies[there]], same, found)

    def _crowding(self, entity: int, keys: Int, at: int, found: Figures) -> None:
        """How far events gather on few entities: the size of an entity as an event sees it, against the usual one.

        Twice the pairs of events of one entity are the sum of its squares, so their root is that of the largest.
        """
        size, usual = float(np.sqrt(2.0 * pairs(keys))), self._memory["crowd"]
        if np.isnan(usual[entity]):
            usual[entity] = size
        beyond = np.log(max(size, _CROWD_LEAST) / max(usual[entity], _CROWD_LEAST)) - np.log(_CROWD)
        if beyond <= 0:
            usual[entity] += _CROWD_RATE * (size - usual[entity])
        found.set(at, max(float(beyond), 0.0), float(len(keys)))

    def notes(self, series: int) -> dict[str, object]:
        """The busiest entity of the tick."""
        start = 3 + len(self._names.actions)
        entities = len(self._names.entities)
        if self._events is None or not start <= series < start + entities:
            return {}
        column = series - start
        keys = self._events.keys[:, column]
        known, first, counts = np.unique(keys[keys != ABSENT], return_index=True, return_counts=True)
        if not len(known):
            return {}
        most = int(counts.argmax())
        check = self._events.key_checks[np.flatnonzero(keys != ABSENT)[first[most]], column]
        text = text_of(int(known[most]), int(check), self._events.texts)
        return {"busiest": text, "events": int(counts[most]), "of": int(counts.sum())}

    def _parts(self) -> dict[str, Memory]:
        return {"own": self._memory} | {f"youth_{k}": one.memory for k, one in enumerate(self._youth)}

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self._parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self._parts().items():
            taken(memory, part(state, name))


def _beyond(now: Float, usual: Float, factor: float) -> Float:
    """The part of each logarithm that is beyond a factor of the usual one, which follows slowly while it is within."""
    usual[...] = np.where(np.isnan(usual), now, usual)
    moved = now - usual
    found: Float = np.sign(moved) * np.maximum(np.abs(moved) - np.log(factor), 0.0)
    usual += np.where(found == 0.0, _USUAL_RATE * moved, 0.0)
    return found


def _few_copies(events: EventBatch) -> Mask:
    """(n,) rows that repeat the content of an earlier one of the tick which came a few times at most.

    Those are the transport's; a flood repeats itself far more often.
    """
    content = hashed(events.keys, events.numbers)
    order = np.argsort(content, kind="stable")
    edges = np.flatnonzero(np.diff(content[order])) + 1
    starts = np.concatenate([[0], edges])
    counts = np.diff(np.concatenate([starts, [len(content)]]))
    found = np.zeros(len(content), bool)
    found[order] = np.repeat(counts <= _COPIES_MAX, counts) if len(content) else False
    found[order[starts[starts < len(content)]]] = False
    return found


def _moved(risk: Float) -> Float:
    """(n, 3) the risk with somewhat less, the same and somewhat more log-odds."""
    with np.errstate(divide="ignore"):
        odds = np.log(risk) - np.log1p(-risk)
    moved: Float = 1.0 / (1.0 + np.exp(-np.stack([odds - _BAND, odds, odds + _BAND], axis=1)))
    return moved
