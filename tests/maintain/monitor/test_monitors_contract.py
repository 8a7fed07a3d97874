from __future__ import annotations

from functools import cache

import pytest

from homeostat.checks.monitors import MONITOR_CHECKS
from homeostat.checks.ticks import HOUR_NS, NAMES, quiet_ticks
from homeostat.maintain.monitor.behaviour import BehaviourMonitor
from homeostat.maintain.monitor.contract import ContractMonitor
from homeostat.maintain.monitor.distribution import DistributionMonitor
from homeostat.maintain.monitor.early import EarlyMonitor
from homeostat.maintain.monitor.fairness import Bound, FairnessMonitor, Groups
from homeostat.maintain.monitor.guarded import GuardedMonitor
from homeostat.maintain.monitor.labels import LabelsMonitor
from homeostat.maintain.monitor.models import ModelsMonitor
from homeostat.maintain.monitor.quality import QualityMonitor
from homeostat.maintain.monitor.segments import SegmentsMonitor
from homeostat.maintain.monitor.serving import ServingMonitor
from homeostat.maintain.monitor.transport import TransportMonitor

DAY_NS = 24 * HOUR_NS
BUILDS = {
    "contract": lambda: ContractMonitor(NAMES),
    "transport": lambda: TransportMonitor(NAMES),
    "serving": lambda: ServingMonitor(NAMES),
    "models": lambda: ModelsMonitor(NAMES),
    "behaviour": lambda: BehaviourMonitor(NAMES, None, (0.15, 0.5)),
    "distribution": lambda: DistributionMonitor(NAMES),
    "quality": lambda: QualityMonitor(NAMES, DAY_NS),
    "early": lambda: EarlyMonitor(len(NAMES.entities), DAY_NS),
    "segments": lambda: SegmentsMonitor(NAMES, DAY_NS),
    "labels": lambda: LabelsMonitor(NAMES, DAY_NS, HOUR_NS),
    "fairness": lambda: FairnessMonitor(NAMES, Groups(2, (1, 2)), [Bound("selection_rate", 0.1)]),
    "guarded": lambda: GuardedMonitor("transport", TransportMonitor(NAMES)),
}


@cache
def ticks():
    return quiet_ticks(24 * 9, per_hour=30)


@pytest.mark.parametrize("check", MONITOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", BUILDS)
def test_every_monitor_keeps_the_contract(name, check):
    check(BUILDS[name], ticks())
