"""Replay: the same decisions however events are batched, whoever asks, and whichever way outcomes come."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.worlds import DAY_NS, events_file, payments, small_app, trained

from homeostat.adapters.disk.audit.findings import Verification
from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.decision_files import DecisionsWriter
from homeostat.adapters.disk.sqlite.auditing import tables_beside
from homeostat.cli.report_view import screen
from homeostat.config.tree import App
from homeostat.engine.assembly import open_engine
from homeostat.engine.folders import NotAReplay
from homeostat.errors import HomeostatError
from homeostat.jobs.replay import Request, replay_events, span_of
from homeostat.ports import Unavailable
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import secret_of_seed

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.


def run(out: Path, events: Path | None = None, app: App | None = None, **request: object) -> dict:
    request = {"bundle": trained(), **request}
    return replay_events(app or small_app(), Request(events or events_file(), out, **request), lambda what, share: None)


def test_two_replays_write_the_same_bytes_whatever_their_batches(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a"), run(tmp_path / "b", chunk_rows=777)
    one, other = ((tmp_path / name / "decisions.parquet").read_bytes() for name in "ab")
    assert one == other
    assert first["version"] == second["version"]
    assert first["actions"] == second["actions"]
    assert first["decisions"] == len(payments())


def test_events_that_the_bundle_has_learned_from_are_counted_and_named(tmp_path: Path) -> None:
    first, end = span_of(trained())
    report = run(tmp_path)
    times = pq.read_table(tmp_path / "decisions.parquet")["time"].cast(pa.int64()).to_numpy()
    times = times if times.max() > 10**17 else times * 1000
    known = int(((times >= first) & (times < end)).sum())
    assert 0 < known < len(times)
    (warning,) = (one for one in report["warnings"] if "learned" in one)
    assert f"{known:,} of the events" in warning and "homeostat evaluate --from" in warning


def test_the_same_replay_has_the_same_audit_head(tmp_path: Path) -> None:
    assert run(tmp_path / "a")["audit_head"] == run(tmp_path / "b")["audit_head"]


def verified(out: Path) -> Verification:
    return verify(out / "audit.jsonl", tables_beside(out / "audit.jsonl"))


def test_the_audit_covers_every_byte_of_decisions_and_report(tmp_path: Path) -> None:
    report = run(tmp_path)
    found = verified(tmp_path)
    assert found.ok and found.anchored and found.decisions == report["decisions"], found.why
    assert found.checked == ("journal.db", "decisions.parquet", "report.json") and not found.notes
    for name in ("decisions.parquet", "report.json"):
        path = tmp_path / name
        content = path.read_bytes()
        for at in np.linspace(0, len(content) - 1, 25).astype(int).tolist():
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert not verified(tmp_path).ok, (name, at)
        path.write_bytes(content)
    checkpoint = tmp_path / "audit.checkpoint.json"
    checkpoint.unlink()
    assert "audit.checkpoint.json: is missing" in verified(tmp_path).why


def test_how_long_a_replay_took_is_covered_though_two_replays_leave_the_same_trail(tmp_path: Path) -> None:
    for name in "ab":
        run(tmp_path / name)
    trails = [(tmp_path / name / "audit.jsonl").read_bytes() for name in "ab"]
    assert trails[0] == trails[1]
    (tmp_path / "a" / "journal.db").write_bytes((tmp_path / "b" / "journal.db").read_bytes())
    assert "took_us, in body, is not what the checkpoint says" in verified(tmp_path / "a").why


def test_serving_on_the_folder_of_a_replay_leaves_its_older_report_true(tmp_path: Path) -> None:
    run(tmp_path)
    before = verified(tmp_path).entries
    table = pq.read_table(events_file())
    last = table.slice(len(table) - 1).to_pylist()[0]
    with open_engine(small_app(), bundle=trained(), data=tmp_path) as engine:
        assert "action" in engine.decide(
            {**last, "TRANSACTION_ID": 999_999, "TX_DATETIME": last["TX_DATETIME"].isoformat()}
        )
    found = verified(tmp_path)
    assert found.ok and found.entries > before, found.why
    report = json.loads((tmp_path / "report.json").read_text())
    (tmp_path / "report.json").write_text(json.dumps({**report, "decisions": 5}))
    assert "report.json: is not what the checkpoint says" in verified(tmp_path).why


def test_a_label_column_and_a_file_of_outcomes_teach_the_same(tmp_path: Path) -> None:
    table = pq.read_table(events_file())
    known = pa.array(payments().time_s * 1_000_000 + 7 * 86_400 * 1_000_000, pa.timestamp("us"))
    outcomes = pa.table({"event_id": table["TRANSACTION_ID"], "label": table["TX_FRAUD"], "time": known})
    pq.write_table(outcomes, tmp_path / "outcomes.parquet")
    pq.write_table(table.drop_columns(["TX_FRAUD"]), tmp_path / "events.parquet")
    # A label column never tells what a block hid, a file of outcomes does: here, nothing is hidden.
    app = small_app(outcomes=small_app().outcomes.model_copy(update={"censoring": ()}))
    run(tmp_path / "column", app=app)
    report = run(tmp_path / "file", tmp_path / "events.parquet", app, outcomes=tmp_path / "outcomes.parquet")
    assert report["unknown_outcomes"] == 0
    one, other = (pq.read_table(tmp_path / name / "decisions.parquet") for name in ("column", "file"))
    for name in one.column_names:
        if name.startswith("feature."):
            np.testing.assert_array_equal(one[name].to_numpy(), other[name].to_numpy(), err_msg=name)
    assert one["risk"].equals(other["risk"])
    assert report["quality"]["auc"] > 0.5


@pytest.mark.usefixtures("unhurried")
def test_replay_equals_what_the_engine_answers_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Exploration hangs on the secret: a replay's comes from the seed, a folder's is drawn unless it is given.
    monkeypatch.setattr("homeostat.adapters.disk.sqlite.tables._drawn", lambda _: secret_of_seed(small_app().seed))
    table = pq.read_table(events_file()).slice(0, 1500).drop_columns(["TX_FRAUD_SCENARIO"])
    pq.write_table(table, tmp_path / "events.parquet")
    run(tmp_path / "out", tmp_path / "events.parquet")
    replayed = pq.read_table(tmp_path / "out" / "decisions.parquet").to_pylist()
    events = [{**row, "TX_DATETIME": row["TX_DATETIME"].isoformat()} for row in table.to_pylist()]
    with open_engine(small_app(), bundle=trained()) as engine:  # Without a folder, chance follows the seed.
        served = [*(engine.decide(event) for event in events[:300]), *engine.decide(events[300:])]
    assert [(row["event_id"], row["action"], row["risk"]) for row in replayed] == [
        (answer["event_id"], answer["action"], answer["risk"]) for answer in served
    ]


def test_training_learns_only_from_outcomes_known_by_then(tmp_path: Path) -> None:
    start_ns = int(payments().time_s.min()) * 10**9
    moment = start_ns + 28 * DAY_NS
    report = run(
        tmp_path, bundle=None, train_from_ns=start_ns + 7 * DAY_NS, train_until_ns=moment, until_ns=moment + 3 * DAY_NS
    )
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    time_ns = payments().time_s * 10**9
    known = (time_ns >= start_ns + 7 * DAY_NS) & (time_ns <= moment - 7 * DAY_NS)
    assert manifest["about"]["rows"] == known.sum()
    decided = (time_ns >= moment) & (time_ns < moment + 3 * DAY_NS)
    assert report["decisions"] == decided.sum()


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Three good events, one of them twice, a late one and one of each kind of bad line."""
    good = [
        {"event_id": k, "time": f"2026-01-30T12:00:0{k}Z", "customer": k, "terminal": 7, "amount": 10} for k in range(3)
    ]
    late = {"event_id": "late", "time": "2026-01-29T12:00:00Z", "customer": 1, "terminal": 7, "amount": 10}
    bad = [
        '{"event_id": 9',
        '{"event_id": 9, "time": "yesterday", "customer": 1, "terminal": 1, "amount": 1}',
        "[]",
        "",
    ]
    path = tmp_path / "events.jsonl.gz"
    lines = [*(json.dumps(event) for event in good), json.dumps(good[0]), json.dumps(late), *bad]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_bad_lines_are_buried_repeats_count_once_and_late_events_are_marked(messy: Path, tmp_path: Path) -> None:
    report = run(tmp_path / "out", messy)
    assert (report["events"], report["decisions"], report["dead_letters"]) == (8, 4, 3)
    assert (report["repeated"], report["late"]) == (1, 1)
    letters = [json.loads(line) for line in (tmp_path / "out" / "dead_letters.jsonl").read_text().splitlines()]
    assert [letter["line"] for letter in letters] == [6, 7, 8]
    assert all(letter["reason"] for letter in letters)


def test_batches_decided_ahead_of_each_other_see_repeats_and_late_events_all_the_same(
    messy: Path, tmp_path: Path
) -> None:
    whole, single = run(tmp_path / "whole", messy), run(tmp_path / "single", messy, chunk_rows=1)
    for name in ("events", "decisions", "dead_letters", "repeated", "late", "actions"):
        assert whole[name] == single[name], name
    one, other = ((tmp_path / name / "decisions.parquet").read_bytes() for name in ("whole", "single"))
    assert one == other


def test_outcomes_without_a_time_are_named_in_the_report_and_before_anything_is_decided(tmp_path: Path) -> None:
    outcomes, heard = tmp_path / "outcomes.csv", []
    outcomes.write_text("event_id,label,time\n" + "".join(f"{k},1,\n" for k in range(1, 6)) + "7,0,2018-05-01\n")
    report = run(tmp_path / "out", outcomes=outcomes, tell=heard.append)
    warning = report["warnings"][0]
    assert warning.startswith("5 of 6 outcomes have no time and count as known only now: they teach nothing")
    assert heard[0] == f"warning: {warning}" and f"warning: {warning}"[:60] in "\n".join(screen(report))


@pytest.mark.parametrize("broken", ["events", "outcomes", "bundle"])
def test_what_is_there_stays_where_a_new_replay_can_not_begin(broken: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(HomeostatError, match=r"bad\.parquet"):
        run(out, **{broken: bad})
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    with pytest.raises(HomeostatError):
        run(tmp_path / "nowhere", **{broken: tmp_path / "absent.parquet"})
    assert not (tmp_path / "nowhere").exists()


def test_a_disk_that_fails_for_the_decisions_file_ends_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = DecisionsWriter.write, []

    def failing(writer: DecisionsWriter, batch: DecisionBatch) -> None:
        if len(written) == 2:
            raise Unavailable("the disk is full")
        written.append(len(batch))
        write(writer, batch)

    monkeypatch.setattr(DecisionsWriter, "write", failing)
    with pytest.raises(Unavailable, match="the disk is full"):
        run(tmp_path, chunk_rows=777)
    assert written == [777, 777]
    assert not (tmp_path / "decisions.parquet").exists() and not (tmp_path / "report.json").exists()


def test_a_replay_does_not_remove_the_file_that_it_reads(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    events = out / "decisions.parquet"
    events.write_bytes(events_file().read_bytes())
    with pytest.raises(NotAReplay, match="would be read and removed"):
        run(out, events)
    assert events.read_bytes() == events_file().read_bytes()
