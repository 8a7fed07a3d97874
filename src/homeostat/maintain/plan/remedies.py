"""The remedies that answer each kind of cause, cheapest first.

A remedy is offered only where the finding says enough to make it: a factor to convert by, the change to go back to. The
last offer of each kind is always a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homeostat.maintain.plan.further import Remedies, further
from homeostat.maintain.plan.offer import Offer as Offer
from homeostat.maintain.plan.versions import known_versions, trained_versions
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Finding
from homeostat.records.library import Library
from homeostat.records.plans import Alteration, Remedy
from homeostat.records.times import time_text

_HOUR_NS = 3_600_000_000_000
_DAY_NS = 24 * _HOUR_NS


@dataclass(frozen=True, slots=True)
class Means:
    """The means that an app has to act with.

    actions : mildest first; scorers : names; learners : those that learn
    needs_store : scorers that read features of the feature store
    trains : whether a version can be trained
    safe : the action that the app takes by itself where it can't score
    further : remedies of other packages
    library : the versions that are kept
    """

    actions: Sequence[str]
    scorers: Sequence[str] = ()
    learners: Sequence[str] = ()
    needs_store: Sequence[str] = ()
    trains: bool = False
    fields: Sequence[str] = ()
    entities: Sequence[str] = ()
    safe: str = ""
    further: Sequence[Remedies] = ()
    library: Library = field(default_factory=Library)


def offers(finding: Finding, means: Means) -> list[Offer]:
    """The remedies of a finding, cheapest first. An unknown kind of cause has a person as its only one."""
    make = _OF.get(finding.kind)
    about = finding.about or {}
    found = [] if make is None else list(make(finding, about, means))
    return [*found, *further(finding, means), Offer(Remedy.ESCALATE, finding.node, notify=True, why="a person decides")]


_About = Mapping[str, Any]
_Make = Callable[[Finding, _About, Means], Iterator[Offer]]


def _repair(field_: str, body: Mapping[str, Any], about: _About) -> Alteration:
    where = about.get("where")
    return Alteration(ChangeKind.REPAIR, field_, {**body, **({"where": where} if where else {})})


def _population(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    """Other people under the same law: nothing to do, unless quality fell with them."""
    if not about.get("quality_fell"):
        yield Offer(Remedy.MONITOR, finding.node, why="inputs moved and quality did not")
        return
    yield from known_versions(finding, means)
    if means.trains:
        yield from trained_versions(finding, about, means)


def _calendar(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    yield Offer(Remedy.MONITOR, finding.node, why="a season or campaign that passes by itself")


def _concept(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    """A version that knows this law; thresholds; a new version when there are data for it."""
    yield from known_versions(finding, means)
    yield from _moved_thresholds(finding, about)
    if means.trains:
        yield from trained_versions(finding, about, means)


def _regime(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    """A law that comes and goes: the version that knows it, and no other training for each turn."""
    yield from _concept(finding, about, means)


def _base_rate(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    shift = about.get("shift")
    if isinstance(shift, int | float):
        body = {"shift": float(shift), "scale": float(about.get("scale", 1.0))}
        yield Offer(
            Remedy.RECALIBRATE, "app", (Alteration(ChangeKind.CALIBRATION, "risk", body),),
            why="the share of positives moved, and risk is to follow it",
        )  # fmt: skip


def _segment(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    where, action = about.get("where"), about.get("action") or (means.actions[-2] if len(means.actions) > 1 else "")
    if where and action:
        body = {"when": where, "action": action, "reason": "a segment goes wrong"}
        name = "healing_" + _word(str(where))
        yield Offer(
            Remedy.SCOPED_RULE, finding.node, (Alteration(ChangeKind.RULE, name, body),), lasts_ns=14 * _DAY_NS,
            why="only the segment that goes wrong is decided otherwise",
        )  # fmt: skip


def _label_delay(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    yield _hold(Remedy.HOLD_TRAINING, finding, means, "labels that are late must not be taken for negatives")


def _label_flips(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    since = {"from": time_text(finding.since_ns)}
    yield Offer(
        Remedy.QUARANTINE_LABELS, "labels", (Alteration(ChangeKind.QUARANTINE, "labels", since),), notify=True,
        protects=True, order=1, why="labels that contradict their neighbours do not teach",
    )  # fmt: skip
    yield _hold(Remedy.HOLD_TRAINING, finding, means, "learning waits until labels can be trusted")


def _poisoning(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    where = about.get("where") or _any_of(about.get("entity"), about.get("accounts"))
    if where:
        scope = f"segment:{_word(str(where))}"
        yield Offer(
            Remedy.QUARANTINE_SOURCE, "labels",
            (Alteration(ChangeKind.QUARANTINE, scope, {"where": where}),), notify=True, protects=True, order=1,
            why="feedback of a few odd accounts does not teach",
        )  # fmt: skip
    yield _hold(Remedy.HOLD_TRAINING, finding, means, "nothing is learned from feedback that cannot be trusted")


def _unit(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    factor = about.get("factor")
    if isinstance(factor, int | float) and factor > 0:
        body = {"op": "convert", "factor": float(factor)}
        yield _mend(Remedy.CONVERT, finding, body, about, "the field comes in another unit")
    yield _mask(finding, about)


def _schema(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    if about.get("values"):
        body: dict[str, Any] = {"op": "map", "values": about["values"]}
        yield _mend(Remedy.MAP, finding, body, about, "a value or category comes under another name")
    if about.get("from"):
        body = {"op": "map", "from": about["from"]}
        yield _mend(Remedy.MAP, finding, body, about, "the field comes under another name")
    if means.safe:
        yield _fallback(means.safe, "the field can't be read")


def _missing(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    value = about.get("typical")
    if value is not None:
        body = {"op": "impute", "value": value}
        yield _mend(Remedy.IMPUTE, finding, body, about, "the field is often missing, and gets its usual value")


def _frozen(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    yield _mask(finding, about)


def _duplicates(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    by = about.get("by") or [*means.fields, *means.entities]
    if by:
        body = {"op": "drop_copies", "within": about.get("within", "1h"), "by": list(by)}
        yield Offer(
            Remedy.DROP_COPIES, "source", (Alteration(ChangeKind.REPAIR, "source", body),), notify=True, order=1,
            why="the same content under a new id counts once",
        )  # fmt: skip


def _late(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    if about.get("lateness"):
        yield Offer(
            Remedy.WIDEN_LATENESS, "app", (Alteration(ChangeKind.LATENESS, "app", {"lateness": about["lateness"]}),),
            order=1, why="events come later than the bound",
        )  # fmt: skip


def _clock(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    if about.get("by"):
        alteration = _repair("time", {"op": "shift", "by": about["by"]}, about)
        yield Offer(
            Remedy.SHIFT_TIME, "time", (alteration,), notify=True, order=1, why="the clock of a source is wrong"
        )  # fmt: skip


def _skew(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    yield Offer(
        Remedy.REBUILD, "app", (Alteration(ChangeKind.REBUILD, "windows", {}),), takes_ns=_HOUR_NS, order=3,
        why="features that are served differ from those of the journal, so windows are made again",
    )  # fmt: skip


def _version(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    before = about.get("before")
    if before is not None or about.get("undo"):
        body = {"version": before} if before else None
        yield Offer(
            Remedy.ROLLBACK, "app", (Alteration(ChangeKind.DEPLOY, "champion", body),), order=4,
            why="the version before was better",
        )  # fmt: skip


def _configuration(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    back: Sequence[Alteration] = about.get("back", ())
    if back:
        yield Offer(
            Remedy.REVERT_SETTINGS, "app", tuple(back), order=2, why="the settings before were better"
        )  # fmt: skip


def _environment(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    """No setting changes an environment: a person's, always."""
    yield from ()


def _outage(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    if means.needs_store and set(means.needs_store) < set(means.scorers):
        body = {"scorers": list(means.needs_store)}
        yield Offer(
            Remedy.DEGRADE, "app", (Alteration(ChangeKind.SHED, "app", body),), notify=True, lasts_ns=2 * _DAY_NS,
            order=0, why="scorers that need what is away are left out",
        )  # fmt: skip
    # Where an event can't be scored, the app takes its safe action by itself. For all others, people are asked.


def _latency(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    dear = about.get("scorers")
    if dear:
        yield Offer(
            Remedy.SHED, "app", (Alteration(ChangeKind.SHED, "app", {"scorers": list(dear)}),), notify=True,
            lasts_ns=2 * _DAY_NS, beyond="time", order=0, why="the dearest part of each decision is left out",
        )  # fmt: skip


def _flood(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    entity = about.get("entity")
    if entity and means.actions:
        body = {"count": about["count"], "per": about["per"], "action": means.actions[-1]}
        yield Offer(
            Remedy.RATE_LIMIT, f"entity:{entity}", (Alteration(ChangeKind.RATE, str(entity), body),), notify=True,
            lasts_ns=7 * _DAY_NS, beyond="load", order=0, why="a few entities send more than anybody does",
        )  # fmt: skip


def _adversary(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    where = about.get("where")
    if where and means.actions:
        body = {
            "when": where,
            "action": about.get("action") or means.actions[-1],
            "reason": "a pattern of an adversary",
        }
        yield Offer(
            Remedy.RULE, finding.node, (Alteration(ChangeKind.RULE, "healing_" + _word(str(where)), body),),
            notify=True, lasts_ns=14 * _DAY_NS, why="the pattern is stopped by name",
        )  # fmt: skip
    at = about.get("threshold")
    if at:
        action, low, high = at
        yield Offer(
            Remedy.RANDOM_THRESHOLD, f"action:{action}",
            (Alteration(ChangeKind.RANDOM, str(action), {"low": float(low), "high": float(high)}),), notify=True,
            lasts_ns=30 * _DAY_NS, why="nobody can sit just below a threshold that is drawn",
        )  # fmt: skip


def _injection(finding: Finding, about: _About, means: Means) -> Iterator[Offer]:
    yield Offer(Remedy.FLAG, finding.node, notify=True, why="text that asks for something is reported, never obeyed")


def _mend(remedy: Remedy, finding: Finding, body: Mapping[str, Any], about: _About, why: str) -> Offer:
    return Offer(remedy, finding.node, (_repair(finding.node, body, about),), notify=True, order=1, why=why)


def _mask(finding: Finding, about: _About) -> Offer:
    return _mend(Remedy.MASK, finding, {"op": "mask"}, about, "the field's values are not to be trusted")


def _fallback(action: str, why: str) -> Offer:
    return Offer(
        Remedy.FALLBACK, "app", (Alteration(ChangeKind.FALLBACK, "app", {"action": action}),), notify=True,
        lasts_ns=_DAY_NS, order=0, why=why,
    )  # fmt: skip


def _hold(remedy: Remedy, finding: Finding, means: Means, why: str) -> Offer:
    """Learners stop; an app without learners is kept from training by a quarantine of its labels."""
    held = tuple(Alteration(ChangeKind.LEARNING, name, {"on": False}) for name in means.learners)
    labels = Alteration(ChangeKind.QUARANTINE, "labels", {"from": time_text(finding.since_ns)})
    return Offer(remedy, "labels", held or (labels,), notify=True, protects=True, order=0, why=why)


def _moved_thresholds(finding: Finding, about: _About) -> Iterator[Offer]:
    moved = about.get("thresholds")
    if isinstance(moved, Mapping) and moved:
        yield Offer(
            Remedy.THRESHOLD, "app",
            tuple(Alteration(ChangeKind.THRESHOLD, str(action), {"at": float(at)}) for action, at in moved.items()),
            why="the thresholds that cost least under the outcomes of now",
        )  # fmt: skip


def _any_of(entity: object, keys: object) -> str:
    """A condition that an entity is one of a few, empty where none is named.

    >>> _any_of("customer", [3, 5]), _any_of("", [])
    ('customer == 3 or customer == 5', '')
    """
    if not entity or not isinstance(keys, Sequence):
        return ""
    return " or ".join(f"{entity} == {one!r}" for one in keys[:20])


def _word(text: str) -> str:
    """A condition as a part of a name.

    >>> _word("country == 'NG' and amount > 10")
    'country_NG_and_amount_10'
    """
    return "_".join("".join(c if c.isalnum() else " " for c in text).split())[:40]


_OF: Mapping[str, _Make] = {
    Cause.POPULATION: _population, Cause.CONCEPT: _concept, Cause.REGIME: _regime, Cause.CALENDAR: _calendar,
    Cause.BASE_RATE: _base_rate, Cause.SEGMENT: _segment, Cause.LABEL_DELAY: _label_delay,
    Cause.LABEL_FLIPS: _label_flips, Cause.POISONING: _poisoning, Cause.UNIT: _unit, Cause.SCHEMA: _schema,
    Cause.MISSING: _missing, Cause.FROZEN: _frozen, Cause.DUPLICATES: _duplicates, Cause.LATE: _late,
    Cause.CLOCK: _clock, Cause.SKEW: _skew, Cause.VERSION: _version, Cause.CONFIGURATION: _configuration,
    Cause.ENVIRONMENT: _environment, Cause.OUTAGE: _outage, Cause.LATENCY: _latency, Cause.FLOOD: _flood,
    Cause.ADVERSARY: _adversary, Cause.INJECTION: _injection,
}  # fmt: skip
