"""The learner: it learns what one process would have learned, loses nothing when it is killed, and gives way."""

from __future__ import annotations

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
    learned,
    look,
    outcomes,
    same,
    unbounded,
)
from tests.engine.test_changes import app, versions  # noqa: F401

from homeostat.adapters.memory.journal import MemoryJournal
from homeostat.config.variants import Inapplicable
from homeostat.jobs.monthly.autonomy import by_machine
from homeostat.ports.learning import Deposed

pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.mark.long
@pytest.mark.parametrize("text", [BANDIT.replace("budget: 50", "budget: 1e9"), ADAPTIVE])
def test_one_process_that_is_taught_decides_as_one_that_learns_by_itself(world_of, text):
    """All but the first event of each cell, which is the first that says that the moment has come."""
    world = world_of(text)
    process, leading, alone = world.process(), world.learner(), world.alone()
    unbounded(process)
    compared = differing = 0
    for at, cell in enumerate(cells(0, 300)):
        tick = {"event_id": f"t{at}", "time": cell[0]["time"], "user": "tick", "amount": 1.0, "land": "X"}
        process.decide([tick])
        alone.decide([tick])
        catch_up(leading)
        look(process)
        assert same(learned(process.parts.loop), learned(alone.loop)), at
        theirs, ours = process.decide(cell), alone.decide(cell)
        for row, answer in enumerate(theirs):
            compared += 1
            differing += answer["action"] != world.app.actions[int(ours.ruling.action[row])]
            differing += answer["risk"] != ours.fused.risk[row]
        first = int(cell[0]["event_id"][1:])
        process.learn(outcomes(first, len(cell)))
        alone.learn(outcomes(first, len(cell)))
    assert differing == 0 and compared == 300
    assert len(world.states()) >= 10


@pytest.mark.parametrize("many", [1, 7, 1000])
def test_states_are_those_of_one_process_at_each_moment_however_the_journal_is_read(world_of, many):
    world = world_of(BOTH.replace("budget: 50", "budget: 1e9"))
    process, leading, alone = world.process(), world.learner(), world.alone()
    unbounded(process)
    for cell in cells(0, 240):  # It is not taught, so both decide alike until something was learned, and then not.
        process.decide(cell)
        process.learn(outcomes(int(cell[0]["event_id"][1:]), len(cell)))
    expected = learned_from(alone, world)
    while leading.step(many):
        pass
    assert leading.learner is not None
    assert same(learned(leading.learner.loop), expected)
    assert not same(expected, learned(world.alone().loop))


def learned_from(alone, world):
    """All that an embedded engine has learned that recovers from the same journal."""
    from homeostat.decide.redo import redo

    redo(alone.loop, MemoryJournal(world.ledger).read(), stand=True)
    return learned(alone.loop)


@pytest.mark.long
def test_a_learner_that_is_killed_at_any_entry_loses_nothing_and_counts_nothing_twice(world_of):
    world = world_of(BOTH)
    process = world.process()
    for cell in cells(0, 240):
        process.decide(cell)
        process.learn(outcomes(int(cell[0]["event_id"][1:]), len(cell)))
    expected = learned_from(world.alone(), world)
    rng = np.random.default_rng(1)
    for kill in range(12):
        leading = world.learner(f"learner {kill}")
        for _ in range(int(rng.integers(1, 6))):
            leading.step(2)
        if kill % 3 == 0:
            leading.learner.save()
        leading.learner = None  # Killed: it neither saves nor gives the lead back.
        world.clock.moved_s += 60
    last = world.learner("the last")
    catch_up(last)
    assert same(learned(last.learner.loop), expected)
    positions = [one.body["position"] for one in world.states() if one.scope == "policy"]
    assert positions == sorted(set(positions))


def test_a_learner_that_lost_the_lead_can_t_publish(world_of):
    world = world_of(BOTH)
    process, first = world.process(), world.learner("first")
    first.step()
    feed(process)
    world.clock.moved_s += 60
    second = world.learner("second")
    catch_up(second)
    states = world.states()
    assert states and all(one.reason.endswith("by second") and by_machine(one.actor) for one in states)
    with pytest.raises(Deposed, match="second leads"):
        first.learner.round()
    assert world.states() == states
    assert first.step() is False and first.learner is None
    assert first.step() is False  # The lead is not free.


def test_learning_off_stops_it_and_on_again_goes_on(world_of):
    world = world_of(BANDIT)
    process, leading = world.process(), world.learner()
    feed(process)
    catch_up(leading)
    world.change("learning", "policy", {"on": False})
    look(process)
    process.decide(events(200, 1))
    catch_up(leading)
    states = world.states()
    before = learned(leading.learner.loop)
    feed(process, 201, 200)
    catch_up(leading)
    assert same(learned(leading.learner.loop), before) and world.states() == states
    world.change("learning", "policy", None)
    look(process)
    feed(process, 401, 200)
    catch_up(leading)
    assert len(world.states()) > len(states)


@pytest.mark.parametrize("scope", ["block", "challenge"])
def test_a_change_that_fits_does_not_hide_an_earlier_one_that_can_t_be_applied(world_of, monkeypatch, scope):
    world = world_of(BOTH)
    process, leading = world.process(), world.learner()
    catch_up(leading)
    learner, broken = leading.learner, [True]
    real = learner._setups.setup

    def setup(before, changes):
        kept = {(one.kind, one.scope): one.number for one in changes}
        if broken[0] and 1 in kept.values():
            raise Inapplicable(changes[0], "its version is gone")
        return real(before, changes)

    monkeypatch.setattr(learner._setups, "setup", setup)
    for number, one in enumerate(("block", scope)):
        world.change("threshold", one, {"at": 0.6 + number / 10})
        look(process)
        process.decide(events(10 * number, 10))
    catch_up(leading)
    if scope == "block":  # The second change takes the place of the first.
        assert learner.loop.stages.settings == 2 and not learner._trouble
        return
    assert learner.loop.stages.settings == 0 and "its version is gone" in learner._trouble
    learner.save()
    assert world.learning.saved() is None  # Else a restart would go on behind the change.
    broken[0] = False
    world.clock.moved_s += 10
    catch_up(leading)
    assert learner.loop.stages.settings == 2 and not learner._trouble
    assert [one.scope for one in learner.loop.stages.in_force if one.kind == "threshold"] == ["block", "challenge"]


def test_undoing_a_state_brings_the_former_back_and_learning_goes_on_from_there(world_of):
    world = world_of(BANDIT)
    process, leading = world.process(), world.learner()
    feed(process)
    catch_up(leading)
    look(process)
    good = learned(process.parts.loop)
    feed(process, 200, 100)
    catch_up(leading)
    look(process)
    bad, last = learned(process.parts.loop), world.states()[-1]
    assert not same(good, bad)
    world.settings.append(last.undo("ann", "these labels were wrong"), last.number)
    look(process)
    assert same(learned(process.parts.loop), good)
    catch_up(leading)
    assert same(learned(leading.learner.loop), good)
    feed(process, 300, 100)
    catch_up(leading)
    look(process)
    assert not same(learned(process.parts.loop), good)
    assert same(learned(process.parts.loop), learned(leading.learner.loop))


def test_undoing_the_first_state_brings_back_what_was_never_taught(world_of):
    world = world_of(BANDIT)
    process, leading = world.process(), world.learner()
    blank = learned(process.parts.loop)
    feed(process)
    catch_up(leading)
    look(process)
    assert not same(learned(process.parts.loop), blank)
    for one in reversed(world.states()):
        world.settings.append(one.undo("ann", "from the start"), None)
    look(process)
    assert same(learned(process.parts.loop), blank)


def test_a_state_that_was_altered_is_refused_and_decisions_go_on(world_of):
    world = world_of(BANDIT)
    process, leading = world.process(), world.learner()
    feed(process)
    catch_up(leading)
    digest = world.states()[-1].body["sha256"]
    at_ns, content = world.learning._states[digest]
    world.learning._states[digest] = at_ns, content[:-1] + bytes([content[-1] ^ 1])
    process.parts.watcher.look()
    assert "altered" in process.parts.watcher.trouble
    assert process.decide(events(200, 1))[0]["action"]


def test_a_process_says_how_stale_its_learning_is(world_of):
    world = world_of(BANDIT)
    process, leading = world.process(), world.learner()
    taught = process.duties.shared.taught
    taught._clock = world.clock
    feed(process)
    world.clock.moved_s += 200
    taught.look()
    assert taught.stale_s is None and taught.notes() == []
    world.clock.moved_s += 200
    taught.look()
    assert taught.notes() == ["nothing has been learned as yet: is homeostat learn running?"]
    catch_up(leading)
    look(process)
    world.clock.moved_s += 10
    taught.look()
    assert taught.notes() == [] and 10 <= taught.stale_s < 20
    assert taught.position == world.states()[-1].body["position"]
    world.clock.moved_s += 400
    taught.look()
    (note,) = taught.notes()
    assert note.startswith("decides with what was learned 4") and "300 s of servers.learning_stale" in note
    assert process.decide(events(200, 1))[0]["action"]


@pytest.mark.long
def test_all_processes_together_explore_within_one_budget(world_of):
    tight = BANDIT.replace("budget: 50", "budget: 3").replace("rate: 0.1", "rate: 0.5")
    world = world_of(tight)
    processes = [world.process() for _ in range(3)]
    spent: dict[float, dict[int, float]] = {}
    for k in range(40):
        for number, process in enumerate(processes):
            process.duties.shared.taught.purse._again_ns = 0
            process.duties.shared.taught.look()
            first = (k * 3 + number) * 10
            process.decide(events(first, 10))
            charged, period = process.duties.shared.loop.stages.policy.account[:2]
            spent.setdefault(period, {})[number] = charged
    assert len(spent) >= 2
    totals = [sum(by.values()) for by in spent.values()]
    assert max(totals) <= 3 and max(totals) > 1
    assert any(sum(charged > 0 for charged in by.values()) >= 2 for by in spent.values())
    assert sum(process.duties.shared.loop.stages.policy.account[4] for process in processes) > 0


@pytest.mark.long
def test_a_restarted_process_does_not_get_a_new_budget(world_of):
    world = world_of(BANDIT.replace("budget: 50", "budget: 3").replace("rate: 0.1", "rate: 0.5"))
    total = 0.0
    for k in range(12):  # Each is killed: what it had been granted and not spent is lost.
        process = world.process()
        for n in range(8):
            process.duties.shared.taught.purse._again_ns = 0
            process.duties.shared.taught.look()
            process.decide([{**one, "time": START_S + n} for one in events(k * 100 + n * 10, 10)])
        total += float(process.duties.shared.loop.stages.policy.account[0])
    assert 1 < total <= 3
