"""`homeostat detect` as it is typed."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeostat import detect
from homeostat.cli import main


def run(capsys, *arguments):
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(autouse=True, scope="module")
def compiled():
    """Else a busy machine says that it compiles, beside the sentences that are looked at."""
    for kind in ("error", "number"):
        detect(np.zeros(100), kind=kind)


@pytest.fixture
def errors():
    rng = np.random.default_rng(2)
    return np.concatenate([rng.random(2000) < 0.1, rng.random(200) < 0.7]) * 1.0


def files(folder, values):
    (folder / "n.csv").write_text("id,error\n" + "".join(f"{k},{v:g}\n" for k, v in enumerate(values)))
    (folder / "n.txt").write_text("".join(f"{v:g}\n" for v in values))
    pq.write_table(pa.table({"error": values, "id": range(len(values))}), folder / "n.parquet")
    return [[folder / "n.csv", "--column", "error"], [folder / "n.txt"], [folder / "n.parquet", "--column", "error"]]


@pytest.mark.long
def test_all_formats_give_the_alarms_of_the_library(capsys, tmp_path, errors):
    expected = [alarm.as_dict() for alarm in detect(errors, kind="error")]
    assert len(expected) == 1 and 2000 <= expected[0]["row"] < 2060
    for arguments in files(tmp_path, errors):
        for kind in ([], ["--kind", "error"]):
            code, out, err = run(capsys, "detect", *arguments, *kind, "--json")
            assert (code, err) == (0, "") and json.loads(out)["alarms"] == expected


@pytest.mark.long
def test_options_reach_the_detector(capsys, tmp_path, errors):
    (path, *_) = files(tmp_path, errors)
    _, out, _ = run(capsys, "detect", *path, "--kind", "number", "--false-alarms-per", "1e9", "--json")
    expected = detect(errors, kind="number", false_alarms_per=1e9)
    assert json.loads(out)["alarms"] == [alarm.as_dict() for alarm in expected]


def test_people_see_a_table(capsys, tmp_path, errors):
    code, out, _ = run(capsys, "detect", *files(tmp_path, errors)[0])
    assert code == 0 and "since" in out and "rise" in out
    code, out, _ = run(capsys, "detect", *files(tmp_path, errors[:2000])[0])
    assert code == 0 and out == "no change was found\n"


def test_fail_on_alarm_sets_the_exit_code(capsys, tmp_path, errors):
    arguments = files(tmp_path, errors)[1]
    code, out, err = run(capsys, "detect", *arguments, "--fail-on", "alarm", "--json")
    assert code == 1 and len(json.loads(out)["alarms"]) == 1 and "the first of 1 is at row" in err
    arguments = files(tmp_path, errors[:2000])[1]
    assert run(capsys, "detect", *arguments, "--fail-on", "alarm")[0] == 0


def test_a_header_without_rows_is_not_enough_data(capsys, tmp_path):
    (tmp_path / "n.csv").write_text("a,b\n")
    code, out, _ = run(capsys, "detect", tmp_path / "n.csv", "--column", "a", "--fail-on", "alarm")
    assert code == 0 and out == "not enough data: the file has no row\n"


@pytest.mark.parametrize(
    ("text", "options", "fault"),
    [
        ("a\n1\nx\n", [], "row 1: 'x' is no number"), ("a,b\n1,2\n", ["--column", "c"], "no column 'c'"),
        ("a\n0\n7\n", ["--kind", "error"], "row 1: 7.0 is no error"),
        ("a\n1\ninf\n", ["--kind", "number"], "row 1: inf"),
        ("a\n1\n", ["--false-alarms-per", "1"], "choose from 100"),
        ("", ["--column", "a"], "is empty: a table begins with the names of its columns"),
    ],
)  # fmt: skip
def test_faults_are_one_sentence_with_what_to_do(capsys, tmp_path, text, options, fault):
    (tmp_path / "n.csv").write_text(text)
    code, out, err = run(capsys, "detect", tmp_path / "n.csv", *options)
    assert code == 1 and out == "" and fault in err and len(err.splitlines()) == 1


def test_no_row_is_a_warning_beside_the_answer_for_programs(tmp_path, capsys):
    (tmp_path / "one.csv").write_text("v\n")
    with pytest.raises(SystemExit) as ended:
        main(["detect", str(tmp_path / "one.csv"), "--json"])
    out, err = capsys.readouterr()
    assert ended.value.code in (0, None)
    assert json.loads(out) == {"rows": 0, "alarms": []} and "the file has no row" in err
