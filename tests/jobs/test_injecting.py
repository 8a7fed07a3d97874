"""Events that are sent when they are due: what is sent, what is counted, and how it ends."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import pytest
from tests.support.hosts import APP

from homeostat.adapters.process.clock import SystemClock
from homeostat.config.load import load_app, parse_app
from homeostat.config.plans import event_schema
from homeostat.decide.intake.objects import read_objects
from homeostat.jobs.injecting.events import events_of
from homeostat.jobs.injecting.injecting import Injector
from homeostat.ports.streams import Outgoing
from homeostat.records.identity import Coding


class Taken:
    """Takes all events but those of one entity; may stop the injector."""

    threads = 2

    def __init__(self, refused: bytes = b"") -> None:
        self.events: list[dict[str, object]] = []
        self.refused, self.closed, self.injector = refused, False, None

    def send(self, messages: list[Outgoing]) -> Counter[str]:
        self.events += [json.loads(one.value) for one in messages]
        if self.injector is not None:
            self.injector.stop()
        return Counter({"refused": sum(one.key == self.refused for one in messages)})

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("app", ["access", "infra", "payments"])
def test_events_of_an_app_are_what_it_reads(app: str) -> None:
    tree = load_app(app)
    schema = event_schema(tree, Coding.of_seed(1))
    target = Taken()
    injected = Injector(tree, events_of(tree, 20, 1), target, SystemClock(), 5_000.0, 0.1).run()
    assert injected.sent == injected.ok == len(target.events) == 500 and target.closed
    batch, letters, _ = read_objects(target.events, schema, SystemClock().now_ns() + 10**9)
    assert letters == [] and len(batch) == 500
    assert len({event[schema.id[0]] for event in target.events}) == 500


def test_an_app_without_a_world_gets_what_its_file_declares() -> None:
    tree = parse_app(APP)
    found = list(islice(events_of(tree, 3, 7), 6))
    assert [event["host"] for event in found] == ["host-0", "host-1", "host-2"] * 2
    assert found == list(islice(events_of(tree, 3, 7), 6)) != list(islice(events_of(tree, 3, 8), 6))
    assert all(0 <= event["idle"] <= 100 and isinstance(event["up"], bool) for event in found)


def test_bad_answers_are_counted_by_reason() -> None:
    tree, target = parse_app(APP), Taken(b"host-1")
    found = Injector(tree, events_of(tree, 4, 1), target, SystemClock(), 2_000.0, 0.1).run()
    assert (found.sent, found.ok, found.bad) == (200, 150, Counter(refused=50))
    assert found.as_dict()["failed"] == 50


def test_it_ends_once_it_is_stopped_and_its_answers_are_there() -> None:
    tree, target = parse_app(APP), Taken()
    injector = Injector(tree, events_of(tree, 4, 1), target, SystemClock(), 1_000.0, None)
    target.injector = injector  # type: ignore[assignment]
    found = injector.run()
    assert found.sent == found.ok == len(target.events) > 0 and injector.stopping


def test_a_target_that_fails_costs_nothing_but_its_events() -> None:
    class Broken(Taken):
        def send(self, messages: list[Outgoing]) -> Counter[str]:
            raise ConnectionError("no")

    tree = parse_app(APP)
    found = Injector(tree, events_of(tree, 4, 1), Broken(), SystemClock(), 1_000.0, 0.05).run()
    assert found.ok == 0 and found.bad == Counter({"ConnectionError": 50})
