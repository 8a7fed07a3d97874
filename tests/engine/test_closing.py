"""All that was opened is closed, the last opened first, wherever opening fails half-way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeostat.adapters.disk.audit.trail import AuditLog
from homeostat.adapters.disk.dead_letters import DeadLetterFile
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.adapters.memory.journal import MemoryJournal
from homeostat.config.servers import Servers
from homeostat.engine import assembly
from homeostat.engine.shared import connecting as shared
from homeostat.ports import Unavailable


class Broken(Exception):
    pass


def breaks(*given: Any, **named: Any) -> Any:
    raise Broken


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the classes that were closed, in order."""
    found: list[str] = []
    for kind in (SqliteJournal, DeadLetterFile, AuditLog, MemoryJournal, MemoryFeatures):

        def close(self: Any, inner: Any = kind.close, name: str = kind.__name__) -> None:
            if self is not None:
                found.append(name)
                inner(self)

        monkeypatch.setattr(kind, "close", close)
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is warmed up: these tests decide nothing. Warming up opens and closes a journal of its own."""
    monkeypatch.setattr(assembly, "warm_up", lambda *given: None)
    monkeypatch.setattr(shared, "warm_up", lambda *given: None)


def test_an_engine_closes_what_it_opened_the_last_first(tmp_path: Path, closed: list[str], quick: None) -> None:
    engine = assembly.open_engine("access", data=tmp_path / "data")
    closed.clear()
    engine.close()
    assert closed == ["AuditLog", "DeadLetterFile", "SqliteJournal"]


def test_all_is_closed_where_saving_and_closing_one_of_them_fail(
    tmp_path: Path, closed: list[str], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = assembly.open_engine("access", data=tmp_path / "data")
    closed.clear()
    monkeypatch.setattr(AuditLog, "checkpoint", breaks)  # Which closing it needs.
    monkeypatch.setattr(engine, "save", breaks)
    with pytest.raises(Broken):
        engine.close()
    assert closed == ["AuditLog", "DeadLetterFile", "SqliteJournal"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("brain", ["SqliteJournal"]), ("recover", ["SqliteJournal"]), ("DeadLetterFile", ["SqliteJournal"]),
        ("AuditLog", ["DeadLetterFile", "SqliteJournal"]), ("Engine", ["AuditLog", "DeadLetterFile", "SqliteJournal"]),
    ],
)  # fmt: skip
def test_an_engine_that_can_not_be_opened_leaves_nothing_open(
    broken: str, expected: list[str], tmp_path: Path, closed: list[str], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(assembly, broken, breaks)
        with pytest.raises(Broken):
            assembly.open_engine("access", data=tmp_path / "data")
    opened = closed[-len(expected) :]
    assert opened == expected
    assembly.open_engine("access", data=tmp_path / "data").close()  # No lock is left behind.


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "expected"),
    [("adopt_behind", []), ("open_store", ["MemoryJournal"]), ("build", ["MemoryFeatures", "MemoryJournal"])],
)
def test_a_process_on_servers_that_can_not_start_leaves_nothing_open(
    broken: str, expected: list[str], tmp_path: Path, closed: list[str], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = Servers(spool=str(tmp_path / "spool"))
    monkeypatch.setattr(shared, "open_journal", lambda *given: MemoryJournal())
    monkeypatch.setattr(shared, "_warm_up", lambda prepared: None)
    with monkeypatch.context() as patched:
        patched.setattr(shared, broken, breaks)
        with pytest.raises(Broken):
            shared.open_shared("access", servers)
    assert closed == expected
    parts = shared.open_shared("access", servers)
    assert parts.folder.name == "0"  # The folder of the first attempt was free again.
    closed.clear()
    monkeypatch.setattr(parts.store, "close", breaks, raising=False)
    with pytest.raises(Broken):
        parts.close()
    assert closed == ["MemoryJournal"]
    shared.open_shared("access", servers).close()


def test_a_given_journal_stays_open_where_a_start_fails(
    tmp_path: Path, closed: list[str], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any) -> Any:
        raise Unavailable("no store")

    monkeypatch.setattr(shared, "open_store", away)
    with pytest.raises(Unavailable, match="no store"):
        shared.open_shared("access", Servers(spool=str(tmp_path)), journal=MemoryJournal())
    assert closed == []
