"""The shipped access app protects in its own world."""

import pyarrow.parquet as pq
import pytest

from homeostat.engine.assembly import open_engine
from homeostat.jobs.replay import Request, replay_events
from homeostat.jobs.simulation import simulate_access, write_world
from homeostat.models.training_set import silent

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

DAYS = 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_app_stops_most_abuse_and_few_people_at_a_fraction_of_the_cost(tmp_path, seed):
    write_world(simulate_access(DAYS, seed, 120), tmp_path, "parquet")
    report = replay_events(
        "access", Request(tmp_path / "events.parquet", tmp_path / "out", tmp_path / "outcomes.parquet"), silent
    )
    quality = report["quality"]
    assert quality["known"] == report["decisions"]
    assert 0.05 < quality["positives"] / quality["known"] < 0.5
    assert quality["cost"] < 0.4 * quality["cost_mildest"]
    assert 0.8 < quality["auc"] < 0.995, "protects, in a world that is not trivial"
    decisions = pq.read_table(tmp_path / "out" / "decisions.parquet")
    labels = pq.read_table(tmp_path / "outcomes.parquet").to_pylist()
    abuse = {str(row["event_id"]): row["label"] for row in labels}
    stopped = {0: 0, 1: 0}
    for event_id, action in zip(decisions["event_id"].to_pylist(), decisions["action"].to_pylist(), strict=True):
        stopped[abuse[event_id]] += action == "block"
    people = quality["known"] - quality["positives"]
    assert stopped[1] > 0.5 * quality["positives"] and stopped[0] < 0.01 * people


def test_a_dozen_logins_within_a_second_are_throttled_and_then_blocked():
    with open_engine("access") as engine:
        login = {"entity_id": "123", "event_type": "login", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}
        actions = [engine.decide({"event_id": str(n), **login})["action"] for n in range(12)]
    assert actions == ["allow"] * 5 + ["throttle"] * 6 + ["block"]
