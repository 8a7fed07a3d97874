"""Watched incidents that come again: at one place, of one source, at one hour; chance alone opens nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from homeostat.maintain.incident.repeats import DAY_NS, HOUR_NS, SPAN_NS, opened_for, repeats
from homeostat.records.past import Named, PastCase, Trait, Tried

NOW = 100 * DAY_NS


def watched(
    id: str, days: float, node: str = "feature:night", hour: float = 0.0, sources: tuple[str, ...] = ()
) -> PastCase:
    """An incident that began so many days before now, and that nothing was done about."""
    began = int(NOW - days * DAY_NS + hour * HOUR_NS)
    trait = Trait("distribution", node, "distribution", "distance", True, 1.0)
    return PastCase(id, 1, began, began + HOUR_NS, (trait,), since_ns=began, sources=sources)


def elsewhere(id: str, days: float, hour: float = 0.0, sources: tuple[str, ...] = ()) -> PastCase:
    """One at a place of its own."""
    return watched(id, days, f"feature:{id}", hour, sources)


def test_three_at_one_place_on_three_days_are_a_repeat() -> None:
    cases = [watched(f"i{day}", day, hour=7 * day) for day in (2, 9, 20)]
    (found,) = repeats(cases, NOW)
    assert (found.by, found.what) == ("node", "distribution at feature:night")
    assert [one.id for one in found.cases] == ["i20", "i9", "i2"], "the earliest first"
    incident = found.incident("shop", ["s1"], NOW)
    assert incident.id == found.incident("shop", ["s1"], NOW + 5).id and incident.notes["repeats"] == [
        "i20",
        "i9",
        "i2",
    ]
    assert repeats(cases, NOW, opened_for([incident])) == []


@pytest.mark.parametrize(
    "cases",
    [
        [watched("a", 2), watched("b", 9)],
        [watched("a", 2), watched("b", 2.1), watched("c", 2.2)],
        [watched("a", 2), watched("b", 9), watched("c", SPAN_NS / DAY_NS + 1)],
        [watched("a", 2), watched("b", 9), replace(watched("c", 20), closed_ns=0)],
        [watched("a", 2), watched("b", 9), replace(watched("c", 20), causes=(Named("source", "flood", 0.9),))],
        [watched("a", 2), watched("b", 9), replace(watched("c", 20), tried=(Tried("rule", "app", "PASS", False),))],
    ],
    ids=["two", "one day", "long ago", "still open", "found", "acted on"],
)
def test_others_are_none(cases: list[PastCase]) -> None:
    assert repeats(cases, NOW) == []


def test_one_source_and_one_hour_are_repeats_at_whatever_place() -> None:
    ours = [elsewhere(f"s{day}", day, sources=("shop-7",), hour=5 * day) for day in (3, 10, 17)]
    assert [(one.by, one.what) for one in repeats(ours, NOW)] == [("source", "shop-7")]
    nightly = [elsewhere(f"h{day}", day, hour=3 + day % 2) for day in (1, 4, 8, 12, 21)]
    assert [(one.by, one.what, len(one.cases)) for one in repeats(nightly, NOW)] == [
        ("hour", "02:00 to 05:00 UTC", 5)
    ]  # fmt: skip


def test_chance_alone_opens_nothing() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        cases = [elsewhere(f"i{k}", rng.uniform(0, 28), hour=rng.uniform(0, 24)) for k in range(8)]
        assert repeats(cases, NOW) == []
