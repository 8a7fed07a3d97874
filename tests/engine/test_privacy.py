"""A file that holds events or decisions is its owner's alone, whatever the umask is, unless asked for otherwise."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from tests.samples.reading import unpacked

from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.sqlite.auditing import tables_beside
from homeostat.engine.assembly import open_engine
from homeostat.engine.folders import NotAReplay
from homeostat.jobs.replay import Request, replay_events
from homeostat.ports import Unavailable


def event(k):
    return {
        "event_id": str(k), "entity_id": "anna", "event_type": "login", "value": 1,
        "timestamp": f"2026-01-30T12:00:{k % 60:02d}Z",
    }  # fmt: skip


@pytest.fixture
def history(tmp_path) -> Path:
    path = tmp_path / "history" / "events.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(event(k)) + "\n" for k in range(20)) + '{"event_id": "bad"}\n')
    return path


@pytest.fixture
def wide_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def replayed(history, out, **options):
    return replay_events("access", Request(history, out, **options), lambda what, share: None)


def served(folder, ids=range(5), **options):
    with open_engine("access", data=folder, **options) as engine:
        for k in ids:
            engine.decide(event(k))
        engine.answer([{"event_id": "bad"}])
        engine.save()
        inside = modes(folder)
    return inside | modes(folder)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


def test_the_files_of_a_data_folder_are_private(wide_umask, tmp_path):
    found = served(tmp_path / "data")
    assert found.pop("data") == 0o700
    assert {"journal.db", "journal.db-wal", "journal.db.lock", "audit.jsonl", "dead_letters.jsonl", "snapshot.bin",
            "snapshot.previous.bin", "audit.checkpoint.json"} <= found.keys()  # fmt: skip
    assert set(found.values()) == {0o600}, found


def test_the_files_of_a_replay_are_private(wide_umask, history, tmp_path):
    replayed(history, tmp_path / "out")
    found = modes(tmp_path / "out")
    assert found.pop("out") == 0o700
    assert {"journal.db", "decisions.parquet", "dead_letters.jsonl", "report.json", "report.html"} <= found.keys()
    assert set(found.values()) == {0o600}, found


def test_the_umask_decides_where_that_is_asked_for(wide_umask, history, tmp_path):
    os.umask(0o027)
    found = served(tmp_path / "data", private=False)
    assert found.pop("data") == 0o750 and {mode & 0o777 for mode in found.values()} <= {0o640, 0o644 & 0o640}
    replayed(history, tmp_path / "out", private=False)
    found = modes(tmp_path / "out")
    assert found.pop("out") == 0o750 and set(found.values()) == {0o640}, found


@pytest.mark.long
def test_a_replay_does_not_erase_a_servers_journal(history, tmp_path):
    folder = tmp_path / "data"
    served(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(NotAReplay, match=r"is not an older replay's output.*--force to delete audit"):
        replayed(history, folder)
    for name in ("snapshot.bin", "snapshot.previous.bin", "audit.checkpoint.json"):
        (folder / name).unlink(missing_ok=True)
        before.pop(name, None)
    with pytest.raises(NotAReplay, match="may be that of a server"):
        replayed(history, folder)
    assert {name: (folder / name).read_bytes() for name in before} == before
    heard = []
    replayed(history, folder, force=True, tell=heard.append)
    assert len(heard) == 1 and heard[0].startswith("deletes audit.jsonl, dead_letters.jsonl, journal.db")
    with open_engine("access", data=folder) as engine:
        assert len(engine.parts.journal) == 20


@pytest.mark.parametrize("name", ["shop", "access"])
def test_nor_does_it_erase_one_of_an_older_version(name, history, tmp_path):
    folder = unpacked(name, tmp_path)
    (folder / "answers.jsonl").unlink()
    for path in ("snapshot.bin", "audit.checkpoint.json"):
        (folder / path).unlink()
    with pytest.raises(NotAReplay, match="may be that of a server"):
        replayed(history, folder)


def test_a_replay_replaces_an_older_replay_also_one_of_an_older_version(history, tmp_path):
    for out in (tmp_path / "out", unpacked("replay", tmp_path)):
        heard = []
        replayed(history, out, tell=heard.append)
        replayed(history, out, tell=heard.append)
        assert heard == [] and verify(out / "audit.jsonl", tables_beside(out / "audit.jsonl")).ok


def test_a_replay_that_a_server_has_gone_on_with_is_a_servers(history, tmp_path):
    out = tmp_path / "out"
    replayed(history, out)
    served(out, range(30, 33))
    found = verify(out / "audit.jsonl", tables_beside(out / "audit.jsonl"))
    assert found.ok, found.why
    for name in ("snapshot.bin", "snapshot.previous.bin"):
        (out / name).unlink(missing_ok=True)
    with pytest.raises(NotAReplay, match="a server has gone on with its journal"):
        replayed(history, out)


def test_a_folder_with_anything_else_is_refused_and_force_leaves_that_alone(history, tmp_path):
    out = tmp_path / "out"
    replayed(history, out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(NotAReplay, match=r"it holds notes\.txt"):
        replayed(history, out)
    replayed(history, out, force=True)
    assert (out / "notes.txt").read_text() == "mine"
    with pytest.raises(NotAReplay, match=r"it holds events\.jsonl"):
        replayed(history, history.parent)


def test_a_folder_in_use_is_refused_even_by_force(history, tmp_path):
    folder = tmp_path / "data"
    with open_engine("access", data=folder) as engine:
        engine.decide(event(1))
        with pytest.raises(Unavailable, match="another process is writing"):
            replayed(history, folder, force=True)
        assert engine.decision("1") is not None
