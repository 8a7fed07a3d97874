from homeostat.checks.ticks import HOUR_NS, NAMES, START_NS
from homeostat.jobs.maintaining.estimates import estimates_of, readings_of, shown_estimates, worded_estimates
from homeostat.maintain.loop import MaintenanceLoop
from homeostat.maintain.monitor.label_free import LabelFreeMonitor

NOTHING = LabelFreeMonitor(NAMES, HOUR_NS).standing()
FOUND = {
    "estimated": {"auc": {"value": 0.81, "low": 0.7, "high": 0.9}, "f1": {"value": None, "low": None, "high": None}},
    "decisions": 1_024, "at_ns": START_NS, "assumption_broken": True,
    "why": "mature outcomes contradict the law: auc -0.2",
}  # fmt: skip


def test_before_the_first_estimates_there_is_no_metric_and_people_get_the_reason():
    assert readings_of(None) == readings_of(NOTHING) == {}
    said = worded_estimates(NOTHING)
    assert said.startswith("quality is not estimated without labels yet: too few outcomes are mature")
    assert said.endswith("There are 0 days, with 0 and 0") and "outcomes.maturity" in said
    assert worded_estimates(None) == "" and shown_estimates(None) is None
    assert shown_estimates(NOTHING)["at"] is None


def test_estimates_are_metrics_by_figure_and_a_line_for_people():
    found = readings_of(FOUND)
    assert found["homeostat_estimated_quality"] == {"auc": 0.81}
    assert found["homeostat_estimated_quality_low"] == {"auc": 0.7}
    assert found["homeostat_estimates_broken"] is True
    assert worded_estimates(FOUND) == (
        "estimated without labels, of 1,024 decisions: auc 0.81 (0.7 to 0.9); not to be trusted, assumption broken: "
        "mature outcomes contradict the law: auc -0.2"
    )
    assert shown_estimates(FOUND)["at"] == "2026-01-05T00:00:00Z"


def test_an_app_may_have_the_monitor_off():
    one = LabelFreeMonitor(NAMES, HOUR_NS)
    assert estimates_of(MaintenanceLoop([one], None, None)) == NOTHING
    assert estimates_of(MaintenanceLoop([], None, None)) is None
