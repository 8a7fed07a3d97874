"""Points to the entity and the metrics of an app that they measure, as its file declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from homeostat.adapters.influx.line_protocol import Point, Series
from homeostat.config.metrics import Metrics
from homeostat.decide.intake.objects import Check, field_checks
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.intake.times import TIME_MAX, TIME_MIN, ahead_text
from homeostat.decide.intake.values import Fault, Source, text
from homeostat.records.reasons import Reason

Entity: TypeAlias = tuple[str | None, ...]
"""The keys of an entity, in the order of the declaration; None for one that is absent."""

_SERIES_MAX = 100_000  # As many as the parser of line protocol remembers.


class Measured(NamedTuple):
    """The metrics of one entity at one time, in nanoseconds since 1970."""

    entity: Entity
    time_ns: int
    values: dict[str, float]


class Unusable(ValueError):
    """A point that the app can't use though it declares its series; the text says why."""

    def __init__(self, why: str, reason: Reason = Reason.WRONG_TYPE) -> None:
        super().__init__(why)
        self.reason = reason


class _Use(NamedTuple):
    """The use of a series: its entity, and the fields that are metrics."""

    entity: Entity
    metrics: tuple[tuple[str, str], ...]  # A field of the series, and the metric that it is.


class MetricMap:
    """Finds the entity and the metrics of points. It remembers the series that it has seen.

    >>> from homeostat.config.metrics import Metrics
    >>> spec = Metrics(step="10s", entity={"host": "host"}, fields={"idle": "cpu.usage_idle"})
    >>> found = MetricMap(spec, (True,), {"idle": lambda value, source: float(value)}, 0)
    >>> found.measured(Point(Series("cpu", (("host", "a"),)), {"usage_idle": 98, "n": 1}, 1000), 1000)
    Measured(entity=('a',), time_ns=1000, values={'idle': 98.0})
    """

    def __init__(
        self, spec: Metrics, required: tuple[bool, ...], checks: Mapping[str, Check], ahead_max_ns: int
    ) -> None:  # fmt: skip
        """Make the map of a declaration.

        required : of each of its entities, whether a point without its key is left alone
        checks : of the values of each metric, see `checks_of`
        ahead_max_ns : how far ahead of the clock a point may be
        """
        self.entities, self.metrics = tuple(spec.entity), frozenset(spec.fields)
        self._tags, self._required = tuple(spec.entity.values()), required
        self._checks, self._ahead_max_ns = checks, ahead_max_ns
        self._sources: dict[str, list[tuple[str, str, tuple[tuple[str, str], ...]]]] = {}
        for metric, source in spec.fields.items():
            found = self._sources.setdefault(source.measurement, [])
            found.append((metric, source.field, tuple(source.tags.items())))
        self._uses: dict[Series, _Use | Unusable | None] = {}

    def measured(self, point: Point, now_ns: int) -> Measured | None:
        """The metrics of a point; None where the app does not use it.

        now_ns : the clock, which is also the time of a point that has none
        Raises Unusable.
        """
        use = self._use(point.series)
        if use is None:
            return None
        if isinstance(use, Unusable):
            raise Unusable(str(use), use.reason)
        values: dict[str, float] = {}
        for field, metric in use.metrics:
            value = point.fields.get(field)
            if value is not None:
                values[metric] = self._number(metric, field, value)
        if not values:
            return None
        time_ns = now_ns if point.time_ns is None else point.time_ns
        if time_ns > now_ns + self._ahead_max_ns:
            raise Unusable(f"the timestamp is too early: {ahead_text(time_ns - now_ns)}", Reason.TOO_EARLY)
        if not TIME_MIN <= time_ns < TIME_MAX:
            raise Unusable("the timestamp is out of range", Reason.BAD_TIME)
        return Measured(use.entity, time_ns, values)

    def _use(self, series: Series) -> _Use | Unusable | None:
        if series in self._uses:
            return self._uses[series]
        if len(self._uses) >= _SERIES_MAX:
            self._uses.clear()
        found = self._uses[series] = self._found(series)
        return found

    def _found(self, series: Series) -> _Use | Unusable | None:
        tags = dict(series.tags)
        metrics = tuple(
            (field, metric)
            for metric, field, wanted in self._sources.get(series.measurement, ())
            if all(tags.get(tag) == value for tag, value in wanted)
        )
        entity = tuple(tags.get(tag) or None for tag in self._tags)
        lacks = any(needed and key is None for key, needed in zip(entity, self._required, strict=True))
        if not metrics or lacks or not any(entity):
            return None
        for tag, key in zip(self._tags, entity, strict=True):
            if key is not None and not _is_key(key):
                why = f"the tag {tag} is no key of an entity: it is longer than 256 characters or holds a NUL"
                return Unusable(why, Reason.OUT_OF_RANGE)
        return _Use(entity, metrics)

    def _number(self, metric: str, field: str, value: float | int | str | bool) -> float:
        if isinstance(value, str):
            raise Unusable(f"field type conflict: {field} is a string, and the metric {metric} is a number")
        try:
            return self._checks[metric](value, Source.JSON)
        except Fault as fault:
            why = fault.detail or fault.reason.value.replace("_", " ")
            raise Unusable(f"{field} has a value that the metric {metric} does not take: {why}", fault.reason) from None


def checks_of(schema: EventSchema) -> dict[str, Check]:
    """The check of each numeric field of the events; true and false count as 1 and 0 in a number."""
    found = zip(schema.fields, field_checks(schema), strict=True)
    return {
        field.name: check if field.kind == "boolean" else _of_number(check)
        for field, check in found
        if field.kind != "category"
    }


def _of_number(check: Check) -> Check:
    return lambda value, source: check(float(value) if isinstance(value, bool) else value, source)


def _is_key(key: str) -> bool:
    try:
        text(key)
    except Fault:
        return False
    return True
