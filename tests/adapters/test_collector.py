"""When the collector looks for garbage."""

import gc
import subprocess
import sys

import pytest

from homeostat.adapters.process import collector
from homeostat.records import compiling


@pytest.fixture
def asked(monkeypatch):
    """The collections that are asked for; nothing is frozen in the process of the tests."""
    calls = []
    monkeypatch.setattr(collector.gc, "get_freeze_count", lambda: 0)
    monkeypatch.setattr(collector.gc, "collect", lambda: calls.append("collect"))
    monkeypatch.setattr(collector.gc, "freeze", lambda: calls.append("freeze"))
    monkeypatch.setattr(collector.atexit, "register", lambda function: None)
    return calls


def test_the_first_collection_ends_the_start():
    usual = gc.get_threshold()
    collector.collect_late()
    collector.collect_late()
    assert gc.get_threshold()[0] > usual[0]
    gc.collect(0)
    assert gc.get_threshold() == usual
    assert collector._at_collection not in gc.callbacks


def test_a_process_that_does_not_collect_goes_on_so():
    gc.disable()
    try:
        usual = gc.get_threshold()
        collector.collect_late()
        assert gc.get_threshold() == usual
    finally:
        gc.enable()


def test_a_start_that_compiled_nothing_is_frozen_without_a_walk(asked, monkeypatch):
    monkeypatch.setattr(compiling, "_done", [])
    usual = gc.get_threshold()
    collector.collect_late()
    collector.freeze_objects()
    assert asked == ["freeze"]
    assert gc.get_threshold() == usual


def test_what_the_compiler_left_behind_is_collected_before_the_freeze(asked, monkeypatch):
    monkeypatch.setattr(compiling, "_done", ["a kernel"])
    collector.collect_late()
    collector.freeze_objects()
    assert asked == ["collect", "freeze"]


def test_the_garbage_of_a_program_that_uses_the_package_is_collected_before_the_freeze(asked, monkeypatch):
    monkeypatch.setattr(compiling, "_done", [])
    collector.freeze_objects()
    assert asked == ["collect", "freeze"]


CODE = """
import gc, sys
from homeostat.adapters.process import collector
counts = []
def look(phase, info):
    sizes = [gc.get_count()[0], *(len(gc.get_objects(generation)) for generation in (1, 2))]
    print(sum(sizes[: 1 + info["generation"]]), file=sys.stderr)
collector.collect_late()
gc.callbacks.append(look)
kept = [[number] for number in range(20_000)]
"""


def test_a_short_command_ends_without_a_walk_through_its_objects():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert max(map(int, done.stderr.split()), default=0) < 20_000
