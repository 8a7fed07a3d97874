"""The contract of every stream, whatever it is built on.

A plug-in's author calls each function with a way to make empty streams::

    @pytest.mark.parametrize("check", STREAM_CHECKS, ids=lambda check: check.__name__)
    def test_my_streams(check):
        check(MyBench())

Each function asserts; none needs pytest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from homeostat.ports import Unavailable
from homeostat.ports.streams import Fenced, Outgoing, Pulled, Stream

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_PULLS = 400  # So many pulls of up to 50 ms until something must have come.


class StreamBench(Protocol):
    """Streams that are empty at first, seen from outside.

    partitions : lanes that events have; outcomes have as many
    """

    partitions: int

    def open(self, name: str) -> Stream:
        """A worker's streams; all workers are of one group."""
        ...

    def produce(self, messages: Sequence[Outgoing], kind: str = "events", partition: int | None = None) -> None:
        """Put messages into "events" or "outcomes", in order; they are there when this returns."""
        ...

    def decisions(self) -> list[Outgoing]:
        """The decisions that a consumer of committed ones has seen by now."""
        ...

    def dead_letters(self) -> list[Outgoing]:
        """The dead letters that a consumer of committed ones has seen by now."""
        ...


def messages(*names: str) -> list[Outgoing]:
    """One message for each name, with its name as key."""
    return [Outgoing(b'{"id": "%s"}' % name.encode(), name.encode()) for name in names]


def pulled_until(stream: Stream, count: int, *others: Stream) -> tuple[Pulled, Pulled]:
    """Pull until so many events and outcomes came together; the others pull too, which must bring them nothing."""
    events, outcomes = Pulled(), Pulled()
    for _ in range(_PULLS):
        for other in others:
            assert not any(map(len, other.pull(1000, 0.0)))
        for whole, part in zip((events, outcomes), stream.pull(1000, 0.05), strict=True):
            _extend(whole, part)
        if len(events) + len(outcomes) >= count:
            return events, outcomes
    raise AssertionError(f"{len(events) + len(outcomes)} of {count} messages came; {stream.trouble}")


def _extend(whole: Pulled, part: Pulled) -> None:
    for name in Pulled.__slots__:
        getattr(whole, name).extend(getattr(part, name))


def _answers(pulled: Pulled) -> list[Outgoing]:
    return [Outgoing(b"decided " + value, None) for value in pulled.values]


def _values(found: Sequence[Outgoing]) -> list[bytes]:
    return sorted(message.value for message in found)


def _expected(sent: Sequence[Outgoing]) -> list[bytes]:
    return sorted(b"decided " + message.value for message in sent)


def empty_streams_give_nothing(bench: StreamBench) -> None:
    """No messages, no trouble, no lag; publishing nothing does nothing."""
    stream = bench.open("a")
    for limit in (100, 0):
        events, outcomes = stream.pull(limit, 0.01)
        assert len(events) == len(outcomes) == 0
    assert stream.trouble == "" and not any(stream.lag().values())
    stream.publish([], [], [])
    assert bench.decisions() == [] and bench.dead_letters() == []
    stream.close()


def what_was_produced_is_pulled_once_and_in_order(bench: StreamBench) -> None:
    """Columns are of one length and hold what was sent; lanes keep their order; places are unique."""
    stream = bench.open("a")
    sent = [*messages("e1", "e2", "größe"), Outgoing(b"no JSON \xff", None), Outgoing(b"{}", b"k", TRACE)]
    for partition in range(bench.partitions):
        bench.produce(sent, partition=partition)
    count = len(sent) * bench.partitions
    events, outcomes = pulled_until(stream, count)
    assert len(outcomes) == 0 and len(events) == count
    assert {len(getattr(events, name)) for name in Pulled.__slots__} == {count}
    assert len({events.place(row) for row in range(count)}) == count
    for lane in set(events.lane):
        rows = [row for row in range(count) if events.lane[row] == lane]
        assert [events.values[row] for row in rows] == [message.value for message in sent]
        assert [events.traceparent[row] for row in rows] == [None] * 4 + [TRACE]
        assert len({id(events.lane[row]) for row in rows}) == 1
    assert len(set(events.lane)) == bench.partitions
    assert min(events.produced_ns) > 1_500_000_000 * 10**9
    assert all(stream.owned(events)) and stream.generation >= 1
    assert not any(map(len, stream.pull(100, 0.05))) and not any(stream.lag().values())
    stream.close()


def events_and_outcomes_come_apart(bench: StreamBench) -> None:
    """Each in its own columns, and in lanes of different names."""
    stream = bench.open("a")
    bench.produce(messages("e1", "e2"))
    bench.produce(messages("o1"), "outcomes")
    events, outcomes = pulled_until(stream, 3)
    assert sorted(events.values) == _values(messages("e1", "e2"))
    assert outcomes.values == [messages("o1")[0].value]
    assert not set(events.lane) & set(outcomes.lane)
    stream.close()


def what_was_published_is_seen_and_not_pulled_again(bench: StreamBench) -> None:
    """Decisions and dead letters with keys and traces; the next worker continues after them."""
    stream = bench.open("a")
    sent = messages("e1", "e2", "e3")
    bench.produce(sent)
    bench.produce(messages("o1"), "outcomes")
    events, outcomes = pulled_until(stream, 4)
    decisions = [Outgoing(b"d1", b"key", TRACE), Outgoing(b"d2", b"key")]
    stream.publish([events, outcomes], decisions, [Outgoing(b"l1", b"other")])
    assert bench.decisions() == decisions and bench.dead_letters() == [Outgoing(b"l1", b"other")]
    stream.close()
    bench.produce(messages("e4"))
    successor = bench.open("b")
    later, _ = pulled_until(successor, 1)
    assert later.values == [messages("e4")[0].value]
    successor.publish([later], [], [])
    successor.close()
    last = bench.open("c")
    assert not any(map(len, last.pull(100, 0.3)))
    last.close()


def what_was_not_published_is_pulled_again(bench: StreamBench) -> None:
    """The next worker pulls it, and nothing else."""
    stream = bench.open("a")
    sent = messages("e1", "e2", "e3", "e4")
    bench.produce(sent[:2], partition=0)
    first, _ = pulled_until(stream, 2)
    bench.produce(sent[2:], partition=0)
    second, _ = pulled_until(stream, 2)
    stream.publish([first], _answers(first), [])
    stream.close()
    successor = bench.open("b")
    events, _ = pulled_until(successor, 2)
    assert events.values == second.values
    successor.publish([events], _answers(events), [])
    assert _values(bench.decisions()) == _expected(sent)
    successor.close()


def messages_may_be_done_in_any_order(bench: StreamBench) -> None:
    """A message that is left out comes again, even when later messages were done."""
    stream = bench.open("a")
    sent = messages("e1", "e2", "e3", "e4")
    bench.produce(sent, partition=0)
    events, _ = pulled_until(stream, 4)
    stream.publish([_rows(events, 0), _rows(events, 2)], [], [])
    stream.publish([_rows(events, 3)], [], [])
    stream.close()
    successor = bench.open("b")
    again, _ = pulled_until(successor, 1)
    assert again.values[0] == sent[1].value
    _extend(again, successor.pull(100, 0.5)[0])  # Where only a prefix can be noted as done, e3 and e4 come too.
    successor.publish([again], [], [])
    successor.close()
    last = bench.open("c")
    assert not any(map(len, last.pull(100, 0.3)))
    last.close()


def a_limit_bounds_what_is_pulled(bench: StreamBench) -> None:
    """Much is pulled in several parts, from all lanes."""
    stream = bench.open("a")
    for partition in range(bench.partitions):
        bench.produce([Outgoing(b"%d" % k, None) for k in range(500)], partition=partition)
    seen: dict[str, list[bytes]] = {}
    for _ in range(_PULLS):
        events, _ = stream.pull(100, 0.05)
        assert len(events) <= 100 + bench.partitions
        for lane, value in zip(events.lane, events.values, strict=True):
            seen.setdefault(lane, []).append(value)
        if sum(map(len, seen.values())) == 500 * bench.partitions:
            break
    assert list(seen.values()) == [[b"%d" % k for k in range(500)]] * bench.partitions
    stream.close()


def what_another_took_over_cannot_be_published(bench: StreamBench) -> None:
    """Fenced, and nothing is published; what is still owned can be, and each message is answered once."""
    first = bench.open("a")
    sent = messages(*(f"e{k}" for k in range(4 * bench.partitions)))
    for partition in range(bench.partitions):
        bench.produce(sent[4 * partition : 4 * partition + 4], partition=partition)
    events, _ = pulled_until(first, len(sent))
    generation = first.generation
    second, taken = bench.open("b"), Pulled()
    for _ in range(_PULLS):
        assert not any(map(len, first.pull(100, 0.02)))
        _extend(taken, second.pull(100, 0.05)[0])
        lost = [row for row, mine in enumerate(first.owned(events)) if not mine]
        if lost and len(taken) == len(lost):
            break
    assert sorted(taken.place(row) for row in range(len(taken))) == sorted(events.place(row) for row in lost)
    assert second.generation >= 1 and first.generation >= generation
    try:
        first.publish([events], _answers(events), [])
    except Fenced:
        pass
    else:
        raise AssertionError("published what belongs to another worker")
    assert bench.decisions() == []
    kept = _rows(events, *(row for row in range(len(events)) if row not in lost))
    first.publish([kept], _answers(kept), [])
    second.publish([taken], _answers(taken), [])
    assert _values(bench.decisions()) == _expected(sent)
    first.close()
    second.close()


def workers_come_and_go_and_each_message_is_answered_once(bench: StreamBench) -> None:
    """Two workers share, one leaves with messages that it pulled and never answered, another comes."""
    sent = messages(*(f"e{k}" for k in range(120)))
    workers = [bench.open("a")]
    for step, start in enumerate(range(0, len(sent), 20)):
        bench.produce(sent[start : start + 20])
        if step in (1, 4):
            workers.append(bench.open(f"b{step}"))
        if step == 3:
            workers[0].pull(5, 0.05)
            workers.pop(0).close()
        for worker in workers:
            _answer(worker)
    for _ in range(_PULLS):
        if len(bench.decisions()) >= len(sent):
            break
        for worker in workers:
            _answer(worker)
    assert _values(bench.decisions()) == _expected(sent)
    for worker in workers:
        worker.close()


def _answer(worker: Stream) -> None:
    """Pull and publish what is still this worker's."""
    events, _ = worker.pull(7, 0.02)
    while len(events):
        try:
            worker.publish([events], _answers(events), [])
            return
        except Fenced:
            events = _rows(events, *(row for row, mine in enumerate(worker.owned(events)) if mine))


def a_stopped_stream_pulls_no_more(bench: StreamBench) -> None:
    """A wait ends; what was pulled can still be published while the servers answer."""
    stream = bench.open("a")
    bench.produce(messages("e1"))
    events, _ = pulled_until(stream, 1)
    timer = threading.Timer(0.05, stream.stop)
    timer.start()
    stream.pull(100, 30.0)
    timer.join()
    bench.produce(messages("e2"))
    assert not any(map(len, stream.pull(100, 0.05)))
    try:
        stream.publish([events], _answers(events), [])
        assert _values(bench.decisions()) == _expected(messages("e1"))
    except Unavailable:
        assert bench.decisions() == []
    stream.close()


def a_worker_that_pulls_nothing_loses_nothing(bench: StreamBench) -> None:
    """A limit of nothing brings nothing, and what came meanwhile is pulled later."""
    stream = bench.open("a")
    bench.produce(messages("e1"), partition=0)
    first, _ = pulled_until(stream, 1)
    bench.produce(messages("e2", "e3", "e4"), partition=0)
    for _ in range(5):
        assert not any(map(len, stream.pull(0, 0.02)))
    rest, _ = pulled_until(stream, 3)
    assert rest.values == [message.value for message in messages("e2", "e3", "e4")]
    assert all(stream.owned(first)) and all(stream.owned(rest))
    stream.close()


def _rows(pulled: Pulled, *rows: int) -> Pulled:
    return Pulled(*([getattr(pulled, name)[row] for row in rows] for name in Pulled.__slots__))


STREAM_CHECKS: tuple[Callable[[StreamBench], None], ...] = (
    empty_streams_give_nothing,
    what_was_produced_is_pulled_once_and_in_order,
    events_and_outcomes_come_apart,
    what_was_published_is_seen_and_not_pulled_again,
    what_was_not_published_is_pulled_again,
    messages_may_be_done_in_any_order,
    a_limit_bounds_what_is_pulled,
    what_another_took_over_cannot_be_published,
    workers_come_and_go_and_each_message_is_answered_once,
    a_stopped_stream_pulls_no_more,
    a_worker_that_pulls_nothing_loses_nothing,
)
