"""One column of numbers from CSV, Parquet and plain lines, and files that hold something else."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeostat.adapters.disk.number_files import NumberFileError, read_numbers


def read(path, column=None):
    pieces = list(read_numbers(Path(path), column))
    assert all(0 <= share <= 1 for _, share in pieces)
    return np.concatenate([piece for piece, _ in pieces]).tolist() if pieces else []


def same(found, expected):
    return np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a,x\nb,1\nc,\nd, 2.5 \ne,true\n", "x"), ("a;x\nb;1\nc;NaN\nd;2.5\ne;1\n", "x"), ("x\n1\n\n2.5\n1\n", None),
        ("x\r\n1\r\nnull\r\n2.5\r\n1\r\n", "x"), ("\ufeffx\n1\nNA\n2.5\n1e0\n", "x"), ("1\n\n2.5\n1\n", None),
        ('"a","x"\n"b, c","1"\n"d",""\n"e","2.5"\n"f","1"\n', "x"), ("1\nnan\n2.5\nTrue", None),
    ],
)  # fmt: skip
def test_texts_are_read(tmp_path, text, column):
    path = tmp_path / "n.csv"
    path.write_text(text)
    assert same(read(path, column), [1.0, math.nan, 2.5, 1.0])
    packed = tmp_path / "n.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert same(read(packed, column), [1.0, math.nan, 2.5, 1.0])


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None, 2, 1], pa.int8()), pa.array([1.0, None, 2.0, 1.0], pa.float32()),
        pa.array(["1", None, "2", "1"]), pa.array(["1", "", "2", "1"]).dictionary_encode(),
        pa.array([1, None, 2, 1]).cast(pa.decimal128(22, 2)),
    ],
)  # fmt: skip
def test_parquet_columns_of_many_types_are_read(tmp_path, values):
    pq.write_table(pa.table({"x": values, "other": ["a"] * 4}), tmp_path / "n.parquet")
    assert same(read(tmp_path / "n.parquet", "x"), [1.0, math.nan, 2.0, 1.0])


def test_one_number_a_line_is_the_column_whatever_it_is_called(tmp_path):
    (tmp_path / "n.txt").write_text("1\n2\n")
    assert read(tmp_path / "n.txt", "x") == read(tmp_path / "n.txt") == [1.0, 2.0]


def test_booleans_are_zero_and_one(tmp_path):
    pq.write_table(pa.table({"x": [True, None, False]}), tmp_path / "n.parquet")
    assert same(read(tmp_path / "n.parquet"), [1.0, math.nan, 0.0])


def test_files_without_rows_hold_no_numbers_and_empty_ones_are_refused(tmp_path):
    (tmp_path / "n.csv").write_text("")
    with pytest.raises(NumberFileError, match="is empty: a table begins with the names of its columns"):
        read(tmp_path / "n.csv")
    for text in ("\n\n", "x\n"):
        (tmp_path / "n.csv").write_text(text)
        assert read(tmp_path / "n.csv") == []
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), tmp_path / "n.parquet")
    assert read(tmp_path / "n.parquet", "x") == []


def test_long_files_come_in_pieces(tmp_path):
    values = np.arange(300_000.0)
    (tmp_path / "n.txt").write_text("\n".join(map(str, values)))
    pq.write_table(pa.table({"x": values}), tmp_path / "n.parquet")
    for name in ("n.txt", "n.parquet"):
        pieces = list(read_numbers(tmp_path / name, None))
        assert len(pieces) > 2 and np.array_equal(np.concatenate([piece for piece, _ in pieces]), values)
        assert pieces[-1][1] == 1.0


@pytest.mark.parametrize(
    ("text", "column", "fault"),
    [
        ("a,x\n1,2\n", "y", "has no column 'y'. It has a, x"), ("a,x\n1,2\n", None, "choose one of a, x by --column"),
        ("x,x\n1,2\n", "x", "more than once"), ("x\n1\ntwo\n", None, "row 1: 'two' is no number"),
        ("x\n1\n1_0\n", None, "row 1: '1_0' is no number"), ("1\n2\nthree\n", None, "row 2: 'three' is no number"),
        ("a,x\n1,2\n1\n", "x", "it is no CSV"),
    ],
)  # fmt: skip
def test_faults_are_named_with_what_to_do(tmp_path, text, column, fault):
    (tmp_path / "n.csv").write_text(text)
    with pytest.raises(NumberFileError) as raised:
        read(tmp_path / "n.csv", column)
    assert fault in str(raised.value)


def test_other_types_and_damaged_files_are_refused(tmp_path):
    pq.write_table(pa.table({"x": [[1.0]]}), tmp_path / "n.parquet")
    with pytest.raises(NumberFileError, match="choose one of numbers"):
        read(tmp_path / "n.parquet", "x")
    with pytest.raises(NumberFileError, match="no column 'y'"):
        read(tmp_path / "n.parquet", "y")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    packed = tmp_path / "n.csv.gz"
    packed.write_bytes(gzip.compress(b"x\n" + b"1\n" * 100_000)[:-30])
    for path in (tmp_path / "bad.parquet", tmp_path / "absent.parquet", tmp_path / "absent.csv", packed):
        with pytest.raises(NumberFileError):
            read(path, "x")
