"""Decisions in a file: the columns promised, the same bytes however batched, all or nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeostat.adapters.disk import decision_files
from homeostat.adapters.disk.decision_files import DecisionsWriter
from homeostat.checks.batches import CODING
from homeostat.ports import Unavailable
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

ACTIONS, RULES, SCORES, FEATURES = ("allow", "block"), ("denied", "absurd"), ("forest",), ("amount", "count_1d")


def decisions(start: int, stop: int) -> DecisionBatch:
    """Rows `start` to `stop` of an endless sequence of decisions; every seventh id is text."""
    row = np.arange(start, stop)
    n = len(row)
    ids = [f"tx-{i}" if i % 7 == 0 else i for i in row.tolist()]
    own = CODING.ids(ids)
    texts = {CODING.identify(i): i for i in ids if isinstance(i, str)}
    zeros = np.zeros(n, np.uint8)
    events = EventBatch(
        own.code, row * 10**9, np.zeros((n, 1), np.int64), np.zeros((n, 0)), row * np.nan, zeros, texts, own.check
    )
    scores = np.where(row % 5 == 0, np.nan, row / 1e6)[:, None]
    action = (row % 2).astype(np.int16)
    rule = (row % 5 - 3).astype(np.int16)
    fallback = np.where(rule == -3, row % 64, 0).astype(np.uint8)
    return DecisionBatch(
        events,
        Features(FEATURES, np.column_stack([row * 0.5, row % 10]).astype(np.float64), np.zeros((n, 2), np.uint8)),
        Scores(SCORES, scores, np.ones((n, 1)), zeros),
        Fused(row / 2e6, np.zeros((n, 1))),
        Proposal(1 - action, np.column_stack([row % 2, 1 - row % 2]).astype(np.float64), zeros, zeros),
        Ruling(action, rule, np.zeros(n, np.uint64)),
        fallback,
        "v1" if stop <= 500 else "v2",
        1.0,
    )


def write(path: Path, cuts: list[int]) -> Path:
    with DecisionsWriter(path, ACTIONS, RULES, SCORES, FEATURES) as writer:
        for start, stop in pairwise(cuts):
            writer.write(decisions(start, stop))
        assert not path.exists()
    return path


def test_the_file_has_the_promised_columns_and_values(tmp_path: Path) -> None:
    path = write(tmp_path / "decisions.parquet", [0, 500, 1000])
    table = pq.read_table(path)
    assert table.schema.names == [
        "event_id", "time", "action", "proposed", "risk", "score.forest", "feature.amount", "feature.count_1d",
        "propensity.allow", "propensity.block", "rule", "fallback", "version", "settings",
    ]  # fmt: skip
    assert table.schema.field("time").type == pa.timestamp("ns", "UTC")
    rows = table.to_pylist()
    assert [row["event_id"] for row in rows[6:9]] == ["6", "tx-7", "8"]
    assert [row["action"] for row in rows[:2]] == ["allow", "block"]
    assert [row["proposed"] for row in rows[:2]] == ["block", "allow"]
    assert [row["rule"] for row in rows[5:10]] == ["fallback:scorer_failed+scorers_absent", "breaker", "", *RULES]
    assert rows[0]["rule"] == "fallback:settings" and rows[0]["fallback"] == ""
    assert rows[5]["fallback"] == "scorer_failed+scorers_absent"
    assert [rows[499]["version"], rows[500]["version"]] == ["v1", "v2"]
    assert rows[3]["feature.amount"] == 1.5 and rows[3]["risk"] == 1.5e-6 and np.isnan(rows[5]["score.forest"])
    assert table["time"].cast(pa.int64()).to_pylist() == [row * 10**9 for row in range(1000)]


def test_other_programs_read_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "decisions.parquet", [0, 500, 1000])
    expected = pq.read_table(path)
    assert pandas.read_parquet(path)["feature.amount"].to_list() == expected["feature.amount"].to_pylist()
    query = f"select event_id, rule, risk from '{path}'"
    assert [row[0] for row in duckdb.sql(query).fetchall()] == expected["event_id"].to_pylist()


def test_the_bytes_do_not_depend_on_how_decisions_were_batched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_files, "GROUP_ROWS", 300)
    whole = write(tmp_path / "a.parquet", [0, 500, 1000]).read_bytes()
    several = ([0, 1, 2, 299, 300, 301, 500, 901, 1000], [0, 100, 200, 300, 400, 500, 1000], [0, 500, 500, 999, 1000])
    for name, cuts in zip("bcd", several):
        assert write(tmp_path / f"{name}.parquet", cuts).read_bytes() == whole
    assert pq.ParquetFile(tmp_path / "b.parquet").num_row_groups == 4


def test_a_dictionary_holds_only_what_occurs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_files, "GROUP_ROWS", 300)
    table = pq.read_table(write(tmp_path / "decisions.parquet", [0, 500, 1000]))
    for name in ("action", "proposed", "rule", "fallback", "version"):
        for chunk in table[name].chunks:
            assert set(chunk.dictionary.to_pylist()) == set(chunk.to_pylist()), name
    read = pandas.read_parquet(tmp_path / "decisions.parquet")
    assert set(read["action"].cat.categories) == set(ACTIONS)


def test_an_empty_run_still_leaves_a_readable_file(tmp_path: Path) -> None:
    assert pq.read_table(write(tmp_path / "decisions.parquet", [0])).num_rows == 0


def test_a_run_that_fails_leaves_no_file_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with DecisionsWriter(tmp_path / "d.parquet", ACTIONS, RULES, SCORES, FEATURES) as writer:
            writer.write(decisions(0, 10))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="can't be created"):
        DecisionsWriter(tmp_path / "none" / "d.parquet", ACTIONS, RULES, SCORES, FEATURES)
