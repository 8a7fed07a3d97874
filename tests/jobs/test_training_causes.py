"""The first words of a training that failed: its cause, and not what followed from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.training_set import NothingToLearn

APP = """
homeostat: 1
app: shop
events: {id: {name: id}, time: {name: time}, entities: {account: {}}, fields: {amount: {type: number}}}
scorers: {trees: {kind: boosted_trees}}
fusion: {kind: learned}
actions: [allow, block]
costs: {allow: {positive: 9, negative: 0}, block: {positive: 0, negative: 1}}
policy: {kind: thresholds}
guards: {fallback: {scorers_absent: allow, policy: thresholds, deadline: allow}}
outcomes: {label: bad, horizon: 10d, unknown: negative}
"""
DAY_S = 86_400


def request(tmp_path: Path, outcomes: list[dict[str, object]] | None) -> TrainingRequest:
    def written(name: str, rows: list[dict[str, object]]) -> Path:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / name

    start_s = 1_767_225_600
    events = [
        {"id": f"e{k}", "time": start_s + k * DAY_S // 4, "account": k % 5, "amount": float(k % 7)} for k in range(240)
    ]
    file = written("events.jsonl", list(events))
    named = None if outcomes is None else written("outcomes.jsonl", outcomes)
    return TrainingRequest(file, tmp_path / "out", (start_s + 50 * DAY_S) * 10**9, outcomes=named)


@pytest.mark.parametrize(
    ("outcomes", "cause"),
    [
        ([{"event_id": f"e{k}", "label": int(k % 9 == 0)} for k in range(240)], "240 of 240 outcomes have no time"),
        (None, "no outcomes were given: name their file with --outcomes"),
    ],
)
def test_the_cause_comes_first(tmp_path: Path, outcomes: list[dict[str, object]] | None, cause: str) -> None:
    (tmp_path / "app.yaml").write_text(APP)
    with pytest.raises(NothingToLearn) as error:
        train_on_events(tmp_path / "app.yaml", request(tmp_path, outcomes), lambda what, share: None)
    assert str(error.value).startswith(cause) and "is positive" in str(error.value)
