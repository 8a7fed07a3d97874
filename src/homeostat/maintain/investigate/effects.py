"""Whether a node of the causal graph moved since the onset, as recent traffic shows it, and how."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.investigate.contrasts import beyond_chance, distance, share_z
from homeostat.maintain.investigate.inquiry import HOUR_NS, Inquiry
from homeostat.records.arrays import Mask

_LEAST_Z = 4.0
_OFF_NS = 20 * 60 * 10**9


def moved(inquiry: Inquiry, node: str) -> str:
    """A sentence with the figure by which a node moved; empty where it did not move beyond chance."""
    kind, _, name = node.partition(":")
    if kind in ("field", "feature", "scorer", "fusion"):
        return _column(inquiry, node)
    if kind == "action":
        actions = inquiry.recent.actions
        return _share(inquiry, inquiry.recent.action == actions.index(name), node) if name in actions else ""
    if kind == "policy":
        return _mix(inquiry, inquiry.recent.proposed, "proposed")
    if kind == "guards":
        return _mix(inquiry, inquiry.recent.action, "taken")
    if kind == "entity":
        return _entity(inquiry, name)
    if kind == "time":
        behind = np.abs(inquiry.recent.came_ns - inquiry.recent.time_ns) > _OFF_NS
        return _share(inquiry, behind, "events that are off by 20 minutes or more")
    if kind == "serving":
        return _serving(inquiry)
    return _outcome(inquiry) if kind in ("outcome", "segment") else ""


def _column(inquiry: Inquiry, node: str) -> str:
    column = inquiry.column(node)
    if column is None:
        return ""
    then, now = column[inquiry.before], column[inquiry.after]
    absent = _share(inquiry, np.isnan(column), f"events without {node}")
    apart = distance(then, now)
    if apart > beyond_chance(len(then), len(now)) + 0.005:
        return f"the distance of {node} from its values before is {apart:.2f} (Kolmogorov-Smirnov)"
    return absent


def _share(inquiry: Inquiry, hit: Mask, words: str) -> str:
    now, then = hit[inquiry.after], hit[inquiry.before]
    z = share_z(int(now.sum()), len(now), int(then.sum()), len(then))
    if abs(z) <= _LEAST_Z:
        return ""
    return f"the share of {words} went from {float(then.mean()):.2%} to {float(now.mean()):.2%}"


def _mix(inquiry: Inquiry, action: np.ndarray, words: str) -> str:
    found = [_share(inquiry, action == at, f"{name} {words}") for at, name in enumerate(inquiry.recent.actions)]
    return max(found, key=len, default="")


def _entity(inquiry: Inquiry, name: str) -> str:
    recent = inquiry.recent
    if name not in recent.entities:
        return ""
    keys, before, rows = recent.keys[:, recent.entities.index(name)], inquiry.before, inquiry.after
    cut = max(before.start, before.stop - (rows.stop - rows.start))
    now = ~np.isin(keys[rows], keys[: before.stop])
    then = ~np.isin(keys[cut : before.stop], keys[:cut])
    z = share_z(int(now.sum()), len(now), int(then.sum()), len(then))
    if z > _LEAST_Z:
        return f"events of a {name} that nobody knew went from {float(then.mean()):.2%} to {float(now.mean()):.2%}"
    hours = inquiry.hours
    rate = [len(part) / of for part, of in ((then, hours[0]), (now, hours[1]))]
    n = [before.stop - before.start, rows.stop - rows.start]
    rate = [n[0] / hours[0], n[1] / hours[1]]
    spread = np.sqrt(max(n[1], 1)) / hours[1]
    if abs(rate[1] - rate[0]) > _LEAST_Z * spread and abs(rate[1] / max(rate[0], 1e-9) - 1) > 0.02:
        return f"events of each {name} went from {rate[0]:.1f} to {rate[1]:.1f} an hour in all"
    return ""


def _serving(inquiry: Inquiry) -> str:
    recent = inquiry.recent
    failed = _share(inquiry, recent.fallback != 0, "decisions by a fallback")
    took = recent.took_us[inquiry.after], recent.took_us[inquiry.before]
    if all(len(one) for one in took):
        now, then = (float(np.quantile(one, 0.99)) for one in took)
        if now > 1.5 * then > 0:
            return f"the time that one decision in 100 exceeds went from {then:.0f} to {now:.0f} us"
    return failed


def _outcome(inquiry: Inquiry) -> str:
    recent = inquiry.recent
    known = ~np.isnan(recent.label)
    now, then = known & (recent.known_ns > inquiry.since_ns), known & (recent.known_ns <= inquiry.low_ns)
    positive = recent.label == 1.0
    z = share_z(int((now & positive).sum()), int(now.sum()), int((then & positive).sum()), int(then.sum()))
    if abs(z) > 3:
        a, b = (float(positive[rows].mean()) for rows in (then, now))
        return f"the share of positives among outcomes went from {a:.2%} to {b:.2%}"
    first, last = recent.risk[then & positive], recent.risk[now & positive]
    apart = distance(first, last)
    if apart > beyond_chance(len(first), len(last), 0.01):
        return f"the distance of positives' risks from those before is {apart:.2f} (Kolmogorov-Smirnov)"
    ages = [(recent.known_ns - recent.time_ns)[rows] / HOUR_NS for rows in (then, now)]
    if all(len(one) > 20 for one in ages) and distance(*ages) > beyond_chance(len(ages[0]), len(ages[1])) + 0.02:
        middle = [float(np.median(one)) for one in ages]
        return f"outcomes became known after {middle[0]:.1f} hours, and {middle[1]:.1f} now"
    return ""
