"""The `metrics` section of the app file: how measurements of machines and services become this app's events."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from homeostat.config.scalars import Duration, Name, Node, duration_ns


def _named(value: object) -> object:
    """Lets `cpu.usage_idle` stand for a measurement and its field: they part at the last dot."""
    if not isinstance(value, str):
        return value
    measurement, _, field = value.rpartition(".")
    if not measurement or not field:
        raise ValueError(f"{value!r} names no measurement and field: write measurement.field, such as cpu.usage_idle")
    return {"measurement": measurement, "field": field}


def _step(span_ns: int) -> int:
    if not duration_ns("1ms") <= span_ns <= duration_ns("1d"):
        raise ValueError("a step is 1ms to 1d long")
    return span_ns


class Source(Node):
    """Where a metric is found in the lines that come: a measurement, one of its fields, and tags that it must have."""

    measurement: str = Field(min_length=1, max_length=256, description="the measurement's name")
    field: str = Field(default="value", min_length=1, max_length=256, description="the measurement's field")
    tags: dict[str, str] = Field(
        default={}, description="tag -> value: only lines that have all of these, such as cpu: cpu-total"
    )


Found = Annotated[
    Source, BeforeValidator(_named, json_schema_input_type=Source | Annotated[str, Field(pattern=r"^.+\..+$")])
]
StepSpan = Annotated[Duration, AfterValidator(_step)]
Tag = Annotated[str, Field(min_length=1, max_length=256)]


class Metrics(Node):
    """Measurements that come in separate lines and slightly apart become one event for each entity and time step."""

    step: StepSpan = Field(description="how long a time step is; steps begin at its multiples since 1970")
    lateness: Duration = Field(
        default=0, description="how long a step waits after its end for what comes late; later lines are left out"
    )
    entity: dict[Name, Tag] = Field(
        min_length=1, description="one of events.entities -> the tag that holds its key, such as host: host"
    )
    fields: dict[Name, Found] = Field(
        min_length=1, description="one of events.fields -> measurement.field, or a mapping of measurement, field and "
        "tags; a metric that does not come is missing"
    )  # fmt: skip
