"""A field comes in another unit: many values are those of before times a round factor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import clinging, concentration, distance, share_z
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.arrays import Float, Mask
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.plans import Alteration
from homeostat.records.signals import Kind

_FACTORS = (100.0, 1000.0, 10.0, 1e6, 60.0, 3600.0, 24.0, 12.0, 1.609344, 2.20462, 3.28084, 2.54, 4.184, 1.8)
_FAR = 0.002  # Both tails of the past from which on a value is far from it.
_KS = 0.2
_PAIRS_ERROR = 0.25  # The standard error of a correlation within sources from which on it says nothing.


@dataclass(frozen=True, slots=True)
class Factor:
    """The best factor: how many values are far from the past, the share of those that it brings back, and how well.

    rows : (n,) of the rows since the onset, which are far on its side
    apart : distance between the past and the far values, divided by the factor
    """

    factor: float
    far: float
    z: float
    apart: float
    rows: Mask


class UnitHypothesis:
    """See the module."""

    kind: str = Cause.UNIT
    beats = frozenset(
        map(
            str,
            (Cause.POPULATION, Cause.CALENDAR, Cause.ADVERSARY, Cause.SEGMENT, Cause.CONCEPT, Cause.FROZEN, Cause.SKEW),
        )
    )

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Number fields whose values lie elsewhere."""
        signals = inquiry.signals(Kind.UNIT, Kind.DISTRIBUTION, Kind.SCHEMA)
        numbers = {
            f"field:{n}"
            for n, kind in zip(inquiry.recent.fields, inquiry.recent.kinds, strict=True)
            if kind in ("number", "integer")
        }
        yield from dict.fromkeys(one.series.node for one in signals if one.series.node in numbers)

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Values far from the past; whether one factor brings them back; then the conversion on the same events."""
        inquiry.steps += 1
        found = best_factor(inquiry, node)
        if found is None:
            return
        yield Answer(
            f"values of {node} far from those before", found.far, "share", 1.0 if found.z > 4 else -3.0, False,
            inquiry.command,
        )  # fmt: skip
        if found.z <= 4:
            return
        fits = found.apart < _KS
        yield Answer(
            f"distance from the past of these values, times {found.factor:g}", found.apart, "Kolmogorov-Smirnov",
            5.0 if fits else -4.0, fits, inquiry.command,
        )  # fmt: skip
        if fits:
            yield from _converted(inquiry, node, found)

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The factor by which a value is to be multiplied, and the condition that says of which ones."""
        found = best_factor(inquiry, node)
        return {} if found is None else {"factor": found.factor, **_where(inquiry, node, found)}


def best_factor(inquiry: Inquiry, node: str) -> Factor | None:
    """The factor that brings the far values of a field back best; None where there are too few."""
    column = inquiry.column(node)
    if column is None:
        return None
    then, now = column[inquiry.before], column[inquiry.after]
    usual = then[np.isfinite(then) & (then != 0)]
    if len(usual) < 50 or len(now) < 10:
        return None
    low, high = np.quantile(np.abs(usual), [_FAR, 1 - _FAR])
    size, past = np.abs(now), np.log(np.abs(usual))
    best: Factor | None = None
    for rows, sign in ((size > high, -1), ((size < low) & (size > 0), 1)):
        hits = int(rows.sum())
        z = share_z(hits, len(now), _FAR * len(usual), len(usual))
        if hits < 5:
            continue
        logs = np.log(size[rows])
        for factor in _FACTORS:
            apart = distance(past, logs + sign * np.log(factor))
            if best is None or (z > 4, -apart) > (best.z > 4, -best.apart):
                best = Factor(factor**sign, hits / len(now), z, apart, rows)
    return best


def _converted(inquiry: Inquiry, node: str, found: Factor) -> Iterator[Answer]:
    """The same events with the field converted: whether risks are again those of before."""
    body = {"op": "convert", "factor": found.factor, **_where(inquiry, node, found)}
    again = inquiry.replayed(
        f"decisions with {node} converted", *inquiry.span, [Alteration(ChangeKind("repair"), node, body)]
    ) if "repair" in set(ChangeKind) else None  # fmt: skip
    if again is None:
        inquiry.not_checked[f"decisions with {node} converted"] = None
        return
    past = inquiry.recent.risk[inquiry.before]
    kept = again.kept
    was, now = distance(past, again.served_risk[kept]), distance(past, again.risk[kept])
    yield Answer(
        f"how much nearer to the past risks are with {node} converted", was - now, "Kolmogorov-Smirnov",
        1.0 if now < was else -1.0,
    )  # fmt: skip


def _where(inquiry: Inquiry, node: str, found: Factor) -> dict[str, str]:
    """Which values are to be converted: all, or those beyond the middle between both kinds."""
    column = inquiry.column(node)
    assert column is not None, "a factor was found in it"
    now, usual = np.abs(column[inquiry.after]), np.abs(column[inquiry.before])
    if float(np.nanmedian(now)) / max(float(np.nanmedian(usual)), 1e-12) > 0.5 / found.factor and found.factor < 1:
        return {}  # Nearly all.
    edge = _edge(usual[np.isfinite(usual)], now[found.rows], found.factor)
    name = node.partition(":")[2]
    return {"where": f"{name} > {edge:.6g}" if found.factor < 1 else f"{name} < {edge:.6g}"}


def _edge(usual: Float, far: Float, factor: float) -> float:
    """The value between usual and far ones."""
    high = factor < 1
    ordinary = float(np.quantile(usual, 0.999 if high else 0.001))
    foreign = float(np.quantile(usual, 0.25 if high else 0.75) / factor)
    return float(np.sqrt(ordinary * foreign)) if (foreign > ordinary) == high else ordinary


def whole_sources(inquiry: Inquiry, rows: Mask) -> tuple[float, bool | None]:
    """How much rows since the onset stick to some of the sources; whether whole sources do it, None for too few rows.

    Events of one source that come seldom say it, too: each pair of them counts.
    """
    stuck, error = clinging(inquiry.source[inquiry.after], rows)
    if error > _PAIRS_ERROR:
        return stuck, None
    return stuck, stuck > 0.5


def sticks_to_sources(inquiry: Inquiry, rows: Mask) -> float:
    """How much rows since the onset stick to some of the sources, from 0 to 1."""
    return concentration(inquiry.source[inquiry.after], rows)[0]
