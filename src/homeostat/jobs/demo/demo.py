"""The demo: four ways to protect the same simulated payments, side by side, one of them learning.

Each arm has a world of its own that starts the same: same customers, cards, frauds and draws of chance. From there on
each world answers to what its arm does (see `sim.world`), and its outcomes arrive late or, for blocked payments, never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build
from homeostat.config.load import app_file
from homeostat.config.tree import App, Exploration, FusionSpec
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.policy.bandit import BanditPolicy
from homeostat.engine.assembly import Prepared, bundle_of, prepare
from homeostat.jobs.simulated import between, events_of, world_of
from homeostat.models.bundle import Bundle
from homeostat.models.training_set import Progress, silent
from homeostat.records.arrays import Bytes, Float, Small
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.identity import Identity
from homeostat.sim.payments.transactions import DAY_S, generate
from homeostat.sim.payments.world import PaymentsWorld, Response, Slice

NOTHING, RULES, FIXED, LEARNING = "no protection", "scoring rules", "models", "models + bandit"
ARMS = (NOTHING, RULES, FIXED, LEARNING)
CONTEXT: tuple[str, ...] = ()  # The bandit sees the risk alone: with more it took four weeks of outcomes for noise.
EXPLORATION = Exploration(rate=0.02, budget=2.0)  # Expected extra cost a day; fraud unhindered costs thousands.
_FIRST_ID = 1 << 40  # Of the payments before the demo begins; the world counts its own from 0.
_BATCH_ROWS = 65_536
_DELAY_DAYS = 7


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of the demo's simulated world.

    seed : of the worlds; other than the bundle's
    history_days : before the demo begins, with every outcome known; they fill the windows
    days : decided as a stream
    delay_days : a fraud is reported after 1 to this many days; silence until then means that all was well
    single_rows : payments of each step that are decided one at a time, to time single decisions
    """

    seed: int = 1
    customers: int = 2_000
    history_days: int = 68
    days: int = 28
    step_s: int = 3 * 3600
    delay_days: int = _DELAY_DAYS
    single_rows: int = 4


class Arm:
    """One way to protect the payments, in its own world.

    loop : None lets everything through
    """

    def __init__(
        self, name: str, world: PaymentsWorld, loop: DecisionLoop | None = None, journal: SqliteJournal | None = None
    ) -> None:
        self.name, self.world, self.loop, self.journal = name, world, loop, journal
        self.seconds, self.events = 0.0, 0
        self.single_us: list[float] = []
        self._decided: dict[int, tuple[int, Any]] = {}  # When and of whom the payments were that await an outcome.
        self.outcomes = 0

    @property
    def cost(self) -> float:
        """The actual cost of everything so far."""
        return self.world.ledger.total

    @property
    def awaited(self) -> int:
        """How many decisions wait for an outcome; those that block never get one."""
        return len(self._decided)

    def step(self, single_rows: int, clock: SystemClock) -> tuple[Slice, list[DecisionBatch]] | None:
        """Live through one step; None at the end."""
        now = self.world.advance()
        if now is None:
            return None
        self._learn(now.outcomes)
        if self.loop is None:
            self.world.act(np.zeros(len(now.events), np.int64))
            return now, []
        begun_ns = clock.monotonic_ns()
        decided = [self._decide(part) for part in _parts(now.events, single_rows)]
        self.seconds += (clock.monotonic_ns() - begun_ns) / 1e9
        self.events += len(now.events)
        self.single_us += [batch.took_us for batch in decided if len(batch) == 1]
        if decided:
            self._remember(now.events)
            action: Small = np.concatenate([batch.ruling.action for batch in decided])
            self.world.act(action.astype(np.int64))
        else:
            self.world.act(np.empty(0, np.int64))
        return now, decided

    def _decide(self, events: EventBatch) -> DecisionBatch:
        assert self.loop is not None
        fresh = self.loop.decide(events).fresh
        assert fresh is not None and len(fresh) == len(events), "the world's payments have ids of their own"
        return fresh

    def _remember(self, events: EventBatch) -> None:
        times, keys = events.time_ns.tolist(), events.keys
        self._decided.update(zip(events.id_code.tolist(), zip(times, keys, strict=True), strict=True))  # All integers.

    def _learn(self, outcomes: OutcomeBatch) -> None:
        """Tell the loop what became known, and of which payments it is: so it need not ask its journal."""
        self.outcomes += len(outcomes)
        if self.loop is None or len(outcomes) == 0:
            return
        of = [self._decided.pop(code) for code in outcomes.id_code.tolist()]
        revealed = replace(
            outcomes, scheduled=True, time_ns=np.array([time for time, _ in of]), keys=np.array([key for _, key in of])
        )
        self.loop.learn(revealed)


def _parts(events: EventBatch, single_rows: int) -> Iterator[EventBatch]:
    """All but the last rows together, with the step's outcomes before them; then the last rows one by one."""
    first = max(0, len(events) - single_rows)
    if first:
        yield events.slice(0, first)
    for row in range(first, len(events)):
        yield events.slice(row, row + 1)


def _within(progress: Progress, what: str, begins: float, share: float) -> None:
    """How far along one of five parts is."""
    progress(what, begins + share / 5)


def app_of(arm: str, app: App) -> App:
    """The app file as an arm runs it."""
    if arm == RULES:
        rules = {name: spec for name, spec in app.scorers.items() if spec.kind == "rules"}
        fusion, policy = FusionSpec(kind="weighted"), app.policy.model_copy(update={"holdout": 0.0})
        return app.model_copy(update={"scorers": rules, "fusion": fusion, "policy": policy})
    if arm == LEARNING:
        policy = app.policy.model_copy(
            update={
                "kind": "bandit", "context": CONTEXT, "exploration": EXPLORATION,
                "settings": {"maturity": f"{_DELAY_DAYS}d"},
            }
        )  # fmt: skip
        return app.model_copy(update={"policy": policy})
    return app


def app_text() -> str:
    """The app file of the arm that learns, for those who look at its journal afterwards."""
    app = yaml.safe_load(app_file("payments").read_text(encoding="utf-8"))
    app["policy"] |= {
        "kind": "bandit", "context": list(CONTEXT), "exploration": EXPLORATION.model_dump(exclude_defaults=True),
        "settings": {"maturity": f"{_DELAY_DAYS}d"},
    }  # fmt: skip
    return yaml.safe_dump(app, sort_keys=False)


class Demo:
    """The arms, and what is seen of them as they go. A context manager.

    folder : of the journals, which can be looked at afterwards
    bundle : trained parts; the shipped ones when None
    """

    def __init__(self, plan: Plan, folder: Path, bundle: Bundle | None = None) -> None:
        self.plan, self.folder, self.day = plan, folder, 0.0
        self._stack, self._clock = ExitStack(), SystemClock()
        self.prepared: Prepared = prepare("payments")
        self._bundle = bundle if bundle is not None else bundle_of(self.prepared, None)
        self.arms: dict[str, Arm] = {}
        self.counts = LearningCounts(self.prepared.app)
        self.steps = plan.days * DAY_S // plan.step_s

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, progress: Progress = silent, filled: Callable[[], None] | None = None) -> None:
        """Simulate, open the loops, and let the past fill their windows. Raises NotTrained without a bundle.

        filled : called when the first windows are filled, and so all windows compiled
        """
        plan = self.plan
        progress("simulating payments", 0.0)
        spec = world_of(plan.customers, plan.history_days + plan.days)
        everything = generate(spec, plan.seed)
        past = events_of(between(everything, 0, plan.history_days, spec.start_s), _FIRST_ID)
        coming = between(everything, plan.history_days, spec.days, spec.start_s)
        response = Response(delay_days_max=plan.delay_days)
        for k, name in enumerate(ARMS):
            share = partial(_within, progress, f"filling windows: {name}", (k + 1) / 5)
            share(0.0)
            world = PaymentsWorld(coming, plan.seed, response, plan.step_s)
            self.arms[name] = Arm(name, world) if name == NOTHING else Arm(name, world, *self._loop(name, past, share))
            if name == RULES and filled is not None:
                filled()
        progress("ready", 1.0)

    def journal_of(self, name: str) -> Path:
        """The file of an arm's journal."""
        return self.folder / f"{'-'.join(name.replace('+', 'and').split())}.db"

    def _loop(self, name: str, past: EventBatch, share: Callable[[float], None]) -> tuple[DecisionLoop, SqliteJournal]:
        app = app_of(name, self.prepared.app)
        prepared = prepare(app)
        journal = self._stack.enter_context(
            SqliteJournal(self.journal_of(name), app=app.app, secret=prepared.coding.secret)
        )
        parts = brain(app, prepared.features, None if name == RULES else self._bundle)
        # Nothing hangs on the clock, so that two demos of one seed decide the same.
        loop = build(app, prepared.features, parts, Ports(journal, self._clock, prepared.coding, bounded=False))
        self._stack.callback(loop.close)
        for start in range(0, len(past), _BATCH_ROWS):
            loop.absorb(past.slice(start, min(len(past), start + _BATCH_ROWS)))
            share(start / len(past))
        return loop, journal

    def run(self) -> Iterator[float]:
        """Live through the days, a step of every arm at a time; yields how far along it is."""
        for step in range(self.steps):
            for arm in self.arms.values():
                lived = arm.step(self.plan.single_rows if arm.name == LEARNING else 0, self._clock)
                if lived is not None and arm.name == LEARNING:
                    self.counts.add(*lived, arm)
            self.day = (step + 1) * self.plan.step_s / DAY_S
            yield (step + 1) / self.steps

    @property
    def budget(self) -> float:
        """The most that exploration may cost a day, by the bandit's own upper estimate."""
        return EXPLORATION.budget

    @property
    def bandit(self) -> BanditPolicy:
        """The policy that learns."""
        loop = self.arms[LEARNING].loop
        assert loop is not None and isinstance(loop.stages.policy, BanditPolicy)
        return loop.stages.policy


def corrected_risk(policy: BanditPolicy, batch: DecisionBatch) -> Float:
    """(n,) the risks as the bandit takes them by now: their log-odds moved by the outcomes."""
    mean = np.asarray(policy.state()["mean"], np.float64)
    risk = np.clip(batch.fused.risk, 1e-9, 1 - 1e-9)
    odds = np.log(risk / (1 - risk))
    seen = batch.features.values[:, [batch.features.names.index(name) for name in CONTEXT]]
    seen = np.sign(seen) * np.log1p(np.abs(np.nan_to_num(seen)))
    moved = odds + mean[0] + mean[1] * odds + seen @ mean[2:]
    return np.asarray(1 / (1 + np.exp(-moved)))


class LearningCounts:
    """The counts of the learning arm's decisions."""

    def __init__(self, app: App) -> None:
        self.actions = dict.fromkeys(app.actions, 0)
        self.features: dict[str, int] = {}
        self.rules: dict[str, int] = {}
        self.explored = 0
        self.expected = np.zeros(3)  # Frauds among what let an outcome show: by the models, as corrected, in truth.
        self.blocked: tuple[Identity, float] | None = (
            None  # A fraud that was blocked, and its risk: to explain at the end.
        )
        self._words = tuple(app.actions)
        self._scores: list[Float] = []
        self._risk: list[Float] = []
        self._fraud: list[Bytes] = []
        self.names: tuple[str, ...] = tuple(app.scorers)

    def add(self, lived: Slice, decided: list[DecisionBatch], arm: Arm) -> None:
        """Count a step."""
        at = 0
        for batch in decided:
            scenario = lived.scenario[at : at + len(batch)]
            at += len(batch)
            for word, count in zip(self._words, np.bincount(batch.ruling.action, minlength=3).tolist(), strict=True):
                self.actions[word] += count
            self.explored += int(batch.proposal.explored.sum())
            self._scores.append(batch.scores.values)
            self._risk.append(batch.fused.risk)
            self._fraud.append(scenario)
            self._expect(batch, scenario, arm)
            self._why(batch, arm)
            self._choose(batch, scenario)

    def _expect(self, batch: DecisionBatch, scenario: Bytes, arm: Arm) -> None:
        """How many frauds the risks announce, before and after the bandit's correction, and how many there are.

        Blocked payments are left out: their outcomes never show, so nothing can be learned from them.
        """
        assert arm.loop is not None
        policy = arm.loop.stages.policy
        if not isinstance(policy, BanditPolicy):
            return
        shown = batch.ruling.action < len(self._words) - 1
        corrected = corrected_risk(policy, batch)
        self.expected += [batch.fused.risk[shown].sum(), corrected[shown].sum(), (scenario[shown] > 0).sum()]

    def _why(self, batch: DecisionBatch, arm: Arm) -> None:
        """Which feature spoke loudest for fraud in each payment that was stopped, by the scorer of most weight."""
        from homeostat.decide.contracts import ContributingScorer

        stopped = np.flatnonzero((batch.ruling.action > 0) & (batch.fused.contributions.max(axis=1) > 0))
        if len(stopped) == 0 or arm.loop is None:
            return
        seats = [seat.scorer for seat in arm.loop.stages.panel.seats]
        loudest = batch.fused.contributions[stopped].argmax(axis=1)
        for column in np.unique(loudest).tolist():
            rows, scorer = stopped[loudest == column], seats[column]
            if not isinstance(scorer, ContributingScorer):
                continue
            features = replace(
                batch.features, values=batch.features.values[rows], freshness=batch.features.freshness[rows]
            )
            parts, _ = scorer.contributions(features)
            for k in parts.argmax(axis=1).tolist():
                name = batch.features.names[k]
                self.features[name] = self.features.get(name, 0) + 1

    def _choose(self, batch: DecisionBatch, scenario: Bytes) -> None:
        """Keep a blocked fraud of middling risk: the clear ones explain themselves."""
        held = np.flatnonzero((batch.ruling.action == 2) & (scenario > 0) & (batch.ruling.rule == -1))
        for row in held.tolist():
            risk = float(batch.fused.risk[row])
            if self.blocked is None or abs(risk - 0.9) < abs(self.blocked[1] - 0.9):
                self.blocked = batch.events.ids.at(row), risk

    def known(self) -> tuple[Float, Float, Float]:
        """(n, scorers) scores, (n,) risks, (n,) truth, of everything decided so far."""
        if not self._risk:
            return np.empty((0, len(self.names))), np.empty(0), np.empty(0)
        fraud = (np.concatenate(self._fraud) > 0).astype(np.float64)
        return np.concatenate(self._scores), np.concatenate(self._risk), fraud
