from types import SimpleNamespace

import pytest

from homeostat.engine.shared.maintenance_health import of_maintenance
from homeostat.ports.maintenance import Lease, MaintenanceState

NOW_NS = 1_800_000_000 * 10**9


def seen(lease):
    return [(one.health, one.seen) for one in of_maintenance(SimpleNamespace(lease=lambda: lease), NOW_NS)]


def test_an_app_that_nobody_ever_watched_is_not_spoken_of():
    assert seen(None) == []


@pytest.mark.parametrize(
    ("lives", "state", "health", "words"),
    [
        (True, MaintenanceState(7, 7, series=300, at_ns=NOW_NS), "ok", "one has read entry 7, and takes 300 figures"),
        (True, MaintenanceState(at_ns=NOW_NS, trouble="its disk is full"), "warning", "its disk is full"),
        (True, MaintenanceState(at_ns=NOW_NS, behind_s=400.0), "warning", "not caught up with the journal for 400 s"),
        (True, MaintenanceState(at_ns=NOW_NS - 500 * 10**9), "warning", "not caught up with the journal for 500 s"),
        (False, MaintenanceState(at_ns=NOW_NS - 10**9), "warning", "no process watches the decisions since 2027-01-15"),
        (False, MaintenanceState(), "warning", "no process watches the decisions"),
    ],
)
def test_maintenance_that_is_away_or_behind_is_a_warning(lives, state, health, words):
    ((found, text),) = seen(Lease("one", lives, state))
    assert found == health and words in text
