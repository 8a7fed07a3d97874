"""Changes of the settings in a running engine: in force from a batch on, in the journal at their place, and undone."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.app import NotTrained, brain, feature_plan
from homeostat.config.definitions import feature_definitions
from homeostat.config.load import parse_app
from homeostat.decide.fusion.fixed import declared_table
from homeostat.engine.assembly import open_engine as open_in_folder
from homeostat.models.bundle import Bundle, load_bundle, save_bundle
from homeostat.ports.registry import Lineage
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch
from homeostat.records.parts import Part

APP = """homeostat: 1
app: gate
seed: 3
events:
  time: {name: time}
  entities: {user: {}}
  fields: {amount: {type: number}, land: {type: category}}
features:
  windows: [{entity: user, lengths: [1h], compute: {"count_{length}": count, "sum_{length}": sum(amount)}}]
  derived: {known: user in friends}
scorers:
  large: {kind: rules, rules: [{name: big, when: amount > 50, score: 0.8}, {name: huge, when: amount > 90, score: 0.9}]}
  often: {kind: rules, rules: [{name: many, when: count_1h > 3, score: 0.7}]}
fusion: {kind: adaptive}
actions: [allow, challenge, block]
costs:
  allow: {positive: amount, negative: 0}
  challenge: {positive: amount / 4, negative: 1}
  block: {positive: 0, negative: amount / 3}
policy: {kind: bandit, context: [count_1h], holdout: 0.1, exploration: {rate: 0.1, budget: 50}}
guards:
  lists: {friends: {of: user, entries: [u1]}, banned: {of: user, entries: []}}
  rules: [{name: banned, when: user in banned, action: block}, {name: tiny, when: amount < 2, action: allow}]
  breakers: [{action: block, share_max: 0.4, over: 1h, events_min: 20, instead: challenge}]
  fallback: {scorers_absent: challenge}
outcomes: {delay: 1h, horizon: 6h, maturity: 2h, unknown: negative, censoring: [block]}
learning: {every: 30m}
"""
START_S = 1_700_000_000


@pytest.fixture(scope="module")
def app():
    return parse_app(APP)


def ensemble_of(part):
    """An ensemble of a fusion and of one with half of its weights."""
    arrays = {"weighted_weights": part.arrays["weights"] / 2, "learned_weights": part.arrays["weights"]}
    arrays |= {f"{kind}_reference": part.arrays["reference"] for kind in ("weighted", "learned")}
    settings = {"members": ["weighted", "learned"], "weighted": part.settings, "learned": part.settings}
    return Part("ensemble_fusion", part.features, {**arrays, "shares": np.array([0.25, 0.75])}, {}, settings)


@pytest.fixture(scope="module")
def versions(app, tmp_path_factory):
    """Two bundles of the app: their fusions differ."""
    root, features = tmp_path_factory.mktemp("versions"), feature_plan(app).names
    for name, weights in (("one", {"large": 1.0, "often": 1.0}), ("two", {"large": 3.0, "often": 0.2})):
        table = declared_table(("large", "often"), weights, 0.2 if name == "one" else 0.4)
        arrays = {"weights": table.weights, "reference": table.reference}
        part = Part("learned_fusion", table.names, arrays, {}, {"base": table.base, "limit": table.limit, "bend": 9.0})
        parts = {"fusion": part, "fusion.ensemble": ensemble_of(part)}
        bundle = Bundle(app.app, features, {"rows": 1}, parts, definitions=feature_definitions(app))
        save_bundle(bundle, root / name)
    return root


def events(first, count):
    """Some events, with amounts and users by their numbers."""
    rng = np.random.default_rng(first)
    return [
        {
            "event_id": f"e{k}", "time": START_S + 60 * k, "user": f"u{rng.integers(1, 8)}",
            "amount": float(rng.integers(1, 1000)) / 10, "land": "XY"[int(rng.integers(2))],
        }
        for k in range(first, first + count)
    ]  # fmt: skip


def change(kind, scope, body, **more):
    return Change(ChangeKind(kind), scope, body, "ann", "a test", **more)


def ask(engine, *changes):
    """Append changes, and let them be in force from the next batch on."""
    made = [engine.settings.append(one, None) for one in changes]
    engine.parts.watcher.look()
    return made[-1].number


def entries(folder):
    with SqliteJournal(Path(folder) / "journal.db", readonly=True) as journal:
        return [entry.body for entry in journal.read()]


@pytest.fixture
def folder(versions, app, tmp_path):
    """A data folder whose registry holds both versions."""
    data = tmp_path / "data"
    data.mkdir()
    registry = SqliteRegistry(data, app=app.app)
    for name in ("one", "two"):
        registry.put(versions / name, Lineage(app.app))
    registry.close()
    return data


@pytest.fixture
def opened(app, versions, folder):
    """Opens engines on the folder; each is closed at the end, unless it is closed before."""
    made = []

    def open_engine(data=folder, **more):
        made.append(open_in_folder(app, bundle=versions / "one", data=data, **more))
        return made[-1]

    yield open_engine
    for engine in made:
        if engine.parts.journal._file.db is not None:
            engine.close()


def version(versions, name):
    return load_bundle(versions / name).version


def test_changes_that_are_seen_one_after_the_other_before_a_batch_are_all_in_the_journal(opened, versions, folder):
    engine = opened()
    registry = SqliteRegistry(folder, app="gate")
    registry.put(versions / "two", Lineage("gate"))
    registry.close()
    ask(engine, change("deploy", "champion", {"version": version(versions, "two")}))
    ask(engine, change("fallback", "app", {"action": "block"}))
    assert ask(engine, change("learning", "fusion", {"on": False})) == 3
    made = engine.decide(events(0, 5))
    assert all(one["version"].endswith(version(versions, "two")) and one["settings"] == 3 for one in made)
    assert [one.number for one in entries(folder)[0].changes] == [1, 2, 3]
    engine.close()
    engine = opened()  # By the journal, as after kill -9.
    assert [one.number for one in engine.parts.loop.stages.in_force] == [1, 2, 3]
    assert engine.decide(events(5, 1))[0]["version"] == made[0]["version"]


def test_a_change_is_in_force_from_the_next_batch_on_and_each_decision_names_it(opened, folder):
    engine = opened()
    first = engine.decide(events(0, 5))
    assert ask(engine, change("fallback", "app", {"action": "block"})) == 1
    second = engine.decide(events(5, 20))
    assert ask(engine, engine.settings.since(0)[0].undo("bob", "it is over")) == 2
    third = engine.decide(events(25, 5))
    assert [one["settings"] for one in (*first, *second, *third)] == [0] * 5 + [1] * 20 + [2] * 5
    tiny = {one["event_id"] for one in events(5, 20) if one["amount"] < 2}
    for one in second:
        expected = ("allow", "tiny") if one["event_id"] in tiny else ("block", "fallback:settings")
        assert (one["action"], one["rule"]) == expected  # A hard rule has the last word.
    assert all(not one["rule"].startswith("fallback") for one in third)
    assert engine.decision("e7")["settings"] == 1
    assert engine.decide(events(5, 1))[0]["settings"] == 1  # Asked again, it is what it was.
    engine.close()
    kinds = [type(body) for body in entries(folder)]
    assert kinds == [DecisionBatch, ChangeBatch, DecisionBatch, ChangeBatch, DecisionBatch]
    assert [body.settings for body in entries(folder) if isinstance(body, DecisionBatch)] == [0, 1, 2]


def test_every_kind_does_what_it_says(opened, versions):
    engine = opened()
    stages = engine.parts.loop.stages
    same = dict(events(0, 1)[0], time=START_S, user="u9", amount=60.0)  # No window knows anything of its user.
    (before,) = engine.decide([same])
    ask(engine, change("calibration", "risk", {"shift": 1.0, "scale": 2.0}))
    (after,) = engine.decide([dict(same, event_id="again", user="u10")])
    was, now = (np.log(one["risk"] / (1 - one["risk"])) for one in (before, after))
    assert now == pytest.approx(2 * was + 1)
    ask(engine, change("rule", "all", {"when": "amount >= 0", "action": "challenge", "reason": "everything"}))
    assert engine.decide(events(2, 1))[0]["rule"] == "all"
    ask(engine, change("rule", "all", {"off": True}), change("rule", "tiny", {"off": True}))
    small = dict(events(3, 1)[0], amount=1.0)
    assert engine.decide(small)["rule"] != "tiny"
    ask(engine, change("list", "banned", {"entries": ["u1", "u2", "u3", "u4", "u5", "u6", "u7"]}))
    assert engine.decide(events(4, 1))[0]["rule"] == "banned"
    ask(engine, change("list", "banned", None), change("list", "friends", {"entries": ["u2"]}))
    friend = dict(events(5, 1)[0], user="u2")
    engine.decide(friend)
    assert engine.decision("e5", features=True)["features"]["known"]["value"] == 1.0
    ask(engine, change("deploy", "champion", {"version": version(versions, "two")}))
    assert engine.decide(events(6, 1))[0]["version"].endswith(version(versions, "two"))
    ask(engine, change("learning", "policy", {"on": False}))
    engine.decide(events(7, 1))
    assert stages.learns == {"fusion"}
    ask(engine, change("fusion", "app", {"name": "weighted"}))
    engine.decide(events(8, 1))
    assert type(stages.fusion.inner).__name__ == "FixedFusion"
    ask(engine, change("deploy", "challenger", {"version": "whatever"}))
    assert engine.decide(events(9, 1))[0]["settings"] == engine.settings.last


def test_a_trained_ensemble_is_switched_to_and_back_while_it_decides(opened, folder):
    engine = opened()
    ask(engine, change("learning", "fusion", {"on": False}))  # So that the fusion of the app file stays as it was.
    learned = engine.decide(events(0, 30))
    ask(engine, change("fusion", "app", {"name": "ensemble"}))
    again = [{**one, "event_id": f"again {one['event_id']}"} for one in events(0, 30)]
    pooled = engine.decide(again)
    scored = [k for k in range(30) if learned[k]["scores"] == pooled[k]["scores"] and learned[k]["risk"] != 0.2]
    margin = {name: [log(made[k]["risk"] / (1 - made[k]["risk"])) - log(0.2 / 0.8) for k in scored]
              for name, made in (("learned", learned), ("pooled", pooled))}  # fmt: skip
    assert len(scored) > 5 and margin["pooled"] == pytest.approx([0.875 * one for one in margin["learned"]])
    found = engine.decision(f"again e{scored[0]}", features=True, explain=True)["explanation"]
    assert sum(one["contribution"] for one in found["scorers"]) == pytest.approx(margin["pooled"][0], abs=1e-5)
    ask(engine, change("fusion", "app", None))
    engine.decide(events(30, 1))
    assert type(engine.parts.loop.stages.fusion).__name__ == "AdaptiveFusion"


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("{kind: ensemble, of: [learned, adaptive]}", "was trained of weighted and learned"),
        ("{kind: ensemble}", ""), ("{kind: learned, also: [ensemble]}", ""),
    ],
)  # fmt: skip
def test_an_ensemble_decides_only_as_it_was_trained(versions, declared, why):
    app = parse_app(APP.replace("{kind: adaptive}", declared))
    bundle, features = load_bundle(versions / "one"), feature_plan(app)
    if why:
        with pytest.raises(NotTrained, match=why):
            brain(app, features, bundle)
    else:
        made = brain(app, features, bundle).fusion
        assert type(made).__name__ == ("EnsembleFusion" if "kind: ensemble" in declared else "FixedFusion")
    bare = Bundle(bundle.app, bundle.features, {}, {"fusion": bundle.parts["fusion"]})
    if "kind: ensemble" in declared:
        with pytest.raises(NotTrained, match="no trained fusion"):
            brain(app, features, bare)


def test_thresholds_move_actions_and_keep_propensities_and_the_hold_out(opened):
    engine = opened()
    ask(engine, change("threshold", "block", {"at": 0.0}))
    for one in engine.decide(events(0, 200)):
        spread = {name: round(p, 9) for name, p in one["propensity"].items()}
        assert spread == {"allow": 0.1, "challenge": 0.0, "block": 0.9}
        assert one["proposed"] in ("allow", "block")
    ask(engine, change("threshold", "block", {"at": 1.0}))
    for one in engine.decide(events(200, 200)):
        assert one["risk"] == 1 or one["propensity"]["block"] == 0
        assert sum(one["propensity"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("deploy", "champion", {"version": "no-such"}), "no-such"),
        (("threshold", "blok", {"at": 0.5}), "did you mean block"),
        (("threshold", "block", {"at": 2}), "lies in [0, 1]"),
        (("threshold", "block", {}), "lacks `at`"),
        (("calibration", "risk", {"scale": 0}), "above 0"),
        (("rule", "odd", {"when": "amont > 1", "action": "block"}), "amont"),
        (("rule", "odd", {"when": "amount > 1", "action": "stop"}), "there is no action 'stop'"),
        (("rule", "odd", {"action": "block"}), "when"),
        (("list", "enemies", {"entries": []}), "there is no list 'enemies'"),
        (("list", "banned", {"entries": [{"key": "u1", "since": "someday"}]}), "someday"),
        (("learning", "joiner", {"on": True}), "there is no learner 'joiner'"),
        (("learning", "policy", {"on": 1}), "true or false"),
        (("fallback", "app", {"action": "stop"}), "there is no action 'stop'"),
        (("fusion", "app", {"name": "best"}), "fusion.best"),
        (("state", "policy", {"position": 1}), "lacks `sha256`"),
        (("state", "policy", {"position": 1, "sha256": "0" * 64}), "takes no state from another learner"),
    ],
)  # fmt: skip
def test_a_change_that_does_not_fit_is_refused_with_a_sentence_and_decisions_go_on(opened, wrong, why):
    engine = opened()
    good = ask(engine, change("threshold", "block", {"at": 0.9}))
    ask(engine, change(*wrong))
    assert engine.decide(events(0, 1))[0]["settings"] == good
    trouble = engine.parts.watcher.trouble
    assert why in trouble and "can't be applied" in trouble and "homeostat settings undo 2" in trouble
    assert trouble in engine.notes()[-1]
    engine.parts.watcher.report()
    (reported,) = engine.settings.processes()
    assert (reported.number, reported.trouble) == (good, trouble)
    ask(engine, engine.settings.since(good)[0].undo("bob", "it was wrong"))
    assert engine.parts.watcher.trouble == "" and engine.decide(events(1, 1))[0]["settings"] == good + 2


def test_each_change_that_can_not_be_applied_is_reported_at_once(opened):
    engine = opened()
    seen = []
    for scope in ("champion", "challenger"):
        ask(engine, change("deploy", "champion", {"version": "no-such"}), change("threshold", scope, {"at": 0.5}))
        engine.parts.watcher.report()
        seen.extend(engine.settings.processes())
    first, second = seen
    assert (first.number, first.trouble) == (second.number, second.trouble) == (0, engine.parts.watcher.trouble)
    assert second.at_ns > first.at_ns


def test_a_change_whose_time_is_over_is_undone_by_itself(opened):
    engine = opened()
    now_ns = engine.parts.clock.now_ns()
    ask(engine, change("threshold", "block", {"at": 0.0}, expires_ns=now_ns + 10**6))
    engine.change()
    while engine.settings.last < 2:
        engine.parts.watcher.look()
    engine.parts.watcher.look()
    assert engine.decide(events(0, 1))[0]["settings"] == 2
    assert engine.settings.since(1)[0].reverts == 1


def script(versions, rng, count):
    """Random changes, of which most can be applied."""
    two = version(versions, "two")
    bodies = [
        ("deploy", "champion", {"version": two}), ("deploy", "champion", None),
        ("threshold", "block", {"at": 0.7}), ("threshold", "block", None), ("threshold", "challenge", {"at": 0.2}),
        ("calibration", "risk", {"shift": -0.5, "scale": 1.5}), ("calibration", "risk", None),
        ("rule", "late", {"when": "count_1h > 2", "action": "challenge"}), ("rule", "late", None),
        ("rule", "tiny", {"off": True}), ("rule", "tiny", None), ("list", "banned", {"entries": ["u3"]}),
        ("list", "friends", {"entries": ["u4", "u5"]}), ("list", "friends", None),
        ("learning", "policy", {"on": False}), ("learning", "policy", {"on": True}),
        ("learning", "fusion", {"on": False}),
        ("fallback", "app", {"action": "challenge"}), ("fallback", "app", None), ("fusion", "app", {"name": "learned"}),
        ("deploy", "canary", {"version": two, "share": 0.3}), ("deploy", "canary", {"version": two, "share": 0.7}),
        ("deploy", "canary", None), ("fusion", "app", None), ("threshold", "nonsense", {"at": 0.5}),
        ("threshold", "nonsense", None), ("fusion", "app", {"name": "ensemble"}),
    ]  # fmt: skip
    return [change(*bodies[int(rng.integers(len(bodies)))]) for _ in range(count)]


def play(engine, steps, between=lambda engine: engine):
    """Batches of events and outcomes, with changes between them; the decisions without their times."""
    heard, at = [], 0
    for one in steps:
        if isinstance(one, Change):
            ask(engine, one)
            engine.change()
            engine = between(engine)
            continue
        batch = events(at, one)
        at += one
        heard += engine.decide(batch)
        engine.learn([
            {"event_id": event["event_id"], "label": int(event["amount"] > 60), "time": event["time"] + 4000}
            for event in batch[::2]
        ])  # fmt: skip
    return engine, [{name: value for name, value in one.items() if name != "took_us"} for one in heard]


def bytes_of(state):
    return {name: (array.dtype.str, array.tobytes()) for name, array in state.items()}


def mixed(versions, seed, changes, batches):
    rng = np.random.default_rng(seed)
    steps = [int(rng.integers(1, 40)) for _ in range(batches)] + script(versions, rng, changes)
    return [steps[k] for k in rng.permutation(len(steps)).tolist()] + [50]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_live_changes_equal_restarts_at_each_change(opened, folder, versions, seed, tmp_path):
    """An engine with live changes decides as one that is started again, killed, or without its snapshot, at each."""
    steps = mixed(versions, seed, 10, 12)
    opened().close()  # Else each would draw a secret of its own, and chance hangs on that.
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    live, expected = play(opened(), steps)
    assert len({one["settings"] for one in expected}) > 3
    number = iter(range(1000))

    def copied(data, snapshot):
        copy = tmp_path / f"copy-{next(number)}"
        shutil.copytree(data, copy, ignore=None if snapshot else shutil.ignore_patterns("snapshot*"))
        return copy

    def again(engine):
        kind = next(number) % 3
        data = engine.parts.kept.path.parent
        if kind == 0:
            engine.close()
            return opened(data)
        if kind == 1:
            engine.save()
        return opened(copied(data, kind == 1))  # As a kill leaves it: a copy, while the other holds its files.

    restarted, found = play(opened(other), steps, again)
    assert found == expected
    assert bytes_of(restarted.parts.loop.state()) == bytes_of(live.parts.loop.state())


@pytest.mark.parametrize("seed", [11, 12])
def test_a_journal_with_changes_in_it_replays_to_the_same_decisions_bit_for_bit(
    opened, folder, versions, seed, tmp_path
):
    engine, _ = play(opened(), mixed(versions, seed, 10, 10))
    state = bytes_of(engine.parts.loop.state())
    engine.parts.loop.flush()
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("snapshot*", "settings.db*", "audit*"))
    said = []
    replayed = opened(tmp_path / "copy", tell=said.append)
    assert not any("stand" in text for text in said)
    assert bytes_of(replayed.parts.loop.state()) == state
    assert "another history" in replayed.parts.watcher.trouble  # Its settings are gone, and the journal's go on.
    after = events(100_000, 40)
    ours, theirs = engine.decide(after), replayed.decide(after)
    assert [{**one, "took_us": 0} for one in ours] == [{**one, "took_us": 0} for one in theirs]


@pytest.mark.long
def test_without_a_bundle_the_folders_champion_decides_and_with_one_it_is_said(app, versions, folder):
    with pytest.raises(NotTrained, match="homeostat models promote"):
        open_in_folder(app, data=folder)
    settings = SqliteSettings(folder, app=app.app)
    settings.append(change("deploy", "champion", {"version": version(versions, "two")}), None)
    settings.close()
    said = []
    for bundle in (None, versions / "one"):
        with open_in_folder(app, data=folder, bundle=bundle, tell=said.append) as engine:
            (answer,) = engine.decide(events(10 * len(said), 1))
            assert answer["version"].endswith(version(versions, "two")) and answer["settings"] == 1
    assert len(said) == 1 and "another the champion" in said[0]
    shutil.rmtree(folder / "models" / version(versions, "two"))
    with open_in_folder(app, data=folder, bundle=versions / "one", tell=said.append) as engine:
        assert engine.decide(events(50, 1))[0]["version"].endswith(version(versions, "one"))
        assert "change 1 (deploy champion) can't be applied" in engine.notes()[-1]


INSTANTS = (
    "before the store", "after the store", "before the entry", "within the entry", "after the entry",
    "within the swap", "after the swap", "before the next batch", "within the batch's entry", "after the batch",
)  # fmt: skip


def drive(engine, steps, answers, at, instant):
    """Play steps, each batch once; die by kill -9 at the `at`-th change, at an instant."""
    done = len(answers.read_text().splitlines()) if answers.exists() else 0
    first, changes = 0, 0
    journal, loop = engine.parts.journal, engine.parts.loop
    dies = lambda now: os.kill(os.getpid(), signal.SIGKILL) if (changes, now) == (at, instant) else None  # noqa: E731

    class Dying:
        """The journal's database, which dies between a statement and its commit."""

        def __init__(self, db):
            self.db = db

        def __getattr__(self, name):
            return getattr(self.db, name)

        def execute(self, sql, *values):
            if not sql.startswith("INSERT INTO entries") or self.db.in_transaction:
                return self.db.execute(sql, *values)
            self.db.execute("BEGIN IMMEDIATE")
            found = self.db.execute(sql, *values)
            dies("within the entry" if values[0][1] == 3 else "within the batch's entry")
            self.db.execute("COMMIT")
            return found

    if at:
        journal._file.db = Dying(journal._file.db)
    for one in steps:
        if isinstance(one, Change):
            changes += 1
            dies("before the store")
            engine.settings.append(replace(one, key=f"step-{changes}"), None)
            dies("after the store")
            engine.parts.watcher.look()
            dies("before the entry")
            if loop.coming is not None:
                setup = loop.coming
                append, restore = loop.recording.append, setup.guard.restore
                loop.recording.append = lambda body: (append(body), dies("after the entry"))
                setup.guard.restore = lambda state: (dies("within the swap"), restore(state))
                engine.change()
                loop.recording.append = append
            dies("after the swap")
            continue
        dies("before the next batch")
        found = engine.decide(events(first, one))
        dies("after the batch")
        if first >= done:
            with open(answers, "a") as file:
                file.write("".join(json.dumps({**x, "took_us": 0}) + "\n" for x in found))
        first += one


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_killed_between_and_inside_ten_changes_the_decisions_are_the_same(opened, folder, versions, tmp_path):
    steps = [
        step for pair in zip(script(versions, np.random.default_rng(5), 10), [7] * 10, strict=True) for step in pair
    ]
    opened().close()
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(folder, undisturbed)
    drive(opened(undisturbed), steps, tmp_path / "expected", 0, "")
    for at, instant in enumerate(INSTANTS, 1):
        child = os.fork()
        if child == 0:
            try:
                drive(opened(folder), steps, tmp_path / "found", at, instant)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{instant} of change {at} never came"
    engine = opened(folder)
    drive(engine, steps, tmp_path / "found", 0, "")
    assert clean(tmp_path / "found") == clean(tmp_path / "expected")
    numbers = [change.number for change in engine.parts.kept.changes()]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 8


def clean(path):
    """Answers by event, the first of each; whether one was asked for again says nothing."""
    found = {}
    for line in path.read_text().splitlines():
        one = json.loads(line)
        one.pop("duplicate", None)
        found.setdefault(one["event_id"], one)
    return found
