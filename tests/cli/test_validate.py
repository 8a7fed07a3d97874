"""`homeostat validate`: each check finds its fault and only it, and the cleaned copy is what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.cli import main
from homeostat.jobs.validation.checks import frozen

ROWS = 600
Fault = Callable[[pd.DataFrame], pd.DataFrame]


def quiet() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    minutes = pd.date_range("2026-01-01", periods=ROWS // 2, freq="1min")
    return pd.DataFrame(
        {
            "time": minutes.repeat(2).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "host": np.tile(["a", "b"], ROWS // 2),
            "cpu": rng.uniform(20, 60, ROWS).round(4),
            "requests": rng.poisson(40, ROWS),
        }
    )


def checked(path: Path, capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> dict[str, Any]:
    with pytest.raises(SystemExit) as end:
        main(["validate", str(path), "--entity", "host", "--json", *options])
    assert (end.value.code or 0) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def of_texts(frame: pd.DataFrame) -> pd.DataFrame:
    cpu = frame.cpu.astype(object)
    cpu[[10, 20]] = "n/x"
    return frame.assign(cpu=cpu)


def out_of_range(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[[7, 8, 9], "cpu"] = [np.inf, -1, 101]
    return frame


def missing(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[[5, 6], "requests"] = np.nan
    return frame


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[4, 5, 6]]], ignore_index=True)


def strange(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[[50, 51], "requests"] *= 10
    return frame


def stuck(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[100:130:2, "cpu"] = 33.0
    return frame


def with_a_gap(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(range(200, 220)).reset_index(drop=True)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("fault", "failing", "rows"),
    [
        (None, {}, 0),
        (of_texts, {"schema"}, 2),
        (out_of_range, {"ranges"}, 3),
        (missing, {"missing"}, 2),
        (doubled, {"duplicates and order"}, 3),
        (strange, {"outliers"}, 2),
        (stuck, {"gaps and frozen values"}, 16),
        (with_a_gap, {"gaps and frozen values"}, 2),
    ],
)
def test_a_fault_fails_its_check_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: Fault | None, failing: set[str], rows: int, ending: str
) -> None:
    frame = quiet() if fault is None else fault(quiet())
    path = tmp_path / f"metrics.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.assign(cpu=frame.cpu.astype(str) if fault is of_texts else frame.cpu).to_parquet(path)
    found = checked(path, capsys, "--range", "cpu=0:100")
    assert [one["name"] for one in found["checks"]] == [
        "schema", "ranges", "missing", "duplicates and order", "outliers", "gaps and frozen values",
    ]  # fmt: skip
    failed = {one["name"]: one for one in found["checks"] if not one["passed"]}
    assert set(failed) == set(failing)
    assert all(one["rows"] == rows and one["examples"] for one in failed.values())
    assert found["passed"] is (not failing)


def test_the_cleaned_table_has_each_row_once_in_order_without_wrong_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = strange(of_texts(out_of_range(quiet())))
    frame = doubled(frame).sample(frac=1, random_state=1)
    path = tmp_path / "metrics.csv"
    frame.to_csv(path, index=False)
    found = checked(path, capsys, "--range", "cpu=0:100")
    cleaned = pd.read_csv(found["cleaned"]["file"])
    assert Path(found["cleaned"]["file"]) == tmp_path / "metrics.clean.csv"
    assert len(cleaned) == found["cleaned"]["rows"] == ROWS and cleaned.time.is_monotonic_increasing
    assert found["cleaned"]["cells_emptied"] == 5 + frame.cpu.isin(["n/x", np.inf, -1, 101]).sum() - 5
    expected = quiet().set_index(["time", "host"])
    got = cleaned.set_index(["time", "host"])
    assert got.cpu.isna().sum() == 5 and got.requests.max() == 10 * max(expected.requests[50:52])
    kept = got.cpu.dropna()
    assert np.allclose(kept, expected.cpu.reindex(kept.index))
    again = checked(Path(found["cleaned"]["file"]), capsys, "--range", "cpu=0:100")
    assert {one["name"] for one in again["checks"] if not one["passed"]} == {"missing", "outliers"}


def test_an_apps_fields_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "payments.csv"
    path.write_text("TX_DATETIME,CUSTOMER_ID,TX_AMOUNT\n2026-01-01T00:00:00Z,c1,-5\n2026-01-01T00:01:00Z,c1,7\n")
    with pytest.raises(SystemExit):
        main(["validate", str(path), "--app", "payments", "--json"])
    by_name = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert [one["column"] for one in by_name["schema"]["examples"]] == ["terminal"]
    assert by_name["ranges"]["examples"][0]["row"] == 0 and by_name["ranges"]["rows"] == 1


def test_a_page_a_table_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = missing(quiet())
    frame.loc[0, "host"] = "<script>x</script>"
    path, page = tmp_path / "metrics.csv", tmp_path / "page.html"
    frame.to_csv(path, index=False)
    checked(path, capsys, "--report", str(page), "--fail-on", "alarm", code=1)
    text = page.read_text()
    assert "FAIL" in text and "<script" not in text and "http" not in text.split("Content-Security", 1)[1][16:]
    with pytest.raises(SystemExit):
        main(["validate", str(path)])
    assert "5 of 6 checks passed" in capsys.readouterr().out


@pytest.mark.parametrize(("tag", "kept"), [("zone", 6), (None, 3)])
def test_rows_of_two_series_are_no_repeats_though_nobody_names_the_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tag: str | None, kept: int
) -> None:
    frame = pd.DataFrame({"time": np.repeat([10, 20, 30], 2), "cpu": np.arange(6.0)})
    path = tmp_path / "metrics.csv"
    (frame if tag is None else frame.assign(**{tag: list("ababab")})).to_csv(path, index=False)
    with pytest.raises(SystemExit):
        main(["validate", str(path), "--json"])
    assert json.loads(capsys.readouterr().out)["cleaned"]["rows"] == kept


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--range", "cpu"], "COLUMN=LOW:HIGH"),
        (["--range", "cpu=a:b"], "COLUMN=LOW:HIGH"),
        (["--missing-max", "2"], "from 0 to 1"),
        (["--iqr", "0"], "above 0"),
        (["--entity", "rack"], "no column rack"),
        (["--time", "when"], "no column when"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    path = tmp_path / "metrics.csv"
    quiet().to_csv(path, index=False)
    with pytest.raises(SystemExit) as end:
        main(["validate", str(path), *options])
    assert end.value.code == 1 and words in capsys.readouterr().err


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, float("nan")]), max_size=80), st.integers(25, 200))
def test_a_long_run_is_frozen_and_a_short_table_is_not(values: list[float], length: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=200)
    assert frozen(np.r_[noise, np.full(length, 7.0), noise])[200 : 200 + length].all()
    assert not frozen(noise).any()
    assert frozen(np.array(values)).shape == (len(values),)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_numbers_of_times_mean_the_same_as_for_anomalies(
    unit: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame({"ts": (1_700_000_000 + 60 * np.arange(300)) * unit, "cpu": np.arange(300) % 7, "host": "a"})
    frame = frame.drop(index=range(100, 200)).reset_index(drop=True)
    path = tmp_path / "numbers.csv"
    frame.to_csv(path, index=False)
    found = {one["name"]: one for one in checked(path, capsys)["checks"]}
    assert found["gaps and frozen values"]["rows"] == 1
    (example,) = found["gaps and frozen values"]["examples"]
    assert example["row"] == 100 and "usual step is 60 s" in example["why"]
