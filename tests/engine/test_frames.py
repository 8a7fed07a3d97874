"""A data frame in, one out: each row is decided as the same event by itself would be, and nothing else is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.config.load import parse_app
from homeostat.config.tree import App
from homeostat.engine.assembly import open_engine
from homeostat.engine.engine import Engine
from homeostat.engine.frames import FrameError

START_S = 1_700_000_000
ROWS = 300


def app() -> App:
    return parse_app(
        """
homeostat: 1
app: frames
events:
  id: {name: key, aliases: [event_id]}
  entities: {customer: {}}
  fields: {amount: {type: number}, country: {type: category, required: false}}
features:
  windows: [{entity: customer, lengths: [1h], compute: {count: count, total: sum(amount)}}]
scorers: {large: {kind: rules, rules: [{name: large, when: amount > 5, score: 0.99}]}}
fusion: {kind: weighted}
actions: [allow, block]
costs: {allow: {positive: 100, negative: 0}, block: {positive: 0, negative: 1}}
guards: {fallback: {scorers_absent: allow}}
outcomes: {label: fraud}
"""
    )


def events(n: int = ROWS) -> list[dict]:
    return [
        {"event_id": f"e{k}", "time": START_S + 60 * k, "customer": k % 7, "amount": float(k % 11), "country": "NL"}
        for k in range(n)
    ]


@pytest.fixture
def engine():
    with open_engine(app()) as made:
        yield made


def one_by_one(rows: list[dict]) -> list[dict]:
    with open_engine(app()) as made:
        return [made.decide(row) for row in rows]


def test_rows_of_a_frame_are_decided_as_events_one_by_one(engine: Engine):
    found, expected = engine.decide(pd.DataFrame(events())), one_by_one(events())
    assert isinstance(found, pd.DataFrame) and len(found) == ROWS
    for name in ("event_id", "action", "action_index", "proposed", "risk", "rule", "late"):
        assert found[name].tolist() == [answer[name] for answer in expected], name
    assert found["score_large"].tolist() == [answer["scores"]["large"] for answer in expected]
    assert found["problem"].isna().all() and not found["duplicate"].any()
    assert found["time"].tolist() == [pd.Timestamp(answer["time"]) for answer in expected]


def test_an_arrow_table_is_answered_by_one_also_in_many_chunks(engine: Engine):
    table = pa.Table.from_pylist(events())
    parts = pa.concat_tables([table.slice(0, 10), table.slice(10, 1), table.slice(11)])
    found = engine.decide(parts)
    assert isinstance(found, pa.Table)
    assert found["action"].to_pylist() == [answer["action"] for answer in one_by_one(events())]


def test_another_librarys_frame_needs_the_arrow_stream_only(engine: Engine):
    class Frame:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.Table.from_pylist(events(3)).__arrow_c_stream__(requested_schema)

    assert engine.decide(Frame())["event_id"].to_pylist() == ["e0", "e1", "e2"]


def test_a_bad_row_gets_its_problem_in_its_place_and_is_buried(tmp_path: Path):
    rows = pd.DataFrame(events(4))
    rows.loc[1, "amount"] = np.nan
    with open_engine(app(), data=tmp_path) as engine:
        found = engine.decide(rows)
        again = engine.decide(rows)
    assert found["action"].isna().tolist() == [False, True, False, False]
    assert found["problem"][1] == "amount: missing" and found["problem"].isna().sum() == 3
    assert again["duplicate"].tolist() == [True, None, True, True]
    letters = [json.loads(line) for line in (tmp_path / "dead_letters.jsonl").read_text().splitlines()]
    assert [letter["field"] for letter in letters] == ["amount", "amount"]


def test_an_outcome_is_understood_under_the_apps_own_name_and_unknown_ones_are_named(engine: Engine):
    engine.decide(events(1)[0])
    assert engine.learn({"event_id": "e0", "fraud": 1}) == [{"event_id": "e0", "accepted": True}]
    (problem,) = engine.learn({"event_id": "nope", "label": 1})
    assert problem["status"] == 404 and "'nope'" in problem["detail"]


def test_a_frame_of_polars_is_answered_by_one_of_polars(engine: Engine):
    table = pa.Table.from_pylist(events(5))
    found = engine.decide(pl.from_arrow(table))
    assert isinstance(found, pl.DataFrame)
    assert found["event_id"].to_list() == table["event_id"].to_pylist() and found["action"].null_count() == 0


def test_an_empty_frame_is_answered_by_an_empty_one(engine: Engine):
    found = engine.decide(pa.Table.from_pylist(events(1)).slice(0, 0))
    assert len(found) == 0 and "action" in found.schema.names


def test_a_column_that_is_there_twice_is_refused(engine: Engine):
    table = pa.table([pa.array([1]), pa.array([2])], names=["amount", "amount"])
    with pytest.raises(ValueError, match="amount more than once"):
        engine.decide(table)


class _Stream:
    """A frame of a library that hands out something else than a stream."""

    def __init__(self, given: object) -> None:
        self.given = given

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def _with(amount: pa.Array) -> pa.Table:
    table = pa.Table.from_pylist(events(len(amount)))
    return table.set_column(table.schema.names.index("amount"), "amount", amount)


@pytest.mark.long
@pytest.mark.parametrize(
    "frame",
    [
        lambda: _with(pa.array([b"\xff", b"1"]).view(pa.string())),
        lambda: _with(pa.DictionaryArray.from_arrays(pa.array([0, 9], pa.int8()), pa.array([1.0]), safe=False)),
        lambda: pd.DataFrame(events(2)).assign(amount=[1, "x"]),
        lambda: pd.DataFrame(events(2)).assign(amount=[1, object()]),
        lambda: _Stream(RuntimeError("no stream today")),
        lambda: _Stream(7),
    ],
    ids=["no UTF-8", "no category", "numbers and texts", "objects", "raises", "no stream"],
)
def test_a_frame_that_cannot_be_read_is_refused_whole_and_in_a_sentence(engine: Engine, frame):
    before = engine.parts.journal.last
    with pytest.raises(FrameError, match="the frame can't be read"):
        engine.decide(frame())
    assert engine.parts.journal.last == before


def test_a_time_beyond_what_python_knows_is_shown_by_its_type_where_its_row_breaks_the_loop(
    engine: Engine, monkeypatch
):
    featurizer = type(engine.parts.loop.stages.featurizer)

    def breaks(self, batch):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(featurizer, "features", breaks)
    table = pa.Table.from_pylist(events(2))
    found = engine.decide(table.append_column("other", pa.array([2**62, -(2**62)], pa.timestamp("s"))))
    assert found["action"].null_count == 2 and found["problem"].null_count == 0


def test_a_row_that_breaks_the_loop_costs_the_others_nothing(engine: Engine, monkeypatch):
    featurizer = type(engine.parts.loop.stages.featurizer)
    usual = featurizer.features

    def breaks(self, batch):
        if 10.0 in batch.numbers[:, 0]:
            raise RuntimeError("a fault of ours")
        return usual(self, batch)

    monkeypatch.setattr(featurizer, "features", breaks)
    found = engine.decide(pd.DataFrame(events(24)))
    assert found["action"].isna().tolist() == [k % 11 == 10 for k in range(24)]


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([1, 2.5, "3", None, float("nan"), True]), min_size=1, max_size=6))
def test_whatever_a_column_holds_each_row_is_decided_or_has_its_problem(amounts: list):
    rows = [{**event, "amount": amount} for event, amount in zip(events(len(amounts)), map(str, amounts))]
    with open_engine(app()) as engine:
        found = engine.decide(pd.DataFrame(rows))
    assert (found["action"].isna() != found["problem"].isna()).all()
