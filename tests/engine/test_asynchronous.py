"""The engine's calls as coroutines: the same answers, decided together where tasks wait together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from homeostat import AsyncEngine, load
from homeostat.engine.engine import UnusableEvent
from homeostat.engine.turns import Overloaded


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


def told(answers: list[dict]) -> list[tuple]:
    return [(answer["event_id"], answer["action"], answer["risk"], answer["rule"]) for answer in answers]


def test_tasks_get_the_answers_that_the_engine_gives():
    async def work(engine: AsyncEngine):
        return await asyncio.gather(*map(engine.decide, events(50)))

    with load("access") as engine:
        assert told(decided(None, work)) == told(engine.decide(events(50)))


def test_events_of_tasks_that_wait_together_are_one_batch():
    async def work(engine: AsyncEngine):
        batches = []
        answer = engine.engine.answer
        engine.engine.answer = lambda objects: (batches.append(len(objects)), answer(objects))[1]
        await asyncio.gather(*map(engine.decide, events(20)))
        return batches

    assert decided(None, work) == [20]


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
