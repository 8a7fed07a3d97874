"""An app file becomes a maintenance loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import yaml

from homeostat.app import feature_plan
from homeostat.app.maintaining import maintenance_of, monitors_of, names_of, tick_form
from homeostat.app.monitor_plugins import plugin_monitors
from homeostat.checks.ticks import NAMES, quiet_ticks
from homeostat.config.budgets import budget_of
from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.config.maintain import OURS, Maintain
from homeostat.decide.scorers.plugins import PluginError
from homeostat.maintain.monitor.transport import TransportMonitor
from homeostat.records.identity import Coding


@pytest.mark.parametrize("name", ["payments", "access"])
def test_every_series_is_taken_at_a_node_of_the_causal_graph(name):
    app = load_app(name)
    nodes = set(causal_graph(app).nodes)
    loop = maintenance_of(app, feature_plan(app))
    assert {one.node for one in loop.series if not one.node.startswith("segment:")} <= nodes
    assert len({one.key for one in loop.series}) == len(loop.series)


def test_the_form_of_ticks_follows_the_app_file():
    app = load_app("payments")
    form = tick_form(app, feature_plan(app), Coding.of_seed(0))
    assert (form.span_ns, form.lateness_ns) == (3600 * 10**9, 3600 * 10**9)
    assert form.ages.censoring == tuple(app.actions.index(one) for one in app.outcomes.censoring)
    assert form.features == feature_plan(app).names
    assert names_of(app, feature_plan(app)).node("TX_AMOUNT") == "field:amount"


def test_monitors_that_are_off_are_not_asked():
    app = load_app("access").model_copy(update={"maintain": Maintain(off=("transport", "models"))})
    names = [one.name for one in monitors_of(app, feature_plan(app))]
    assert set(names) <= set(OURS)
    assert "transport" not in names and "models" not in names and "contract" in names


@pytest.mark.parametrize("text", ["", "1", "one per day", "0 per 30d", "1 per 0d", "1 per 30"])
def test_a_budget_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        budget_of(text)
    with pytest.raises(ValueError):
        Maintain(false_alarms_max=text)


def test_campaigns_have_a_start_and_an_end():
    found = Maintain.model_validate(yaml.safe_load(
        "calendar: [{name: sale, since: '2026-11-27', until: '2026-12-01'}]\ntick: 30m\nfalse_alarms_max: 2 per 7d"
    ) | {})  # fmt: skip
    start, end = found.calendar[0].span_ns
    assert (end - start) == 4 * 86_400 * 10**9 and found.tick == 1800 * 10**9
    with pytest.raises(ValueError, match="ISO 8601"):
        Maintain(calendar=({"name": "sale", "since": "soon", "until": "2026-12-01"},))


@dataclass
class Point:
    """An entry point as far as it is asked."""

    name: str
    value: str
    made: object = None

    def load(self):
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


class Failing(TransportMonitor):
    """A monitor that fails at its third tick, and answers nonsense at its fourth."""

    asked = 0

    def measure(self, tick):
        self.asked += 1
        if self.asked == 3:
            raise RuntimeError("no weather today")
        found = super().measure(tick)
        return type(found)(found.value[:2], found.n, found.spread) if self.asked == 4 else found


def test_a_plug_in_that_fails_is_left_out_of_the_tick_and_asked_again():
    point = Point("weather", "their:make", lambda names, settings: Failing(names))
    (monitor,) = plugin_monitors({"weather": {"station": 7}}, NAMES, [point])
    ticks = quiet_ticks(5)
    found = [monitor.measure(tick) for tick in ticks]
    assert [bool(np.isnan(one.value).all()) for one in found] == [False, False, True, True, False]
    assert monitor.failures == 2 and monitor.trouble == ""


@pytest.mark.parametrize(
    ("points", "words"),
    [([Point("wether", "their:make")], "did you mean 'wether'"), ([], "install the package"),
     ([Point("weather", "a:b"), Point("weather", "c:d")], "offered twice"),
     ([Point("weather", "a:b", ImportError("no module"))], "no module")],
)  # fmt: skip
def test_a_plug_in_that_cannot_be_had_says_why(points, words):
    with pytest.raises(PluginError, match=words):
        plugin_monitors({"weather": {}}, NAMES, points)
