import json

import numpy as np
import pytest

from homeostat.adapters import audit as audit_module
from homeostat.adapters.audit import AuditError, AuditLog, checkpoint_path, line_of
from homeostat.adapters.audit_verification import records, verify, verify_beside, verify_files, verify_journal
from homeostat.adapters.sqlite_journal import SqliteJournal
from homeostat.checks.batches import decisions, outcomes
from homeostat.ports import Unavailable


def write_trail(path, lines=40):
    with AuditLog(path) as log:
        log.started("version-1", None)
        for k in range(lines - 1):
            log.decided(decisions([k, f"event-{k}"], k))
        return log.head, log.count


def report(folder, head, count):
    (folder / "report.json").write_text(json.dumps({"audit_head": head, "audit_entries": count}))


def mutated(rng, data):
    """An edit, a deletion, an insertion, a swap or a truncation of a file's bytes or lines, never the same bytes."""
    lines = data.splitlines(keepends=True)
    while True:
        kind = int(rng.integers(9))
        at, line = int(rng.integers(len(data))), int(rng.integers(len(lines)))
        if kind == 0:
            new = data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
        elif kind == 1:
            new = data[:at] + data[at + int(rng.integers(1, 50)) :]
        elif kind == 2:
            new = data[:at] + bytes(rng.integers(32, 127, int(rng.integers(1, 5))).astype(np.uint8)) + data[at:]
        elif kind == 3:
            new = data[:at]
        elif kind == 4:
            new = b"".join(lines[:line] + lines[line + int(rng.integers(1, 4)) :])
        elif kind == 5:
            other = int(rng.integers(len(lines)))
            lines[line], lines[other] = lines[other], lines[line]
            new = b"".join(lines)
        elif kind == 6:
            new = b"".join([*lines[: line + 1], lines[int(rng.integers(len(lines)))], *lines[line + 1 :]])
        elif kind == 7:
            new = data[:at] + [b" ", b"\n", b"\r\n", b"\t", b"\0"][int(rng.integers(5))] + data[at:]
        else:
            new = b"".join(lines[: -int(rng.integers(1, len(lines)))])
        if new != data:
            return new
        lines = data.splitlines(keepends=True)


def test_each_of_a_thousand_random_edits_deletions_and_truncations_is_found(tmp_path):
    path, rng = tmp_path / "audit.jsonl", np.random.default_rng(11)
    head, count = write_trail(path)
    report(tmp_path, head, count)
    data = path.read_bytes()
    assert verify_beside(path).ok
    for _ in range(1000):
        path.write_bytes(mutated(rng, data))
        found = verify_beside(path)
        assert not found.ok and found.why
    path.write_bytes(data)
    assert verify_beside(path).ok and verify_beside(path).anchored


def test_every_changed_byte_is_found_without_any_anchor(tmp_path):
    path = tmp_path / "audit.jsonl"
    write_trail(path, 4)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found = verify(path)
        assert not found.ok and found.first_bad_line == data[:at].count(b"\n") + 1


def test_a_forged_chain_is_found_by_its_head(tmp_path):
    path = tmp_path / "audit.jsonl"
    head, count = write_trail(path, 5)
    forged, previous = [], audit_module.NO_HASH
    for record in records(path):
        record.pop("hash")
        record["facts"] = {"version": "another"} if record["kind"] == "started" else record["facts"]
        line, previous = line_of({**record, "previous": previous})
        forged.append(line + "\n")
    path.write_text("".join(forged))
    assert verify(path).ok and not verify(path).anchored
    assert verify(path, count=count).ok
    assert not verify(path, head).ok
    assert not verify_beside(path, head).ok


def test_a_trail_cut_at_a_line_is_found_by_a_count_a_head_or_a_checkpoint(tmp_path):
    path = tmp_path / "audit.jsonl"
    head, count = write_trail(path, 6)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:4]))
    assert verify(path).ok
    for anchor in ({"head": head}, {"count": count}, {"checkpoint": (count, head)}):
        assert not verify(path, **anchor).ok
    path.write_bytes(whole)
    middle = [record["hash"] for record in records(path)][2]
    assert verify(path, checkpoint=(3, middle)).ok
    assert "is not the one" in verify(path, checkpoint=(2, middle)).why


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}\n", b"not json\n", b'{"a":1,"hash":"' + b"0" * 64 + b'"}\n', b"\xff\xfe\n"]
)
def test_what_is_no_trail_is_not_verified(content, tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    assert not verify_beside(path).ok


def test_a_missing_file_or_an_unreadable_report_is_not_verified(tmp_path):
    path = tmp_path / "audit.jsonl"
    assert "can't be read" in verify(path).why
    write_trail(path, 3)
    for text in ("{", "[]", "{}", '{"audit_head": 5, "audit_entries": 3}'):
        (tmp_path / "report.json").write_text(text)
        assert not verify_beside(path).ok


def test_the_same_decisions_leave_the_same_trail(tmp_path):
    assert write_trail(tmp_path / "one.jsonl") == write_trail(tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_a_trail_goes_on_where_it_ended_and_notes_a_line_that_was_never_finished(tmp_path):
    path = tmp_path / "audit.jsonl"
    write_trail(path, 3)
    for cut in (1, 100):
        whole = path.read_bytes()
        path.write_bytes(whole + whole[:cut])
        with AuditLog(path) as log:
            log.started("version-2", 123)
        found = verify(path)
        assert found.ok and found.head == log.head and found.entries == log.count
        assert [record["facts"] for record in records(path)][-2] == {"dropped_bytes": cut}
    path.write_bytes(b"unfinished")
    with AuditLog(path) as log:
        assert log.count == 1
    assert verify(path).ok


def test_a_trail_whose_last_line_is_damaged_is_not_continued(tmp_path):
    path = tmp_path / "audit.jsonl"
    write_trail(path, 3)
    path.write_bytes(path.read_bytes()[:-10] + b"x" * 9 + b"\n")
    with pytest.raises(AuditError, match="damaged"):
        AuditLog(path)


def test_long_lines_are_found_from_the_end(tmp_path):
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        log.record("settings", {"text": "x" * 50_000}, 1)
    with AuditLog(path) as log:
        log.record("settings", {"text": "y" * 5_000}, 2)
    assert verify(path, log.head, 2).ok


def test_checkpoints_are_kept_while_it_grows_and_refuse_a_shortened_trail(tmp_path):
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, checkpoint_every=10) as log:
        for k in range(25):
            log.decided(decisions([k], k), now_ns=k)
        log.settle()
        assert json.loads(checkpoint_path(path).read_text())["count"] == 20
        assert verify_beside(path).ok
    assert json.loads(checkpoint_path(path).read_text())["count"] == 25
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:24]))
    assert "its checkpoint says that there were 25" in verify_beside(path).why
    with pytest.raises(AuditError, match="checkpoint"):
        AuditLog(path, checkpoint_every=10)
    path.unlink()
    with pytest.raises(AuditError, match="checkpoint"):
        AuditLog(path, checkpoint_every=10)


def test_a_trail_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(Unavailable, match="can't be written"):
        AuditLog(tmp_path / "nowhere" / "audit.jsonl")
    log = AuditLog(tmp_path / "audit.jsonl")
    log.close()
    with pytest.raises(Unavailable, match="can't be written"):
        log.started("version-1", None)


def test_a_line_written_in_part_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        log.started("version-1", None)
        real = log._file

        class Full:
            closed = False

            def __getattr__(self, name):
                return getattr(real, name)

            def write(self, data):
                real.write(data[:20])
                real.flush()
                raise OSError(28, "No space left on device")

        log._file = Full()
        with pytest.raises(Unavailable, match="No space left"):
            log.started("version-2", None)
        log.started("version-3", None)
    assert verify(path, log.head, 2).ok


@pytest.mark.parametrize("followed", [False, True])
def test_the_journal_holds_what_the_trail_says(followed, tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal:
        with AuditLog(path, journal if followed else None) as log:
            log.started("version-1", None)
            for batch in (decisions(list(range(5000)), 1), decisions([-1], 2)):
                journal.append(batch)
                log.decided(batch)
            journal.append(outcomes([1, 2]))
            if followed:
                log.follow(journal)
        assert log.count == 1 + 4 + followed
        assert verify_journal(path, journal).ok
        journal.append(decisions([-2], 3))
        assert "is not in the trail" in verify_journal(path, journal).why
        with AuditLog(path, journal if followed else None) as log:
            log.decided(decisions([-2], 3))
        assert verify_journal(path, journal).ok
        with AuditLog(path) as log:
            log.decided(decisions([-3], 4))
        assert "the journal holds 5" in verify_journal(path, journal).why


def test_a_journal_changed_behind_the_trails_back_is_found(tmp_path):
    import sqlite3

    from homeostat.records import codec

    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal) as log:
        for k in range(3):
            journal.append(decisions([k], k))
        log.follow(journal)
    db = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    db.execute("DROP TRIGGER entries_UPDATE")
    db.execute("UPDATE entries SET body = ? WHERE sequence = 2", (codec.encode(decisions([1], 99)),))
    db.close()
    with SqliteJournal(tmp_path / "journal.db") as journal:
        assert "entry 2 is not what the trail says" in verify_journal(path, journal).why


def test_a_file_that_the_trail_names_is_verified(tmp_path):
    path, named = tmp_path / "audit.jsonl", tmp_path / "decisions.parquet"
    named.write_bytes(b"columns")
    with AuditLog(path) as log:
        log.wrote(named)
    assert verify_files(path).ok
    named.write_bytes(b"Columns")
    assert "is not what the trail says" in verify_files(path).why
    named.unlink()
    assert "is missing" in verify_files(path).why


def test_a_line_of_an_entry_is_the_canonical_one(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal) as log:
        log.started("version-1", None)
        for k, now_ns in enumerate((None, 5)):
            journal.append(decisions([k], k))
            journal.append(outcomes([k]))
            log.follow(journal, now_ns)
    for line in path.read_text().splitlines():
        record = json.loads(line)
        del record["hash"]
        assert line_of(record)[0] == line
    assert len(path.read_text().splitlines()) == 5


def test_the_facts_of_the_last_entries_are_those_in_the_file(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        for k in range(300):
            journal.append(decisions([k], k) if k % 7 else outcomes([k]))
        for after in (0, 40, 44, 150, 299, 300, 301):
            assert list(journal.recent(after)) == list(journal.facts(after))
        journal._behind = True  # As after a failed append, when another entry may be in the file.
        assert list(journal.recent(290)) == list(journal.facts(290))
    with SqliteJournal(tmp_path / "journal.db") as journal:
        journal.append(decisions([1000]))
        assert list(journal.recent(298)) == list(journal.facts(298))
