"""Event files of every format: the same events, each bad row its dead letter, damage reported."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from homeostat.adapters.disk.event_files import EventFileError, read_events, read_outcomes
from homeostat.adapters.disk.event_lines import LINE_MAX, blocks
from homeostat.checks.bad_events import NOW_NS, SCHEMA, bad_lines, good_event
from homeostat.decide.intake.schema import EntityColumn, EventSchema, FieldColumn
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.identity import Coding

Row: TypeAlias = tuple[object, ...]
CODING = Coding.of_seed(0)
PAYMENTS = EventSchema(
    CODING,
    id=("event_id", "TRANSACTION_ID"),
    time=("time", "TX_DATETIME"),
    entities=(
        EntityColumn("customer", ("customer", "CUSTOMER_ID")),
        EntityColumn("terminal", ("terminal", "TERMINAL_ID")),
    ),
    fields=(FieldColumn("amount", ("amount", "TX_AMOUNT"), "number", min=0, max=1e7),),
    label=("fraud", "TX_FRAUD"),
)
HEADER = b"event_id,time,customer,amount\n"
ROW = b"1,2026-01-01,2,3.5\n"


def read(
    path: Path, schema: EventSchema = SCHEMA, chunk_rows: int = 1000
) -> tuple[list[tuple[object, ...]], list[DeadLetter]]:
    rows: list[tuple[object, ...]] = []
    letters: list[DeadLetter] = []
    for batch, bad in read_events(path, schema, NOW_NS, chunk_rows):
        assert len(batch) <= chunk_rows
        rows += as_rows(batch)
        letters += bad
    return rows, letters


def as_rows(batch: EventBatch) -> list[Row]:
    columns = (batch.time_ns, batch.keys.tolist(), batch.numbers.astype(str).tolist(), batch.label.astype(str))
    return [(batch.id_text(row), *(column[row] for column in columns)) for row in range(len(batch))]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.long
@pytest.mark.parametrize("chunk_rows", [7, 100_000])
def test_the_same_events_in_every_format_are_the_same_batches(tmp_path: Path, chunk_rows: int) -> None:
    rng = np.random.default_rng(5)
    events = [good_event(number, rng) for number in range(300)]
    names = list(SCHEMA.names())
    texts = [{k: str(v) for k, v in event.items() if v is not None and k in names} for event in events]
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    csv_lines = "\n".join(
        [",".join(names), *(",".join(text.get(name, "") for name in names) for text in texts)]
    ).encode()
    columns = {name: [event.get(name) for event in events] for name in names}
    for name in ("event_id", "customer"):
        columns[name] = [str(value) for value in columns[name]]
    columns["fraud"] = [None if value is None else bool(value) for value in columns["fraud"]]
    columns["amount"] = [float(str(value)) for value in columns["amount"]]
    pq.write_table(
        pa.table({k: v for k, v in columns.items() if any(x is not None for x in v)}), tmp_path / "e.parquet"
    )
    expected, letters = read(write(tmp_path / "e.jsonl", lines), chunk_rows=chunk_rows)
    assert len(expected) == 300 and letters == []
    for name, data in (("e.csv", csv_lines), ("e.csv.gz", csv_lines), ("e.jsonl.gz", lines), ("e.ndjson", lines)):
        assert read(write(tmp_path / name, data), chunk_rows=chunk_rows) == (expected, [])
    assert read(tmp_path / "e.parquet", chunk_rows=chunk_rows) == (expected, [])


def test_parquet_columns_of_any_type_that_can_hold_the_value_are_read(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    naive = at.replace(tzinfo=None)
    ids: list[pa.Array] = [
        pa.array([1, 2], kind) for kind in (pa.int8(), pa.uint16(), pa.int64(), pa.uint64(), pa.float64())
    ]
    ids += [pa.array(["1", "2"], kind) for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary())]
    ids += [pa.array(["1", "2"]).dictionary_encode(), pa.array([Decimal(1), Decimal(2)], pa.decimal128(20, 2))]
    moments: list[pa.Array] = [pa.array([naive] * 2, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")]
    moments += [pa.array([at] * 2, pa.timestamp("ms", "Europe/Paris")), pa.array([date(2026, 1, 1)] * 2, pa.date32())]
    moments += [
        pa.array([date(2026, 1, 1)] * 2, pa.date64()),
        pa.array(["2026-01-01T01:00:00+01:00"] * 2, pa.large_string()),
    ]
    moments += [
        pa.array([at.timestamp()] * 2),
        pa.array([int(at.timestamp())] * 2),
        pa.array(["2026-01-01"] * 2).dictionary_encode(),
    ]
    amounts: list[pa.Array] = [pa.array([3, 4], kind) for kind in (pa.uint8(), pa.float32(), pa.int64(), pa.uint64())]
    amounts += [pa.array([Decimal("3.00"), Decimal("4.00")]), pa.array([3.0, 4.0]).dictionary_encode()]
    sound = {"event_id": ids[0], "time": moments[0], "customer": ids[0], "terminal": ids[0], "amount": amounts[0]}
    expected = None
    cases = [("event_id", x) for x in ids] + [("customer", x) for x in ids]
    cases += [("time", x) for x in moments] + [("amount", x) for x in amounts]
    for name, column in cases:
        pq.write_table(pa.table(sound | {name: column}), tmp_path / "e.parquet")
        got = read(tmp_path / "e.parquet", PAYMENTS)
        expected = expected or got
        assert got == expected and got[1] == [], column.type
    assert expected is not None and len(expected[0]) == 2


def test_a_parquet_column_with_gaps_gives_dead_letters_where_a_value_is_required(tmp_path: Path) -> None:
    table = pa.table(
        {
            "event_id": [1.0, 2.0, None, 4.5, 5.0],
            "time": pa.array([0, 93 * 10**14, 5, 6, None], pa.timestamp("us")),
            "customer": pa.array([1, 2, 3, 4, 5], pa.duration("ns")),
            "CUSTOMER_ID": ["a", "b", "c", "d", "e"],
            "terminal": [1, 2, 3, 4, 5],
            "amount": [1.0, float("nan"), 3.0, float("inf"), -1.0],
        }
    )
    pq.write_table(table.drop_columns(["customer"]), tmp_path / "e.parquet")
    rows, letters = read(tmp_path / "e.parquet", PAYMENTS)
    assert [row[0] for row in rows] == ["1"]
    assert [(x.line, x.field, x.reason) for x in letters] == [
        (2, "time", "bad_time"),
        (3, "event_id", "missing"),
        (4, "event_id", "wrong_type"),
        (5, "time", "missing"),
    ]
    pq.write_table(table, tmp_path / "e.parquet")
    rows, letters = read(tmp_path / "e.parquet", PAYMENTS)
    assert rows == [] and letters[0] == DeadLetter(1, "customer", "duration[ns]", "wrong_type")


def test_text_ids_get_the_codes_that_identity_says(tmp_path: Path) -> None:
    texts = [
        "1",
        "-1",
        "0",
        "-0",
        "01",
        "+1",
        " 1",
        "1 ",
        "a",
        str(2**61 - 1),
        str(2**61),
        str(-(2**61)),
        "9" * 30,
        "é",
        "١",
    ]
    n = len(texts)
    table = pa.table(
        {"event_id": texts, "time": ["2026-01-01"] * n, "customer": texts, "terminal": texts, "amount": [1] * n}
    )
    pq.write_table(table, tmp_path / "e.parquet")
    ((batch, letters),) = read_events(tmp_path / "e.parquet", PAYMENTS, NOW_NS)
    assert letters == []
    assert batch.ids.tolist() == [SCHEMA.coding.identify(text) for text in texts]
    assert batch.keys[:, 1].tolist() == batch.id_code.tolist()
    assert [batch.id_text(row) for row in range(n)] == texts


def test_csv_rows_that_are_ragged_broken_or_wrong_become_dead_letters(tmp_path: Path) -> None:
    lines = [
        HEADER + ROW,
        b"2,2026-01-01,2\n",
        b"3,2026-01-01,2,1,9\n",
        b"\n  \n",
        b'"4",2026-01-01,"a ""b"", c",1\r\n',
        b'5,2026-01-01,"open,1\n',
        b'6,2026-01-01,x"y,"\n',
        b"7,2026-01-01,\xff,1\n",
        b"8,2026-01-01,2,nan\n",
        b"9,2026-01-01,2,\n",
        b" 10 , 1767225600.5 , 2 , +1e1 \n",
        b"11,2026-01-01,\0,1\n",
        b"12,2026-01-01,a\rb,1\n",
        b"13,2026-01-01,2,1",
    ]
    rows, letters = read(write(tmp_path / "e.csv", b"".join(lines)))
    assert [row[0] for row in rows] == ["1", "4", "10", "13"]
    assert rows[2][1] == 1767225600_500000000
    assert [(x.line, x.field, x.reason) for x in letters] == [
        (3, "event", "malformed"),
        (4, "event", "malformed"),
        (8, "event", "malformed"),
        (9, "event", "malformed"),
        (10, "event", "malformed"),
        (11, "amount", "wrong_type"),
        (12, "amount", "missing"),
        (14, "customer", "malformed"),
        (15, "event", "malformed"),
    ]


def test_a_stray_quote_costs_only_its_own_line(tmp_path: Path) -> None:
    lines = [HEADER, ROW, b'2,2026-01-01,a"b,"3\n', ROW, ROW]
    rows, letters = read(write(tmp_path / "e.csv", b"".join(lines)))
    assert len(rows) == 3 and [letter.line for letter in letters] == [3]


@pytest.mark.long
def test_overlong_lines_a_byte_order_mark_and_a_last_line_without_end_are_handled(tmp_path: Path) -> None:
    good = json.dumps({"event_id": 1, "time": "2026-01-01", "customer": 1, "amount": 1}).encode()
    long = b'{"x": "' + b"y" * LINE_MAX + b'"}'
    data = b"\xef\xbb\xbf" + b"\n".join([good, long, b"", good, b"z" * (3 * LINE_MAX), good])
    rows, letters = read(write(tmp_path / "e.jsonl", data))
    assert len(rows) == 3
    assert [(x.line, x.field, x.reason) for x in letters] == [(2, "event", "malformed"), (5, "event", "malformed")]
    assert all(len(letter.value) <= 120 for letter in letters)
    small = list(blocks(tmp_path / "e.jsonl", size=1000))
    assert [line for block in small for line in block.lines] == [good, b"", good, good]
    assert [number for block in small for number in block.numbers] == [1, 3, 4, 6]


@pytest.mark.parametrize("size", [3, 4, 1000])
def test_blocks_of_any_size_give_the_same_lines(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "e.jsonl", b"\xef\xbb\xbfone\n\ntwo\r\nthree")
    lines = [line for block in blocks(path, size) for line in block.lines]
    assert lines == [b"one", b"", b"two\r", b"three"]


@pytest.mark.long
def test_the_rows_before_a_break_in_a_gzipped_file_count_and_the_break_is_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    lines = b"".join(json.dumps(good_event(number, rng)).encode() + b"\n" for number in range(5000))
    whole = gzip.compress(lines, 6)
    for name, data in (
        ("cut.jsonl.gz", whole[: len(whole) // 2]),
        ("bad.jsonl.gz", whole[:60_000] + b"\xff" * 99 + whole[60_099:]),
    ):
        (tmp_path / name).write_bytes(data)
        rows, letters = read(tmp_path / name)
        assert 0 < len(rows) < 5000
        assert [(x.line, x.field, x.reason) for x in letters][-1] == (len(rows) + len(letters), "event", "malformed")
        assert "cut off or damaged" in letters[-1].value


def test_files_that_are_no_event_files_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "e.jsonl.gz").write_bytes(b"{}")
    (tmp_path / "e.txt").write_bytes(b"")
    (tmp_path / "a.csv").write_bytes(b"event_id,time,who\n")
    (tmp_path / "b.csv").write_bytes(b"event_id,time,customer,amount,amount\n")
    (tmp_path / "c.csv").write_bytes(b'event_id,"time\n')
    cases = {
        "e.parquet": "write it again", "e.jsonl.gz": "rename it", "e.txt": "must end in",
        "a.csv": "amount or TX_AMOUNT",
        "b.csv": "amount more than once", "c.csv": "no CSV header", "none.parquet": "Check the path",
        "none.csv": "Check the path", "none.jsonl.gz": "Check the path",
    }  # fmt: skip
    for name, says in cases.items():
        with pytest.raises(EventFileError, match=says):
            list(read_events(tmp_path / name, SCHEMA, NOW_NS))


def test_empty_files_hold_no_events(tmp_path: Path) -> None:
    for name in ("e.jsonl", "e.csv", "e.jsonl.gz"):
        assert read(write(tmp_path / name, b"")) == ([], [])
        assert read(write(tmp_path / name, b"\n\n")) == ([], [])
    assert read(write(tmp_path / "e.csv", HEADER)) == ([], [])


@pytest.mark.long
def test_a_parquet_footer_that_leaves_rows_out_is_refused(tmp_path: Path) -> None:
    """One bit of a footer makes a part shorter, and a reader that trusts it loses rows without a word."""
    path = tmp_path / "e.parquet"
    columns = {"event_id": range(300), "time": [1_500_000_000.0] * 300, "customer": range(300), "amount": [1.0] * 300}
    pq.write_table(pa.table({name: list(column) for name, column in columns.items()}), path, row_group_size=100)
    whole, shorter = path.read_bytes(), 0
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for at in range(footer, len(whole) - 8):
        for bit in (2, 5):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            try:
                said = pq.read_metadata(path)
                held = sum(said.row_group(part).num_rows for part in range(said.num_row_groups))
            except Exception:  # Damage that Arrow itself finds.
                continue
            if held != said.num_rows:
                shorter += 1
                with pytest.raises(EventFileError, match="Copy it again"):
                    read(path, PAYMENTS)
    assert shorter >= 3


def test_a_damaged_parquet_page_is_reported_with_the_row(tmp_path: Path) -> None:
    n = 50_000
    table = pa.table(
        {"event_id": range(n), "time": ["2026-01-01"] * n, "customer": range(n), "amount": np.arange(n) * 1.1}
    )
    pq.write_table(table, tmp_path / "e.parquet", compression="zstd", row_group_size=10_000, use_dictionary=False)
    data = bytearray((tmp_path / "e.parquet").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = os.urandom(2000)
    (tmp_path / "e.parquet").write_bytes(data)
    with pytest.raises(EventFileError, match="damaged after row"):
        list(read_events(tmp_path / "e.parquet", SCHEMA, NOW_NS, 5000))


@pytest.mark.parametrize("delimiter", [b";", b"\t", b"|"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_csv_of_other_delimiters_and_line_ends_is_the_same(tmp_path: Path, delimiter: bytes, end: bytes) -> None:
    plain = HEADER + ROW + b'"2",2026-01-02,2,4.5\n' + b"3,2026-01-03,2\n"
    expected = read(write(tmp_path / "e.csv", plain))
    assert [row[0] for row in expected[0]] == ["1", "2"] and [letter.line for letter in expected[1]] == [4]
    data = plain.replace(b",", delimiter).replace(b"\n", end)
    for name in ("f.csv", "f.csv.gz"):
        rows, letters = read(write(tmp_path / name, data))
        assert rows == expected[0]
        assert [(x.line, x.reason, x.detail) for x in letters] == [(x.line, x.reason, x.detail) for x in expected[1]]


def test_a_decimal_comma_is_named_as_the_cause(tmp_path: Path) -> None:
    data = b"event_id;time;customer;amount\n1;2026-01-01;2;3,5\n"
    assert read(write(tmp_path / "e.csv", data))[1] == [
        DeadLetter(2, "amount", "3,5", "wrong_type", "it has a comma where a point is read")
    ]


def test_json_lines_that_all_end_with_a_carriage_return_are_read(tmp_path: Path) -> None:
    line = json.dumps({"event_id": 1, "time": "2026-01-01", "customer": 1, "amount": 1}).encode()
    for data in (line + b"\r" + line, line + b"\r\n" + line, line + b"\r" + line + b"\r", line + b"\r"):
        rows, letters = read(write(tmp_path / "e.jsonl", data))
        assert len(rows) == data.count(b"event_id") and letters == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["e.csv", "e.jsonl", "e.csv.gz"])
def test_a_file_in_another_encoding_says_so(tmp_path: Path, encoding: str, name: str) -> None:
    text = (HEADER + ROW).decode() if "csv" in name else '{"event_id": 1}\n'
    with pytest.raises(EventFileError, match="UTF-16 or UTF-32: save it as UTF-8"):
        read(write(tmp_path / name, text.encode(encoding)))


def test_what_the_parser_knows_of_a_bad_line_is_in_its_letter(tmp_path: Path) -> None:
    lines = [HEADER, b"1,2026-01-01,2\n", b'2,2026-01-01,a"b,"3\n', b"3,2026-01-01,\xff,1\n", b"x" * (LINE_MAX + 1)]
    details = [letter.detail for letter in read(write(tmp_path / "e.csv", b"".join(lines)))[1]]
    assert details[0] == "it has 3 values, where the header has 4"
    assert details[1].startswith("it is no record of CSV") and details[2] == "it is no UTF-8 (byte 13)"
    assert details[3] == "it is longer than 1 MiB"


def test_a_header_of_a_hundred_thousand_names_is_read_in_passes(tmp_path: Path) -> None:
    names = ",".join(f"c{k}" for k in range(120_000)).encode()
    rows, letters = read(write(tmp_path / "e.csv", b"event_id,time,customer,amount," + names + b"\n" + ROW))
    assert rows == [] and letters[0].detail == "it has 4 values, where the header has 120004"


def test_a_parquet_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    columns = [pa.array(["1"]), pa.array(["2026-01-01"]), pa.array(["2"]), pa.array([1.0]), pa.array([2.0])]
    names = ["event_id", "time", "customer", "amount", "amount"]
    pq.write_table(pa.Table.from_arrays(columns, names=names), tmp_path / "e.parquet")
    with pytest.raises(EventFileError, match="amount more than once"):
        read(tmp_path / "e.parquet")


def test_unsigned_ids_beyond_63_bits_are_ids(tmp_path: Path) -> None:
    ids = pa.array([2**63, 2**64 - 1, 7], pa.uint64())
    table = pa.table({"event_id": ids, "time": ["2026-01-01"] * 3, "customer": ids, "amount": [1.0] * 3})
    pq.write_table(table, tmp_path / "e.parquet")
    rows, letters = read(tmp_path / "e.parquet")
    assert letters == [] and [row[0] for row in rows] == [str(2**63), str(2**64 - 1), "7"]


def test_outcomes_are_read_from_files_too(tmp_path: Path) -> None:
    data = b"event_id,label,time,amount\n1,1,2026-01-01,\n2,x,2026-01-01,\nabc,false,,7\n"
    ((batch, letters),) = read_outcomes(write(tmp_path / "o.csv", data), PAYMENTS, NOW_NS)
    assert batch.id_code.tolist() == [1, PAYMENTS.coding.identify("abc")[0]] and batch.label.tolist() == [1, 0]
    assert batch.known_ns.tolist() == [1767225600 * 10**9, NOW_NS]
    assert [(letter.line, letter.field, letter.reason) for letter in letters] == [(3, "fraud", "wrong_type")]


def test_bad_lines_in_a_file_never_stop_it(tmp_path: Path) -> None:
    lines = [line for line in bad_lines(3000, seed=9) if b"\n" not in line]
    rows, letters = read(write(tmp_path / "e.jsonl", b"\n".join(lines)))
    assert rows == [] and [letter.line for letter in letters] == list(range(1, len(lines) + 1))


def test_the_benchmark_file_is_read_alike_from_every_format(tmp_path: Path) -> None:
    folder = os.environ.get("HOMEOSTAT_DATA")
    if folder is None:
        pytest.skip("HOMEOSTAT_DATA is not set: the benchmark's transactions are read from there")
    table = pq.read_table(next(Path(folder).glob("fraud_transactions_*.parquet"))).slice(0, 20_000)
    pq.write_table(table, tmp_path / "e.parquet")
    arrow_csv.write_csv(table, tmp_path / "e.csv")
    expected, letters = read(tmp_path / "e.parquet", PAYMENTS, 5000)
    assert len(expected) == 20_000 and letters == []
    assert read(tmp_path / "e.csv", PAYMENTS, 3000) == (expected, [])


@pytest.mark.parametrize("name", ["e.csv", "e.parquet"])
def test_rows_stand_in_for_an_id_and_a_time_where_the_app_asks_for_it(tmp_path: Path, name: str) -> None:
    fields = (FieldColumn("amount", ("amount",)),)
    asked = EventSchema(CODING, ("id",), ("time",), fields=fields, id_from_rows=True, time_from_rows=True)
    if name == "e.csv":
        write(tmp_path / name, b"\namount\n1.5\nbad\n\n2.5\n")
        expected, refused = ["1", "4"], [4]
    else:
        pq.write_table(pa.table({"amount": [1.5, None, 2.5]}), tmp_path / name)
        expected, refused = ["1", "3"], [2]
    for chunk_rows in (1, 1000):
        rows, letters = read(tmp_path / name, asked, chunk_rows)
        assert [row[0] for row in rows] == expected and [letter.line for letter in letters] == refused
        assert [row[1] for row in rows] == [int(number) * 10**9 for number in expected]
    with pytest.raises(EventFileError, match="no column called id, and none called time"):
        read(tmp_path / name, EventSchema(CODING, ("id",), ("time",), fields=fields))
