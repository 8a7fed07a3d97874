"""A data folder goes on with one history: a snapshot of another is not used, and a lost journal is not replaced."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.sqlite.auditing import tables_beside
from homeostat.engine.assembly import open_engine
from homeostat.engine.folders import LostHistory, NotAReplay, clear_for_replay

JOURNAL = ("journal.db", "journal.db-wal", "journal.db-shm")


def event(k, **changed):
    return {
        "event_id": str(k), "entity_id": "anna", "event_type": "login", "value": 1,
        "timestamp": f"2026-01-30T12:00:{k % 60:02d}Z", **changed,
    }  # fmt: skip


def decided(folder, ids, singly=True, **options):
    """Decide, and the count that the last event sees."""
    with open_engine("access", data=folder, **options) as engine:
        for batch in [[k] for k in ids] if singly else [list(ids)]:
            engine.decide([event(k) for k in batch])
        found = engine.decision(str(list(ids)[-1]), features=True)
    return found["features"]["count_1h"]["value"]


def verdict(folder):
    return verify(folder / "audit.jsonl", tables_beside(folder / "audit.jsonl"))


@pytest.mark.long
def test_a_snapshot_of_another_history_is_ignored_with_a_sentence_and_its_state_rebuilt(tmp_path):
    heard = []
    folder, other = tmp_path / "data", tmp_path / "other"
    assert decided(other, range(100, 110)) == 10  # Ten entries.
    assert decided(folder, range(18), singly=False) == 18  # One, and a snapshot of it.
    for name in JOURNAL:
        (folder / name).unlink(missing_ok=True)
        if (other / name).exists():
            shutil.copy(other / name, folder / name)
    assert decided(folder, [50], tell=heard.append) == 11
    assert any("is of another history" in sentence for sentence in heard)
    assert any("names another entry" in sentence and "--history journal" in sentence for sentence in heard)
    assert not verdict(folder).ok


@pytest.mark.long
def test_a_snapshot_that_was_copied_from_another_folder_is_ignored(tmp_path):
    folder, other = tmp_path / "data", tmp_path / "other"
    decided(other, range(100, 103))
    decided(folder, range(5))
    for name in ("snapshot.bin", "snapshot.previous.bin"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(other / "snapshot.bin", folder / "snapshot.bin")
    assert decided(folder, [30]) == 6


@pytest.mark.long
@pytest.mark.parametrize("how", ["removed", "emptied", "rebuilt", "shortened"])
@pytest.mark.parametrize("beside", ["both", "audit.jsonl", "snapshot.bin"])
def test_a_journal_that_holds_less_than_is_known_of_it_is_refused(how, beside, tmp_path):
    folder = tmp_path / "data"
    decided(folder, range(10))
    backup = {name: (folder / name).read_bytes() for name in JOURNAL if (folder / name).exists()}
    decided(folder, range(10, 20))
    for name in JOURNAL:
        (folder / name).unlink(missing_ok=True)
    if how == "emptied":
        (folder / "journal.db").write_bytes(b"")
    elif how == "rebuilt":
        decided(tmp_path / "fresh", [1])
        with closing(sqlite3.connect(tmp_path / "fresh" / "journal.db")) as db:
            db.execute("DROP TRIGGER entries_DELETE")
            db.execute("DELETE FROM entries")
            db.commit()
            db.execute("VACUUM")
        shutil.copy(tmp_path / "fresh" / "journal.db", folder / "journal.db")
    elif how == "shortened":
        for name, data in backup.items():
            (folder / name).write_bytes(data)
    if beside == "audit.jsonl":
        for path in folder.glob("snapshot*"):
            path.unlink()
    elif beside == "snapshot.bin":
        for path in folder.glob("audit*"):
            path.unlink()
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(LostHistory, match=r"Restore the journal from a backup.*--history new") as refusal:
        decided(folder, [30])
    assert ("--history journal" in str(refusal.value)) == (how == "shortened")
    assert {name for name in before if "journal" not in name} <= {path.name for path in folder.iterdir()}
    if how == "removed":
        assert sorted(path.name for path in folder.iterdir()) == before


def test_a_new_history_puts_every_old_file_aside_and_begins_again(tmp_path):
    folder, heard = tmp_path / "data", []
    decided(folder, range(10))
    old = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}
    (folder / "journal.db").unlink()
    old.pop("journal.db")
    assert decided(folder, [3], history="new", tell=heard.append) == 1
    aside = folder / "earlier-1"
    assert all(
        (aside / name).read_bytes() == data for name, data in old.items() if name in ("audit.jsonl", "snapshot.bin")
    )
    assert "put aside" in heard[0] and str(aside) in heard[0]
    assert verdict(folder).ok
    first = json.loads((folder / "audit.jsonl").read_text().splitlines()[0])
    assert first["kind"] == "parted" and first["facts"]["trail"] == "earlier-1/audit.jsonl"
    assert first["facts"]["head"] in (aside / "audit.jsonl").read_text().splitlines()[-1]


@pytest.mark.long
def test_the_journal_alone_may_be_what_counts(tmp_path):
    folder, heard = tmp_path / "data", []
    decided(folder, range(10))
    backup = (folder / "journal.db").read_bytes()
    decided(folder, range(10, 20))
    for name in JOURNAL:
        (folder / name).unlink(missing_ok=True)
    (folder / "journal.db").write_bytes(backup)
    assert decided(folder, [30], history="journal", tell=heard.append) == 11
    assert verdict(folder).ok
    decided(folder, [31])
    assert verdict(folder).ok
    (folder / "journal.db").unlink()
    decided(folder, [32], history="new")
    assert sorted(path.name for path in folder.glob("earlier-*")) == ["earlier-1", "earlier-2"]


SHADOW = ("shadow.db", "shadow.db-shm", "shadow.db-wal")
OF_NO_HISTORY = ("jobs.db", "keys.json", "models.db", "settings.db")


@pytest.mark.parametrize("history", ["journal", "new"])
def test_decisions_in_shadow_go_with_the_history_that_they_are_of(tmp_path, history):
    folder = tmp_path / "data"
    decided(folder, range(3))
    for name in (*SHADOW, *OF_NO_HISTORY[2:3]):
        (folder / name).write_bytes(b"")
    heard = []
    decided(folder, [3], history=history, tell=heard.append)
    assert all((folder / "earlier-1" / name).exists() and not (folder / name).exists() for name in SHADOW)
    assert (folder / "models.db").exists() and "shadow.db" in heard[0]


def test_a_replay_by_force_removes_what_follows_from_the_journal_and_nothing_of_no_history(tmp_path):
    folder, heard = tmp_path / "data", []
    decided(folder, range(3))
    for name in (*SHADOW, *OF_NO_HISTORY):
        (folder / name).write_bytes(b"")
    (folder / "models").mkdir()
    with pytest.raises(NotAReplay, match="it holds jobs"):
        clear_for_replay(folder, False, heard.append)
    clear_for_replay(folder, True, heard.append)
    # A store that is kept may have its log beside it for a moment longer.
    left = {path.name.removesuffix("-wal").removesuffix("-shm") for path in folder.iterdir()}
    assert left == {*OF_NO_HISTORY, "journal.db.lock", "models"}
    assert "shadow.db" in heard[0] and heard[0].endswith("; jobs.db, keys.json, models.db, settings.db there count on")


def test_a_history_that_is_whole_is_continued_without_a_word(tmp_path):
    folder, heard = tmp_path / "data", []
    decided(folder, range(10))
    assert decided(folder, [10], tell=heard.append) == 11
    assert heard == []


def test_the_history_up_to_an_entry_is_of_that_entry_and_of_all_before_it(tmp_path):
    folder = tmp_path / "data"
    decided(folder, range(5))
    with open_engine("access", data=folder) as engine:
        journal = engine.parts.journal
        found = [journal.history(sequence) for sequence in range(journal.last + 1)]
        assert len(set(found)) == len(found)
        engine.decide(event(9))
        assert [journal.history(sequence) for sequence in range(len(found))] == found
    assert all(one != other for one, other in pairwise(found))


def test_old_folders_are_taken_over(tmp_path):
    from tests.samples.reading import unpacked

    folder = unpacked("access", tmp_path)
    with open_engine("access", data=folder) as engine:
        assert engine.decision("a-1")["action"] == "allow"
        one = engine.decide(event(55, entity_id="12", timestamp="2026-01-30T12:00:55Z"))
        assert engine.decision(one["event_id"], features=True)["features"]["count_1h"]["value"] > 5
    assert Path(folder / "snapshot.bin").read_bytes()[8] == 2
    assert verdict(folder).ok
