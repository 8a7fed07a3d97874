"""A changed app goes on with its data folder: by name where the meaning is the same, from the journal elsewhere."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.config.load import parse_app
from homeostat.config.tree import App
from homeostat.engine.assembly import Recovery, open_engine, preview
from homeostat.ports import Entry

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

BASE = yaml.safe_load("""
homeostat: 1
app: shop
seed: 3
events:
  id: {name: order}
  time: {name: at}
  entities: {customer: {}, terminal: {}, pair: {of: [customer, terminal]}}
  fields:
    amount: {type: number}
    country: {type: category}
    online: {type: boolean}
    device: {type: category, required: false}
  lateness: 10s
  late: decide
features:
  windows:
    - {entity: customer, lengths: [1m, 1h], compute: {"count_{length}": count, "sum_{length}": sum(amount)}}
    - {entity: terminal, lengths: [1h], delay: 1m, compute: {"risk_{length}": mean(fraud)}}
    - {entity: pair, lengths: [1h], past: true, compute: {"pairs_{length}": count, "lands_{length}": distinct(country)}}
    - {entity: customer, lengths: [1h], where: amount > 50, compute: {"big_{length}": count}}
    - {entity: customer, lengths: [1h], where: country in rare, compute: {"rare_{length}": count}}
  derived: {night: hour(time) < 6}
scorers:
  rules:
    kind: rules
    rules: [{name: burst, when: count_1m >= 5, score: 0.6}, {name: many, when: sum_1h > 300, score: 0.8}]
fusion: {kind: weighted}
actions: [allow, challenge, block]
costs:
  allow: {positive: amount, negative: 0}
  challenge: {positive: amount * 0.2, negative: 0.5}
  block: {positive: 0, negative: 5}
policy: {kind: bandit, context: [amount, count_1h]}
guards:
  lists:
    denied: {of: customer, entries: [evil]}
    rare: {of: country, entries: [CH]}
  rules:
    - {name: denied, when: customer in denied, action: block, priority: 100, reason: The customer is denied.}
    - {name: too_big, when: amount > 90, action: block, priority: 50, reason: The amount is too big.}
  breakers: [{action: block, share_max: 0.3, over: 1h, events_min: 10, instead: challenge}]
  fallback: {scorers_absent: allow, policy: thresholds, deadline: allow}
outcomes: {label: fraud, delay: 1m, horizon: 1d, maturity: 5m, censoring: [block]}
learning: {every: 1m}
""")


def reordered(mapping):
    return dict(reversed(list(mapping.items())))


def fields(app, **changed):
    app["events"]["fields"] |= changed


def drop(mapping, name):
    del mapping[name]


def window(app, at, **changed):
    app["features"]["windows"][at] |= changed


# Each is done to the app's tree; the lambda's value does not matter.
CHANGES = {
    "nothing": lambda app: None,
    "the order of fields": lambda app: app["events"].update(fields=reordered(app["events"]["fields"])),
    "the order of entities": lambda app: app["events"].update(entities=reordered(app["events"]["entities"])),
    "a field more": lambda app: app["events"].update(
        fields={"channel": {"type": "category", "required": False}, **app["events"]["fields"]}
    ),
    "a field less": lambda app: drop(app["events"]["fields"], "device"),
    "a field renamed": lambda app: (
        drop(app["events"]["fields"], "device"), fields(app, gadget={"type": "category", "required": False})
    ),
    "a field of another kind": lambda app: fields(app, device={"type": "number", "required": False}),
    "a field that is a whole number": lambda app: fields(app, amount={"type": "number", "min": 0}),
    "an entity more": lambda app: app["events"].update(
        entities={"branch": {"required": False}, **app["events"]["entities"]}
    ),
    "an entity less": lambda app: (
        drop(app["events"]["entities"], "pair"), app["features"]["windows"].pop(2)
    ),
    "a pair the other way round": lambda app: app["events"]["entities"].update(pair={"of": ["terminal", "customer"]}),
    "a longer window": lambda app: window(app, 0, lengths=["1m", "2h"], compute={"count_{length}": "count"})
    or app["scorers"]["rules"].update(rules=[{"name": "burst", "when": "count_1m >= 5", "score": 0.6}])
    or app["policy"].update(context=["amount", "count_2h"]),
    "a shorter window": lambda app: window(app, 2, lengths=["10m"]),
    "a window more": lambda app: app["features"]["windows"].append(
        {"entity": "customer", "lengths": ["30m"], "compute": {"deviation_{length}": "std(amount)"}}
    ),
    "a window less": lambda app: app["features"]["windows"].pop(2),
    "another aggregate": lambda app: window(app, 2, compute={"pairs_{length}": "count", "top_{length}": "max(amount)"}),
    "another filter": lambda app: window(app, 3, where="amount > 20"),
    "another delay": lambda app: window(app, 1, delay="2m"),
    "another list in a filter": lambda app: app["guards"]["lists"]["rare"].update(entries=["CH", "AT"]),
    "a feature renamed": lambda app: window(app, 3, compute={"large_{length}": "count"}),
    "a derived feature": lambda app: app["features"]["derived"].update(night="hour(time) < 5"),
    "a greater lateness": lambda app: app["events"].update(lateness="5m"),
    "no lateness": lambda app: app["events"].update(lateness="0s"),
    "silence is negative": lambda app: app["outcomes"].update(unknown="negative"),
    "another horizon": lambda app: app["outcomes"].update(horizon="2d"),
    "a scorer more": lambda app: app["scorers"].update(
        more={"kind": "rules", "rules": [{"name": "night", "when": "night", "score": 0.7}]}
    ),
    "no scorer of that name": lambda app: app.update(scorers={"other": app["scorers"]["rules"]}),
    "an action more": lambda app: (
        app.update(actions=["allow", "watch", "challenge", "block"]),
        app["costs"].update(watch={"positive": "amount", "negative": 0.1}),
    ),
    "the order of actions": lambda app: app.update(actions=["allow", "block", "challenge"]),
    "an action less": lambda app: (
        app.update(actions=["allow", "block"]), drop(app["costs"], "challenge"),
        app["guards"]["breakers"][0].update(instead="allow"),
    ),
    "actions renamed": lambda app: (
        app.update(actions=["yes", "ask", "no"], outcomes={**app["outcomes"], "censoring": ["no"]}),
        app.update(costs=dict(zip(["yes", "ask", "no"], app["costs"].values(), strict=True))),
        [rule.update(action="no") for rule in app["guards"]["rules"]],
        app["guards"].update(
            fallback={"scorers_absent": "yes", "policy": "thresholds", "deadline": "yes"},
            breakers=[{"action": "no", "share_max": 0.3, "over": "1h", "events_min": 10, "instead": "ask"}],
        ),
    ),
    "rules renamed and in another order": lambda app: app["guards"].update(
        rules=[{**rule, "name": f"{rule['name']}_2"} for rule in reversed(app["guards"]["rules"])]
    ),
    "no rules": lambda app: app["guards"].update(rules=[]),
    "a breaker more": lambda app: app["guards"]["breakers"].append(
        {"action": "challenge", "share_max": 0.9, "over": "30m", "events_min": 5, "instead": "allow"}
    ),
    "a breaker over another time": lambda app: app["guards"]["breakers"][0].update(over="2h"),
    "another share of a breaker": lambda app: app["guards"]["breakers"][0].update(share_max=0.5),
    "no breaker": lambda app: app["guards"].update(breakers=[]),
    "other costs": lambda app: app["costs"]["block"].update(negative=7),
    "another policy": lambda app: app.update(policy={"kind": "thresholds"}),
    "another context of the bandit": lambda app: app["policy"].update(context=["amount", "night"]),
    "another fusion": lambda app: app["fusion"].update(weights={"rules": 0.5}),
    "another step of learning": lambda app: app["learning"].update(every="5m"),
    "another seed": lambda app: app.update(seed=4),
}  # fmt: skip


def app_of(change):
    tree = copy.deepcopy(BASE)
    CHANGES[change](tree)
    return parse_app(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


def event(k, **changed):
    return {
        "order": f"order-{k}" if k % 2 else str(k), "customer": ["1", "carla", "evil", "2"][k * 7 % 4],
        "terminal": ["7", "t-8"][k * 5 % 2], "amount": [5, 20, 60, 75.25, 95][k * 3 % 5],
        "country": ["AT", "DE", "CH"][k % 3], "online": k % 2 == 0, "device": "phone" if k % 4 else None,
        "at": f"2026-01-30T05:{k // 2 % 60:02d}:{k % 2 * 30 if k % 9 else 5:02d}Z", **changed,
    }  # fmt: skip


def outcome(k):
    return {
        "event_id": f"order-{k}" if k % 2 else str(k),
        "label": k % 2,
        "time": f"2026-01-30T05:{k // 2 + 2:02d}:00Z",
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A folder with decisions, outcomes and a snapshot in the middle."""
    folder = tmp_path_factory.mktemp("changed") / "data"
    app = app_of("nothing")
    with open_engine(app, data=folder) as engine:
        engine.decide([event(k) for k in range(30)])
        engine.learn([outcome(k) for k in range(0, 30, 3)])
        for k in range(30, 40):
            engine.decide(event(k))
    saved = (folder / "snapshot.bin").read_bytes()
    with open_engine(app, data=folder) as engine:
        engine.learn([outcome(k) for k in range(31, 40, 3)])
        engine.decide([event(k) for k in range(40, 70)])
    (folder / "snapshot.bin").write_bytes(saved)
    (folder / "snapshot.previous.bin").unlink()
    return folder


def probes():
    for k in range(70, 78):
        yield event(k, device=None) | {"channel": None, "branch": None}


def seen(engine):
    """Answers and features of the next events, but for how long they took."""
    found = []
    for one in engine.decide(list(probes())):
        recorded = engine.decision(one["event_id"], features=True)
        found.append({name: value for name, value in recorded.items() if name != "took_us"})
    return found


@dataclass
class Lived:
    """The first start of a changed app with the folder, and all that was asked of it.

    seen, replayed : answers and features of the next events, with the snapshot and without it
    heard : lines of the start
    shown : old decisions
    again, differs : the answers to an event that was decided already, and to one of its id with another amount
    explained : whether each of some old decisions has an explanation
    """

    app: App
    folder: Path
    planned: Recovery
    heard: list
    seen: list
    replayed: list
    shown: dict
    again: dict
    differs: dict
    explained: list


def shown_by(engine):
    return {k: engine.decision(event(k)["order"], features=True) for k in range(70)}


@pytest.fixture(scope="module", params=CHANGES)
def lived(request, base, tmp_path_factory):
    app, heard = app_of(request.param), []
    with_snapshot, without = (tmp_path_factory.mktemp("changed") / "data" for _ in range(2))
    shutil.copytree(base, with_snapshot)
    shutil.copytree(base, without)
    (without / "snapshot.bin").unlink()
    planned = preview(app, None, with_snapshot)
    with open_engine(app, data=with_snapshot, tell=heard.append) as engine:
        found, shown = seen(engine), shown_by(engine)
        again = engine.decide(blank(app, event(3)))
        differs = engine.decide(blank(app, event(3, amount=96)))
        explained = ["explanation" in engine.decision(event(k)["order"], explain=True) for k in range(0, 70, 7)]
    with open_engine(app, data=without) as engine:
        replayed = seen(engine)
    return Lived(app, with_snapshot, planned, heard, found, replayed, shown, again, differs, explained)


@pytest.fixture(scope="module")
def unchanged(base, tmp_path_factory):
    """The old decisions as the app shows them that made them, and its answer to an event that it decided."""
    folder = tmp_path_factory.mktemp("unchanged") / "data"
    shutil.copytree(base, folder)
    with open_engine(app_of("nothing"), data=folder) as engine:
        return shown_by(engine), engine.decide(event(3))


def test_a_changed_app_sees_what_a_fresh_engine_sees_that_replays_the_whole_journal(lived):
    assert lived.seen == lived.replayed
    assert lived.heard == ([] if lived.planned.is_ordinary else lived.planned.sentences())
    # A third start finds nothing changed any more.
    assert preview(lived.app, None, lived.folder).is_ordinary


def test_its_windows_are_those_of_an_engine_that_was_given_every_event_itself(lived):
    names = set(app_features(lived.app))
    with open_engine(lived.app) as engine:
        send = lambda ks: engine.decide([blank(lived.app, event(k)) for k in ks])  # noqa: E731
        send(range(30))
        engine.learn([outcome(k) for k in range(0, 30, 3)])
        send(range(30, 40))
        engine.learn([outcome(k) for k in range(31, 40, 3)])
        send(range(40, 70))
        expected = seen(engine)
    assert only(names, lived.seen) == only(names, expected)


def only(names, answers):
    return [{name: one["features"][name] for name in names} for one in answers]


def blank(app, sent):
    """An event as this app's sender would send it: without values that the app reads as another kind."""
    device = app.events.fields.get("device")
    kept = {} if device is not None and device.type == "category" else {"device": None}
    return {**sent, "channel": None, "branch": None, **kept}


def app_features(app):
    plan = preview_features(app)
    return plan.names[plan.fields : plan.fields + plan.windows.features]


def preview_features(app):
    from homeostat.app import feature_plan

    return feature_plan(app)


def test_old_decisions_are_shown_as_they_were_made(lived, unchanged):
    before, repeated = unchanged
    assert lived.shown == before
    # A fact that only one of the two apps knows makes no difference; one that both know is found by name.
    assert lived.again["action"] == repeated["action"] and lived.again["duplicate"] and "differs" not in lived.again
    assert lived.differs["differs"]
    assert len(lived.explained) == 10 and all(lived.explained)


def test_the_state_of_unchanged_parts_follows_and_the_plan_says_which_are_made_again(base):
    assert preview(app_of("nothing"), None, base).rebuilt == {}
    assert preview(app_of("a feature renamed"), None, base).rebuilt == {}
    assert preview(app_of("no rules"), None, base).rebuilt == {}
    assert preview(app_of("another share of a breaker"), None, base).rebuilt == {}
    assert preview(app_of("no breaker"), None, base).rebuilt == {}
    longer = preview(app_of("a shorter window"), None, base)
    assert set(longer.rebuilt) == {"windows"}
    assert "pairs_10m is new" in longer.rebuilt["windows"] and longer.again == longer.entries
    assert set(preview(app_of("a breaker over another time"), None, base).rebuilt) == {"guards"}
    more = preview(app_of("an action more"), None, base)
    assert more.renamed == ("the action watch is new",) and set(more.rebuilt) == {"policy", "joiner"}
    kind = preview(app_of("a field of another kind"), None, base)
    assert kind.renamed == ("the field device is of type number, and was of type category: its past values are absent",)


def test_an_action_that_is_no_more_counts_as_a_decision_and_as_none_of_the_others(base, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(base, folder)
    with SqliteJournal(folder / "journal.db", readonly=True) as journal:
        batches = [entry.body for entry in journal.read() if isinstance(entry, Entry) and hasattr(entry.body, "ruling")]
    taken = [batch.words.action(int(action)) for batch in batches for action in batch.ruling.action]
    with open_engine(app_of("an action less"), data=folder) as engine:
        state = engine.parts.loop.stages.guard.state()
    assert state["breaker_counts"][0].sum(axis=1).tolist() == [len(taken), taken.count("block")]
