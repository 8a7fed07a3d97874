"""Features against an oracle written from the docs alone; the long form is `python -m benchmarks.oracle`."""

from __future__ import annotations

from pathlib import Path

from tests.support.judging import Judgement, judge
from tests.support.oracle import Oracle, agrees

APPS = 12


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
