"""Deciding many batches with the next ones already on their way through the windows and the scorers.

Windows know nothing of decisions, and scorers remember nothing. So while one batch is concluded and journalled, the
next can be scored and the one after it can pass the windows, each in a thread of its own: the kernels let other threads
run. The decisions are the same, since every stage sees the same batches in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from homeostat.decide.canary import Sides, score, sides_of
from homeostat.decide.decided import Decided
from homeostat.decide.loop import DecisionLoop
from homeostat.records.arrays import Int
from homeostat.records.decisions import Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

_AHEAD = 2  # One batch in the windows, one at the scorers.


@dataclass(frozen=True, slots=True)
class _Flying:
    """A batch on its way."""

    begun_ns: int
    sent: EventBatch
    events: EventBatch
    running: Int
    features: Future[Features]
    scores: Future[Scores]
    sides: Sides | None


def decide_ahead(loop: DecisionLoop, batches: Iterable[EventBatch]) -> Iterator[tuple[EventBatch, Decided]]:
    """Each batch and what became of it, in order.

    A batch with repeated events waits for those before it, and so does everything while outcomes are expected.
    """
    with ThreadPoolExecutor(1, "windows") as windows, ThreadPoolExecutor(1, "scorers") as scorers:
        flying: deque[_Flying] = deque()
        for sent in batches:
            if not loop.all_new(sent, [batch.events.ids for batch in flying]):
                while flying:
                    yield _landed(loop, flying.popleft())
                yield sent, loop.decide(sent)
                continue
            flying.append(_started(loop, sent, windows, scorers))
            if len(flying) > _AHEAD:
                yield _landed(loop, flying.popleft())
        while flying:
            yield _landed(loop, flying.popleft())


def _started(loop: DecisionLoop, sent: EventBatch, windows: ThreadPoolExecutor, scorers: ThreadPoolExecutor) -> _Flying:
    begun_ns = loop.clock.monotonic_ns()
    running = loop.stages.watermark.advance(sent.reach)
    events = loop.stages.watermark.mark_late(sent, running)
    sides = sides_of(loop.stages, events)
    features = windows.submit(_features, loop, events)
    scores = scorers.submit(_scores, loop, features, sides)
    return _Flying(begun_ns, sent, events, running, features, scores, sides)


def _features(loop: DecisionLoop, events: EventBatch) -> Features:
    with loop.meters.timed("windows"):
        return loop.stages.featurizer.features(events)


def _scores(loop: DecisionLoop, features: Future[Features], sides: Sides | None) -> Scores:
    known = features.result()
    with loop.meters.timed("scorers"):
        return score(loop.stages, known, sides, loop.clock)


def _landed(loop: DecisionLoop, batch: _Flying) -> tuple[EventBatch, Decided]:
    features, scores = batch.features.result(), batch.scores.result()
    return batch.sent, loop.land(batch.events, batch.running, features, scores, batch.begun_ns, batch.sides)
