"""`homeostat compare` as it is typed."""

from __future__ import annotations

import json

from homeostat.cli import main

KEYS = {"verdict", "estimate", "low", "high", "n", "stopped_at", "why"}


def run(capsys, *arguments):
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def file_of(folder, rows):
    path = folder / "experiment.csv"
    path.write_text("arm,value\n" + "".join(f"{arm},{value}\n" for arm, value in rows))
    return path


def test_json_has_the_verdict_and_all_it_rests_on(capsys, tmp_path):
    path = file_of(tmp_path, [("control", 0), ("treatment", 1)] * 60)
    code, out, err = run(capsys, "compare", path, "--json")
    found = json.loads(out)
    assert code == 0 and err == "" and found.keys() >= KEYS
    assert (found["verdict"], found["estimate"], found["n"]) == ("PASS", 1.0, {"control": 60, "treatment": 60})
    assert found["stopped_at"] == 22 and 0 < found["low"] <= 1 <= found["high"]
    code, out, _ = run(capsys, "compare", path, "--better", "lower", "--margin", ".2", "--alpha", ".01", "--json")
    assert code == 0 and json.loads(out)["verdict"] == "FAIL"


def test_people_see_the_verdict_a_table_and_the_interval_as_it_narrows(capsys, tmp_path):
    path = file_of(tmp_path, [("control", 0), ("treatment", 1)] * 60)
    code, out, err = run(capsys, "compare", path)
    lines = out.splitlines()
    assert code == 0 and err == "" and lines[0].startswith("PASS: treatment is better than control")
    assert any("difference after so many rows" in line for line in lines)
    assert lines[-1].split()[0] == "120" and "|" in lines[-1] and "[" in lines[-1]


def test_an_empty_file_is_inconclusive(capsys, tmp_path):
    code, out, _ = run(capsys, "compare", file_of(tmp_path, []))
    assert code == 0 and out.startswith("INCONCLUSIVE: there is no value at all")


def test_a_file_that_cannot_be_compared_ends_with_a_sentence(capsys, tmp_path):
    code, out, err = run(capsys, "compare", file_of(tmp_path, [("control", 0), ("other", 1)]), "--json")
    assert code == 1 and out == "" and "row 2: the arm is 'other'" in err
    code, _, err = run(capsys, "compare", file_of(tmp_path, [("control", 2)]), "--metric", "rate")
    assert code == 1 and "a rate has values from 0 to 1" in err
