"""Without a target, a node's own resources and the durations that only it explains name the cause."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.service_frames import PlainFrame

from homeostat import RankingError
from homeostat.maintain.investigate import rank_causes

GRAPH = [("front", "cart"), ("front", "mail")]


def columns(rows: int, seed: int) -> dict[tuple[str, str], np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        (node, metric): rng.normal(usual, usual / 20, rows)
        for node in ("front", "cart", "mail")
        for metric, usual in (("cpu_millicores", 20.0), ("latency_p50", 0.01), ("workload_ops", 9.0))
    }


def first(during: dict[tuple[str, str], np.ndarray], target: object = None) -> object:
    return rank_causes(PlainFrame(columns(30, 1)), PlainFrame(during), GRAPH, target)[0][0]


def test_a_node_that_uses_more_is_named_and_nobody_in_quiet_times() -> None:
    during = columns(6, 2)
    assert first(during) is None
    during["cart", "cpu_millicores"] = during["cart", "cpu_millicores"] * 3
    assert first(during) == "cart" == first(during, ("front", None))
    assert first(during, ("mail", None)) is None


def test_a_slow_callee_explains_its_slow_caller() -> None:
    during = columns(6, 2)
    for node, times in (("front", 20), ("mail", 12)):
        during[node, "latency_p50"] = during[node, "latency_p50"] * times
    assert first(during) == "mail"


def test_processor_time_that_grows_with_requests_is_nobodys_fault() -> None:
    during = columns(6, 2)
    for metric in ("cpu_millicores", "workload_ops"):
        during["cart", metric] = during["cart", metric] * 3
    assert first(during) is None


def test_a_node_without_values_is_refused() -> None:
    with pytest.raises(RankingError, match="'bank' is no node"):
        first(columns(6, 2), ("bank", None))
