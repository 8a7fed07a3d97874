"""The contract of hypotheses, over shipped ones; and hypotheses that break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from homeostat.app.investigating import GROUP, plugin_hypotheses
from homeostat.checks.hypotheses import HYPOTHESIS_CHECKS
from homeostat.checks.inquiries import GRAPH, Replays, after, case, quiet, same, signal, with_amount
from homeostat.decide.scorers.plugins import PluginError
from homeostat.maintain.investigate.hypotheses.frozen import FrozenHypothesis
from homeostat.maintain.investigate.hypotheses.latency import LatencyHypothesis
from homeostat.maintain.investigate.hypotheses.missing import MissingHypothesis
from homeostat.maintain.investigate.hypotheses.unit import UnitHypothesis
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.signals import Kind

HALF = np.arange(12_000) % 2 == 0
CASES = {
    "unit": (UnitHypothesis, "field:amount", Kind.UNIT, lambda a, late: np.where(late & HALF, 100 * a, a)),
    "frozen": (FrozenHypothesis, "field:amount", Kind.FROZEN, lambda a, late: np.where(late & HALF, 33.5, a)),
    "missing": (MissingHypothesis, "field:amount", Kind.MISSING, lambda a, late: np.where(late & HALF, np.nan, a)),
}  # fmt: skip


def _asks(name: str, bad: bool) -> Callable[[], Inquiry]:
    _, node, kind, change = CASES[name]

    def ask() -> Inquiry:
        recent = with_amount(quiet(), change) if bad else quiet()
        return Inquiry(case([signal(node, kind)]), GRAPH, recent, Replays(recent, same))

    return ask


@pytest.mark.parametrize("check", HYPOTHESIS_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_shipped_hypotheses_keep_the_contract(name, check) -> None:  # type: ignore[no-untyped-def]
    build, node = CASES[name][:2]
    check(build, _asks(name, True), _asks(name, False), node)


class Eager(LatencyHypothesis):
    """Decides whatever it sees."""

    def tests(self, inquiry: Inquiry, node: str):  # type: ignore[no-untyped-def]
        yield Answer("", 1.0, "", 99.0, True)


def test_a_hypothesis_that_decides_of_quiet_traffic_breaks_it() -> None:
    slow = quiet()
    slow = replace(slow, took_us=np.where(after(slow), 9.0, 1.0) * slow.took_us)
    signals = [signal("serving", Kind.LATENCY)]
    asks = [lambda r=r: Inquiry(case(signals), GRAPH, r, None) for r in (slow, quiet())]
    broken = []
    for check in HYPOTHESIS_CHECKS:
        try:
            check(Eager, *asks, "serving")
        except AssertionError:
            broken.append(check.__name__)
    assert broken == ["it_decides_nothing_of_quiet_traffic", "its_answers_are_sound"]


def test_hypotheses_of_other_packages_are_found_and_what_is_none_is_refused() -> None:
    module = "homeostat.maintain.investigate.hypotheses.unit"
    found = plugin_hypotheses([EntryPoint("theirs", f"{module}:UnitHypothesis", GROUP)])
    assert [one.kind for one in found] == ["unit"]
    with pytest.raises(PluginError, match="lacks kind"):
        plugin_hypotheses([EntryPoint("theirs", "builtins:dict", GROUP)])
    with pytest.raises(PluginError, match="failed with"):
        plugin_hypotheses([EntryPoint("theirs", f"{module}:Nothing", GROUP)])
