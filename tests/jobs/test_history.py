"""An event that occurs twice in a history counts once: in rows, in windows, and in what is decided afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.config.load import parse_app
from homeostat.config.tree import App
from homeostat.jobs.history import History
from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.replay import Request, replay_events
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.training_set import silent
from homeostat.records.events import EventBatch, OutcomeBatch

START = 1_700_000_000
EVENTS = 300
MOMENT_NS = (START + 250) * 10**9


def app() -> App:
    return parse_app(
        """
homeostat: 1
app: small
events:
  entities: {customer: {}}
  fields: {amount: {type: number}}
  label: {name: fraud}
  lateness: 1h
features:
  windows: [{entity: customer, lengths: [1h], compute: {count: count, total: sum(amount)}}]
scorers: {boosted: {kind: boosted_trees, settings: {trees: 5, depth: 2}}}
fusion: {kind: learned}
actions: [allow, block]
costs: {allow: {positive: 10, negative: 0}, block: {positive: 0, negative: 1}}
guards: {fallback: {scorers_absent: allow}}
outcomes: {label: fraud, horizon: 1s}
"""
    )


def written(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "events.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def once() -> list[dict]:
    rng = np.random.default_rng(1)
    fraud = rng.random(EVENTS) < 0.2
    return [
        {
            "event_id": f"e{k}", "time": START + k, "customer": k % 7, "fraud": int(fraud[k]),
            "amount": round(float(rng.exponential(10) + 50 * fraud[k]), 2),
        }
        for k in range(EVENTS)
    ]  # fmt: skip


def with_repeats() -> list[dict]:
    """Most events again, right behind themselves or twenty events later."""
    rows: list[dict] = []
    for k, row in enumerate(once()):
        rows += [row] * (1 + (k % 3 > 0)) + once()[k - 20 : k - 19] * (k >= 20 and k % 2 == 0)
    return rows


def trained(folder: Path, rows: list[dict]) -> dict:
    request = TrainingRequest(written(folder, rows), folder / "bundle", (START + 10_000) * 10**9)
    return train_on_events(app(), request, silent)


@pytest.mark.long
def test_training_on_events_given_twice_is_training_on_them_once(tmp_path: Path) -> None:
    first, second = trained(tmp_path / "once", once()), trained(tmp_path / "twice", with_repeats())
    assert second["rows"] == first["rows"] == EVENTS
    assert second["version"] == first["version"], "windows and rows are the same, so the models are"
    assert second["repeated"] == len(with_repeats()) - EVENTS
    assert first["repeated"] == 0
    assert not second["warnings"]


def replayed(folder: Path, rows: list[dict]) -> tuple[dict, list]:
    request = Request(written(folder, rows), folder / "out", train_until_ns=MOMENT_NS, chunk_rows=64)
    report = replay_events(app(), request, lambda what, share: None)
    table = pq.read_table(
        folder / "out" / "decisions.parquet", columns=["event_id", "feature.count", "feature.total", "risk"]
    )
    return report, table.to_pylist()


@pytest.mark.long
def test_repeats_before_the_moment_of_training_change_no_decision_after_it(tmp_path: Path) -> None:
    late = [{**row, "time": row["time"]} for row in once()[200:240]]
    rows = once()
    repeated = [*rows[:100], *rows[:100], *rows[100:], *rows[290:]]
    straddling = [*repeated[:-5], *late, *repeated[-5:]]  # Events of the history come once more after its end.
    first, decisions = replayed(tmp_path / "once", rows)
    second, again = replayed(tmp_path / "twice", straddling)
    assert again == decisions
    assert len(decisions) == 50
    assert second["repeated"] == first["repeated"] + 100 + 10 + 40
    assert second["training"]["rows"] == first["training"]["rows"]


def test_contrary_labels_of_one_event_are_named_and_the_first_counts(tmp_path: Path) -> None:
    rows = once()
    contrary = [{**row, "fraud": 1 - row["fraud"]} for row in rows[10:13]]
    report = trained(tmp_path / "contrary", [*rows[:200], *contrary, *rows[200:]])
    assert report["version"] == trained(tmp_path / "once", rows)["version"]
    assert [w for w in report["warnings"] if w.startswith("3 repeated events have another label")]


def test_outcomes_that_contradict_each_other_at_one_moment_are_named() -> None:
    ids, label = np.array([1, 1, 2, 2, 3]), np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    known = np.array([5, 5, 5, 6, 5])  # Those of event 2 are a correction.
    past = PastOutcomes([OutcomeBatch(ids, label, known, np.full(5, np.nan))])
    assert past.warnings() == [
        "1 events have contrary outcomes that became known at the same moment: the last one counts"
    ]
    assert PastOutcomes([]).warnings() == []


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.0, 1.0, np.nan])), max_size=12), max_size=8))
def test_a_history_keeps_the_first_event_of_each_id(batches: list[list[tuple[int, float]]]) -> None:
    history, seen, repeated, contrary = History(), dict[int, float](), 0, 0
    for batch in batches:
        n = len(batch)
        ids, label = np.array([i for i, _ in batch], np.int64), np.array([x for _, x in batch], np.float64)
        events = EventBatch(
            ids, np.arange(n), np.zeros((n, 1), np.int64), np.zeros((n, 0)), label, np.zeros(n, np.uint8)
        )
        expected = []
        for place, (one, x) in enumerate(batch):
            if one in seen:
                repeated += 1
                contrary += {seen[one], x} == {0.0, 1.0}
            else:
                seen[one] = x
                expected.append(place)
        assert history.fresh(events).time_ns.tolist() == expected
        assert len(history.unknown(events)) == 0
        repeated += n
        contrary += sum({seen[one], x} == {0.0, 1.0} for one, x in batch)
    assert (history.repeated, history.contrary) == (repeated, contrary)
