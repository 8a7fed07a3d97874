"""A canary is kept by its journal alone: it earns its steps and is promoted, or is ended at once."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Lock

import numpy as np
import pytest

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.app import feature_plan
from homeostat.checks.stand_ins import ScriptedClock
from homeostat.config.definitions import feature_definitions
from homeostat.config.load import parse_app
from homeostat.decide.fusion.fixed import declared_table
from homeostat.engine.assembly import open_engine, prepare
from homeostat.errors import Conflict
from homeostat.jobs import canary_watch
from homeostat.jobs.canary_keeping import Keeper, NoCanary, ramp_of, sentences, start, stop
from homeostat.jobs.canary_watch import plan_of
from homeostat.jobs.shadow_places import place_in
from homeostat.models.bundle import Bundle, load_bundle, save_bundle
from homeostat.models.deployments import promote, roles, roll_back
from homeostat.models.ramp import Action
from homeostat.ports.registry import Lineage
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.parts import Part

APP = """homeostat: 1
app: ramp
seed: 3
events:
  time: {name: time}
  entities: {user: {}}
  fields: {amount: {type: number}}
features:
  windows: [{entity: user, lengths: [1h], compute: {"count_{length}": count}}]
scorers:
  large: {kind: rules, rules: [{name: big, when: amount > 50, score: 0.8}, {name: huge, when: amount > 90, score: 0.9}]}
  often: {kind: rules, rules: [{name: many, when: count_1h > 30, score: 0.7}]}
fusion: {kind: learned}
actions: [allow, block]
costs:
  allow: {positive: amount, negative: 0}
  block: {positive: 0, negative: amount / 3}
policy: {kind: thresholds, holdout: 0.05}
guards: {fallback: {scorers_absent: block}}
outcomes: {delay: 0s, horizon: 6h, maturity: 5m, unknown: negative, censoring: [block]}
canary:
  {steps: [0.2, 0.5, 1], events_min: 200, time_min: 0s, guardrails: {actions: {block: 0.2}, failed: 0.1, late: 0.1}}
"""
START_S = 1_700_000_000
SHIFTS = {"one": 0.0, "like": 0.01, "blocks": 9.0}  # Of the risk's log-odds.


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Versions of the app: two that decide alike, and one that blocks nearly everything."""
    root, app = tmp_path_factory.mktemp("bundles"), parse_app(APP)
    for name, shift in SHIFTS.items():
        table = declared_table(("large", "often"), {}, 0.2)
        arrays = {"weights": table.weights, "reference": table.reference}
        part = Part(
            "learned_fusion", table.names, arrays, {}, {"base": table.base + shift, "limit": table.limit, "bend": 9.0}
        )
        names = feature_plan(app).names
        bundle = Bundle(app.app, names, {"rows": 1}, {"fusion": part}, definitions=feature_definitions(app))
        save_bundle(bundle, root / name)
    return root


class World:
    """A server's folder, whose engine decides and whose settings are looked at when the test says so."""

    def __init__(self, folder, bundles, text=APP):
        self.folder, self.app = folder, parse_app(text)
        self.clock = ScriptedClock(0)
        self.versions = {name: load_bundle(bundles / name).version for name in SHIFTS}
        registry = SqliteRegistry(folder, app=self.app.app)
        for name in SHIFTS:
            registry.put(bundles / name, Lineage(self.app.app))
        registry.close()
        self.engine = open_engine(self.app, bundle=bundles / "one", data=folder)
        self.sent, self.turn = 0, Lock()
        self.engine.parts.watcher.on_ready = self.change  # As a server does it.
        self.rng = np.random.default_rng(1)

    def change(self):
        with self.turn:
            self.engine.change()

    def decide(self, count, label=None):
        self.engine.parts.watcher.look()
        with self.turn:
            return self._decide(count, label)

    def _decide(self, count, label):
        given = [
            {
                "event_id": f"e{k}", "time": START_S + 2 * k, "user": f"u{self.rng.integers(1, 5000)}",
                "amount": float(self.rng.integers(1, 1000)) / 10,
            }
            for k in range(self.sent, self.sent + count)
        ]  # fmt: skip
        self.sent += count
        assert not self.engine.parts.watcher.trouble
        made = self.engine.decide(given)
        if label is not None:
            self.engine.learn([
                {"event_id": one["event_id"], "label": label(one, answer), "time": one["time"] + 100}
                for one, answer in zip(given, made, strict=True) if answer["action"] == "allow"
            ])  # fmt: skip
        return made

    @contextmanager
    def keeping(self, fair=lambda version: None):
        """A keeper that knows nothing yet, as after kill -9."""
        with place_in(self.folder) as place:
            prepared = prepare(self.app)
            with closing(place.open_journal(prepared)) as journal:
                yield Keeper(prepared.keyed(journal.coding), place, journal, self.clock, fair)

    @contextmanager
    def settings(self):
        with closing(SqliteSettings(self.folder)) as settings:
            yield settings

    def start(self, name, steps=()):
        with place_in(self.folder) as place:
            share = steps[0] if steps else 0.2
            found = start(place.settings, place.registry, self.versions[name], share, steps, "ann", "a test")
            self.clock.time_ns = found.at_ns
            return found

    def step(self):
        """One look, and its move, of a keeper that has just begun, a second after the newest change.

        Changes bear the time of the machine, and a busy one takes seconds between them.
        """
        with self.settings() as settings:
            newest = [one.at_ns for one in settings.since(settings.last - 1)]
        self.clock.time_ns = max([self.clock.time_ns, *newest]) + 10**9
        with self.keeping() as keeper:
            look = keeper.look()
            return look, keeper.act(look)


@pytest.fixture
def world(tmp_path, bundles):
    made = World(tmp_path, bundles)
    yield made
    made.engine.close()


@pytest.mark.long
def test_a_version_as_good_earns_its_steps_and_becomes_champion(world):
    world.start("like")
    shares, moves = [], []
    for _ in range(12):
        world.decide(800)
        look, change = world.step()
        if look.ramp is None:
            break
        shares.append(look.ramp.share)
        if change is not None:
            moves.append((look.move.action, look.move.share))
            assert change.actor == "homeostat canary" and change.reason
    assert moves == [(Action.RAISE, 0.5), (Action.PROMOTE, None)]
    assert sorted(set(shares)) == [0.2, 0.5]
    assert world.decide(3)[0]["version"].endswith(world.versions["like"])
    assert {one["version"] for one in world.decide(50)} == {world.engine.parts.loop.stages.version}
    with world.settings() as settings:
        assert ramp_of(settings) is None
        reasons = [change.reason for change in settings.since(0)]
    assert reasons[0] == "a test" and reasons[1].startswith("its share is 0.5")
    assert reasons[2].startswith("the canary has earned all entities") and reasons[3].startswith("ended: it is the")


def test_a_version_that_blocks_too_much_is_ended_at_once_and_why_is_on_record(world):
    world.start("blocks")
    world.decide(800)
    look, change = world.step()
    assert look.move.action is Action.END and change.body is None
    assert "action block" in change.reason
    assert not any(one["version"].endswith(world.versions["blocks"]) for one in world.decide(200))
    look, change = world.step()
    assert (look.ramp, change) == (None, None) and "action block" in look.why
    facts = look.as_dict()
    assert facts["version"] is None and sentences(facts)


def test_a_keeper_that_begins_again_sees_what_one_that_goes_on_sees(world):
    world.start("like")
    with world.keeping() as keeper:
        for _ in range(3):
            world.decide(70)
            gone_on = keeper.look().as_dict()
            with world.keeping() as fresh:
                assert fresh.look().as_dict() == gone_on
    assert gone_on["events"] > 20 and gone_on["state"] == "stay"
    assert {one["source"] for one in gone_on["evidence"]} == {"action block", "failed", "late"}
    assert all({"statistic", "low", "high", "n", "why"} <= one.keys() for one in gone_on["evidence"])


def test_two_keepers_make_a_move_once(world):
    world.start("blocks")
    world.decide(800)
    with world.keeping() as one, world.keeping() as other:
        first, second = one.look(), other.look()
        made = one.act(first), other.act(second)
    with world.settings() as settings:
        assert settings.last == 2
    assert made[0].number == 2 and (made[1] is None or made[1].number == 2)


def test_two_keepers_promote_once(world):
    world.start("like", (0.5, 1.0))
    world.decide(2500)
    with world.keeping() as one, world.keeping() as other:
        first, second = one.look(), other.look()
        assert first.move.action is second.move.action is Action.PROMOTE
        made = one.act(first), other.act(second)
        assert made[0].body == {"version": world.versions["like"]} and made[1] is None
        assert other.look().ramp is None


def test_a_canary_whose_promotion_was_rolled_back_before_its_end_earns_it_once_more(world):
    world.start("like", (0.5, 1.0))
    world.decide(2500)
    with world.keeping() as keeper, place_in(world.folder) as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "_append", lambda *_: None)  # It is killed before it ends the role.
        keeper.act(keeper.look())
        back = roll_back(place.settings, place.registry, "bob", "not yet")
    world.decide(2500)
    look, change = world.step()
    assert look.move.action is Action.PROMOTE and change.number > back.number
    with world.settings() as settings:
        assert roles(settings) == {world.versions["like"]: ["champion"]}


def test_a_keeper_killed_between_promotion_and_the_end_of_the_role_ends_it_later(world):
    world.start("like")
    with place_in(world.folder) as place:
        promote(place.settings, place.registry, world.versions["like"], "homeostat canary", "earned")
    look, change = world.step()
    assert look.move.action is Action.END and change.body is None and "champion" in change.reason
    with world.settings() as settings:
        assert ramp_of(settings) is None


def test_what_a_person_changes_first_stays(world):
    world.start("like")
    world.decide(2500)
    with world.keeping() as keeper:
        look = keeper.look()
        assert look.move.action is Action.RAISE
        with world.settings() as settings:
            stop(settings, "bob", "not today")
        assert keeper.act(look) is None
        assert keeper.look().why == "not today (bob)"


def test_a_new_champion_begins_the_step_again(world):
    world.start("like")
    world.decide(500)
    with world.keeping() as keeper:
        before = keeper.look().watch.events
        with place_in(world.folder) as place:
            promote(place.settings, place.registry, world.versions["blocks"], "ann", "by hand")
        world.decide(200)
        after = keeper.look()
    assert before > 50 and 0 < after.watch.events < 80 and after.watch.number == 2


def test_silence_pauses_the_ramp_until_its_deadline(world):
    world.start("like")
    look, change = world.step()
    assert (look.move.action, change) == (Action.STAY, None)
    world.clock.advance(8 * 86_400 * 10**9)
    look, change = world.step()
    assert look.move.action is Action.END and "deadline" in change.reason


def test_one_canary_at_a_time_and_none_of_the_champion(world):
    world.start("like")
    with pytest.raises(Conflict, match="canary already"):
        world.start("blocks")
    with world.settings() as settings:
        stop(settings, "ann", "enough")
        with pytest.raises(NoCanary):
            stop(settings, "ann", "enough")
    with place_in(world.folder) as place:
        promote(place.settings, place.registry, world.versions["like"], "ann", "it is good")
    with pytest.raises(Conflict, match="champion already"):
        world.start("like")


def test_steps_of_the_command_stand_in_for_those_of_the_app(world):
    world.start("like", (0.3, 1.0))
    world.decide(3000)
    look, change = world.step()
    assert look.watch.plan.steps == (0.3, 1.0) and look.move.action is Action.PROMOTE
    assert change.scope == "champion"


@pytest.mark.long
def test_the_cost_of_events_counts_in_the_order_in_which_they_mature(tmp_path, bundles):
    """Frauds by the canary's customers: it allows as much, and each costs more."""
    text = APP.replace("guardrails: {", "guardrails: {cost: 2, ")
    text = text.replace("holdout: 0.05", "holdout: 0.5")  # A seldom seen label weighs much, and says little.
    world = World(tmp_path, bundles, text)
    try:
        world.start("like")
        mine = world.versions["like"]
        world.decide(3000, lambda one, answer: int(answer["version"].endswith(mine) and one["amount"] > 10))
        look, change = world.step()
    finally:
        world.engine.close()
    (cost,) = (one for one in look.judgement.evidence if one.source == "cost")
    assert cost.verdict.value == "FAIL", cost
    assert cost.low > 2 and change.body is None
    assert cost.n["treatment"] > 400 and "cost" in change.reason


@pytest.mark.long
def test_the_cost_is_not_judged_before_outcomes_could_be_known(tmp_path, bundles):
    text = APP.replace("guardrails: {", "guardrails: {cost: 2, ").replace("maturity: 5m", "maturity: 5h")
    world = World(tmp_path, bundles, text)
    try:
        world.start("like")
        world.decide(2000)
        look, _ = world.step()
    finally:
        world.engine.close()
    (cost,) = (one for one in look.judgement.evidence if one.source == "cost")
    assert cost.verdict.value == "INCONCLUSIVE" and sum(cost.n.values()) == 0
    assert look.move.action is Action.STAY and "cost" in look.move.why


def test_without_a_section_the_usual_ramp_watches_the_harshest_action():
    app = parse_app("\n".join(line for line in APP.splitlines() if "events_min" not in line and line != "canary:"))
    plan = plan_of(app)
    assert plan.steps == (0.01, 0.05, 0.25, 1.0) and plan.pauses
    assert [rail.name for rail in plan.rails] == ["action block", "failed", "late"]


def test_many_of_the_champions_decisions_are_thinned_by_the_event_alone(world, monkeypatch):
    monkeypatch.setattr(canary_watch, "_RATIO", 1.0)
    world.start("like")
    world.decide(3000)
    look, _ = world.step()
    n = look.judgement.evidence[0].n
    assert 450 < n["treatment"] < 750 and 450 < n["control"] < 750


def test_a_share_that_was_set_by_hand_goes_on_from_there(world):
    with world.settings() as settings:
        body = {"version": world.versions["like"], "share": 0.4}
        made = settings.append(Change(ChangeKind.DEPLOY, "canary", body, "ann", "by hand"), None)
    world.clock.time_ns = made.at_ns
    world.decide(2000)
    look, _ = world.step()
    assert (look.move.action, look.move.share) == (Action.RAISE, 0.5)
    assert replace(look).as_dict()["share"] == 0.4


def test_a_journal_that_grows_faster_than_it_is_read_is_judged_piece_by_piece(world, monkeypatch):
    monkeypatch.setattr(canary_watch, "ENTRIES_MAX", 2)
    world.start("like")
    for _ in range(5):
        world.decide(40)
    with world.keeping() as keeper:
        found = [(look.more, look.as_dict()["events"]) for look in (keeper.look() for _ in range(4))]
    more, events = zip(*found, strict=True)
    assert more == (True, True, False, False)
    assert events[0] < events[1] < events[2] == events[3]
