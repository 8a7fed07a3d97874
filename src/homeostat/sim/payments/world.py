"""A payments world that answers back: what is decided changes what happens next.

A blocked payment shows no outcome; whoever made it may try again with less, and a genuine customer may leave. A
challenged fraudster may give up. A compromised card or terminal is used more where it succeeds, and less where it
is stopped. Outcomes arrive days later. Every draw is counter-based on the payment's id, so that neither batches nor
other payments change it: two policies can be compared on the same world, payment by payment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.sim.payments.answers import NEVER, Made, Moods, Odds, no_effects, respond
from homeostat.sim.payments.transactions import DAY_S, Payments
from homeostat.stats.chance import bits, chances

ALLOW, CHALLENGE, BLOCK = 0, 1, 2
_SURVIVE, _RESPOND, _CHILD = 100, 101, 110  # Streams of chance; what policies draw has other seeds.
_DRAWS = 6
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Response:
    """How the world answers, in probabilities; and what things really cost, in the app's currency.

    give_up : a challenged fraudster at a shop's terminal goes away; `give_up_online` elsewhere
    abandon : a challenged genuine customer does
    fraud_retry, genuine_retry : a blocked one tries again hours later with a smaller amount
    follow_up : a successful fraud is followed by another within a day
    discouraged : what a stopped fraud leaves of the card's or terminal's misuse; a success restores half as much
    fee : of a chargeback, beside its amount
    margin : share of a payment's amount that is lost with it
    complaint : of a genuine customer who is blocked
    lifetime : share of the amount of each later payment lost with a customer who left
    delay_days_max : chargebacks arrive after 1 to this many days; silence until then is a good outcome
    """

    give_up: float = 0.9
    give_up_online: float = 0.5
    abandon: float = 0.02
    fraud_retry: float = 0.35
    genuine_retry: float = 0.3
    retry_factor: float = 0.4
    follow_up: float = 0.15
    discouraged: float = 0.6
    leave: float = 0.04
    friction: float = 0.5
    fee: float = 10.0
    margin: float = 0.1
    complaint: float = 3.0
    lifetime: float = 0.02
    delay_days_max: int = 14
    online_every: int = 4

    def odds(self, loss: float = 0.0) -> Odds:
        """Its fields as kernels read them.

        loss : see `Odds`
        """
        return Odds(
            self.give_up, self.give_up_online, self.abandon, self.fraud_retry, self.genuine_retry, self.retry_factor,
            self.follow_up, self.discouraged, self.leave, self.friction, self.fee, self.margin, self.complaint, loss,
            self.online_every, self.delay_days_max,
        )  # fmt: skip


@dataclass(slots=True)
class Ledger:
    """The real cost of everything so far."""

    fraud: float = 0.0
    friction: float = 0.0
    lost: float = 0.0
    left: float = 0.0
    counts: dict[str, int] = field(default_factory=lambda: {"events": 0, "frauds": 0, "stopped": 0, "wronged": 0})

    @property
    def total(self) -> float:
        """All costs together."""
        return self.fraud + self.friction + self.lost + self.left


@dataclass(frozen=True, slots=True)
class Slice:
    """One step of the world.

    events : what happened, to be decided; its keys are customer and terminal, its number is the amount
    outcomes : what became known, of earlier decisions
    realised : (outcomes,) what each of those decisions turned out to cost
    scenario : (n,) the hidden truth of the events, for measuring only
    """

    start_ns: int
    end_ns: int
    events: EventBatch
    outcomes: OutcomeBatch
    realised: Float
    scenario: Bytes


class PaymentsWorld:
    """Payments in steps. Call `advance`, decide what it returns, `act`, and so on until it returns None.

    payments : what would happen if nothing was ever stopped
    step_s : the actions of a step change the steps after it; what they lead to comes a step later at the earliest
    """

    def __init__(self, payments: Payments, seed: int, response: Response | None = None, step_s: int = 3600) -> None:
        self.response = response or Response()
        self.ledger = Ledger()
        self._base, self._seed, self._step = payments, seed, step_s
        self._now = int(payments.time_s[0]) // DAY_S * DAY_S
        self._end = int(payments.time_s[-1]) + 1
        self._row = 0
        customers, terminals = int(payments.customer.max()) + 1, int(payments.terminal.max()) + 1
        self._moods = Moods(np.ones(customers), np.ones(terminals), np.zeros(customers, dtype=np.uint8))
        self._survive = chances(seed + _SURVIVE, np.arange(len(payments)), 1)[:, 0]
        self._children = np.empty((0, 7))  # time, customer, terminal, amount, scenario, depth, row in _child_ids
        self._child_ids = np.empty(0, dtype=np.int64)
        self._outcomes = np.empty((0, 4))  # label, amount, realised, known
        self._outcome_ids = np.empty(0, dtype=np.int64)
        self._open: Made | None = None
        self._odds = self.response.odds()

    def advance(self) -> Slice | None:
        """The next step's events and outcomes; None at the end.

        Raises ValueError where the last step's actions are still missing.
        """
        if self._open is not None:
            raise ValueError("act on the last slice before advancing")
        if self._now >= self._end:
            return None
        start, end = self._now, self._now + self._step
        columns = self._due(end)
        ids, time, customer, terminal, amount, scenario, _ = columns
        self._open = columns
        self._now = end
        n = len(ids)
        events = EventBatch(
            ids, time * _SECOND_NS, np.stack([customer, terminal], axis=1), amount[:, None].copy(), np.full(n, np.nan),
            np.zeros(n, dtype=np.uint8),
        )  # fmt: skip
        outcomes, realised = self._known(start)
        return Slice(start * _SECOND_NS, end * _SECOND_NS, events, outcomes, realised, scenario)

    def _due(self, end: int) -> Made:
        """The payments before `end` in time order: of the base those still made, and those that others led to."""
        base, stop = self._base, int(np.searchsorted(self._base.time_s, end))
        rows = np.arange(self._row, stop)
        self._row = stop
        customer, terminal, scenario = base.customer[rows], base.terminal[rows], base.scenario[rows]
        fraud = scenario > 0
        heat = np.where(scenario == 2, self._moods.heat_terminal[terminal], self._moods.heat_customer[customer])
        stays = np.where(fraud, self._survive[rows] < heat, self._moods.left[customer] == 0)
        self.ledger.left += self.response.lifetime * float(base.amount[rows[~fraud & ~stays]].sum())
        rows = rows[stays]
        due = self._children[:, 0] < end
        late, late_ids = self._children[due], self._child_ids[due]
        self._children, self._child_ids = self._children[~due], self._child_ids[~due]
        ids = np.concatenate([rows, late_ids])
        time = np.concatenate([base.time_s[rows], late[:, 0].astype(np.int64)])
        order = np.lexsort((ids, time))
        return Made(
            ids[order], time[order],
            np.concatenate([base.customer[rows], late[:, 1].astype(np.int64)])[order],
            np.concatenate([base.terminal[rows], late[:, 2].astype(np.int64)])[order],
            np.concatenate([base.amount[rows], late[:, 3]])[order],
            np.concatenate([base.scenario[rows], late[:, 4].astype(np.uint8)])[order],
            np.concatenate([np.zeros(len(rows), dtype=np.uint8), late[:, 5].astype(np.uint8)])[order],
        )  # fmt: skip

    def _known(self, moment: int) -> tuple[OutcomeBatch, Float]:
        """The outcomes known by `moment`, in the order in which they became so."""
        due = self._outcomes[:, 3] <= moment
        rows, ids = self._outcomes[due], self._outcome_ids[due]
        self._outcomes, self._outcome_ids = self._outcomes[~due], self._outcome_ids[~due]
        order = np.lexsort((ids, rows[:, 3]))
        rows, ids = rows[order], ids[order]
        known_ns = rows[:, 3].astype(np.int64) * _SECOND_NS
        return OutcomeBatch(ids, rows[:, 0].copy(), known_ns, rows[:, 1].copy()), rows[:, 2].copy()

    def act(self, action: Int) -> Float:
        """Carry out the last slice's actions: 0 allow, 1 challenge, 2 block. Returns (n,) what each cost at once."""
        assert self._open is not None, "advance first"
        made, self._open = self._open, None
        effects = no_effects(len(made.id))
        draw = chances(self._seed + _RESPOND, made.id, _DRAWS)
        actions = np.asarray(action, dtype=np.int64)
        respond(made, actions, draw, self._moods, self._odds, float(self._step), effects)
        result, known, _ = effects
        cost = result[:, 0] + result[:, 1] + result[:, 2]
        seen = known < NEVER
        self._outcome_ids = np.concatenate([self._outcome_ids, made.id[seen]])
        reported = np.stack([result[:, 4], result[:, 3], cost, known.astype(np.float64)], axis=1)[seen]
        self._outcomes = np.concatenate([self._outcomes, reported])
        self._bear(made, effects.child)
        self._book(result, made.scenario)
        return cost

    def _bear(self, made: Made, child: Float) -> None:
        """Schedule what the payments lead to, under ids of their own that follow from their parents'."""
        born = child[:, 0] > 0
        if not born.any():
            return
        amount = np.round(child[born, 1], 2)
        when = made.time_s[born] + child[born, 0].astype(np.int64)
        who = made.customer[born], made.terminal[born]
        rows = [when, *who, amount, made.scenario[born], made.depth[born] + 1, np.zeros(len(when))]
        self._children = np.concatenate([self._children, np.stack(rows, axis=1).astype(np.float64)])
        own = (bits(self._seed, made.id[born], _CHILD) >> np.uint64(4)).astype(np.int64)
        self._child_ids = np.concatenate([self._child_ids, own])

    def _book(self, result: Float, scenario: Bytes) -> None:
        ledger, fraud = self.ledger, scenario > 0
        ledger.fraud += float(result[:, 0].sum())
        ledger.friction += float(result[:, 1].sum())
        ledger.lost += float(result[:, 2].sum())
        ledger.counts["events"] += len(scenario)
        ledger.counts["frauds"] += int(fraud.sum())
        ledger.counts["stopped"] += int((fraud & (result[:, 0] == 0)).sum())
        ledger.counts["wronged"] += int((~fraud & (result[:, 2] > 0)).sum())

    def true_costs(self, batch: Slice) -> Float:
        """(n, 3) what each action costs at once in expectation, knowing the truth: for measuring only."""
        r, amount, fraud = self.response, batch.events.numbers[:, 0], batch.scenario > 0
        online = batch.events.keys[:, 1] % r.online_every == 0
        stays = 1.0 - np.where(online, r.give_up_online, r.give_up)
        out = np.zeros((len(amount), 3))
        out[:, ALLOW] = np.where(fraud, amount + r.fee, 0.0)
        out[:, CHALLENGE] = r.friction + np.where(fraud, stays * (amount + r.fee), r.abandon * r.margin * amount)
        out[:, BLOCK] = np.where(fraud, 0.0, r.margin * amount + r.complaint)
        return out
