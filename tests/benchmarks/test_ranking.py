"""Made-up services of a seed are the same each time, add up along calls, and their faults are mostly found."""

from __future__ import annotations

import numpy as np
import pandas as pd
from benchmarks.ranking import placed
from benchmarks.ranking_world import Services, made

from homeostat.maintain.investigate import rank_causes


def test_a_seed_gives_the_same_case_again() -> None:
    first, again = made(7, True, rows=50), made(7, True, rows=50)
    assert first.cause == again.cause and first.graph == again.graph
    pd.testing.assert_frame_equal(first.normal, again.normal)
    pd.testing.assert_frame_equal(first.anomalous, again.anomalous)


def test_a_delay_reaches_the_entry_as_often_as_the_node_is_called() -> None:
    services = Services(3)
    node = int(np.flatnonzero(services.calls[0])[0])
    usual, slow = services.rows(300), services.rows(300, node, 1.0, more=10.0)
    name = services.names[1]
    entry = slow["n0", name].mean() - usual["n0", name].mean()
    assert abs(slow[f"n{node}", name].mean() - usual[f"n{node}", name].mean() - 10) < 1
    assert entry > 9 * services.calls[0, node]


def test_most_causes_come_first_and_nobody_where_nothing_is_wrong() -> None:
    faulty, quiet = ([made(seed, wrong, rows=200) for seed in range(30_000, 30_012)] for wrong in (True, False))
    ranks = [placed(rank_causes(one.normal, one.anomalous, one.graph, one.target), one.cause) for one in faulty + quiet]
    assert np.mean(np.array(ranks[:12]) == 0) >= 0.7
    assert np.mean(np.array(ranks[12:]) == 0) >= 0.9
