"""`homeostat anomalies`: the columns of its file, entities, training parts, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from homeostat.cli import main


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as end:
        main(["anomalies", *map(str, arguments)])
    assert end.value.code in (0, None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-01", periods=1200, freq="5min").strftime("%Y-%m-%d %H:%M:%S"),
            "host": np.tile(["a", "b"], 600),
            "cpu": rng.normal(50, 5, 1200).round(3),
            "disk": rng.normal(5, 1, 1200).round(3),
        }
    )
    frame.loc[1101:1105, "disk"] += 60
    path = tmp_path / "metrics.csv"
    frame.to_csv(path, index=False)
    return path


def test_each_row_has_a_score_a_band_and_contributions(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.with_name("scores.parquet")
    run(str(table), "--entity", "host", "--out", str(out), "--json", "--threshold", "0.6")
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 1200 and found["entities"] == 2 and found["metrics"] == ["cpu", "disk"]
    assert any(one["row"] <= 1101 <= one["until"] and one["metric"] == "disk" for one in found["alarms"])
    scores = pd.read_parquet(out)
    assert list(scores.columns) == [
        "row", "time", "entity", "score", "flag", "band_low.cpu", "band_low.disk", "band_high.cpu", "band_high.disk",
        "contribution.cpu", "contribution.disk", "state",
    ]  # fmt: skip
    assert scores.row.tolist() == list(range(1200)) and scores.score.between(0, 1).all()
    np.testing.assert_allclose(scores["contribution.cpu"] + scores["contribution.disk"], scores.score, atol=1e-9)
    assert (scores.state == "learning").sum() == 300 == found["warming"]
    assert scores.score.idxmax() in (1101, 1102)


def test_rows_of_the_training_part_only_teach_and_csv_says_the_same(table: Path) -> None:
    by_row, by_time, plain = (table.with_name(name) for name in ("row.csv", "time.csv", "plain.csv"))
    run(str(table), "--out", str(by_row), "--train-until", "600")
    run(str(table), "--out", str(by_time), "--train-until", "2026-01-03T02:00:00Z")
    run(str(table), "--out", str(plain))
    assert by_row.read_text() == by_time.read_text()
    one, other = pd.read_csv(by_row), pd.read_csv(plain)
    assert (one.score[:600] == 0).all() and (one.state[:600] == "learning").all()
    pd.testing.assert_frame_equal(one[600:], other[600:])


def test_tables_that_can_not_be_scored_are_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = table.with_name("texts.csv")
    texts.write_text("time,name\n2026-01-01,x\n")
    taken = table.with_name("taken.csv")
    taken.mkdir()
    for arguments, said in (
        ([str(table), "--out", str(table)], "FILE itself"),
        ([str(table), "--out", "scores.txt"], ".csv or .parquet"),
        ([str(table), "--out", str(taken)], "is a folder"),
        ([str(table), "--out", str(table.with_name("o.csv")), "--entity", "box"], "no such column"),
        ([str(table), "--out", str(table.with_name("o.csv")), "--train-until", "soon"], "ISO 8601"),
        ([str(texts), "--out", str(table.with_name("o.csv"))], "no column of numbers"),
    ):
        with pytest.raises(SystemExit, match="1"):
            main(["anomalies", *arguments])
        assert said in capsys.readouterr().err
    assert not table.with_name("o.csv").exists() and not list(table.parent.glob("*.part"))


def test_a_short_file_has_not_enough_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.csv"
    path.write_text("timestamp,value\n" + "".join(f"2026-01-01 00:{k:02}:00,{k}\n" for k in range(50)))
    run(str(path), "--out", str(tmp_path / "o.csv"))
    assert "not enough history" in capsys.readouterr().out


def test_many_metrics_are_compared_with_their_training_part_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(2500, 9)).round(4), columns=[f"m{k}" for k in range(9)])
    frame.loc[2100:2300, "m3"] += 12
    file, whole, early = tmp_path / "wide.csv", tmp_path / "scores.parquet", tmp_path / "early.parquet"
    frame.to_csv(file, index=False)
    run(str(file), "--out", str(whole), "--train-until", "1500")
    scores = pd.read_parquet(whole)
    assert (scores.state[:1500] == "learning").all() and (scores.score[:1500] == 0).all()
    assert scores["band_low.m3"][:1500].isna().all() and (scores["band_high.m3"][1500:] < 5).all()
    assert scores.score[2110:2300].min() > scores.score[1500:2000].max()  # To the end, though it lasts for 200 rows.
    run(str(file), "--out", str(early), "--train-until", "900")  # Too few to be all of the memory.
    assert (pd.read_parquet(early).score[900:] > 0).any()
