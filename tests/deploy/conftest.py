"""The parts that tests of the deployment share: the files, Prometheus's tools, and what homeostat really exports."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from homeostat import load
from homeostat.checks.servers import machine
from homeostat.engine.metrics import engine_registry
from homeostat.engine.readings import FAMILIES, Durations, Readings

sys.path.insert(0, str(Path(__file__).parent))  # For `queries`, beside the tests.
EVENT = {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}


@pytest.fixture(scope="session")
def deploy() -> Path:
    return Path(__file__).parents[2] / "deploy"


def program(name: str) -> str:
    """A program of Debian's package prometheus, installed where that may be; in continuous integration it must be."""
    found = shutil.which(name)
    if found is None and machine.install("prometheus"):
        found = shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name}: it comes with the package prometheus")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return program("prometheus")


@pytest.fixture(scope="session")
def exported() -> dict[str, set[str]]:
    """Every series that a worker and a server show, with the labels that it may have."""
    values = {
        name: {"some": 1.0} if family.label else 1.0 for name, family in FAMILIES.items() if family.kind != "histogram"
    }
    times = [Durations("access", name) for name, family in FAMILIES.items() if family.kind == "histogram"]
    with load("access") as engine:
        engine.decide(EVENT)
        registry: CollectorRegistry = engine_registry(engine, Readings("access", lambda: values), *times)
        shown: dict[str, set[str]] = {}
        for family in registry.collect():
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            for suffix in suffixes:
                labels = {label for sample in family.samples for label in sample.labels}
                shown[family.name + suffix] = labels | {"app", "instance", "job", *_BY_NAME.get(family.name, ())}
    return shown | {"up": {"instance", "job"}, "ALERTS": {"alertname", "alertstate"}}


# Families that show nothing of the small app in the example above, which has no scorers and no rules of its own.
_BY_NAME = {"homeostat_score": ("scorer", "le"), "homeostat_scores_missing": ("scorer",), "homeostat_rules": ("rule",)}
