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
from homeostat.engine.folders import LostHistory

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


def test_a_snapshot_of_another_history_is_ignored_with_a_sentence_and_its_state_rebuilt(tmp_path):
    told = []
    folder, other = tmp_path / "data", tmp_path / "other"
    assert decided(other, range(100, 110)) == 10  # Ten entries.
    assert decided(folder, range(18), singly=False) == 18  # One, and a snapshot of it.
    for name in JOURNAL:
        (folder / name).unlink(missing_ok=True)
        if (other / name).exists():
            shutil.copy(other / name, folder / name)
    assert decided(folder, [50], tell=told.append) == 11
    assert any("is of another history" in sentence for sentence in told)
    assert any("names another entry" in sentence and "--history journal" in sentence for sentence in told)
    assert not verdict(folder).ok


def test_a_snapshot_that_was_copied_from_another_folder_is_ignored(tmp_path):
    folder, other = tmp_path / "data", tmp_path / "other"
    decided(other, range(100, 103))
    decided(folder, range(5))
    for name in ("snapshot.bin", "snapshot.previous.bin"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(other / "snapshot.bin", folder / "snapshot.bin")
    assert decided(folder, [30]) == 6


@pytest.mark.long
@pytest.mark.parametrize("how", ["removed", "emptied", "made anew", "shortened"])
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
    elif how == "made anew":
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
    folder, told = tmp_path / "data", []
    decided(folder, range(10))
    old = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}
    (folder / "journal.db").unlink()
    old.pop("journal.db")
    assert decided(folder, [3], history="new", tell=told.append) == 1
    aside = folder / "earlier-1"
    assert all(
        (aside / name).read_bytes() == data for name, data in old.items() if name in ("audit.jsonl", "snapshot.bin")
    )
    assert "put aside" in told[0] and str(aside) in told[0]
    assert verdict(folder).ok
    first = json.loads((folder / "audit.jsonl").read_text().splitlines()[0])
    assert first["kind"] == "parted" and first["facts"]["trail"] == "earlier-1/audit.jsonl"
    assert first["facts"]["head"] in (aside / "audit.jsonl").read_text().splitlines()[-1]


def test_the_journal_alone_may_be_what_counts(tmp_path):
    folder, told = tmp_path / "data", []
    decided(folder, range(10))
    backup = (folder / "journal.db").read_bytes()
    decided(folder, range(10, 20))
    for name in JOURNAL:
        (folder / name).unlink(missing_ok=True)
    (folder / "journal.db").write_bytes(backup)
    assert decided(folder, [30], history="journal", tell=told.append) == 11
    assert verdict(folder).ok
    decided(folder, [31])
    assert verdict(folder).ok
    (folder / "journal.db").unlink()
    decided(folder, [32], history="new")
    assert sorted(path.name for path in folder.glob("earlier-*")) == ["earlier-1", "earlier-2"]


def test_a_history_that_is_whole_is_continued_without_a_word(tmp_path):
    folder, told = tmp_path / "data", []
    decided(folder, range(10))
    assert decided(folder, [10], tell=told.append) == 11
    assert told == []


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
