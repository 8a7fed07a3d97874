"""A canary decides a share of the entities beside the champion: the same ones in every process."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.engine.test_changes import START_S, ask, change, events, version

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.app import holds_of
from homeostat.checks.batches import CODING, decisions
from homeostat.ports.registry import Lineage
from homeostat.records.bodies import ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import ABSENT, Coding


def canary(versions, share, name="two"):
    return change("deploy", "canary", {"version": version(versions, name), "share": share})


def entries(folder):
    with SqliteJournal(Path(folder) / "journal.db", readonly=True) as journal:
        return [entry.body for entry in journal.read()]


def many(first, count, users=400):
    """Events of many users, an event each."""
    return [dict(one, user=f"u{1000 + k % users}") for k, one in enumerate(events(first, count), first)]


def by_canary(decisions, versions):
    return [one["version"].endswith(version(versions, "two")) for one in decisions]


def without_time(decisions):
    return [{name: value for name, value in one.items() if name != "took_us"} for one in decisions]


@pytest.mark.long
def test_a_share_of_the_entities_is_decided_by_the_canary_and_a_larger_share_only_adds_some(opened, versions):
    engine = opened()
    sides = []
    for at, share in enumerate((0.05, 0.3, 0.7, 1.0)):
        ask(engine, canary(versions, share))
        given = many(400 * at, 400)
        made = engine.decide(given)
        sides.append({one["user"] for one, theirs in zip(given, by_canary(made, versions), strict=True) if theirs})
        assert abs(len(sides[-1]) / 400 - share) < 0.08
    assert all(fewer < more for fewer, more in pairwise(sides))
    assert len(sides[-1]) == 400
    ask(engine, change("deploy", "canary", None))
    assert not any(by_canary(engine.decide(many(5000, 50)), versions))


@pytest.mark.long
def test_each_side_decides_as_it_would_alone(opened, versions, tmp_path):
    """On fresh windows, a row's risk is that of the version that decided it."""
    both, alone = opened(), opened(tmp_path / "alone")
    ask(both, canary(versions, 0.5))
    given = many(0, 100)  # Before anybody has learned.
    risk = {}
    made = both.decide(given)
    theirs = by_canary(made, versions)
    assert 30 < sum(theirs) < 70
    for one in alone.decide(given):
        risk["one", one["event_id"]] = one["risk"]
    canary_only = opened(tmp_path / "canary")
    registered(canary_only, versions)
    ask(canary_only, change("deploy", "champion", {"version": version(versions, "two")}))
    for one in canary_only.decide(given):
        risk["two", one["event_id"]] = one["risk"]
    for one, canarys in zip(made, theirs, strict=True):
        assert one["risk"] == risk["two" if canarys else "one", one["event_id"]]
    assert any(risk["one", one["event_id"]] != risk["two", one["event_id"]] for one in made)


def registered(engine, versions):
    registry = SqliteRegistry(engine.parts.kept.path.parent, app="gate")
    registry.put(versions / "two", Lineage("gate"))
    registry.close()


def test_an_event_without_the_entity_is_the_champions(app, versions):
    batch = decisions(list(range(8))).events
    batch.keys[::2, 0] = ABSENT
    assert holds_of(app, CODING, "v", 1.0)(batch).tolist() == [False, True] * 4
    assert not holds_of(app, CODING, "v", 0.0)(batch).any()


def test_which_entities_hangs_on_the_version_and_on_the_secret(app):
    batch = decisions(list(range(2000))).events
    batch.keys[:, 0] = np.arange(2000)
    first, second = Coding.of_seed(1), Coding.of_seed(2)
    held = [holds_of(app, coding, name, 0.5)(batch) for coding, name in ((first, "a"), (first, "b"), (second, "a"))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 0.45 < np.mean(held[one] == held[other]) < 0.55


@pytest.mark.long
@pytest.mark.parametrize("sizes", [(1,), (7, 2, 31), (256,)])
def test_the_size_of_batches_changes_nothing(opened, versions, folder, tmp_path, sizes):
    given = many(0, 480, 30)  # They are drawn by the number of the first.
    later = [dict(one, time=one["time"] + 90_000) for one in many(480, 60, 30)]

    def played(data, sizes):
        engine, heard, turn = opened(data), [], 0
        ask(engine, canary(versions, 0.4))
        while len(heard) < 480:
            size, turn = sizes[turn % len(sizes)], turn + 1
            heard += engine.decide(given[len(heard) : len(heard) + size])
        engine.learn([{"event_id": one["event_id"], "label": 1, "time": one["time"] + 9} for one in given])
        for start in range(0, 60, sizes[0]):
            heard += engine.decide(later[start : start + sizes[0]])
        engine.close()
        return without_time(heard)

    opened().close()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    made = played(copy, sizes)
    assert 20 < sum(by_canary(made, versions)) < 480  # Of 540: the secret draws which of 30 entities it has.
    assert made == played(folder, (100,))


def test_each_row_names_its_version_in_the_journal_and_over_the_interface(opened, versions, folder):
    engine = opened()
    ask(engine, canary(versions, 0.5))
    made = engine.decide(many(0, 40))
    for one in (made[0], made[1], *made[-3:]):
        assert engine.decision(one["event_id"])["version"] == one["version"]
        explained = engine.decision(one["event_id"], explain=True)["explanation"]
        assert explained["same_version"] and explained["by_version"] == one["version"]
    engine.close()
    changes, body = entries(folder)
    assert isinstance(changes, ChangeBatch) and isinstance(body, DecisionBatch)
    assert body.makers == [one["version"] for one in made]
    assert 0 < sum(body.arm) < 40 and body.canary.endswith(version(versions, "two"))


def test_a_journal_without_a_canary_has_no_column_for_it(opened, folder):
    engine = opened()
    engine.decide(many(0, 3))
    engine.close()
    (body,) = entries(folder)
    assert body.arm is None and body.canary == ""


@pytest.mark.long
def test_each_fusion_learns_from_its_own_decisions_and_goes_on_as_champion(opened, versions):
    engine = opened()
    stages = engine.parts.loop.stages

    def weights(fusion):
        return fusion.state()

    ask(engine, canary(versions, 0.5))
    given = many(0, 400)
    made = engine.decide(given)
    before = weights(stages.fusion), weights(stages.canary.fusion)
    theirs = [one for one, canarys in zip(given, by_canary(made, versions), strict=True) if canarys]
    engine.learn([{"event_id": one["event_id"], "label": 1, "time": one["time"] + 60} for one in theirs])
    ask(engine, change("learning", "fusion", {"on": True}))
    later = [dict(one, time=START_S + 60 * 400 + 3 * 3600) for one in many(900, 2)]
    engine.decide(later)
    # Silence teaches the champion's that its own were negatives; the canary's hears only of frauds.
    assert any(not np.array_equal(a, b) for a, b in zip(before[1].values(), weights(stages.canary.fusion).values()))
    learned = weights(stages.canary.fusion)
    ask(engine, change("deploy", "champion", {"version": version(versions, "two")}))
    engine.change()
    assert stages.canary is None
    assert all(np.array_equal(learned[name], value) for name, value in weights(stages.fusion).items())


@pytest.mark.long
@pytest.mark.parametrize("role", ["canary", "champion"])
def test_a_version_whose_files_are_gone_is_missed_though_later_changes_fit(opened, versions, folder, tmp_path, role):
    engine = opened()
    registered(engine, versions)
    share = {"share": 0.5} if role == "canary" else {}
    ask(engine, change("deploy", role, {"version": version(versions, "two"), **share}))
    engine.decide(many(0, 1))
    ask(engine, change("learning", "fusion", {"on": False}))
    assert any(by_canary(engine.decide(many(1, 100)), versions))
    engine.close()
    files = folder / "models" / version(versions, "two")
    shutil.move(files, tmp_path / "aside")
    engine = opened()
    engine.parts.watcher.look()
    assert f"change 1 (deploy {role}) can't be applied" in engine.notes()[0]
    assert {one["settings"] for one in engine.decide(many(200, 20))} == {0}
    shutil.move(tmp_path / "aside", files)
    engine.close()
    engine = opened()
    engine.parts.watcher.look()
    engine.change()
    made = engine.decide(many(300, 100))
    assert any(by_canary(made, versions)) and {one["settings"] for one in made} == {2} and not engine.notes()
