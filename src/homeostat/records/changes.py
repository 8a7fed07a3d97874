"""Changes: the only way to alter a running loop 1. The last change of each scope is in force."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple


class ChangeKind(StrEnum):
    """The part of loop 1 that a change alters."""

    DEPLOY = "deploy"  # Scope: a role. Body: {version} and, for a canary, {share}.
    THRESHOLD = "threshold"  # Scope: an action. Body: {at}, the risk from which it is proposed.
    CALIBRATION = "calibration"  # Scope: "risk". Body: {shift, scale} of its log-odds.
    RULE = "rule"  # Scope: a rule's name. Body: {when, action, reason}, or {off: true}.
    LIST = "list"  # Scope: a list's name. Body: {entries}.
    LEARNING = "learning"  # Scope: a learner. Body: {on}.
    FALLBACK = "fallback"  # Scope: "app". Body: {action}, which every event gets while it is in force.
    FUSION = "fusion"  # Scope: "app". Body: {name} of a trained fusion of the champion.
    STATE = "state"  # Scope: a learner. Body: {position, sha256} of a state that it published.
    REPAIR = "repair"  # Scope: "field:NAME", "time" or "source". Body: {op} and what it needs: see config.remedies.
    QUARANTINE = "quarantine"  # Scope: "labels", "source:NAME", "account:NAME", "segment:NAME". Body: {where, from}.
    LATENESS = "lateness"  # Scope: "app". Body: {lateness}.
    SHED = "shed"  # Scope: "app". Body: {scorers} that are left out.
    RATE = "rate"  # Scope: an entity. Body: {count, per, action, where}.
    RANDOM = "random"  # Scope: an action. Body: {low, high} of its threshold.
    REBUILD = "rebuild"  # Scope: "windows". Body: {}.


class Scope(NamedTuple):
    """Of what there is one value at a time."""

    kind: ChangeKind
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the settings.

    kind, scope : what it alters
    body : the value from now on, as JSON; None for what the app file says
    actor, reason : who wants it, and why
    key : the same key is the same change, however often it is sent; "" for none
    expires_ns : when it is to be undone by itself; None for never
    reverts : the number of the change that this one undoes; 0 for none
    number : orders the settings, from 1 on; 0 until it is stored
    at_ns : when it was stored; later than the change before it, also where the clock was set back
    before : what was in force until then, so the body of the change that undoes it
    before_expires_ns : when that was to end by itself
    """

    kind: ChangeKind
    scope: str
    body: Mapping[str, Any] | None
    actor: str
    reason: str
    key: str = ""
    expires_ns: int | None = None
    reverts: int = 0
    number: int = 0
    at_ns: int = 0
    before: Mapping[str, Any] | None = None
    before_expires_ns: int | None = None

    @property
    def where(self) -> Scope:
        """Its kind and scope."""
        return Scope(self.kind, self.scope)

    def undo(self, actor: str, reason: str, key: str = "") -> Change:
        """The change that brings back what was in force before this one.

        >>> on = Change(ChangeKind.LEARNING, "bandit", {"on": False}, "ann", "odd labels", number=7)
        >>> on.undo("bob", "labels are well again").body is None
        True
        """
        return Change(self.kind, self.scope, self.before, actor, reason, key, self.before_expires_ns, self.number)


def in_force(changes: Iterable[Change]) -> dict[Scope, Change]:
    """The last change of each scope, by rising number; a scope whose body is None again is left out.

    >>> a = Change(ChangeKind.THRESHOLD, "block", {"at": 0.9}, "ann", "too many", number=1)
    >>> b = Change(ChangeKind.THRESHOLD, "block", {"at": 0.8}, "bob", "too few", number=2, before={"at": 0.9})
    >>> in_force([a, b])[a.where].body, in_force([a, a.undo("ann", "back")])
    ({'at': 0.8}, {})
    """
    last: dict[Scope, Change] = {}
    for change in changes:
        last.pop(change.where, None)
        if change.body is not None:
            last[change.where] = change
    return last


def expiry(history: Sequence[Change], actor: str = "homeostat") -> Change:
    """The change that ends one whose time is over.

    history : the changes of its scope, newest first; the first of them has expired
    The time of a value is its own: where an undo brought the value back, the end of its time brings back what was in
    force before that value was first set.

    >>> a = Change(ChangeKind.FALLBACK, "app", {"action": "review"}, "ann", "outage", expires_ns=50, number=1)
    >>> b = Change(ChangeKind.FALLBACK, "app", {"action": "block"}, "bob", "attack", number=2, before=a.body,
    ...            before_expires_ns=50)
    >>> from dataclasses import replace
    >>> c = replace(b.undo("bob", "it is over"), number=3, before=b.body)
    >>> c.body, c.expires_ns, expiry([c, b, a]).body, expiry([c, b, a]).reverts
    ({'action': 'review'}, 50, None, 1)
    """
    place = {change.number: at for at, change in enumerate(history)}
    expired = origin = history[0]
    while origin.reverts in place and place[origin.reverts] + 1 < len(history):
        origin = history[place[origin.reverts] + 1]
    reason, key = f"the time of change {expired.number} is over", f"expiry-{expired.number}"
    return origin.undo(actor, reason, key)


def changes_text(changes: Sequence[Change]) -> str:
    """Changes as JSON, with every field.

    >>> changes_text([Change(ChangeKind.LEARNING, "policy", {"on": False}, "ann", "odd labels", number=7)])[:30]
    '[{"kind":"learning","scope":"p'
    """
    return json.dumps([asdict(change) for change in changes], separators=(",", ":"), allow_nan=False)


def read_changes(text: str) -> tuple[Change, ...]:
    """The changes of such a text; fields that are left out have their defaults. Raises ValueError where it is none."""
    try:
        found = json.loads(text)
        if not isinstance(found, list):
            raise ValueError("the changes are no list")
        return tuple(_read_change(one) for one in found)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the changes cannot be read") from error


def _read_change(found: Mapping[str, Any]) -> Change:
    unknown = found.keys() - {one.name for one in fields(Change)}
    if unknown:
        raise ValueError(f"a change has a field {min(unknown)}: a newer version wrote it")
    for name in ("body", "before"):
        if not isinstance(found.get(name), Mapping | None):
            raise ValueError(f"the {name} of a change is no JSON object")
    return Change(**{**found, "kind": ChangeKind(found["kind"])})
