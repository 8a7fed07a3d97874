"""One table of what may be an id or key, held against every road on which events come in."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeostat.adapters.disk.event_files import read_events
from homeostat.decide.intake.lines import FEW, parse_events, read_lines
from homeostat.decide.intake.objects import read_objects
from homeostat.decide.intake.schema import EntityColumn, EventSchema
from homeostat.records.identity import Coding
from homeostat.worker.encodings import ENCODINGS

SCHEMA = EventSchema(Coding.of_seed(0), ("id",), ("at",), (EntityColumn("who", ("who",)),))
NOW_NS, AT = 1_800_000_000 * 10**9, "2026-01-30T12:00:00Z"

# As JSON writes it, and the text of the key, or why it is none.
JSON_TABLE = {
    "5": "5", '"5"': "5", '"05"': "05", '"5.0"': "5.0", "-5": "-5", '"-5"': "-5", '"-0"': "-0", "0": "0",
    "5.0": "wrong_type", "5e0": "wrong_type", "5E0": "wrong_type", "-0.0": "wrong_type", "5.5": "wrong_type",
    "9007199254740992.0": "wrong_type", "1e300": "wrong_type", "true": "wrong_type", "[5]": "wrong_type",
    "9007199254740993": "9007199254740993", '"9007199254740993"': "9007199254740993",
    "2305843009213693952": "2305843009213693952", '"2305843009213693952"': "2305843009213693952",
}  # fmt: skip
TEXT_TABLE = {"5": "5", "05": "05", "5.0": "5.0", "5e0": "5e0", "-5": "-5", "-0": "-0", "true": "true"}
FLOAT_TABLE = {
    5.0: "5", -5.0: "-5", -0.0: "0", 5.5: "wrong_type", 2.0**53: str(2**53), 2.0**53 + 2: "out_of_range",
    1e300: "out_of_range",
}  # fmt: skip


def outcome(read) -> str:
    """The text of the one event's id, which is its key's too; or the reason of its dead letter."""
    batch, letters, *_ = read
    if len(batch) == 0:
        return letters[0].reason
    assert batch.ids.at(0) == (batch.keys[0, 0], batch.key_checks[0, 0])
    return batch.id_text(0)


def line(value: str) -> bytes:
    return f'{{"id": {value}, "who": {value}, "at": "{AT}"}}'.encode()


def of_file(path):
    (found,) = read_events(path, SCHEMA, NOW_NS)
    return found


@pytest.mark.parametrize(("value", "expected"), JSON_TABLE.items())
def test_json_gives_one_answer_as_body_lines_file_and_message(value, expected, tmp_path):
    raw = line(value)
    (tmp_path / "one.jsonl").write_bytes(raw + b"\n")
    many = [raw] + [line(str(k)) for k in range(1000, 1000 + FEW)]
    roads = {
        "object": read_objects([json.loads(raw)], SCHEMA, NOW_NS),
        "body": parse_events(raw, SCHEMA, NOW_NS),
        "array": parse_events(b"[" + raw + b"]", SCHEMA, NOW_NS),
        "few lines": read_lines([raw], SCHEMA, NOW_NS),
        "file": of_file(tmp_path / "one.jsonl"),
        "message": ENCODINGS["json"].events([raw], SCHEMA, NOW_NS),
    }
    assert {road: outcome(read) for road, read in roads.items()} == dict.fromkeys(roads, expected)
    for read in (read_lines(many, SCHEMA, NOW_NS), ENCODINGS["json"].events(many, SCHEMA, NOW_NS)):
        batch, letters = read
        assert len(batch) + len(letters) == len(many)
        assert (letters[0].reason if letters else batch.id_text(0)) == expected


@pytest.mark.parametrize(("value", "expected"), TEXT_TABLE.items())
def test_text_gives_one_answer_as_csv_and_as_a_column(value, expected, tmp_path):
    (tmp_path / "one.csv").write_text(f"id,who,at\n{value},{value},{AT}\n")
    pq.write_table(pa.table({"id": [value], "who": [value], "at": [AT]}), tmp_path / "one.parquet")
    assert outcome(of_file(tmp_path / "one.csv")) == outcome(of_file(tmp_path / "one.parquet")) == expected


@pytest.mark.parametrize(("value", "expected"), FLOAT_TABLE.items())
def test_a_column_of_floats_holds_whole_numbers_because_of_its_gaps(value, expected, tmp_path):
    table = pa.table({"id": pa.array([value], pa.float64()), "who": pa.array([value], pa.float64()), "at": [AT]})
    pq.write_table(table, tmp_path / "one.parquet")
    assert outcome(of_file(tmp_path / "one.parquet")) == expected


@pytest.mark.parametrize(("kind", "limit"), [("float32", 2**24), ("float16", 2**11)])
def test_ids_that_a_narrow_column_has_rounded_are_refused(kind: str, limit: int, tmp_path):
    path = tmp_path / "ids.parquet"
    ids = np.array([limit - 1, limit, limit + 1], kind)
    pq.write_table(pa.table({"id": pa.array(ids), "at": [1_700_000_000] * 3, "who": ["a"] * 3}), path)
    ((batch, letters),) = read_events(path, SCHEMA, NOW_NS)
    assert batch.id_code.tolist() == [limit - 1]
    assert [(letter.line, letter.field) for letter in letters] == [(2, "id"), (3, "id")]


def test_a_byte_order_mark_in_the_first_value_of_a_csv_belongs_to_the_value(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("id,at,who\n\ufeff7,1700000000,a\n7,1700000000,a\n", encoding="utf-8")
    ((batch, letters),) = read_events(path, SCHEMA, NOW_NS)
    assert not letters and [batch.id_text(row) for row in range(2)] == ["\ufeff7", "7"]
