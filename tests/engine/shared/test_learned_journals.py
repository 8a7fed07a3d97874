"""A journal that several processes decided while they learned: it is decided again, and read by people."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tests.engine.shared.learning_worlds import (
    ADAPTIVE,
    BANDIT,
    BOTH,
    START_S,
    catch_up,
    cells,
    events,
    feed,
    look,
    outcomes,
    unbounded,
)
from tests.engine.test_changes import app, versions  # noqa: F401

from homeostat.adapters.memory.journal import MemoryJournal
from homeostat.config.variants import Inapplicable
from homeostat.engine.shared.again import Deciding
from homeostat.engine.shared.health import of_learning
from homeostat.errors import Unavailable
from homeostat.records.decisions import DecisionBatch

pytestmark = pytest.mark.usefixtures("unhurried")


def test_the_journal_names_the_state_that_each_decision_was_made_with(world_of):
    world = world_of(BANDIT)
    process, leading = world.process(), world.learner()
    for cell in cells(0, 200):
        process.decide(cell)
        process.learn(outcomes(int(cell[0]["event_id"][1:]), len(cell)))
        catch_up(leading)
        look(process)
    numbers = {
        entry.body.settings for entry in MemoryJournal(world.ledger).read() if isinstance(entry.body, DecisionBatch)
    }
    assert len(numbers) > 5 and numbers <= {0, *(one.number for one in world.states())}


@pytest.mark.long
def test_a_journal_of_several_processes_is_decided_again_to_the_same_decisions(world_of):
    world = world_of(BOTH.replace("budget: 50", "budget: 20"))
    processes, leading = [world.process() for _ in range(2)], world.learner()
    for at, cell in enumerate(cells(0, 300)):
        process = processes[at % 2]
        process.duties.shared.taught.purse.look()
        half = len(cell) // 2
        process.decide(cell[:half])
        process.duties.shared.taught.purse.look()
        process.decide(cell[half:])
        process.learn(outcomes(int(cell[0]["event_id"][1:]), len(cell)))
        if at == 8:
            world.change("threshold", "block", {"at": 0.7})
        if at == 12:
            world.settings.append(world.states()[-1].undo("ann", "odd labels"), None)
        catch_up(leading)
        if at % 3:  # They apply it at different moments.
            look(process)
    found = Deciding(leading.source).run()
    assert (found.decisions, found.same, found.differing) == (300, 300, [])
    assert max(found.charged.values()) <= 20 and sum(found.charged.values()) > 0
    totals = sum(process.duties.shared.loop.stages.policy.account[2] for process in processes)
    assert sum(found.charged.values()) == pytest.approx(totals, rel=1e-9)


def test_a_late_event_is_charged_to_the_period_that_its_process_had_reached(world_of):
    world = world_of(BANDIT.replace("budget: 50", "budget: 1e9").replace("rate: 0.1", "rate: 0.5"))
    process, leading = world.process(), world.learner()
    unbounded(process)
    process.decide(events(50, 30))  # The day ends after the third of them.
    process.decide(events(0, 50))
    assert leading.step() is False or leading.learner is not None
    account = process.duties.shared.loop.stages.policy.account
    found = Deciding(leading.source).run()
    assert found.same == 80 and account[0] > 0
    assert found.charged[int(account[1])] == pytest.approx(account[0], rel=1e-9)
    assert sum(found.charged.values()) == pytest.approx(account[2], rel=1e-9)


@pytest.mark.long
def test_a_decision_that_differs_in_its_last_bit_is_named_when_the_journal_is_decided_again(world_of):
    world = world_of(BOTH)
    process, leading = world.process(), world.learner()
    feed(process)
    deciding = Deciding(leading.source)
    there = list(deciding._decisions(0))
    body = there[3][1]
    body.fused.risk[1] = np.nextafter(body.fused.risk[1], 1.0)
    body.proposal.propensity[2, 0] += 1e-12
    deciding._decisions = lambda after: iter(there)
    found = deciding.run()
    assert found.differing == [body.events.id_text(1), body.events.id_text(2)]
    assert found.decisions - found.same == 2


def test_a_journal_whose_state_is_gone_is_not_decided_again_with_another(world_of):
    world = world_of(BOTH)
    process, leading = world.process(), world.learner()
    feed(process)
    catch_up(leading)
    look(process)
    process.decide(events(200, 5))
    del world.learning._states[world.states()[-1].body["sha256"]]
    with pytest.raises(Inapplicable, match="no learned state"):
        Deciding(leading.source).run()


def test_doctor_says_who_learns_and_when_it_is_too_old(world_of):
    world = world_of(BANDIT)
    nobody = of_learning(world.learning.standing(), 300 * 10**9)
    assert (nobody.health, nobody.seen) == ("warning", "nobody has learned as yet")
    process, leading = world.process(), world.learner()
    feed(process)
    catch_up(leading)
    found = of_learning(world.learning.standing(), 300 * 10**9)
    last = process.parts.journal.last
    assert found.health == "ok" and found.seen.startswith(f"one has learned up to entry {last:,} of the journal, 0 are")
    world.clock.moved_s += 301
    found = of_learning(world.learning.standing(), 300 * 10**9)
    assert (
        found.health == "warning" and "more than the 300 s declared" in found.seen and "homeostat learn" in found.mend
    )


def test_readings_show_the_staleness_and_the_share_of_the_budget(world_of):
    world = world_of(BANDIT)
    process, leading = world.process(), world.learner()
    readings = process.readings()
    assert readings["homeostat_learning_stale_seconds"] == -1 and readings["homeostat_learning_position"] == 0
    assert readings["homeostat_learning_stale_seconds_max"] == 300 and readings["homeostat_exploration_left"] == 0
    feed(process)
    process.duties.shared.taught.look()
    assert 0 < process.readings()["homeostat_exploration_left"] <= 50 / 32
    catch_up(leading)
    look(process)
    process.duties.shared.taught._next_ns = 0
    process.duties.shared.taught.look()
    assert 0 <= process.readings()["homeostat_learning_stale_seconds"] < 60
    assert process.readings()["homeostat_learning_position"] == world.states()[-1].body["position"]
    assert process.notes() == process.duties.shared.notes() == []


def test_a_process_whose_store_is_away_explores_with_what_it_has_and_then_no_more(world_of):
    world = world_of(BANDIT.replace("budget: 50", "budget: 3").replace("rate: 0.1", "rate: 0.5"))
    process = world.process()
    purse, policy = process.duties.shared.taught.purse, process.duties.shared.loop.stages.policy
    process.decide(events(0, 10))
    purse.look()
    assert purse.left > 0 and policy.account[0] == 0

    class Away:
        asked = 0

        def grant(self, period, amount, budget):
            self.asked += 1
            raise Unavailable("it is away")

    granted, purse._store = purse.left, Away()
    for k in range(1, 20):
        process.decide([{**one, "time": START_S + k} for one in events(10 * k, 10)])
        purse.look()
    assert process.duties.shared.loop.stages.policy.account[0] <= granted
    assert purse._store.asked == 1  # It is left alone for some seconds.
    assert process.decide(events(500, 1))[0]["action"]


@pytest.mark.long
@pytest.mark.parametrize("text", [BOTH.replace("budget: 50", "budget: 1e9"), ADAPTIVE])
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_a_process_that_waits_at_each_moment_decides_as_one_that_learns_by_itself(world_of, text, rows):
    world = world_of(text)
    process, leading, alone = world.process(learning_wait="60s"), world.learner(), world.alone()
    unbounded(process)
    assert leading.step() is False and leading.learner is not None
    learning = threading.Thread(target=leading.run)
    learning.start()
    try:
        for first in range(0, 400, rows):
            some = events(0, 400)[first : first + rows]
            theirs, ours = process.decide(some), alone.decide(some)
            assert [answer["risk"] for answer in theirs] == ours.fused.risk.tolist(), first
            assert [answer["action"] for answer in theirs] == [world.app.actions[k] for k in ours.ruling.action], first
            if first // 40 < (first + rows) // 40:
                known = outcomes(first // 40 * 40, first + rows - first // 40 * 40)
                process.learn(known)
                alone.learn(known)
    finally:
        leading.stop()
        learning.join()
    moments = process.duties.shared.moments
    assert moments.waited >= 20 and moments.missed == 0
    assert len(world.states()) >= 5
    again = Deciding(leading.source).run()
    assert again.same == again.decisions == 400


def test_a_process_waits_no_longer_than_declared_and_not_at_all_without_a_learner(world_of):
    world = world_of(BANDIT)
    process = world.process(learning_wait="50ms")
    moments = process.duties.shared.moments
    assert len(process.decide(events(0, 100))) == 100
    assert moments.waited == moments.missed == 0  # Nobody leads.
    leading = world.learner()
    leading.step()
    process.decide(events(100, 40))  # The learner does not go on, as if it hung.
    assert moments.waited == moments.missed > 0
    assert world.process(learning_wait="0s").duties.shared.moments.on is False
