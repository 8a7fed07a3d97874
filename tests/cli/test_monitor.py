"""`homeostat monitor`: what it prints and writes, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeostat.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    try:
        main(["monitor", *map(str, arguments)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path, Path]:
    rng = np.random.default_rng(1)
    paths = []
    for name, shift in (("reference", 0.0), ("same", 0.0), ("moved", 0.5)):
        p = rng.random(3000)
        label = (rng.random(3000) < p).astype(int)
        table = pa.table({"x": rng.normal(shift, 1, 3000), "p": p if name != "moved" else p * 0.6 + 0.2, "y": label})
        paths.append(tmp_path / f"{name}.parquet")
        pq.write_table(table, paths[-1])
    return paths[0], paths[1], paths[2]


def test_the_exit_code_says_only_what_was_asked(tables, capsys) -> None:
    reference, same, moved = tables
    assert run(capsys, same, "--reference", reference, "--fail-on", "drift")[0] == 0
    assert run(capsys, moved, "--reference", reference)[0] == 0
    code, out, _ = run(capsys, moved, "--reference", reference, "--fail-on", "drift")
    assert code == 1 and out.startswith("drift:")
    assert run(capsys, moved, "--reference", reference, "--fail-on", "alarm")[0] == 0


@pytest.mark.long
def test_an_alarm_is_printed_written_and_an_exit_code(tables, capsys, tmp_path: Path) -> None:
    reference, _, moved = tables
    model = ("--probability", "p", "--target", "y", "--chunk", "1000")
    code, out, _ = run(capsys, moved, "--reference", reference, *model, "--out", tmp_path / "out", "--json",
                       "--fail-on", "alarm")  # fmt: skip
    facts = json.loads(out)
    assert code == 1 and facts["verdict"] == "alarm" and len(facts["chunks"]) == 3
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == facts
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()


def test_a_wrong_column_is_one_sentence(tables, capsys) -> None:
    code, out, err = run(capsys, tables[1], "--reference", tables[0], "--probability", "P", "--target", "y")
    assert code == 1 and out == "" and "no column P" in err and "did you mean" not in out


def test_an_out_that_is_a_file_is_one_sentence_with_a_remedy(tables, capsys) -> None:
    reference, same, _ = tables
    code, out, said = run(capsys, same, "--reference", reference, "--out", reference)
    assert code == 1 and not out and "name another one" in said and "Errno" not in said
