"""The quality of the last day's decisions, as maintenance estimates it without labels: for people and for metrics."""

from __future__ import annotations

from typing import Any

from homeostat.engine.readings import Value
from homeostat.maintain.loop import MaintenanceLoop
from homeostat.maintain.monitor.label_free import LabelFreeMonitor
from homeostat.records.times import time_text


def estimates_of(loop: MaintenanceLoop) -> dict[str, Any] | None:
    """The last estimates, see `LabelFreeMonitor.standing`; None where the app has that monitor off."""
    found = next((one for one in loop.monitors if isinstance(one, LabelFreeMonitor)), None)
    return None if found is None else found.standing()


def readings_of(estimates: dict[str, Any] | None) -> dict[str, Value]:
    """The estimates by name of a declared metric; none before the first."""
    if estimates is None or not estimates["estimated"]:
        return {}
    found: dict[str, Value] = {}
    for name, member in (("", "value"), ("_low", "low"), ("_high", "high")):
        bands = estimates["estimated"].items()
        found[f"homeostat_estimated_quality{name}"] = {
            figure: band[member] for figure, band in bands if band[member] is not None
        }
    if estimates["assumption_broken"] is not None:
        found["homeostat_estimates_broken"] = estimates["assumption_broken"]
    return found


def shown_estimates(estimates: dict[str, Any] | None) -> dict[str, Any] | None:
    """The estimates with their time as text, null before the first."""
    if estimates is None:
        return None
    at_ns = estimates["at_ns"]
    shown = {name: value for name, value in estimates.items() if name != "at_ns"}
    return {**shown, "at": time_text(at_ns) if at_ns else None}


def worded_estimates(estimates: dict[str, Any] | None) -> str:
    """The estimates on one line, for people; empty where there is nothing to say."""
    if estimates is None:
        return ""
    if not estimates["estimated"]:
        return f"quality is not estimated without labels yet: {estimates['why']}"
    parts = [
        f"{name.replace('_', ' ')} {band['value']:.4g} ({band['low']:.4g} to {band['high']:.4g})"
        for name, band in estimates["estimated"].items()
        if band["value"] is not None
    ]
    doubt = "; not to be trusted, assumption broken" if estimates["assumption_broken"] else ""
    why = f": {estimates['why']}" if estimates["why"] else ""
    return f"estimated without labels, of {estimates['decisions']:,} decisions: {', '.join(parts)}{doubt}{why}"
