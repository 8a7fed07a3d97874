"""Tables from files: each format gives the same rows, and what can't be read is a sentence."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from homeostat.adapters.disk.table_files import TableError, TableFile

TABLE = pa.table({"x": list(range(5000)), "text": [None if k % 7 == 0 else f"a, {k}" for k in range(5000)]})


def rows(file: TableFile, names: list[str]) -> list[tuple[object, ...]]:
    parts = list(file.blocks(names))
    assert parts[-1][1] <= 1.0
    return [row for batch, _ in parts for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]


def test_each_format_gives_the_same_rows(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet", row_group_size=700)
    feather.write_feather(TABLE, tmp_path / "a.feather", chunksize=900)
    pc.write_csv(TABLE, tmp_path / "a.csv")
    with pa.output_stream(str(tmp_path / "a.csv.gz"), compression="gzip") as stream:
        stream.write((tmp_path / "a.csv").read_bytes())
    (tmp_path / "parts").mkdir()
    pq.write_table(TABLE.slice(0, 2000), tmp_path / "parts" / "1.parquet")
    pq.write_table(TABLE.slice(2000), tmp_path / "parts" / "2.parquet")
    wanted = list(zip(TABLE["text"].to_pylist(), TABLE["x"].to_pylist(), strict=True))
    for name in ("a.parquet", "a.feather", "parts"):
        file = TableFile(tmp_path / name)
        assert file.names == ["x", "text"] and file.rows == 5000 and not file.untyped
        assert rows(file, ["text", "x"]) == wanted
    for name in ("a.csv", "a.csv.gz"):
        file = TableFile(tmp_path / name)
        assert file.rows is None and file.untyped
        assert [(text, int(x)) for text, x in rows(file, ["text", "x"])] == wanted


def test_views_of_texts_are_read_as_texts(tmp_path: Path) -> None:
    view = TABLE.set_column(1, "text", TABLE["text"].cast(pa.string_view()))
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, view.schema) as writer:
        writer.write_table(view)
    ((batch, _),) = TableFile(tmp_path / "a.arrow").blocks(["text"])
    assert batch.schema.types == [pa.large_string()] and batch.column(0).to_pylist() == TABLE["text"].to_pylist()


def test_other_delimiters_and_line_ends_in_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('x;y\n1;"two\nlines"\nNA;3,5\n')
    assert rows(TableFile(tmp_path / "a.csv"), ["x", "y"]) == [("1", "two\nlines"), (None, "3,5")]
    (tmp_path / "b.tsv").write_text("x\ty\n1\t2\n")
    assert rows(TableFile(tmp_path / "b.tsv"), ["y"]) == [("2",)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"x\n1\n", "the name must end"), ("a.csv", b"", "is empty"),
        ("a.csv", b"x,x\n1,2\n", "more than once"),
        ("a.csv", b"x,y\n1\n", "can't be read"), ("a.parquet", b"PAR1 no", "can't be read"),
        ("a.arrow", b"no", "can't be read"), ("a.csv.gz", b"no gzip", "can't be read"),
        ("a.csv", b"x\n\xff\xfe\n", "can't be read"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_a_sentence(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)

    def read() -> None:
        file = TableFile(tmp_path / name)
        list(file.blocks(file.names))

    with pytest.raises(TableError, match=says):
        read()


def test_paths_that_hold_nothing_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file"):
        TableFile(tmp_path / "a.csv")
    with pytest.raises(TableError, match="without a"):
        TableFile(tmp_path)
