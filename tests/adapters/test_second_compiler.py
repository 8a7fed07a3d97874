"""A process that compiles some kernels beside this one."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from homeostat.adapters.process import second_compiler
from homeostat.adapters.process.second_compiler import compiling_beside

WRITES = "import pathlib, os; pathlib.Path(os.environ['MADE']).write_text('made')"
HANGS = "import signal; signal.pause()"


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(second_compiler, "_processors", lambda: 2)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that another process can run; returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MADE", str(tmp_path / "made"))

    def write(text):
        (tmp_path / "made_module.py").write_text(text)
        return "made_module"

    return write


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "compiling.lock"


def children():
    return {child.pid for child in psutil.Process().children()}


def test_the_other_process_has_done_its_work_once_it_was_waited_for(module, tmp_path, lock):
    with compiling_beside(module(WRITES), lock) as wait:
        wait()
    assert (tmp_path / "made").read_text() == "made"


def test_the_other_process_is_ended_where_this_one_breaks_off(module, lock):
    before = children()

    def break_off():
        with compiling_beside(module(HANGS), lock):
            assert children() > before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert children() == before


def test_a_module_that_fails_is_waited_for_like_any_other(module, lock):
    with compiling_beside(module("raise SystemExit(3)"), lock) as wait:
        wait()


def test_of_several_processes_one_compiles_and_the_others_wait_for_it(module, lock, tmp_path):
    hangs = module(HANGS)
    before = children()
    with ThreadPoolExecutor(1) as pool:
        with compiling_beside(hangs, lock):
            (first,) = children() - before
            with compiling_beside(hangs, lock) as wait:
                assert children() - before == {first}
                waiting = pool.submit(wait)
                assert not waiting.done()
        waiting.result(timeout=240)
    assert children() == before
    with compiling_beside(module(WRITES), lock) as wait:  # Nobody holds the lock any more.
        wait()
    assert (tmp_path / "made").exists()


def test_without_a_place_for_the_lock_each_has_a_compiler(module, tmp_path):
    with compiling_beside(module(WRITES), tmp_path / "nowhere" / "lock") as wait:
        wait()
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("program", ["", "/usr/sbin/uwsgi", "/nowhere/python3"])
def test_without_a_python_to_run_it_there_is_no_other_process(module, monkeypatch, program, lock):
    monkeypatch.setattr(sys, "executable", program)
    with compiling_beside(module(WRITES), lock) as wait:
        assert wait is None


def test_with_one_processor_there_is_no_other_process(module, monkeypatch, tmp_path, lock):
    monkeypatch.setattr(second_compiler, "_processors", lambda: 1)
    with compiling_beside(module(WRITES), lock) as wait:
        assert wait is None
    assert not Path(tmp_path / "made").exists()
