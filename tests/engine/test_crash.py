"""Killed at any instant, a restart continues with the decisions that an undisturbed run makes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.support.worlds import events_file, small_app, trained

from homeostat.engine.assembly import open_engine

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

EVENTS, OUTCOMES_EVERY, KILLS = 600, 47, 30


def events() -> list[dict]:
    table = pq.read_table(events_file()).slice(0, EVENTS).drop_columns(["TX_FRAUD_SCENARIO"])
    return [{**row, "TX_DATETIME": row["TX_DATETIME"].isoformat()} for row in table.to_pylist()]


def feed(data: Path, answers_file: Path | None, sent: list[dict], start: int) -> None:
    """Send events one by one and in small batches, with an outcome now and then; write what was answered."""
    with open_engine(small_app(), bundle=trained(), data=data) as engine, open(answers_file or os.devnull, "a") as out:
        k = start
        while k < len(sent):
            size = 1 + (k * 7919) % 5
            for answer in engine.decide(sent[k : k + size]):
                out.write(json.dumps([answer["event_id"], answer["action"], answer["risk"]]) + "\n")
            out.flush()
            k += size
            if k % OUTCOMES_EVERY < size:
                engine.learn({"event_id": sent[k // 2]["TRANSACTION_ID"], "label": 1})
            if k % 200 < size:
                engine.save()


def answered(answers_file: Path) -> list[list]:
    """Whole lines only: the last may have been cut by the kill, and was then seen by nobody."""
    text = answers_file.read_text() if answers_file.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_killed_at_thirty_instants_nothing_is_lost_doubled_or_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Exploration hangs on the folder's secret: folders that are compared have the same.
    monkeypatch.setattr("homeostat.adapters.disk.sqlite.tables._drawn", lambda secret: secret or bytes(32))
    sent = events()
    with open_engine(small_app(), bundle=trained()):
        pass  # Trained and compiled before the time is taken: else most runs end before they are killed.
    begun = time.perf_counter()
    feed(tmp_path / "undisturbed", tmp_path / "undisturbed.jsonl", sent, 0)
    whole_s = time.perf_counter() - begun
    undisturbed = answered(tmp_path / "undisturbed.jsonl")
    assert len(undisturbed) == EVENTS
    rng = np.random.default_rng(0)
    data, answers_file, kills, rounds = tmp_path / "data", tmp_path / "answers.jsonl", 0, 0
    while kills < KILLS:
        rounds += 1
        done = len(answered(answers_file))
        if done >= EVENTS:  # Through without being killed: begin again.
            assert_same(answered(answers_file), undisturbed, data)
            data, answers_file = tmp_path / f"data{rounds}", tmp_path / f"answers{rounds}.jsonl"
            done = 0
        repair(answers_file)
        child = os.fork()
        if child == 0:
            os.setsid()
            try:
                # Answers are known; the client sends again from the first event without an answer.
                feed(data, answers_file, sent, done)
            finally:
                sys.stdout.flush()
                os._exit(0)
        time.sleep(float(rng.uniform(0.0, 0.4 * whole_s)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
    feed(data, answers_file, sent, len(answered(answers_file)))
    assert_same(answered(answers_file), undisturbed, data)


def repair(answers_file: Path) -> None:
    """Cut an answer that was written in part: it was never seen."""
    if answers_file.exists():
        content = answers_file.read_bytes()
        answers_file.write_bytes(content[: content.rfind(b"\n") + 1])


def assert_same(answers_file: list[list], undisturbed: list[list], data: Path) -> None:
    assert answers_file == undisturbed
    with open_engine(small_app(), bundle=trained(), data=data) as engine:
        assert len(engine.parts.journal) == len(undisturbed)
