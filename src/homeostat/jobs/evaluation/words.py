"""Figures of a report in words, as page, card and terminal show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

NAMES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss (nats)",
    "calibration_error": "calibration error",
    "cost": "cost of an event",
}
"""The figures by which versions are compared, in order."""


def capital(text: str) -> str:
    """The same text as the beginning of a sentence.

    >>> capital("no costs, and AUC alone")
    'No costs, and AUC alone'
    """
    return text[:1].upper() + text[1:]


def plain(value: float | None) -> str:
    """A number with four digits.

    >>> plain(0.123456), plain(None), plain(12345.6), plain(-0.0)
    ('0.1235', '-', '12,346', '0')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value + 0.0:.4g}"


def percent(value: float | None) -> str:
    """A share as a percentage.

    >>> percent(0.1234), percent(0.00012), percent(None)
    ('12.3 %', '0.012 %', '-')
    """
    return "-" if value is None else f"{100 * value:.3g} %"


def interval(
    figure: Mapping[str, Any] | None, share: bool = False, reason: Callable[[str], str] = lambda why: f"({why})"
) -> str:
    """A value with its bounds, or with the reason why there are none.

    reason : how a reason is shown
    >>> interval({"value": 0.5, "low": 0.25, "high": 0.75, "why": None})
    '0.5 (0.25 to 0.75)'
    >>> interval({"value": None, "low": None, "high": None, "why": "not enough data: no rows"})
    '- (not enough data: no rows)'
    """
    if figure is None:
        return "-"
    said = percent if share else plain
    if figure["low"] is None:
        return f"{said(figure['value'])} {reason(figure['why'] or 'no interval')}"
    high = figure["high"]
    bounds = f"at least {said(figure['low'])}" if high is None else f"{said(figure['low'])} to {said(high)}"
    return f"{said(figure['value'])} ({bounds})"


def figures_of(section: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The figures of a version by the names of NAMES; those that it has.

    section : a report, or its member `against`
    """
    quality, cost = section["quality"], section["cost"]
    found = {name: quality[name] for name in NAMES if name in quality}
    found["calibration_error"] = section["calibration"]["error"]
    if cost["why"] is None:
        found["cost"] = cost["per_event"]
    return found


def worst_case(section: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The fault that costs most or, without costs, under which the AUC falls most; None without one."""
    cases = (section["robustness"] or {}).get("cases", [])
    name, sign = ("cost_change", 1.0) if section["cost"]["why"] is None else ("auc_change", -1.0)
    known = [case for case in cases if case[name]["value"] is not None]
    if not known:
        return None
    return name, max(known, key=lambda case: sign * case[name]["value"])


def lacking(section: Mapping[str, Any]) -> str:
    """The shares of decisions that lacked a part, by cause; empty where none did.

    >>> lacking({"quality": {"served": {"fallbacks": {"scorer_failed": 0.25}}}})
    'scorer failed 25 %'
    """
    fallbacks = section["quality"]["served"]["fallbacks"]
    return ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in fallbacks.items())


def shown_segments(section: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The segments that are shown to fare worse, each with the name of its loss; by squared error first."""
    found = section["slices"]["found"].items()
    return [(loss.replace("_", " "), one) for loss, ones in found for one in ones if one["shown"]]


def fault(case: Mapping[str, Any]) -> str:
    """A case's name.

    >>> fault({"kind": "noise", "target": "amount", "strength": "1 standard deviation"})
    'noise: amount, 1 standard deviation'
    """
    return f"{case['kind']}: {case['target']}, {case['strength']}"


def short(number: int, case: Mapping[str, Any]) -> str:
    """A case's number and name, for the room beside a plot; the table has the whole name beside the number.

    >>> short(1, {"kind": "noise", "target": "amount", "strength": "0.5 standard deviations"})
    '1. noise 0.5 sd'
    >>> short(9, {"kind": "scorer away", "target": "boosted", "strength": "throughout"})
    '9. boosted away'
    """
    strength = (
        case["strength"]
        .partition(" of values")[0]
        .replace(" standard deviations", " sd")
        .replace(" standard deviation", " sd")
    )
    named = {
        "unit change": f"{case['target']} {strength}", "scorer away": f"{case['target']} away",
        "frozen feature": f"frozen {case['target']}", "missing values": f"missing {strength}",
        "unknown categories": f"unknown {case['target']} {strength}",
    }  # fmt: skip
    return f"{number}. {named.get(case['kind'], case['kind'] + ' ' + strength)}"
