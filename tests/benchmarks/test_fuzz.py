"""The short form of fuzzing: a few hundred hostile messages down every road, to real servers where it ends in one."""

from __future__ import annotations

import pytest
from benchmarks.fuzz import ROADS, run

IN_PROCESS = ("bodies", "lines", "jsonl", "csv", "parquet", "apps")


@pytest.mark.long
@pytest.mark.parametrize("road", IN_PROCESS)
def test_hostile_messages_become_events_or_dead_letters(road):
    report = run(road, 300, seed=7, timed=False)
    assert report.messages >= 300
    assert road == "apps" or (report.events > 0 and report.letters > 0)
    assert road not in ("parquet", "apps") or report.refused > 0


@pytest.mark.long
def test_hostile_requests_leave_a_server_well():
    report = run("http", 300, seed=8, timed=False)
    assert report.messages == 300 and report.events > 0 and report.letters > 0


def test_hostile_messages_on_kafka_leave_a_worker_well(kafka):
    report = run("kafka", 300, seed=9, timed=False, server=kafka)
    assert report.messages == 300 and report.events > 0 and report.letters > 0


def test_hostile_entries_of_redis_leave_a_worker_well(redis):
    report = run("redis", 300, seed=9, timed=False, server=redis)
    assert report.messages == 300 and report.events > 0 and report.letters > 0


def test_every_road_has_its_short_form():
    assert set(ROADS) == {*IN_PROCESS, "http", "kafka", "redis"}
