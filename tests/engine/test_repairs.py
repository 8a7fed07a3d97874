"""Repairs in a running engine: what the stages see, what the journal keeps, and decisions once they are undone."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.config.load import parse_app
from homeostat.engine.assembly import open_engine
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row

APP = """homeostat: 1
app: gate
seed: 3
events:
  time: {name: time}
  entities: {user: {}, shop: {}}
  fields:
    amount: {type: number, min: 0, max: 1000}
    land: {type: category, values: [X, Y]}
    age: {type: number, required: false}
  lateness: 10m
features:
  windows:
    - {entity: user, lengths: [1h], compute: {"count_{length}": count, "sum_{length}": sum(amount)}}
    - {entity: shop, lengths: [1h], compute: {"ages_{length}": mean(age)}}
  derived: {strange: land == "Y", old: age > 60, night: hour(time) < 6}
scorers:
  large:
    kind: rules
    rules:
      - {name: big, when: amount > 50, score: 0.8}
      - {name: night, when: night and old, score: 0.6}
      - {name: odd, when: strange and amount > 20, score: 0.7}
  often: {kind: rules, rules: [{name: many, when: sum_1h > 100 or ages_1h > 60, score: 0.7}]}
fusion: {kind: weighted}
actions: [allow, block]
costs: {allow: {positive: amount, negative: 0}, block: {positive: 0, negative: amount / 3}}
policy: {holdout: 0.1}
guards: {fallback: {scorers_absent: block}}
outcomes: {delay: 1h, horizon: 6h}
"""
START_S = 1_700_000_000
HOUR_S = 3600


def events(first, count, minutes=1):
    """Some events, of which everything follows from their numbers."""
    rng = np.random.default_rng(first)
    return [
        {
            "event_id": f"e{k}", "time": START_S + 60 * minutes * k, "user": f"u{rng.integers(1, 6)}",
            "shop": int(rng.integers(1, 4)), "amount": float(rng.integers(1, 1000)) / 10,
            "land": "XY"[int(rng.integers(2))], **({} if k % 4 == 0 else {"age": float(rng.integers(18, 90))}),
        }
        for k in range(first, first + count)
    ]  # fmt: skip


def change(kind, scope, body):
    return Change(ChangeKind(kind), scope, body, "ann", "a test")


def ask(engine, *changes):
    for one in changes:
        engine.settings.append(one, None)
    engine.parts.watcher.look()


def opened(data=None):
    return open_engine(parse_app(APP), data=data)


def plain(answers):
    """The parts of answers that must be the same: all but the time taken and the settings."""
    return [{name: one[name] for name in one if name not in ("settings", "took_us", "decided_at")} for one in answers]


def bodies(folder):
    with SqliteJournal(folder / "journal.db", readonly=True) as journal:
        return [entry.body for entry in journal.read() if isinstance(entry.body, DecisionBatch)]


# A repair, and how a source goes wrong so that it restores the right values.
CASES = {
    "convert": (
        [("field:amount", {"op": "convert", "factor": 0.01, "where": "shop == 2"})],
        lambda one: {**one, "amount": one["amount"] * 100} if one["shop"] == 2 else one,
    ),
    "map": (
        [("field:land", {"op": "map", "values": {"why": "Y"}})],
        lambda one: {**one, "land": "why"} if one["land"] == "Y" else one,
    ),
    "rename": (
        [("field:amount", {"op": "map", "from": "total"})],
        lambda one: {"total" if name == "amount" else name: value for name, value in one.items()},
    ),
    "shift": (
        [("time", {"op": "shift", "by": "-2h", "where": "shop in (1, 3)"})],
        lambda one: {**one, "time": one["time"] + 2 * HOUR_S} if one["shop"] != 2 else one,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_repair_brings_back_what_the_source_meant(case, tmp_path):
    repairs, spoil = CASES[case]
    with opened() as right, opened(tmp_path) as engine:
        ask(engine, *(change("repair", scope, body) for scope, body in repairs))
        sent = events(0, 120)
        wanted, found = right.decide(sent), engine.decide([spoil(one) for one in sent])
        assert [(one["action"], one["risk"]) for one in found] == [(one["action"], one["risk"]) for one in wanted]
    was, now = [one["amount"] for one in sent], [one.events for one in bodies(tmp_path)]
    kept = np.concatenate([one.numbers for one in now])
    assert np.allclose(kept[:, 0], was, rtol=1e-15)
    if case in ("convert", "map", "shift"):
        came = np.concatenate([one.as_came.numbers for one in now])
        spoilt = [spoil(one) for one in sent]
        assert came[:, 0].tolist() == [one["amount"] for one in spoilt]
        assert np.concatenate([one.as_came.time_ns for one in now]).tolist() == [one["time"] * 10**9 for one in spoilt]


def test_what_is_missing_is_filled_in_and_what_is_masked_is_missing():
    with opened() as engine:
        ask(
            engine, change("repair", "field:amount", {"op": "impute", "value": 60}),
            change("repair", "field:age", {"op": "mask", "where": "age == 33"}),
        )  # fmt: skip
        lacking = [{name: value for name, value in one.items() if name != "amount"} for one in events(0, 3)]
        lacking[1]["age"] = 33.0
        found = engine.decide(lacking)
        assert all("risk" in one for one in found)
        seen = [engine.decision(one["event_id"], features=True)["features"] for one in lacking]
        assert [one["amount"]["value"] for one in seen] == [60, 60, 60] and seen[1]["age"]["value"] is None
        ask(engine, change("repair", "field:amount", None))
        (refused,) = engine.decide([{**lacking[0], "event_id": "later"}])
        assert "amount" in str(refused) and "risk" not in refused


def test_a_converted_value_outside_of_what_the_field_may_be_counts_as_missing():
    with opened() as engine:
        ask(engine, change("repair", "field:amount", {"op": "convert", "factor": 0.01, "where": "shop == 1"}))
        one = events(0, 1)[0]
        engine.decide([{**one, "amount": 99_000.0, "shop": 1}, {**one, "event_id": "b", "amount": 99_000.0, "shop": 2}])
        found = [engine.decision(name, features=True)["features"]["amount"]["value"] for name in (one["event_id"], "b")]
        assert found == [990.0, None]


def copied(sent):
    """Each event, and a minute later a copy of every third under a new id."""
    return [
        made
        for k, one in enumerate(sent)
        for made in ([one] if k % 3 else [one, {**one, "event_id": f"copy{k}", "time": one["time"] + 30}])
    ]


def test_copies_are_decided_and_count_once(tmp_path):
    body = {"op": "drop_copies", "within": "5m", "by": ["user", "shop", "amount", "land", "age"]}
    with opened() as right, opened(tmp_path) as engine:
        ask(engine, change("repair", "source", body))
        sent = events(0, 90)
        wanted, found = right.decide(sent), engine.decide(copied(sent))
        ours = [one for one in found if not one["event_id"].startswith("copy")]
        assert len(found) == 120 and [one["risk"] for one in ours] == [one["risk"] for one in wanted]
    copies = np.concatenate([one.events.came.copy for one in bodies(tmp_path) if one.events.came is not None])
    assert copies.sum() == 30
    assert all((one.events.kind[one.events.came.copy == 1] == Row.LATE_EVENT).all() for one in bodies(tmp_path))
    with opened(tmp_path) as engine:  # The contents are remembered, also where no snapshot was made.
        last = sent[-3]
        assert engine.decide([{**last, "event_id": "again"}])[0]["event_id"] == "again"
    assert bodies(tmp_path)[-1].events.came.copy.tolist() == [1]


ALL = [
    ("repair", "field:amount", {"op": "convert", "factor": 3.0, "where": "shop == 2"}),
    ("repair", "field:land", {"op": "map", "values": {"X": "Y"}}),
    ("repair", "field:age", {"op": "mask"}),
    ("repair", "field:age", {"op": "impute", "value": 70, "where": "shop == 1"}),
    ("repair", "time", {"op": "shift", "by": "5h", "where": "user == 'u2'"}),
    ("repair", "time", {"op": "shift", "by": "-30m"}),
    ("repair", "source", {"op": "drop_copies", "within": "1h", "by": ["user"]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "scope", "body"), ALL)
def test_after_the_undo_decisions_are_those_of_a_run_without_it_and_recovery_comes_to_the_same(
    kind, scope, body, tmp_path
):  # fmt: skip
    with opened() as without, opened(tmp_path) as engine:
        assert plain(engine.decide(events(0, 60))) == plain(without.decide(events(0, 60)))
        ask(engine, change(kind, scope, body))
        engine.decide(events(60, 60)), without.decide(events(60, 60))
        seen, usual = ([one.decision(f"e{k}", features=True) for k in range(60, 120)] for one in (engine, without))
        assert [one["features"] for one in seen] != [one["features"] for one in usual]
        ask(engine, change(kind, scope, None))
        engine.decide(events(120, 60)), without.decide(events(120, 60))
        # The window of an hour has passed: a shift by five hours is seen until those have passed, too.
        late = events(600, 60)
        assert plain(engine.decide(late)) == plain(without.decide(late))
        state = engine.parts.loop.state()
    (tmp_path / "snapshot.bin").unlink(missing_ok=True)
    for one in tmp_path.glob("snapshot*"):
        one.unlink()
    with opened(tmp_path) as again:
        made = again.parts.loop.state()
        assert made.keys() == state.keys()
        assert all(np.array_equal(made[name], state[name]) for name in state)
        assert plain(again.decide(events(700, 30))) == plain(without_again(late))


def without_again(late):
    with opened() as without:
        for first, count in ((0, 60), (60, 60), (120, 60)):
            without.decide(events(first, count))
        without.decide(late)
        return without.decide(events(700, 30))
