"""Features against an oracle written from the docs alone; the long form is `python -m benchmarks.oracle`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.support.judging import Judgement, compare, judge, sent
from tests.support.oracle import Oracle, agrees

from homeostat import load

APPS = 12


@pytest.mark.long
def test_features_of_made_up_apps_are_those_of_the_oracle(tmp_path: Path) -> None:
    judgement = Judgement()
    for seed in range(APPS):
        judge(seed, tmp_path, judgement, events=60)
    assert not judgement.differing, "\n".join(judgement.differing[:10])
    assert judgement.features > 5_000


def test_the_oracle_tells_a_wrong_digit_from_a_right_one() -> None:
    windows = [{"entity": "card", "lengths": ["1m"], "compute": {"total": "sum(x)", "spread": "std(x)", "n": "count"}}]
    app = {"events": {"entities": {"card": {}}, "fields": {"x": {}}}, "features": {"windows": windows}}
    oracle = Oracle(app)
    found = [oracle.decide({"event_id": n, "time_ns": n, "card": 1, "x": x}) for n, x in enumerate((99.99, 0.07, 0.07))]
    assert found[-1]["total"] == 100.13
    assert agrees("sum", 100.13 * (1 + 9e-13), 100.13)
    assert not agrees("sum", 100.13 * (1 + 2e-12), 100.13)
    assert not agrees("count", 3.0000000000000004, found[-1]["n"])
    assert not agrees("std", None, found[-1]["spread"])
    later = oracle.decide({"event_id": 9, "time_ns": 60 * 10**9 + 1, "card": 1, "x": 0.07})
    assert later["spread"] == 0.0


def test_the_longest_durations_leave_no_range(tmp_path: Path) -> None:
    """36 years are the most that may be declared; windows, delay and lateness may all be that at once."""
    longest = "1900w"
    counted = {"n_{length}": "count", "s_{length}": "sum(x)", "l_{length}": "since_last", "f_{length}": "since_first"}
    app = {
        "homeostat": 1,
        "app": "long",
        "events": {"entities": {"card": {}}, "fields": {"x": {"type": "number"}}, "lateness": longest},
        "features": {
            "windows": [
                {"entity": "card", "lengths": [longest, "1000w"], "compute": counted},
                {"entity": "card", "lengths": [longest], "delay": longest, "compute": {"old": "mean(x)"}},
            ],
            "derived": {},
        },
        "scorers": {"rule": {"kind": "rules", "rules": [{"name": "any", "when": "x > 0", "score": 0.5}]}},
        "fusion": {"kind": "weighted"},
        "actions": ["allow", "block"],
        "costs": {"allow": {"positive": 1, "negative": 0}, "block": {"positive": 0, "negative": 1}},
        "guards": {"fallback": {"scorers_absent": "allow"}},
        "outcomes": {"horizon": longest},
        "learning": {"every": longest},
    }
    path = tmp_path / "app.yaml"
    path.write_text(yaml.safe_dump(app, sort_keys=False))
    epoch, rows = datetime(1970, 1, 1, tzinfo=UTC), []
    for number, year in enumerate([1901, 1930, 1965, 1999, 2023, 1903, 1940, 2001, 2024, 1990] * 3):
        day = datetime(year, 1 + number % 12, 3, tzinfo=UTC) - epoch
        rows.append({"event_id": f"e{number}", "time_ns": day.days * 86400 * 10**9, "card": "a", "x": number / 10})
    oracle, judgement = Oracle(app), Judgement()
    expected = {row["event_id"]: oracle.decide(row) for row in rows}
    with load(str(path)) as engine:
        engine.decide([sent(row) for row in rows])
        for event_id, features in expected.items():
            found = engine.decision(event_id, features=True)
            assert found is not None
            compare(app, oracle, event_id, features, found["features"], judgement, 0)
    assert not judgement.differing, judgement.differing
    assert judgement.features > 150
