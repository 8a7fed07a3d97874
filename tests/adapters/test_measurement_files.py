"""Files of experiments: each form gives the same rows, and what can't be read is named with its row."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.measurement_files import MeasurementFileError, read_measurements

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["control", "treatment"]),
        st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False),
    ),
    max_size=20,
)
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(folder, rows):
    """The same rows in every form."""
    lines = "".join(f"{'' if v is None else v},x,{arm}\r\n" for arm, v in rows)
    texts = {
        "a.csv": f"\ufeffvalue,other,arm\r\n{lines}",
        "b.csv": "value;other;arm\n" + lines.replace(",", ";"),
        "a.jsonl": "".join(json.dumps({"arm": arm, "value": v, "more": [1]}) + "\n\n" for arm, v in rows),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    arms, values = [arm for arm, _ in rows], [None if v is None else float(v) for _, v in rows]
    pq.write_table(
        pa.table({"arm": pa.array(arms, pa.string()), "value": pa.array(values, pa.float64())}), folder / "a.parquet"
    )
    return [*texts, *(f"{name}.gz" for name in texts), "a.parquet"]


@given(ROWS)
@QUIET
def test_every_form_gives_the_same_rows(tmp_path, rows):
    for name in written(tmp_path, rows):
        arms, values = read_measurements(tmp_path / name)
        assert arms == [arm for arm, _ in rows], name
        np.testing.assert_array_equal(values, [math.nan if v is None else float(v) for _, v in rows], name)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"arm,value\ncontrol,1\ncontrol,abc\n", "row 2: 'abc' is no number"),
        ("a.csv", b"arm,value\ncontrol,1_0\n", "row 1: '1_0' is no number"),
        ("a.csv", b"arm,value\ncontrol,inf\n", "row 1: 'inf' is no number"),
        ("a.csv", b"arm,value\nb,1\n", "row 1: the arm is 'b', not control or treatment"),
        ("a.csv", b"group,value\ncontrol,1\n", "has no column arm. It has group, value"),
        ("a.csv", b"arm,value,value\ncontrol,1,1\n", "names value more than once"),
        ("a.csv", b"arm,value\ncontrol\n", "row 1: 1 values under 2 column names"),
        ("a.csv", b'arm,value\n"control,1\n', "row 1: it is no line of CSV"),
        ("a.csv", b"arm,value\ncontrol,\xff\n", "row 1: it is no line of CSV"),
        ("a.jsonl", b"{\n", "row 1: it is no JSON"),
        ("a.jsonl", b"[" * 100_000, "row 1: it is no JSON"),
        ("a.jsonl", b"[1]\n", "row 1: write an object"),
        ("a.jsonl", b'{"arm": "control"}\n', "row 1: there is no value"),
        ("a.jsonl", b'{"arm": ["control"], "value": 1}\n', "row 1: the arm is"),
        ("a.jsonl", b'{"arm": "control", "value": [1]}\n', "row 1: .* is no number"),
        ("a.jsonl", b'{"arm": "control", "value": 1' + b"0" * 400 + b"}\n", "row 1"),
        ("a.parquet", b"", "no Parquet file"),
        ("a.parquet", b"PAR1 nothing PAR1", "no Parquet file"),
        ("a.csv.gz", b"arm,value\n", "is not gzipped"),
        ("a.csv.gz", gzip.compress(b"arm,value\n" + b"control,1\n" * 999, mtime=0)[:-20], "damaged, or was cut off"),
        (
            "a.csv.gz",
            gzip.compress(b"arm,value\n" + b"control,1\n" * 999, mtime=0)[:-8] + bytes(8),
            "damaged, or was cut",
        ),
        ("a.csv", b"arm,value\n" + b"x" * (1 << 20), "a line of more than"),
        ("a.txt", b"", "the name must end in one of these"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeasurementFileError, match=said):
        read_measurements(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(MeasurementFileError, match="can't be opened"):
        read_measurements(tmp_path / name)


def rows_or_sentence(path) -> int | str:
    """How many rows were read, or the sentence of the refusal."""
    try:
        arms, values = read_measurements(path)
    except MeasurementFileError as error:
        return str(error)
    return len(arms) if len(arms) == len(values) else "arms and values differ in number"


@given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.jsonl", "a.csv.gz", "a.parquet"]))
@QUIET
def test_any_bytes_are_read_or_refused_with_a_sentence(tmp_path, content, name):
    for begin in (b"", b"arm,value\n", b'{"arm":"control","value":1}\n'):
        (tmp_path / name).write_bytes(begin + content)
        found = rows_or_sentence(tmp_path / name)
        assert isinstance(found, int) or name in found


@given(st.data())
@QUIET
def test_a_damaged_parquet_file_is_read_or_refused_with_a_sentence(tmp_path, data):
    written(tmp_path, [("control", 1.0), ("treatment", 2.0)] * 20)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "a.parquet").write_bytes(bytes(content))
    found = rows_or_sentence(tmp_path / "a.parquet")
    assert found == 40 or (isinstance(found, str) and "a.parquet" in found)


def test_an_empty_file_has_no_rows(tmp_path):
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / name).write_bytes(b"")
        arms, values = read_measurements(tmp_path / name)
        assert arms == [] and len(values) == 0
