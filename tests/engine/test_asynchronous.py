"""The engine's calls as coroutines: the same answers, decided together where tasks wait together."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from homeostat import AsyncEngine, load
from homeostat.engine.isolating import UnusableEvent
from homeostat.engine.turns import OUTCOME_ROWS, Overloaded
from homeostat.ports import Unavailable


def events(n: int, first: int = 0) -> list[dict]:
    return [
        {"event_id": str(k), "entity_id": f"u{k % 3}", "event_type": "login", "value": 1,
         "timestamp": f"2026-01-30T12:00:{k % 60:02d}Z"} for k in range(first, first + n)
    ]  # fmt: skip


def decided(folder: Path | None, work):
    async def run():
        async with AsyncEngine(load("access", data=folder)) as engine:
            return await work(engine)

    return asyncio.run(run())


def gist(answers: list[dict]) -> list[tuple]:
    return [(answer["event_id"], answer["action"], answer["risk"], answer["rule"]) for answer in answers]


def test_tasks_get_the_answers_that_the_engine_gives():
    async def work(engine: AsyncEngine):
        return await asyncio.gather(*map(engine.decide, events(50)))

    with load("access") as engine:
        assert gist(decided(None, work)) == gist(engine.decide(events(50)))


def test_events_of_tasks_that_wait_together_are_one_batch():
    async def work(engine: AsyncEngine):
        batches = []
        answer = engine.engine.answer
        engine.engine.answer = lambda objects: (batches.append(len(objects)), answer(objects))[1]
        await asyncio.gather(*map(engine.decide, events(20)))
        return batches

    assert decided(None, work) == [20]


def test_events_have_their_turn_between_the_slices_of_many_outcomes():
    async def work(engine: AsyncEngine):
        await engine.decide(events(1000))
        calls = []
        answer, receive = engine.engine.answer, engine.engine.receive
        engine.engine.answer = lambda objects: (calls.append(0), answer(objects))[1]
        engine.engine.receive = lambda objects: (calls.append(len(objects)), receive(objects))[1]
        many = asyncio.create_task(engine.learn([{"event_id": str(k), "label": k % 2} for k in range(1000)]))
        await asyncio.sleep(0)
        await engine.decide(events(1, 2000)[0])
        receipts = await many
        return calls, receipts, engine._turns._rows

    calls, receipts, waiting = decided(None, work)
    assert calls.index(0) <= 2 and sum(calls) == 1000 and max(calls) <= OUTCOME_ROWS
    assert [one["event_id"] for one in receipts] == [str(k) for k in range(1000)] and waiting == 0


def test_outcomes_in_slices_are_refused_and_given_up_as_a_whole():
    async def work(engine: AsyncEngine):
        await engine.decide(events(300))
        engine._turns._waiting_max = 300
        outcomes = [{"event_id": str(k), "label": 1} for k in range(300)]
        first = asyncio.create_task(engine.learn(outcomes))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await engine.learn(outcomes)
        await first
        engine.engine.receive = lambda objects: 1 / 0
        with pytest.raises(ZeroDivisionError):
            await engine.learn(outcomes)
        return engine._turns._rows

    assert decided(None, work) == 0


def test_several_events_none_and_a_bad_one():
    async def work(engine: AsyncEngine):
        several = await engine.decide(events(2))
        with pytest.raises(UnusableEvent, match="timestamp"):
            await engine.decide({"event_id": "x", "event_type": "login", "value": 1})
        return several, await engine.decide([]), await engine.learn([])

    several, none, receipts = decided(None, work)
    assert len(several) == 2 and none == receipts == []


def test_outcomes_and_recorded_decisions(tmp_path: Path):
    async def work(engine: AsyncEngine):
        await engine.decide(events(1)[0])
        receipts = await engine.learn({"event_id": "0", "label": 1})
        await engine.save()
        return receipts, await engine.decision("0", explain=True), await engine.decision("unknown")

    receipts, found, unknown = decided(tmp_path, work)
    assert receipts == [{"event_id": "0", "accepted": True}] and unknown is None
    assert found is not None and "explanation" in found
    with load("access", data=tmp_path) as engine:
        assert engine.decide(events(1)[0])["duplicate"]


def test_the_event_loop_goes_on_while_a_large_batch_is_decided():
    async def work(engine: AsyncEngine):
        running = asyncio.ensure_future(engine.decide(events(3000)))
        turns = 0
        while not running.done():
            await asyncio.sleep(0)
            turns += 1
        return turns, len(await running)

    turns, count = decided(None, work)
    assert count == 3000 and turns > 2


def test_too_many_that_wait_are_refused():
    async def run():
        async with AsyncEngine(load("access"), waiting_max=10) as engine:
            first = asyncio.ensure_future(engine.decide(events(8)))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await asyncio.gather(engine.decide(events(8, 8)), engine.decide(events(8, 16)))
            assert len(await first) == 8

    asyncio.run(run())


def test_a_call_after_the_end_is_refused_and_never_waits():
    async def run():
        engine = AsyncEngine(load("access"))
        await engine.decide(events(1)[0])
        await engine.close()
        calls = (
            lambda: engine.decide(events(1, 1)), lambda: engine.decide(events(100, 1)),
            lambda: engine.learn({"event_id": "0", "label": 1}), engine.save, lambda: engine.decision("0"),
        )  # fmt: skip
        for call in calls:
            with pytest.raises(Unavailable, match="is closed"):
                await asyncio.wait_for(call(), 60)
        await engine.close()

    asyncio.run(run())


def test_the_engine_is_not_used_while_it_is_closed():
    async def run():
        engine = AsyncEngine(load("access"))
        closing, going, used = threading.Event(), threading.Event(), []
        close, answer = engine.engine.close, engine.engine.answer

        def slow():
            closing.set()
            assert going.wait(60)
            close()

        engine.engine.close = slow
        engine.engine.answer = lambda objects: (used.append(going.is_set()), answer(objects))[1]
        ended = asyncio.ensure_future(engine.close())
        while not closing.is_set():
            await asyncio.sleep(0)
        late = [asyncio.ensure_future(engine.decide(events(1)))]
        for _ in range(5):
            await asyncio.sleep(0)
        going.set()
        found = await asyncio.gather(ended, *late, return_exceptions=True)
        assert found[0] is None and all(isinstance(error, Unavailable) for error in found[1:])
        assert all(used)

    asyncio.run(run())


def test_an_id_that_no_text_can_be_made_of_has_no_decision():
    with load("access") as engine:
        assert engine.decision(10**5000) is None
