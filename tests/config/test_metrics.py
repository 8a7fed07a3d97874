"""The `metrics` section: mistaken ones are refused with their places, and it is no part of what an app is."""

from __future__ import annotations

import pytest

from homeostat.app import fingerprint
from homeostat.config.faults import AppFileError
from homeostat.config.load import parse_app
from homeostat.config.metric_faults import unwise
from homeostat.config.metrics import Source

APP = """homeostat: 1
app: hosts
events:
  id: {name: id}
  time: {name: time}
  lateness: 15s
  entities: {host: {}, role: {required: false}, pair: {of: [host, role]}}
  fields:
    cpu_idle: {type: number, required: false}
    load1: {type: number, required: false}
    kind: {type: category, required: false}
    seen: {type: number}
actions: [ok, alert]
guards: {fallback: {scorers_absent: ok}}
"""
GOOD = "{step: 10s, lateness: 5s, entity: {host: host}, fields: {cpu_idle: cpu.usage_idle}}"
OPTIONAL = APP.replace("seen: {type: number}", "seen: {type: number, required: false}")


def section(text: str, app: str = OPTIONAL) -> str:
    return f"{app}metrics: {text}\n"


def test_a_metric_is_a_measurement_and_field_or_a_mapping_with_tags() -> None:
    app = parse_app(section(
        "{step: 10s, entity: {host: host, role: service.role}, fields: {cpu_idle: {measurement: cpu, field: idle, "
        "tags: {cpu: cpu-total}}, load1: node.load1.value, seen: {measurement: up}}}"
    ))  # fmt: skip
    assert app.metrics is not None
    assert app.metrics.fields["cpu_idle"] == Source(measurement="cpu", field="idle", tags={"cpu": "cpu-total"})
    assert app.metrics.fields["load1"] == Source(measurement="node.load1", field="value")
    assert app.metrics.fields["seen"] == Source(measurement="up", field="value")
    assert (app.metrics.step, app.metrics.lateness) == (10 * 10**9, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("10s", "0s"), "a step is 1ms to 1d long"),
        (GOOD.replace("host: host", "hosts: host"), "Did you mean host?"),
        (GOOD.replace("host: host", "pair: host"), "that events carry"),
        (GOOD.replace("host: host", "role: host"), "say which tag holds it"),
        (GOOD.replace("cpu_idle:", "cpu_idel:"), "Did you mean cpu_idle?"),
        (GOOD.replace("cpu_idle:", "kind:"), "of type category"),
        (GOOD.replace("cpu.usage_idle", "usage_idle"), "write measurement.field"),
        (GOOD.replace("cpu.usage_idle", "3"), "metrics.fields.cpu_idle"),
        (GOOD.replace("cpu.usage_idle", "{field: usage_idle}"), "measurement"),
        (GOOD.replace("5s", "6s"), "at least 16s"),
        ("{step: 10s}", "metrics"),
    ],
)
def test_a_section_that_means_nothing_is_refused_with_its_fault(text: str, said: str) -> None:
    with pytest.raises(AppFileError) as refused:
        parse_app(section(text))
    assert said in str(refused.value) and "metrics" in str(refused.value)


def test_a_field_that_no_metric_fills_or_that_must_come_is_refused() -> None:
    for fields in ("{cpu_idle: cpu.usage_idle}", "{seen: cpu.seen}"):
        with pytest.raises(AppFileError, match="required: false"):
            parse_app(section(GOOD.replace("{cpu_idle: cpu.usage_idle}", fields), APP))


def test_what_may_be_meant_otherwise_is_said() -> None:
    assert unwise(parse_app(section(GOOD))) == [] == unwise(parse_app(OPTIONAL))
    both = GOOD.replace("host: host", "host: host, role: service")
    twice = GOOD.replace("usage_idle}", "usage_idle, load1: cpu.usage_idle}")
    assert "become different events" in unwise(parse_app(section(both)))[0]
    assert "cpu_idle and load1 are the same field" in unwise(parse_app(section(twice)))[0]


def test_how_events_come_is_no_part_of_what_an_app_is() -> None:
    assert fingerprint(parse_app(section(GOOD))) == fingerprint(parse_app(OPTIONAL))
