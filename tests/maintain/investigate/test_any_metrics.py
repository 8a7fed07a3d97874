"""Any metrics give probabilities or an error that names the fault, and only the metrics' meaning counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.service_frames import PlainFrame, Shop

from homeostat import RankingError
from homeostat.maintain.investigate import rank_causes

NODES = st.sampled_from(["a", "b", "c", "d", 7])
METRICS = st.sampled_from(["requests", "latency", "availability", "errors", "load", "x"])
CELLS = st.one_of(st.none(), st.floats(-10, 1e6), st.floats(), st.integers(0, 100).map(float))
GRAPHS = st.lists(st.tuples(NODES, NODES), max_size=8)


@st.composite
def frames(draw: st.DrawFn, keys: list[tuple[object, str]]) -> PlainFrame:
    rows = draw(st.integers(0, 30))
    return PlainFrame({key: draw(st.lists(CELLS, min_size=rows, max_size=rows)) for key in keys}, range(rows))


@st.composite
def questions(draw: st.DrawFn) -> tuple[PlainFrame, PlainFrame, list[tuple[object, object]], object]:
    keys = draw(st.lists(st.tuples(NODES, METRICS), unique=True, max_size=6))
    target = draw(st.one_of(st.none(), st.sampled_from(keys) if keys else st.none()))
    return draw(frames(keys)), draw(frames(keys)), draw(GRAPHS), target


@pytest.mark.long
@settings(max_examples=100)
@given(questions())
def test_any_frames_give_probabilities_or_an_error_of_ours(question) -> None:
    normal, window, graph, target = question
    try:
        found = rank_causes(normal, window, graph, target)
    except RankingError:
        return
    probabilities = [probability for _, probability in found]
    assert sum(probabilities) == pytest.approx(1) and min(probabilities) >= 0
    assert sorted(map(str, {node for node, _ in found})) == sorted(
        {*map(str, (key[0] for key in window.columns)), *map(str, (end for pair in graph for end in pair)), "None"}
    )


def shop(seed: int) -> tuple[dict, dict]:
    made = Shop(seed)
    return made.columns(80), made.columns(
        5, more={("pay", "bank", "stock")[seed % 3]: np.array([0, 0.02, 0.1, 0.1, 0.1])}
    )


def ranked(before: dict, during: dict, graph=Shop.GRAPH, target=("shop", "latency"), times=(None, None)) -> dict:
    found = rank_causes(PlainFrame(before, times[0]), PlainFrame(during, times[1]), graph, target)
    return {node: pytest.approx(probability, rel=1e-6, abs=1e-12) for node, probability in found}


@settings(max_examples=10)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_changes_nothing(seed: int, chance) -> None:
    before, during = shop(seed)
    keys, rows = list(before), list(range(80))
    chance.shuffle(keys)
    chance.shuffle(rows)
    mixed = {key: before[key][rows] for key in keys}
    backwards = {key: during[key][::-1] for key in reversed(keys)}
    graph = list(reversed(Shop.GRAPH))
    assert ranked(mixed, backwards, graph, times=(rows, [4, 3, 2, 1, 0])) == ranked(before, during)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.permutations(["shop", "pay", "stock", "bank"]))
def test_names_of_nodes_change_nothing(seed: int, names: list[str]) -> None:
    before, during = shop(seed)
    new = dict(zip(("shop", "pay", "stock", "bank"), names, strict=True))
    renamed = [{(new[node], metric): v for (node, metric), v in columns.items()} for columns in (before, during)]
    graph = [(new[caller], new[callee]) for caller, callee in Shop.GRAPH]
    found = ranked(*renamed, graph, (new["shop"], "latency"))
    assert found == {new.get(node, node): probability for node, probability in ranked(before, during).items()}


@settings(max_examples=10)
@given(st.integers(0, 1000), st.sampled_from(["requests", "latency", "availability"]), st.floats(1e-6, 1e6))
def test_the_unit_of_a_metric_changes_nothing(seed: int, metric: str, factor: float) -> None:
    before, during = shop(seed)
    scaled = [{k: v * factor if k[1] == metric else v for k, v in columns.items()} for columns in (before, during)]
    for target in (("shop", "latency"), ("shop", "availability")):
        assert ranked(*scaled, target=target) == ranked(before, during, target=target)


def test_pandas_frames_give_the_same() -> None:
    before, during = shop(1)
    times = [pd.date_range("2026-01-01", periods=rows, freq="5min") for rows in (80, 5)]
    frames = [pd.DataFrame(columns, index=index) for columns, index in zip((before, during), times, strict=True)]
    assert isinstance(frames[0].columns, pd.MultiIndex)
    assert dict(rank_causes(*frames, Shop.GRAPH, ("shop", "latency"))) == ranked(before, during)


GOOD = {("a", "latency"): [1.0] * 3}


@pytest.mark.parametrize(
    ("normal", "window", "graph", "target", "text"),
    [
        ([1, 2], PlainFrame(GOOD), [], None, "normal is of type list"),
        (PlainFrame(GOOD), PlainFrame({"latency": [1.0]}), [], None, "column 'latency' of anomalous is not a pair"),
        (PlainFrame({}), PlainFrame(GOOD), [], None, "normal has no columns"),
        (PlainFrame(GOOD), PlainFrame({("a", "latency"): []}), [], None, "anomalous has no rows"),
        (PlainFrame(GOOD), PlainFrame({("a", "latency"): [None, np.nan]}), [], None, "anomalous holds only gaps"),
        (PlainFrame(GOOD), PlainFrame({("b", "latency"): [1.0]}), [], None, "share no column with values"),
        (PlainFrame(GOOD), PlainFrame({("a", "latency"): [1.0, np.inf]}), [], None, "row 1 of column ('a', 'latency')"),
        (
            PlainFrame(GOOD),
            PlainFrame({("a", "latency"): [1.0, "slow"]}),
            [],
            None,
            "anomalous is 'slow', and not a num",
        ),
        (PlainFrame(GOOD), PlainFrame(GOOD), [("a", "b", "c")], None, "item 0 of the graph is ('a', 'b', 'c')"),
        (PlainFrame(GOOD), PlainFrame(GOOD), ["ab"], None, "item 0 of the graph is 'ab'"),
        (PlainFrame(GOOD), PlainFrame(GOOD), [("a", ["b"])], None, "item 0 of the graph names a node ['b']"),
        (PlainFrame(GOOD), PlainFrame(GOOD), None, None, "the graph is None"),
        (PlainFrame(GOOD), PlainFrame(GOOD), [], ("b", "latency"), "the target ('b', 'latency') is no column"),
        (PlainFrame(GOOD), PlainFrame(GOOD), [], "a", "the target 'a' is no column"),
        (
            PlainFrame(GOOD, [1, "x", 2]),
            PlainFrame(GOOD),
            [],
            None,
            "index of normal holds values that can't be ordered",
        ),
    ],
)
def test_an_error_names_what_is_wrong(normal, window, graph, target, text: str) -> None:
    with pytest.raises(RankingError) as error:
        rank_causes(normal, window, graph, target)
    assert text in str(error.value)


def test_a_column_that_is_there_twice_is_named() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_tuples([("a", "latency")] * 2))
    with pytest.raises(RankingError, match="is there twice"):
        rank_causes(frame, frame, [], None)
