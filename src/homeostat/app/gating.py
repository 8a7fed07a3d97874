"""An app's config becomes the gate of its maintenance loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homeostat.config.budgets import budget_of
from homeostat.config.gate import Blackout as BlackoutSpec
from homeostat.config.gate import GateSpec, Levels, days_of, minutes_of
from homeostat.config.gate_faults import zone_of
from homeostat.maintain.gate.blackouts import Blackout
from homeostat.maintain.gate.business import Business, BusinessRule
from homeostat.maintain.gate.limits import Limits
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.autonomy import Level, Raised, Reach
from homeostat.records.plans import Remedy, Tier

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def gate_of(gate: GateSpec, raised: Iterable[Raised] = (), stopped: bool = False) -> LimitsGate:
    """The gate with the limits of an app file.

    raised : the owner's words, see `Raised`; stopped : whether a person has turned the kill switch on

    >>> gate_of(GateSpec(level="full", autonomy={"retrain": "assisted"})).limits.declared(Remedy.RETRAIN, Reach.APP)
    <Level.ASSISTED: 'assisted'>
    """
    return LimitsGate(limits_of(gate, raised, stopped))


def limits_of(gate: GateSpec, raised: Iterable[Raised] = (), stopped: bool = False) -> Limits:
    """The limits of an app file, with every name resolved."""
    latest: dict[tuple[Remedy, Reach], int] = {}
    for one in raised:
        key = (one.remedy, one.reach)
        latest[key] = max(one.at_ns, latest.get(key, one.at_ns))
    blast = gate.blast
    return Limits(
        stop=gate.stop or stopped,
        level=Level(gate.level),
        levels=_levels(gate.autonomy),
        raised_ns=latest,
        lowered_ns=gate.lowered_for,
        confidence=gate.confidence,
        grounded=gate.grounded,
        worth_h=gate.worth_for / 3.6e12,
        cost_per_day=_or_any(gate.cost_per_day),
        actions_per_day=gate.actions_per_day,
        rate=budget_of(gate.rate),
        cool_ns=gate.cool_down,
        age_ns=gate.plan_age,
        decisions=blast.decisions,
        entities=blast.entities,
        money=_or_any(blast.money_per_hour),
        blackouts=[_blackout(one) for one in gate.blackouts],
        business=Business(
            [BusinessRule(one.name, one.when, Tier(one.then), one.reason) for one in gate.rules], zone_of(gate.zone)
        ),
        four_eyes=frozenset(map(Remedy, gate.four_eyes)),
    )


def _levels(declared: Mapping[str, str | Levels]) -> dict[tuple[Remedy, Reach], Level]:
    found = {}
    for name, level in declared.items():
        both = Levels(app=level, segment=level) if isinstance(level, str) else level  # type: ignore[arg-type]
        found[Remedy(name), Reach.APP] = Level(both.app)
        found[Remedy(name), Reach.SEGMENT] = Level(both.segment)
    return found


def _blackout(one: BlackoutSpec) -> Blackout:
    first, end = minutes_of(one.hours)
    days = frozenset(_DAYS.index(day) for day in one.days)
    return Blackout(one.name, days, first, end, zone_of(one.zone), [days_of(text) for text in one.dates])


def _or_any(limit: float | None) -> float:
    return float("inf") if limit is None else limit
