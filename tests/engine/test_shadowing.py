"""A challenger's process is started, watched and ended; whatever it does, the champion decides the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.job_programs import until
from tests.support.shadows import APP, let_them_run

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.cli import main
from homeostat.config.beside import ShadowOptions
from homeostat.config.definitions import feature_definitions
from homeostat.engine.assembly import open_engine, prepare
from homeostat.engine.shadowing import TAKEN, ShadowKeeper, keeper_in
from homeostat.engine.shared.shadow_health import of_shadow
from homeostat.models.bundle import Bundle, save_bundle
from homeostat.ports.shadow import ShadowState
from homeostat.records.changes import Change, ChangeKind

SECOND_NS = 10**9
PATIENCE_S = 300.0


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ns = 1_000 * SECOND_NS

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns


class Process:
    """A process that does nothing."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.line, self.killed, self.stopped, self.starved = "", False, False, 0.0

    def ended(self) -> int | None:
        return self.code

    def starved_s(self) -> float:
        return self.starved

    def last_line(self) -> str:
        return self.line

    def kill(self) -> None:
        self.killed = True

    def stop(self) -> None:
        self.stopped = True


class World:
    """A keeper, the processes that it has started, and the store that they would write."""

    def __init__(self, folder: Path, options: ShadowOptions | None = None) -> None:
        self.clock, self.started, self.version, self.heard = Clock(), [], "v1", []
        self.store = ShadowFile(folder, clock=self.clock)
        self.keeper = ShadowKeeper(
            lambda: self.version, ("app.yaml",), lambda: closing(ShadowFile(folder, readonly=True, clock=self.clock)),
            options or ShadowOptions(), "me", clock=self.clock, say=self.heard.append, start=self.start,
        )  # fmt: skip

    def start(self) -> Process:
        self.started.append(Process())
        return self.started[-1]

    def after(self, seconds: float) -> None:
        self.clock.ns += int(seconds * SECOND_NS)
        self.keeper.turn()

    def says(self, **state: object) -> None:
        assert self.store.take("v1", "me")
        began = {"began_ns": 1, "at_ns": self.clock.ns}
        assert self.store.say("v1", "me", ShadowState(**{**began, **state}))


@pytest.fixture
def world(tmp_path: Path):
    made = World(tmp_path)
    yield made
    made.store.close()


def test_a_process_is_started_with_the_role_and_ended_with_it(world):
    world.version = None
    world.after(1)
    assert not world.started and world.keeper.readings() == {} and world.keeper.notes() == []
    world.version = "v1"
    world.after(1)
    world.after(1)
    assert len(world.started) == 1 and not world.started[0].stopped
    world.version = "v2"
    world.after(1)
    assert world.started[0].stopped and len(world.started) == 2
    world.version = None
    world.after(1)
    assert world.started[1].stopped and len(world.started) == 2


def test_a_process_that_ends_is_started_again_after_growing_waits(world):
    world.after(1)
    for failures in range(12):
        wait_s = min(2**failures, 300)
        world.started[-1].code, world.started[-1].line = 1, "homeostat: no room"
        world.after(1)
        (note,) = world.keeper.notes()
        assert f"it ended: homeostat: no room; it is started again in {wait_s} s" in note
        world.after(wait_s - 0.5)
        assert len(world.started) == failures + 1
        world.after(0.5)
        assert len(world.started) == failures + 2
    assert world.keeper.readings()["homeostat_shadow_restarts_total"] == 12 and len(world.heard) == 12
    world.says()
    for _ in range(700):
        world.says()
        world.after(1)
    assert world.keeper.notes() == []
    world.started[-1].code = -9
    world.after(1)
    assert "it was ended by signal 9; it is started again in 1 s" in world.keeper.notes()[0]


def test_a_process_that_gives_no_sign_of_life_is_killed_and_one_that_loads_has_time(world):
    world.after(1)
    world.after(290)
    assert not world.started[0].killed
    world.after(20)
    assert world.started[0].killed and "no sign of life" in world.keeper.notes()[0]
    world.after(2)
    world.says(events=3)
    world.after(100)
    assert not world.started[1].killed
    world.after(30)
    assert world.started[1].killed


def test_a_process_that_gets_no_processor_does_not_hang(world):
    world.after(1)
    world.says(events=3)
    world.after(1)
    world.started[0].starved = 500.0
    world.after(600)
    assert not world.started[0].killed, "it had 100 s of these 600"
    world.after(30)
    assert world.started[0].killed


def test_where_another_process_has_the_lease_none_is_started_until_it_is_over(world):
    assert world.store.take("v1", "another", 60.0)
    world.after(1)
    assert not world.started and world.keeper.readings()["homeostat_shadow_up"] == 1
    world.after(60)
    assert len(world.started) == 1
    world.started[0].code = TAKEN
    world.after(1)
    assert "started again" not in world.keeper.notes()[0] and world.keeper.restarts == 0, "that is no failure"
    world.after(2)
    assert len(world.started) == 2


def test_its_state_is_shown(world):
    world.after(1)
    world.says(entry=7, last=10, events=100, differing=3, failed=2, behind_s=4.0)
    world.after(1)
    shown = world.keeper.readings()
    assert shown == {
        "homeostat_shadow_up": True, "homeostat_shadow_restarts_total": 0, "homeostat_shadow_behind_entries": 3,
        "homeostat_shadow_behind_seconds": 4.0, "homeostat_shadow_events": 100, "homeostat_shadow_differing": 3,
        "homeostat_shadow_failed": 2,
    }  # fmt: skip
    assert world.keeper.notes() == []
    world.after(100)
    assert "104 s behind" not in world.keeper.notes()[0] and "105 s behind" in world.keeper.notes()[0]
    world.says(trouble="size failed: ValueError: no")
    world.after(1)
    assert world.keeper.notes() == ["challenger v1 in shadow: size failed: ValueError: no"]


def test_it_is_only_watched_where_the_app_file_says_so(tmp_path):
    world = World(tmp_path, ShadowOptions(start=False))
    world.after(1)
    assert not world.started and world.keeper.readings()["homeostat_shadow_up"] is False
    world.store.close()


def test_a_store_that_fails_is_a_note_and_no_error(tmp_path):
    world = World(tmp_path)
    world.store.close()
    for path in tmp_path.glob("shadow.db*"):
        path.unlink()
    (tmp_path / "shadow.db").write_bytes(b"no database" * 100)
    world.after(1)
    assert "can't be read" in world.keeper.notes()[0]


# The real process.


def cli(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    assert ended.value.code in (0, None)


def events(first: int, many: int) -> list[dict]:
    return [
        {"event_id": k, "time": 1_780_000_000 + 60 * k, "customer": k % 7, "amount": (k * 37) % 100}
        for k in range(first, first + many)
    ]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose journal has begun, with a challenger; the app file is beside it."""
    folder = tmp_path_factory.mktemp("begun")
    app, data = folder / "app.yaml", folder / "data"
    app.write_text(APP)
    with open_engine(app, data=data) as engine:
        engine.decide(events(0, 10))
    prepared = prepare(app)
    bundle = Bundle("trial", prepared.features.names, {"rows": 1}, {}, definitions=feature_definitions(prepared.app))
    save_bundle(bundle, folder / "bundle")
    cli("models", "import", folder / "bundle", "--data", data)
    cli("models", "promote", 1, "--role", "challenger", "--yes", "--wait", 0, "--data", data)
    return folder


def decided(
    begun: Path, folder: Path, at_work: Callable[[ShadowKeeper, Path], bool] | None, hang: str = "5m"
) -> list:  # fmt: skip
    """The digests of the champion's entries and its answers, with a challenger that has been at work meanwhile."""
    shutil.copytree(begun / "data", folder / "data")
    app, answers = begun / "app.yaml", []
    with open_engine(app, data=folder / "data") as engine:
        keeper = None
        if at_work is not None:
            options = ShadowOptions(hang=hang)
            keeper = keeper_in(engine.parts.loop, options, str(app), folder / "data", lambda text: None)
            engine.parts.opened.callback(keeper.close)
        for first in range(10, 210, 20):
            answers += engine.decide(events(first, 20))
            if first == 90 and at_work is not None:
                until(lambda: at_work(keeper, folder / "data"), PATIENCE_S)
        if keeper is not None:
            until(lambda: at_work(keeper, folder / "data"), PATIENCE_S)
    with SqliteJournal(folder / "data" / "journal.db", readonly=True) as journal:
        digests = [fact.digest for fact in journal.facts()]
    return [[{**answer, "took_us": 0} for answer in answers], digests]


def state_in(data: Path) -> ShadowState:
    with ShadowFile(data, readonly=True) as store:
        return next((held.state for held in store.held().values()), ShadowState())


def trouble(word: str) -> Callable[[ShadowKeeper, Path], bool]:
    return lambda keeper, data: keeper.restarts > 0 and any(word in note for note in keeper.notes())


@pytest.fixture(scope="module")
def alone(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    """The decisions of the champion with no challenger's process beside it."""
    return decided(begun, tmp_path_factory.mktemp("alone"), None)


@pytest.mark.long
def test_the_challenger_follows_while_the_champion_decides(begun, alone, tmp_path, monkeypatch):
    let_them_run(monkeypatch)

    def caught_up(keeper: ShadowKeeper, data: Path) -> bool:
        state = state_in(data)
        return state.events > 0 and state.entry == state.last and keeper.readings()["homeostat_shadow_up"] == 1

    assert decided(begun, tmp_path, caught_up) == alone
    state = state_in(tmp_path / "data")
    assert state.differing == 0 and 0 < state.events <= 200
    with ShadowFile(tmp_path / "data", readonly=True) as store:
        assert not next(iter(store.held().values())).lives, "it ended with its server, and gave its lease back"


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("hangs", trouble("no sign of life")), ("leaks", trouble("more memory than it may have")),
        ("raises", trouble("no")), ("answers NaN", lambda keeper, data: state_in(data).events > 0),
        ("lies", lambda keeper, data: state_in(data).differing > 0),
    ],
)  # fmt: skip
def test_a_challenger_that_misbehaves_changes_no_byte_of_the_champions_decisions(
    begun, alone, tmp_path, monkeypatch, how, seen
):
    let_them_run(monkeypatch, how)
    assert decided(begun, tmp_path, seen, "3s" if how == "hangs" else "5m") == alone


def test_doctor_says_how_the_challenger_is(tmp_path: Path):
    clock = Clock()
    settings, store = MemorySettings(clock), ShadowFile(tmp_path, clock=clock)
    assert list(of_shadow(settings, store, clock.ns)) == []
    settings.append(Change(ChangeKind.DEPLOY, "challenger", {"version": "v1"}, "ann", "a test"), None)

    def found() -> tuple[str, str]:
        (one,) = of_shadow(settings, store, clock.ns + 10)
        return one.health, one.seen

    assert found() == ("warning", "no process decides for version v1 in shadow")
    assert store.take("v1", "me")
    store.say("v1", "me", ShadowState(events=1000, differing=20))
    assert found() == ("ok", "version v1 decided 1,000 events in shadow, 20 of them otherwise")
    store.say("v1", "me", ShadowState(behind_s=90.0))
    assert found()[0] == "warning" and found()[1].endswith("it is 90 s behind")
    store.say("v1", "me", ShadowState(trouble="size failed"))
    assert found()[0] == "warning" and found()[1].endswith("size failed")
    store.close()


def test_a_process_gives_way_to_all_others_and_has_no_more_memory_than_it_may():
    program = """
import os, resource
from homeostat.adapters.process.background import bound_memory, give_way
give_way()
bound_memory(300)
with open("/proc/self/oom_score_adj") as file:
    order = int(file.read())
try:
    bytearray(400 << 20)
    refused = False
except MemoryError:
    refused = True
print([os.sched_getscheduler(0) == os.SCHED_IDLE, os.getpriority(os.PRIO_PROCESS, 0), order, refused])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(done.stdout.replace("True", "true")) == [True, 19, 1000, True]


def test_a_process_whose_parent_is_gone_already_ends_at_once():
    program = "from homeostat.adapters.process.background import end_with\nend_with(1 << 22)\nprint('lives')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (-9, "")
