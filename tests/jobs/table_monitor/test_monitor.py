"""Tables against a reference: degenerate columns, late labels, and estimates that never read a label."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import homeostat
from homeostat.adapters.disk.table_files import TableError
from homeostat.jobs.table_monitor.chunking import ByRows, ByValue, Outputs
from homeostat.jobs.table_monitor.result import Monitored
from homeostat.jobs.table_monitor.sampling import Sampler

CENSUS = Path(os.environ.get("HOMEOSTAT_DATA", "")) / "census"
needs_census = pytest.mark.skipif(not CENSUS.is_dir(), reason="HOMEOSTAT_DATA does not hold census")
MODEL = {"probability": "p", "target": "y"}


def verdicts(found: Monitored) -> dict[str, str]:
    return {column.name: column.verdict for column in found.columns}


def drift(found: Monitored, name: str) -> float:
    (one,) = [column for column in found.columns if column.name == name]
    return one.drift


def odd_columns(n: int, seed: int, **others: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    begun = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return {
        "missing": [None] * n, "constant": [3] * n, "mixed": [(1, "a", 2.5, None)[k % 4] for k in range(n)],
        "category": rng.choice(["a", "b", "c"], n).tolist(), "truth": (rng.random(n) < 0.4).tolist(),
        "date": [(begun + dt.timedelta(days=int(k))).date() for k in rng.integers(0, 300, n)],
        "time": [begun + dt.timedelta(hours=int(k)) for k in rng.integers(0, 300, n)],
        "text id": [f"{seed}-{k}" for k in range(n)], "counter": list(range(seed * n, seed * n + n)),
        "infinite": np.where(rng.random(n) < 0.01, np.inf, rng.normal(size=n)).tolist(), "list": [[1]] * n, **others,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("frame", [dict, pd.DataFrame])
def test_odd_columns_of_the_same_law_do_not_drift(frame: Any) -> None:
    found = homeostat.monitor(frame(odd_columns(3000, 1)), frame(odd_columns(3000, 2)))
    assert {name for name, verdict in verdicts(found).items() if verdict != "no drift"} == {"list", "counter"}
    assert found.verdict == "no drift" and "list" in found.warnings[0]


def test_odd_columns_that_change_drift() -> None:
    n = 3000
    changed = odd_columns(
        n, 1, missing=[1.0] * n, constant=[4] * n, category=["new"] * 300 + ["a", "b", "c"] * 900,
        truth=[True] * n, date=[None] * n, mixed=["b"] * n, time=[dt.datetime(2025, 1, 1, tzinfo=dt.UTC)] * n,
    )  # fmt: skip
    found = homeostat.monitor(changed, odd_columns(n, 2))
    assert {name for name, verdict in verdicts(found).items() if verdict == "drift"} == {
        "missing", "constant", "category", "truth", "date", "mixed", "time",
    }  # fmt: skip
    assert drift(found, "category") == pytest.approx(0.1, abs=0.03)
    assert found.verdict == "drift" and found.drifts and not found.alarms


def test_all_kinds_of_frames_and_files_give_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    reference = pa.table({"x": np.round(rng.normal(size=2000), 3), "g": rng.choice(["a", "b"], 2000)})
    analysis = pa.table({"x": np.round(rng.normal(0.4, 1, 2000), 3), "g": rng.choice(["a", "b"], 2000)})
    pd.DataFrame(analysis.to_pandas()).to_csv(tmp_path / "a.csv.gz", index=False)
    import pyarrow.parquet as pq

    pq.write_table(reference, tmp_path / "r.parquet", row_group_size=300)
    found = [
        homeostat.monitor(analysis, reference), homeostat.monitor(analysis.to_pandas(), reference.to_pydict()),
        homeostat.monitor(tmp_path / "a.csv.gz", str(tmp_path / "r.parquet")),
    ]  # fmt: skip
    assert found[0].columns == found[1].columns == found[2].columns
    assert verdicts(found[0]) == {"x": "drift", "g": "no drift"}


@pytest.mark.long
def test_frames_of_polars_are_compared_as_the_same_table_of_arrow() -> None:
    reference, analysis = pl.DataFrame(mixed_columns(3000, 1)), pl.DataFrame(mixed_columns(3000, 2, moved=True))
    typed = [pl.col("kind").cast(pl.Categorical), pl.col("size").cast(pl.Enum(["s", "m", "l"]))]
    frames = [frame.with_columns(typed) for frame in (analysis, reference)]
    parts = [pl.concat([frame[:700], frame[700:]], rechunk=False) for frame in frames]
    expected = homeostat.monitor(analysis.to_arrow(), reference.to_arrow(), probability="p", target="y", chunk=1000)
    for pair in (frames, parts, [analysis, reference.to_dict(as_series=False)]):
        found = homeostat.monitor(*pair, probability="p", target="y", chunk=1000)
        assert (found.columns, found.chunks) == (expected.columns, expected.chunks)
    moved = {"amount", "kind"}
    assert {name for name, verdict in verdicts(expected).items() if verdict == "drift"} == moved
    assert expected.chunks[0].realised is not None


def mixed_columns(n: int, seed: int, moved: bool = False) -> dict[str, Any]:
    """Columns of the types that Polars has; with `moved`, amounts and kinds lie otherwise."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 5, n)
    return {
        "amount": np.where(rng.random(n) < 0.1, None, np.round(rng.normal(0.5 * moved, 1, n), 3)).tolist(),
        "kind": rng.choice(["a", "b", "c"], n, p=[0.2, 0.3, 0.5] if moved else [0.5, 0.3, 0.2]).tolist(),
        "size": rng.choice(["s", "m", "l"], n).tolist(), "truth": (rng.random(n) < 0.4).tolist(),
        "day": [dt.date(2024, 1, 1) + dt.timedelta(days=int(k)) for k in rng.integers(0, 300, n)],
        "p": p.tolist(), "y": (rng.random(n) < p).astype(int).tolist(),
    }  # fmt: skip


class Stream:
    """A frame of a library that hands out nothing but an Arrow C stream, as Polars does."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "kind", [pa.string_view(), pa.large_string(), pa.binary(), pa.dictionary(pa.uint32(), pa.large_string()),
             pa.dictionary(pa.int8(), pa.string_view())],
)  # fmt: skip
def test_texts_of_any_kind_are_categories(kind: pa.DataType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeostat.jobs.table_monitor.sampling.ROWS_MAX", 1000)  # Rows are picked, too.
    values = np.random.default_rng(1).choice(["a", "b", "c"], 3000).tolist()
    dictionary = pa.types.is_dictionary(kind)
    texts = pa.array(values).cast(kind.value_type if dictionary else kind)
    if dictionary:
        places = pa.array(["abc".index(one) for one in values], kind.index_type)
        texts = pa.DictionaryArray.from_arrays(places, pa.array(list("abc")).cast(kind.value_type))
    table = Stream(pa.table({"text": texts}))
    moved = {"text": ["c" if one == "a" else one for one in values]}
    assert homeostat.monitor(table, table).verdict == "no drift"
    assert drift(homeostat.monitor(moved, table), "text") == pytest.approx(1 / 3, abs=0.05)
    assert drift(homeostat.monitor(table, moved), "text") == pytest.approx(1 / 3, abs=0.05)


def test_few_rows_are_never_no_drift() -> None:
    few = homeostat.monitor({"x": [1.0, 2.0] * 15}, {"x": [1.0, 2.0] * 500})
    assert few.verdict == "not enough data" and verdicts(few) == {"x": "not enough data"}
    assert homeostat.monitor({"x": [9.0] * 30}, {"x": [1.0, 2.0] * 500}).verdict == "drift"
    for empty in (({"x": []}, {"x": [1.0]}), ({"x": [1.0]}, {"x": []}), ({"x": []}, {"x": []})):
        assert homeostat.monitor(*empty).verdict == "not enough data"


def test_types_that_differ_are_compared_as_the_reference_has_them() -> None:
    numbers, texts = {"x": [1, 2, 3, 4] * 300}, {"x": ["1", "2", "3", "4"] * 300}
    assert homeostat.monitor(texts, numbers).verdict == homeostat.monitor(numbers, texts).verdict == "no drift"
    assert homeostat.monitor({"x": ["one"] * 1200}, numbers).verdict == "drift"


def test_columns_of_one_table_alone_are_named() -> None:
    found = homeostat.monitor({"x": [1] * 9, "new": [1] * 9}, {"x": [1] * 9, "old": [1] * 9})
    assert [column.name for column in found.columns] == ["x"]
    assert any("old" in text for text in found.warnings) and any("new" in text for text in found.warnings)


def scored(n: int, seed: int, share: float = 0.2, flipped: float = 0.0) -> dict[str, Any]:
    """Probabilities that are right but for one group, whose share may change; some labels may be flipped."""
    rng = np.random.default_rng(seed)
    p, group = rng.beta(0.8, 0.8, n), rng.random(n) < share
    label = rng.random(n) < np.where(group, 0.3 * p, p)
    return {"p": p, "group": np.where(group, "b", "a"), "y": (label ^ (rng.random(n) < flipped)).astype(float)}


@pytest.mark.long
def test_estimates_follow_another_population_and_never_read_its_labels() -> None:
    reference, analysis = scored(12_000, 4), scored(6_000, 5, share=0.9)
    found = homeostat.monitor(analysis, reference, chunk=1000, **MODEL)
    blind = homeostat.monitor({**analysis, "y": 1 - analysis["y"]}, reference, chunk=1000, **MODEL)
    without = homeostat.monitor({"p": analysis["p"], "group": analysis["group"]}, reference, chunk=1000, **MODEL)
    for one, other, third in zip(found.chunks, blind.chunks, without.chunks, strict=True):
        assert one.estimated == other.estimated == third.estimated and one.alert == other.alert == third.alert
        assert one.realised is not None and third.realised is None
        for name, band in one.estimated.items():
            assert abs(band.value - one.realised[name]) < 0.12
        assert one.alert["accuracy"] and not one.assumption_broken and other.assumption_broken
    assert found.verdict == "alarm" and found.alarms
    assert found.thresholds == blind.thresholds == without.thresholds


@pytest.mark.long
def test_flipped_labels_break_the_assumption_and_late_ones_do_not() -> None:
    reference, flipped = scored(8_000, 6), scored(5_000, 7, flipped=0.25)
    found = homeostat.monitor(flipped, reference, chunk=1000, **MODEL)
    assert all(chunk.assumption_broken for chunk in found.chunks) and not any(found.chunks[0].alert.values())
    late = scored(5_000, 8)
    late["y"] = np.where(np.arange(5_000) < 1_500, late["y"], np.nan)
    found = homeostat.monitor(late, reference, chunk=1000, **MODEL)
    assert [chunk.labels for chunk in found.chunks] == [1000, 500, 0, 0, 0]
    assert [chunk.realised is None for chunk in found.chunks] == [False, False, True, True, True]
    assert not any(chunk.assumption_broken for chunk in found.chunks)
    assert verdicts(found)["y"] == "no drift"


@pytest.mark.long
def test_values_that_the_reference_never_has_are_named() -> None:
    reference, analysis = scored(4_000, 9), scored(2_000, 10)
    analysis["group"] = np.where(np.arange(2_000) < 1_000, "new", analysis["group"])
    found = homeostat.monitor(analysis, reference, chunk=500, **MODEL)
    assert [chunk.extrapolates for chunk in found.chunks] == [True, True, False, False]
    assert found.chunks[0].outside == 1.0


@pytest.mark.long
def test_chunks_by_a_column_and_predictions_alone() -> None:
    reference, analysis = scored(4_000, 11), scored(3_000, 12)
    for table in (reference, analysis):
        table["d"] = table.pop("p") >= 0.5
        table["week"] = [("w1", "w2", None)[k % 3] for k in range(len(table["d"]))]
    found = homeostat.monitor(analysis, reference, by="week", prediction="d", target="y")
    assert [chunk.value for chunk in found.chunks] == ["w1", "w2", "missing"]
    places = [(chunk.start, chunk.end, chunk.rows) for chunk in found.chunks]
    assert places == [(0, 2998, 1000), (1, 2999, 1000), (2, 3000, 1000)]
    assert "week" not in verdicts(found)
    one = found.chunks[0]
    assert np.isnan(one.estimated["auc"].value) and abs(one.estimated["f1"].value - one.realised["f1"]) < 0.08


@pytest.mark.long
def test_nothing_can_be_learned_from_one_class_or_from_no_rows() -> None:
    analysis = {"p": [0.1, 0.9] * 300}
    for labels in ([0] * 600, [1] * 600, [None] * 600):
        found = homeostat.monitor(analysis, {**analysis, "y": labels}, **MODEL)
        assert all(np.isnan(chunk.estimated["accuracy"].value) for chunk in found.chunks)
        assert "quality can't be estimated" in found.warnings[-1] and not found.alarms
    assert homeostat.monitor(analysis, {"p": [], "y": []}, **MODEL).verdict == "not enough data"
    assert homeostat.monitor({"p": []}, {**analysis, "y": [0, 1] * 300}, **MODEL).chunks == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"probability": "q", "target": "y"}, "no column q"), ({"probability": "p"}, "name the target"),
        ({"target": "y"}, "nothing predicts y"), ({"chunk": 0}, "1 or more"),
        ({"chunk": 5, "by": "x"}, "leave out one"), ({**MODEL, "by": "y"}, "hold one label each"),
        ({"probability": "y", "target": "y"}, "y is both the probability and the target"),
        ({"prediction": "y", "probability": "p", "target": "y"}, "y is both the prediction and the target"),
        ({"probability": "x", "target": "y"}, "between 0 and 1"), ({"prediction": "x", "target": "y"}, "0 or 1"),
        ({"probability": "p", "target": "x"}, "labels are 0 or 1"), ({"by": "yy"}, "did you mean y"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_say_what_to_do(options: dict[str, Any], says: str) -> None:
    table = {"p": [0.1, 0.9] * 50, "y": [0, 1] * 50, "x": [5, 7] * 50}
    with pytest.raises(TableError, match=says):
        homeostat.monitor(table, table, **options)


@pytest.mark.parametrize("table", [3, {"x": [1], "y": [1, 2]}, pd.DataFrame([[1, 2]], columns=["x", "x"])])
def test_what_is_no_table_is_an_error_with_a_remedy(table: Any) -> None:
    with pytest.raises(TableError):
        homeostat.monitor(table, {"x": [1]})
    with pytest.raises(TableError, match="no column"):
        homeostat.monitor({"z": [1]}, {"x": [1]})


def test_a_result_shows_itself(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    table = {"p": [0.1, 0.9] * 300, "y": [0, 1, 1, 0, 0, 1] * 100, "<b>": [1] * 600}
    found = homeostat.monitor(table, table, chunk=100, **MODEL)
    Console(width=150).print(found)
    assert found.verdict in capsys.readouterr().out and found.verdict in repr(found)
    page = found.html()
    assert "<script" not in page and "<b>" not in page and "&lt;b&gt;" in page and page.count("<svg") == 5
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    facts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert {"name", "drift", "bound_low", "bound_high", "n", "method", "verdict"} <= set(facts["columns"][0])
    assert {"start", "end", "estimated", "realised", "alert", "assumption_broken"} <= set(facts["chunks"][0])
    assert set(facts["chunks"][0]["alert"]) == {"auc", "accuracy", "f1"}
    assert set(facts["chunks"][0]["estimated"]["average_precision"]) == {"value", "low", "high"}


@pytest.mark.parametrize(
    "column",
    [pa.array([b"\xff", b"1"] * 300), pa.array([b"ab"] * 600, pa.binary(2)),
     pa.array([b"\xff"] * 600, pa.large_binary()),
     pa.array(pd.arrays.IntervalArray.from_breaks(np.arange(601.0))), pa.array([pa.MonthDayNano([1, 2, 3])] * 600),
     pa.array(pd.period_range("2020-01-01", periods=600))],
    ids=lambda column: str(column.type),
)  # fmt: skip
def test_what_is_no_number_where_the_reference_has_numbers_drifts(column: pa.Array) -> None:
    numbers = {"x": np.random.default_rng(1).normal(size=600)}
    assert verdicts(homeostat.monitor(pa.table({"x": column}), numbers)) == {"x": "drift"}
    homeostat.monitor(numbers, pa.table({"x": column}))
    homeostat.monitor(pa.table({"x": column}), pa.table({"x": column}))


def test_texts_that_are_no_probabilities_are_refused_and_missing_ones_are_not() -> None:
    table: dict[str, Any] = {"p": [0.2, 0.7] * 300, "y": [0.0, 1.0] * 300}
    with pytest.raises(TableError, match="the column p holds no numbers, but string: name the column"):
        homeostat.monitor(table | {"p": ["high"] * 600}, table, **MODEL)
    for missing in (None, float("nan")):
        found = homeostat.monitor(table | {"p": [missing] * 600}, table, **MODEL)
        assert found.warnings == ("p is missing in all 600 rows of the analysis, so that no quality can be estimated",)


def test_missing_outputs_are_counted() -> None:
    table: dict[str, Any] = {"d": [0, 1, 1] * 200, "y": [0.0, 1.0] * 300}
    found = homeostat.monitor(table | {"d": [None, 1, 1] * 200}, table, prediction="d", target="y")
    assert found.warnings == ("d is missing in 200 of 600 rows of the analysis: estimates and figures leave them out",)
    found = homeostat.monitor(table, table | {"d": [None] * 600}, prediction="d", target="y")
    assert found.warnings == ("quality can't be estimated: only 0 rows of the reference have both d and y",)


def test_the_probability_may_make_the_chunks() -> None:
    table = {"x": [1.0, 2.0, 3.0] * 200, "p": [0.2, 0.7] * 300, "y": [0.0, 1.0, 1.0] * 200}
    found = homeostat.monitor(table, table, by="p", **MODEL)
    assert [chunk.value for chunk in found.chunks] == ["0.2", "0.7"]


def test_a_damaged_page_of_a_file_with_checksums_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"x": np.arange(5000.0)}), path, write_page_checksum=True, compression="none", use_dictionary=False
    )
    whole = bytearray(path.read_bytes())
    whole[9000] ^= 0x55
    path.write_bytes(whole)
    with pytest.raises(TableError, match="is it whole"):
        homeostat.monitor(path, {"x": np.arange(5000.0)})


def test_a_tiny_reference_cuts_no_chunks_of_one_row() -> None:
    for rows in (0, 1, 49):
        reference = {"p": [0.2] * rows, "y": [0.0] * rows}
        found = homeostat.monitor({"p": [0.2] * 9000}, reference, **MODEL)
        assert [chunk.rows for chunk in found.chunks] == [5000, 4000]


def test_scores_that_almost_tie_keep_their_ranks_in_chunks_by_a_column() -> None:
    rng = np.random.default_rng(5)
    table = {"p": 0.5 + 1e-10 * rng.random(400), "y": rng.random(400) < 0.5, "shop": ["a"] * 400}
    by_value, by_rows = (homeostat.monitor(table, table, **MODEL, **cut) for cut in ({"by": "shop"}, {"chunk": 400}))
    assert by_value.chunks[0].realised == by_rows.chunks[0].realised


def outputs(rows: range) -> Outputs:
    row = np.arange(rows.start, rows.stop)
    return Outputs(row, row / 1e3, row % 2 == 0, row % 3 / 3.0, np.stack([row / 9.0] * 2), row % 5 == 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 12))
def test_chunks_do_not_depend_on_how_rows_came(lengths: list[int], size: int) -> None:
    chunks, first = ByRows(size), 0
    found = []
    for length in lengths:
        found += [chunk for _, chunk in chunks.add(outputs(range(first, first + length)))]
        first += length
    found += [chunk for _, chunk in chunks.rest()]
    naive = [list(range(k, min(k + size, first))) for k in range(0, first, size)]
    assert [chunk.row.tolist() for chunk in found] == naive
    assert all(np.array_equal(chunk.q[1] * 9.0, chunk.row) for chunk in found)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-1, 2), max_size=8), max_size=6))
def test_groups_hold_the_rows_of_each_value(blocks: list[list[int]]) -> None:
    groups, first = ByValue(), 0
    values: list[str] = []
    for block in blocks:
        groups.add(outputs(range(first, first + len(block))), ["x", "y", "z"], np.array(block, np.int64))
        values += ["xyz"[k] if k >= 0 else "missing" for k in block]
        first += len(block)
    found = {value: chunk.row.tolist() for value, chunk in groups.rest()}
    assert found == {value: [k for k, v in enumerate(values) if v == value] for value in dict.fromkeys(values)}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=8))
def test_a_sample_is_bounded_in_order_and_the_same_however_rows_came(lengths: list[int]) -> None:
    whole, parts, first = Sampler(200), Sampler(200), 0
    batch = pa.record_batch({"x": np.arange(sum(lengths))})
    whole.add(batch)
    for length in lengths:
        parts.add(batch.slice(first, length))
        first += length
    columns, numbers = parts.sample()
    assert len(numbers) <= 200 and np.all(np.diff(numbers) > 0)
    assert np.array_equal(whole.sample()[1], numbers)
    assert not len(numbers) or columns["x"].to_pylist() == numbers.tolist()
    assert sum(lengths) > 200 or len(numbers) == sum(lengths)


def test_a_sample_of_rows_with_a_period_is_even() -> None:
    sampler = Sampler(2000)
    for k in range(20):
        sampler.add(pa.record_batch({"x": (np.arange(k * 1000, k * 1000 + 1000) % 8).astype(np.int64)}))
    columns, _ = sampler.sample()
    rows = np.bincount(columns["x"].to_numpy(), minlength=8)
    assert rows.min() > 0.7 * rows.mean()


@pytest.mark.long
@needs_census
def test_census_quality_is_estimated_within_the_targets() -> None:
    found = homeostat.monitor(
        CENSUS / "analysis.parquet", CENSUS / "reference.parquet", chunk=5000, prediction="prediction",
        probability="predicted_probability", target="employed",
    )  # fmt: skip
    for name, most in (("auc", 0.0037), ("accuracy", 0.0047), ("f1", 0.0052)):
        errors = [abs(chunk.estimated[name].value - chunk.realised[name]) for chunk in found.chunks]
        assert np.mean(errors) <= most
        bound = found.thresholds[name]
        for chunk in found.chunks:
            real = not bound["low"] <= chunk.realised[name] <= bound["high"]
            assert real or not chunk.alert[name]
    inside = [
        band.low <= chunk.realised[name] <= band.high for chunk in found.chunks
        for name, band in chunk.estimated.items()
    ]  # fmt: skip
    assert 0.93 <= np.mean(inside) <= 0.97
    assert not any(chunk.assumption_broken for chunk in found.chunks)


@pytest.mark.parametrize(
    "form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f+00:00", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]
)
def test_times_in_csv_are_times_as_they_are_in_parquet(tmp_path: Path, form: str) -> None:
    rng, start = np.random.default_rng(3), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    found = {}
    for name, later in (("then", 0), ("now", 400)):
        whole = [start + dt.timedelta(days=later, seconds=int(s)) for s in rng.integers(0, 30 * 86_400, 3_000)]
        texts = [one.strftime(form) for one in whole]
        typed = [dt.datetime.fromisoformat(one).replace(tzinfo=dt.UTC) for one in texts]
        (tmp_path / f"{name}.csv").write_text("at\n" + "".join(f"{one}\n" for one in texts))
        pq.write_table(pa.table({"at": pa.array(typed, pa.timestamp("us", "UTC"))}), tmp_path / f"{name}.parquet")
    for kind in ("csv", "parquet"):
        found[kind] = homeostat.monitor(tmp_path / f"now.{kind}", tmp_path / f"then.{kind}")
    assert found["csv"].columns[0] == found["parquet"].columns[0]
    assert verdicts(found["csv"]) == {"at": "drift"}


def test_a_time_that_no_calendar_has_is_missing_and_a_text_among_times_makes_texts(tmp_path: Path) -> None:
    days = [f"2026-01-{day:02d}T00:00:00Z" for day in range(1, 29)] * 20
    (tmp_path / "then.csv").write_text("at\n" + "\n".join(days) + "\n")
    (tmp_path / "odd.csv").write_text("at\n" + "\n".join([*days, *["2026-02-30T00:00:00Z"] * 560]) + "\n")
    odd = homeostat.monitor(tmp_path / "odd.csv", tmp_path / "then.csv").columns[0]
    assert odd.missing == 0.5 and odd.method == "Kuiper distance"
    (tmp_path / "texts.csv").write_text("at\n" + "\n".join([*days, "yesterday"]) + "\n")
    texts = homeostat.monitor(tmp_path / "then.csv", tmp_path / "texts.csv").columns[0]
    assert texts.method == "total variation distance"
