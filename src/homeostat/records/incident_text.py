"""Signals, incidents and silences as JSON, and back. A figure that is not known (NaN) is null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from homeostat.records.incidents import Incident, Phase, Severity, Silence, Suspect
from homeostat.records.signals import Kind, Series, Signal

T = TypeVar("T", Signal, Incident, Silence)


def signal_dict(signal: Signal) -> dict[str, Any]:
    """A signal as JSON can hold it, the fields of its series among its own."""
    found = asdict(signal)
    series = found.pop("series")
    return {"id": found.pop("id"), **{name: _plain(value) for name, value in (series | found).items()}}


def read_signal(found: Mapping[str, Any]) -> Signal:
    """The signal of such a dict. Raises ValueError where it is none."""
    try:
        names = {one.name for one in fields(Series)}
        series = Series(**{name: found[name] for name in names - {"kind"}}, kind=Kind(found["kind"]))
        rest = {name: value for name, value in found.items() if name not in names}
        return Signal(**_figures(Signal, rest), series=series)
    except (KeyError, TypeError) as error:
        raise ValueError("the signal cannot be read") from error


def incident_dict(incident: Incident) -> dict[str, Any]:
    """An incident as JSON can hold it."""
    found = asdict(incident)
    return {name: list(value) if isinstance(value, tuple) else _plain(value) for name, value in found.items()}


def read_incident(found: Mapping[str, Any]) -> Incident:
    """The incident of such a dict. Raises ValueError where it is none."""
    try:
        given = dict(found)
        given |= {"severity": Severity(given["severity"]), "phase": Phase(given["phase"])}
        given |= {name: tuple(given[name]) for name in ("signals", "inhibited")}
        given["suspects"] = tuple(Suspect(**one) for one in given["suspects"])
        return Incident(**_figures(Incident, given))
    except (KeyError, TypeError) as error:
        raise ValueError("the incident cannot be read") from error


def silence_dict(silence: Silence) -> dict[str, Any]:
    """A silence as JSON can hold it."""
    return asdict(silence)


def read_silence(found: Mapping[str, Any]) -> Silence:
    """The silence of such a dict. Raises ValueError where it is none."""
    try:
        return Silence(**found)
    except TypeError as error:
        raise ValueError("the silence cannot be read") from error


def text_of(found: Mapping[str, Any]) -> str:
    """Such a dict as JSON in plain ASCII, the same for the same content.

    >>> text_of({"b": 1, "a": [2]})
    '{"a":[2],"b":1}'
    """
    return json.dumps(found, separators=(",", ":"), sort_keys=True, allow_nan=False, default=str)


def dict_of(text: str) -> dict[str, Any]:
    """The dict of such a text. Raises ValueError."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("the record is nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("the record is no JSON object")
    return found


def _plain(value: Any) -> Any:
    """A value without what JSON has no words for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else math.copysign(1.7e308, value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.item() if hasattr(value, "item") else value


def _figures(record: type[T], found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record, NaN again where a figure is not known. Raises TypeError for a field that it lacks."""
    figures = {one.name for one in fields(record) if one.type == "float"}
    return {name: math.nan if value is None and name in figures else value for name, value in found.items()}
