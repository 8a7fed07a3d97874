"""`rank_causes` names the node that a slowdown or failures come from, and nobody where nothing is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support.service_frames import PlainFrame, Shop

from homeostat.maintain.investigate import rank_causes

SLOW = np.array([0.0, 0.1, 0.2, 0.2, 0.2])
LATENCY, AVAILABILITY = ("shop", "latency"), ("shop", "availability")
PAGE = Path(__file__).parents[3] / "docs" / "ranking.md"


def first(shop, during, target=LATENCY, graph=Shop.GRAPH, before=None):
    found = rank_causes(PlainFrame(before or shop.columns(120)), PlainFrame(during), graph, target)
    assert sum(probability for _, probability in found) == pytest.approx(1)
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    return found[0][0]


@pytest.mark.parametrize("cause", ["shop", "pay", "stock", "bank"])
def test_a_node_that_got_slow_comes_first_and_not_its_callers(cause: str) -> None:
    shop = Shop()
    assert first(shop, shop.columns(5, more={cause: SLOW})) == cause


@pytest.mark.parametrize("cause", ["shop", "pay", "stock", "bank"])
def test_a_node_that_fails_comes_first_and_not_its_callers(cause: str) -> None:
    shop = Shop()
    assert first(shop, shop.columns(5, errors={cause: SLOW}), AVAILABILITY) == cause


@pytest.mark.parametrize("target", [LATENCY, AVAILABILITY, None])
def test_nobody_comes_first_in_quiet_windows(target: tuple[str, str] | None) -> None:
    quiet = [first(shop, shop.columns(5), target) for shop in map(Shop, range(12))]
    assert quiet.count(None) >= 11


def test_without_a_target_the_most_anomalous_metric_is_explained() -> None:
    shop = Shop()
    assert first(shop, shop.columns(5, more={"bank": SLOW}), None) == "bank"
    assert first(shop, shop.columns(5, errors={"pay": SLOW}), None) == "pay"


def test_a_fault_of_the_whole_window_is_found() -> None:
    shop = Shop()
    assert first(shop, shop.columns(5, more={"bank": 0.2})) == "bank"


def test_a_level_that_moved_for_good_explains_nothing() -> None:
    shop = Shop()
    assert first(shop, shop.columns(5, more={"bank": SLOW}, moved={"stock": 4.0})) == "bank"


def test_a_node_that_is_called_for_the_first_time_accuses_its_caller() -> None:
    shop = Shop()
    during = shop.columns(5, errors={"pay": SLOW})
    failed = during["pay", "requests"] * SLOW
    during |= {("new", "requests"): failed, ("new", "availability"): np.where(failed > 0, 0.0, np.nan)}
    assert first(shop, during, AVAILABILITY, (*Shop.GRAPH, ("pay", "new"))) == "pay"


def test_gaps_and_a_node_without_metrics_are_allowed() -> None:
    shop = Shop()
    before, during = shop.columns(120), shop.columns(6, more={"bank": np.append(SLOW, 0.2)})
    for place, key in enumerate(before):
        before[key][place::17] = np.nan
    during["bank", "latency"][3] = np.nan
    during["shop", "requests"][2] = np.nan
    assert first(shop, during, graph=(*Shop.GRAPH, ("bank", "vault")), before=before) == "bank"


def test_nodes_that_call_each_other_are_ranked_all_the_same() -> None:
    shop = Shop()
    assert first(shop, shop.columns(5, more={"stock": SLOW}), graph=(*Shop.GRAPH, ("bank", "shop"))) == "stock"
    assert first(shop, shop.columns(5, more={"bank": SLOW}), graph=(*Shop.GRAPH, ("bank", "pay"))) in ("bank", "pay")


@pytest.mark.parametrize(
    "names",
    [
        ("callCount", "durationSeconds", "successRatio"),
        ("m1", "m2", "m3"),
        (("n", "calls"), ("t", "time"), ("ok", "success")),
    ],
)
def test_metrics_are_known_by_other_words_and_by_their_values(names: tuple[object, object, object]) -> None:
    shop = Shop()
    new = dict(zip(("requests", "latency", "availability"), names, strict=True))

    def renamed(columns):
        return {(node, new[metric]): values for (node, metric), values in columns.items()}

    before = renamed(shop.columns(120))
    assert first(shop, renamed(shop.columns(5, more={"bank": SLOW})), ("shop", names[1]), before=before) == "bank"
    assert first(shop, renamed(shop.columns(5, errors={"pay": SLOW})), ("shop", names[2]), before=before) == "pay"


def test_failures_are_read_as_shares_and_as_counts() -> None:
    shop = Shop()
    before, during = shop.columns(120), shop.columns(5, errors={"pay": SLOW})
    for name, factor in (("error rate", None), ("errors", "requests")):
        both = []
        for columns in (before, during):
            failed = {n: 1 - columns[n, "availability"] / 100 for n, m in columns if m == "latency"}
            made = {
                (node, name): np.round(share * columns[node, factor]) if factor else share
                for node, share in failed.items()
            }
            both.append(made | {key: values for key, values in columns.items() if key[1] == "requests"})
        assert first(shop, both[1], ("shop", name), before=both[0]) == "pay"


def test_of_a_load_the_deepest_anomalous_node_is_the_cause() -> None:
    chance = np.random.default_rng(0)
    before = {(node, "load"): chance.normal(-1, 0.1, 120) for node in ("shop", "pay", "stock", "bank")}
    during = {key: chance.normal(-1, 0.1, 5) + (key[0] in ("shop", "pay")) * 2 for key in before}
    assert first(None, during, ("shop", "load"), before=before) == "pay"


def test_of_a_count_of_requests_the_first_caller_is_the_cause() -> None:
    chance = np.random.default_rng(0)
    before = {(node, "requests"): chance.poisson(300, 120).astype(float) for node in ("shop", "pay", "stock", "bank")}
    during = {key: chance.poisson(300 if key[0] in ("shop", "stock") else 900, 5).astype(float) for key in before}
    assert first(None, during, ("bank", "requests"), before=before) == "pay"


def test_it_needs_no_library_of_frames() -> None:
    code = (
        "import sys, homeostat.maintain.investigate; sys.exit(bool({'pandas', 'pyarrow', 'numba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_page_runs_as_it_is_written() -> None:
    import doctest

    assert doctest.testfile(str(PAGE), module_relative=False).failed == 0
