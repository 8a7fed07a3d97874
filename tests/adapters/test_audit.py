import json

import numpy as np
import pytest

from homeostat.adapters.disk.audit import trail as audit_module
from homeostat.adapters.disk.audit.trail import AuditError, AuditLog, checkpoint_path, line_of
from homeostat.adapters.disk.audit.verification import records, verify
from homeostat.adapters.disk.sqlite.auditing import SqliteTables, tables_beside
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.checks.batches import decisions, outcomes
from homeostat.ports import EntryFacts, Unavailable


def write_trail(path, lines=40):
    with AuditLog(path) as log:
        log.started("version-1", None)
        for k in range(lines - 1):
            log.decided(decisions([k, f"event-{k}"], k))
        return log.head, log.count


def alone(path, **more):
    """The verdict on the chain and its anchors, without the journal."""
    return verify(path, alone=True, **more)


def whole(path, **more):
    """The verdict on everything beside the trail."""
    return verify(path, tables_beside(path), **more)


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
    assert alone(path).ok
    for _ in range(1000):
        path.write_bytes(mutated(rng, data))
        found = alone(path)
        assert not found.ok and found.why
    path.write_bytes(data)
    assert alone(path).ok and alone(path).anchored


def test_every_changed_byte_is_found_without_any_anchor(tmp_path):
    path = tmp_path / "audit.jsonl"
    write_trail(path, 4)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found = alone(path)
        assert not found.ok and found.first_bad_line == data[:at].count(b"\n") + 1


def test_a_forged_chain_is_found_by_its_head(tmp_path):
    path = tmp_path / "audit.jsonl"
    head, _ = write_trail(path, 5)
    forged, previous = [], audit_module.NO_HASH
    for record in records(path):
        record.pop("hash")
        record["facts"] = {"version": "another"} if record["kind"] == "started" else record["facts"]
        line, previous = line_of({**record, "previous": previous})
        forged.append(line + "\n")
    path.write_text("".join(forged))
    assert alone(path).ok and not alone(path).anchored
    found = alone(path, head=head)
    assert found.anchored and "written again" in found.why


def test_a_trail_cut_at_a_line_is_found_by_a_head_or_a_checkpoint_kept_elsewhere(tmp_path):
    path, kept = tmp_path / "audit.jsonl", tmp_path / "elsewhere" / "audit.checkpoint.json"
    head, count = write_trail(path, 6)
    kept.parent.mkdir()
    data = path.read_bytes()
    path.write_bytes(b"".join(data.splitlines(keepends=True)[:4]))
    assert alone(path).ok and "says where it ends" in alone(path).notes[-1]
    kept.write_text(line_of({"count": count, "head": head})[0] + "\n")
    assert "it has 4 lines, but audit.checkpoint.json says that there were 6" in alone(path, checkpoint=kept).why
    assert "no line has the hash" in alone(path, head=head).why
    path.write_bytes(data)
    assert alone(path, head=head).ok and alone(path, checkpoint=kept).ok


def test_a_trail_may_have_grown_since_its_head_was_kept(tmp_path):
    path = tmp_path / "audit.jsonl"
    write_trail(path, 6)
    hashes = [record["hash"] for record in records(path)]
    assert all(alone(path, head=head).ok for head in hashes)
    report(tmp_path, hashes[2], 3)
    assert alone(path).ok
    report(tmp_path, hashes[2], 2)
    assert "line 2: is not the one that report.json names" in alone(path).why


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}\n", b"not json\n", b'{"a":1,"hash":"' + b"0" * 64 + b'"}\n', b"\xff\xfe\n"]
)
def test_what_is_no_trail_is_not_verified(content, tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    assert not alone(path).ok


def test_a_missing_file_or_an_unreadable_report_is_not_verified(tmp_path):
    path = tmp_path / "audit.jsonl"
    assert "can't be read" in alone(path).why
    write_trail(path, 3)
    for text in ("{", "[]", "{}", '{"audit_head": 5, "audit_entries": 3}'):
        (tmp_path / "report.json").write_text(text)
        assert not alone(path).ok


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
        found = alone(path)
        assert found.ok and found.head == log.head and found.entries == log.count
        assert [record["facts"] for record in records(path)][-2] == {"dropped_bytes": cut}
    path.write_bytes(b"unfinished")
    with AuditLog(path) as log:
        assert log.count == 1
    assert alone(path).ok


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
    found = alone(path)
    assert found.ok and (found.head, found.entries) == (log.head, 2)


def test_checkpoints_are_kept_while_it_grows_and_refuse_a_shortened_trail(tmp_path):
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, checkpoint_every=10) as log:
        for k in range(25):
            log.decided(decisions([k], k), now_ns=k)
        log.wait_for_checkpoint()
        assert json.loads(checkpoint_path(path).read_text())["count"] == 20
        assert alone(path).ok
    assert json.loads(checkpoint_path(path).read_text())["count"] == 25
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:24]))
    assert "audit.checkpoint.json says that there were 25" in alone(path).why
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
    found = alone(path)
    assert found.ok and (found.head, found.entries) == (log.head, 2)


def test_the_journal_holds_what_the_trail_says(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal) as log:
        log.started("version-1", None)
        for batch in (decisions(list(range(5000)), 1), decisions([-1], 2)):
            journal.append(batch)
            log.decided(batch)
        journal.append(outcomes([1, 2]))
        log.follow(journal)
    assert log.count == 1 + 4 + 1
    found = whole(path)
    assert found.ok and (found.decisions, found.outcomes, found.checked) == (5001, 2, ("journal.db",))


def test_entries_that_the_trail_does_not_name_yet_are_no_fault_while_a_process_writes_them(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal) as log:
        journal.append(decisions([1], 1))
        log.follow(journal)
        journal.append(decisions([2], 2))
        journal.append(decisions([3], 3))
        found = whole(path)
        assert found.ok and found.unaudited == 2
        assert any("entries 2 to 3: not in the trail yet" in note for note in found.notes)
    found = whole(path)
    assert not found.ok and found.unaudited == 2 and "entries 2 to 3: not in the trail" in found.why
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal) as log:
        log.follow(journal)
    assert whole(path).ok


def test_a_trail_cut_back_together_with_its_checkpoint_is_found_by_the_journal(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal, checkpoint_every=1000) as log:
        for k in range(6):
            journal.append(decisions([k], k))
        log.follow(journal, 1)
        log.checkpoint()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    head = list(records(path))[-1]["hash"]
    checkpoint_path(path).write_text(line_of({"count": 4, "head": head})[0] + "\n")
    found = whole(path)
    assert not found.ok and "entries 5 to 6" in found.why and "the trail was cut off" in found.why


def test_trail_and_journal_cut_back_together_are_found_by_a_head_kept_elsewhere_and_by_nothing_else(tmp_path):
    path, database = tmp_path / "audit.jsonl", tmp_path / "journal.db"
    kept = {}
    for number in range(2):
        with SqliteJournal(database) as journal, AuditLog(path, journal, checkpoint_every=1000) as log:
            journal.append(decisions([number], number))
            log.follow(journal, 1)
            head = log.head
        if number == 0:
            kept = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    assert whole(path).ok
    assert "no line has the hash" in whole(path, head=head).why


def test_a_trail_without_its_journal_is_not_whole_unless_that_is_asked_for(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal) as log:
        journal.append(decisions([1], 1))
        log.follow(journal)
    (tmp_path / "journal.db").unlink()
    assert "no journal is there to compare" in whole(path).why
    assert alone(path).ok


@pytest.mark.long
def test_a_journal_that_is_damaged_is_a_fault_and_no_error(tmp_path):
    path, database = tmp_path / "audit.jsonl", tmp_path / "journal.db"
    with SqliteJournal(database) as journal, AuditLog(path, journal) as log:
        for k in range(50):
            journal.append(decisions([k], k))
        log.follow(journal)
    data, rng = database.read_bytes(), np.random.default_rng(3)
    for _ in range(100):
        at = int(rng.integers(len(data)))
        database.write_bytes(data[:at] + rng.bytes(64) + data[at + 64 :])
        verify(path, SqliteTables(database))
    database.write_bytes(b"no journal" * 1000)
    assert "journal.db: is damaged or is not a journal" in whole(path).why


def test_a_file_that_the_trail_names_is_verified_to_the_last_byte(tmp_path):
    path, named = tmp_path / "audit.jsonl", tmp_path / "decisions.parquet"
    named.write_bytes(b"columns")
    with AuditLog(path) as log:
        log.wrote(named)
    assert whole(path).ok
    for at in range(7):
        named.write_bytes(b"columns"[:at] + b"?" + b"columns"[at + 1 :])
        assert "decisions.parquet: is not what the trail says" in whole(path).why
    named.write_bytes(b"columns and more")
    assert not whole(path).ok
    named.unlink()
    assert "is missing" in whole(path).why
    with AuditLog(path) as log:
        log.record("file", {"name": "a\0b", "bytes": 1, "sha256": ""}, 1)
    assert [fault.why for fault in whole(path).faults][1:] == ["'a\\x00b': can't be read"]


@pytest.mark.long
def test_every_changed_byte_of_a_checkpoint_is_found(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db", app="payments") as journal:
        with AuditLog(path, journal, checkpoint_every=1000) as log:
            log.holds(journal.says(), 1)
            journal.append(decisions([1], 1))
            log.follow(journal, 1)
    assert whole(path).ok
    beside = checkpoint_path(path)
    data = beside.read_bytes()
    for at in range(len(data)):
        beside.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert not whole(path).ok, data[at:]
    beside.write_bytes(json.dumps({"count": log.count, "head": log.head}).encode())
    assert "has no hash of its own" in whole(path).why


def test_a_trail_and_a_checkpoint_of_an_older_version_are_whole_and_go_on(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db", app="payments") as journal:
        journal.append(decisions([1], 1))
        facts = next(iter(journal.facts()))
        stated = {"first_ns": 0, "last_ns": 0, "rows": 1, "sha256": facts.digest}
        record = {"at_ns": 7, "entry": 1, "facts": stated, "kind": "decisions", "previous": "0" * 64, "sequence": 1}
        line, head = line_of(record)
        path.write_text(line + "\n")
        checkpoint_path(path).write_text(f'{{"count":1,"head":"{head}"}}\n')
        assert whole(path).ok
        with AuditLog(path, journal, checkpoint_every=1000) as log:
            log.holds(journal.says(), 8)
            assert whole(path).ok
            journal.append(decisions([2], 2))
            log.follow(journal, 9)
    assert whole(path).ok and not whole(path).notes


class Elsewhere:
    """A journal that says more of its entries."""

    def recent(self, after):
        return [EntryFacts(after + 1, 1, 1, 0, 0, "0" * 64, 0.1, 1_700_000_000_000_000, "1" * 64)]


def test_a_line_of_an_entry_is_the_canonical_one(tmp_path):
    path = tmp_path / "audit.jsonl"
    with SqliteJournal(tmp_path / "journal.db") as journal, AuditLog(path, journal) as log:
        log.started("version-1", None)
        for k, now_ns in enumerate((None, 5)):
            journal.append(decisions([k], k))
            journal.append(outcomes([k]))
            log.follow(journal, now_ns)
    with AuditLog(path, Elsewhere()) as log:
        log.follow(Elsewhere(), 5)
    for line in path.read_text().splitlines():
        record = json.loads(line)
        del record["hash"]
        assert line_of(record)[0] == line
    assert len(path.read_text().splitlines()) == 6


def test_the_facts_of_the_last_entries_are_those_in_the_file(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        for k in range(300):
            journal.append(decisions([k], k) if k % 7 else outcomes([k]))
        for after in (0, 40, 44, 150, 299, 300, 301):
            assert list(journal.recent(after)) == list(journal.facts(after))
        journal._known.behind = True  # As after a failed append, when another entry may be in the file.
        assert list(journal.recent(290)) == list(journal.facts(290))
    with SqliteJournal(tmp_path / "journal.db") as journal:
        journal.append(decisions([1000]))
        assert list(journal.recent(298)) == list(journal.facts(298))
