import os
from pathlib import Path

import numpy as np
import pytest

from homeostat.sim.payments.transactions import DAY_S, Payments, PaymentsSpec, generate

FILE = "fraud_transactions_2018-04-01_2018-08-21.parquet"


@pytest.fixture(scope="module")
def world() -> Payments:
    return generate(PaymentsSpec(days=90), seed=11)


def _figures(time_s, amount, scenario, start_s) -> dict[str, float]:
    steady = time_s >= start_s + 28 * DAY_S  # Compromised terminals build up over four weeks.
    days = (time_s[-1] - start_s) // DAY_S + 1
    second = time_s % DAY_S
    figures = {
        "events a day": len(time_s) / days,
        "fraud share": (scenario[steady] > 0).mean(),
        "mean amount": amount.mean(),
        "std amount": amount.std(),
        "mean stolen": amount[scenario == 3].mean(),
        "mean large": amount[scenario == 1].mean(),
        "std second": second.std(),
    }
    for quantile in (0.25, 0.5, 0.75, 0.99):
        figures[f"amount {quantile}"] = np.quantile(amount, quantile)
    for kind in (1, 2, 3):
        figures[f"scenario {kind} a day"] = (scenario[steady] == kind).sum() / (days - 28)
    return figures


def test_figures_match_those_published(world):
    published = {
        "events a day": (9586, 0.05), "fraud share": (0.0087, 0.12), "mean amount": (53.6, 0.04),
        "std amount": (42.1, 0.04), "mean stolen": (255.6, 0.15), "mean large": (235.5, 0.02),
        "std second": (18184, 0.01),
        "amount 0.25": (21.0, 0.06), "amount 0.5": (44.65, 0.05), "amount 0.75": (76.97, 0.05),
        "scenario 1 a day": (5.3, 0.3), "scenario 2 a day": (52.7, 0.15), "scenario 3 a day": (26.1, 0.2),
    }  # fmt: skip
    got = _figures(world.time_s, world.amount, world.scenario, world.time_s[0] // DAY_S * DAY_S)
    for name, (value, tolerance) in published.items():
        assert got[name] == pytest.approx(value, rel=tolerance), name


def test_rows_are_in_time_order_and_obey_the_description(world):
    assert (np.diff(world.time_s) >= 0).all()
    assert world.amount.min() >= 0
    assert np.array_equal(world.amount, np.round(world.amount, 2))
    assert np.array_equal(world.fraud, world.scenario > 0)
    assert world.amount[world.fraud == 0].max() <= 220


def test_the_same_seed_gives_the_same_world_and_another_another():
    spec = PaymentsSpec(customers=100, terminals=2000, days=20)
    one, same, other = generate(spec, 3), generate(spec, 3), generate(spec, 4)
    assert one.table().equals(same.table())
    assert not one.table().equals(other.table())


def test_a_customer_pays_at_terminals_around(world):
    for customer in range(20):
        assert len(np.unique(world.terminal[world.customer == customer])) < 200


@pytest.mark.skipif(
    "HOMEOSTAT_DATA" not in os.environ, reason="HOMEOSTAT_DATA is unset: no real payments to compare with"
)
def test_figures_match_the_benchmarks_own_file():
    from pyarrow import parquet

    table = parquet.read_table(Path(os.environ["HOMEOSTAT_DATA"]) / FILE)
    time_s = table["TX_DATETIME"].to_numpy().astype("datetime64[s]").astype(np.int64)
    scenario = table["TX_FRAUD_SCENARIO"].to_numpy()
    real = _figures(time_s, table["TX_AMOUNT"].to_numpy(), scenario, time_s[0] // DAY_S * DAY_S)
    made = generate(PaymentsSpec(days=143), seed=5)
    ours = _figures(made.time_s, made.amount, made.scenario, made.time_s[0] // DAY_S * DAY_S)
    for name, value in real.items():
        loose = 0.3 if name.startswith(("scenario", "mean stolen")) else 0.06
        assert ours[name] == pytest.approx(value, rel=0.12 if name == "fraud share" else loose), name
    assert made.table().schema.names == list(table.column_names)
