"""Deployments: which version had which role, since when, and by whom. They are the settings' changes of that kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from homeostat.errors import Conflict
from homeostat.ports.registry import InUse, Registry, UnknownVersion, Version
from homeostat.ports.settings import Settings
from homeostat.records.changes import Change, ChangeKind, Scope, expiry
from homeostat.records.verdicts import Verdict

if TYPE_CHECKING:  # Else every command on versions would bring the compiler along.
    from homeostat.models.judgement import Evidence

CHAMPION, CHALLENGER, CANARY = ROLES = ("champion", "challenger", "canary")
_ALWAYS_NS = (1 << 63) - 1
_LOOKS = (16, 1024, None)  # Changes that a rollback reads: usually the last one is enough.


class NothingBefore(Conflict):
    """There is no promotion that could be rolled back."""

    why = "a rollback undoes the last promotion that has not been undone"
    remedy = "Promote a version with homeostat models promote"


OVERRIDDEN = " (overridden: "
"""It follows the reason of a change that overrides a bound, before what it overrides."""


class Unfair(Conflict):
    """A version breaks a bound of fairness that binds, or nobody looked whether it does; it was not promoted."""

    why = "the app's bounds of fairness bind every promotion to champion"
    remedy = "Promote with homeostat models promote, which looks at the last outcomes, or a fairer version"


def binds_fairness(version: Version) -> bool:
    """Whether a version was trained for an app whose bounds of fairness bind."""
    found = version.lineage.metrics.get("fairness")
    return isinstance(found, Mapping) and bool(found.get("binds"))


def fair_enough(version: Version, role: str, evidence: Evidence | None, forced: bool) -> str:
    """Why a version may be promoted in spite of fairness; empty where nothing stands against it. Raises Unfair.

    evidence : of fairness; None where nobody looked, which is refused where the version's bounds bind
    forced : the person who promotes overrides the bounds
    """
    if role != CHAMPION:
        return ""
    if evidence is None:
        if not binds_fairness(version):
            return ""
        against = f"nobody looked whether version {version.version} keeps to the bounds of fairness that bind"
    elif evidence.verdict is not Verdict.FAIL:
        return ""
    else:
        against = f"version {version.version} breaks a bound of fairness: {evidence.why}"
    if not forced:
        raise Unfair(against)
    return against


@dataclass(frozen=True, slots=True)
class Deployment:
    """A role of a version, for some time.

    role : champion, challenger or canary
    version : its name; None where nothing was deployed, and the bundle decides that the process was started with
    number : of the change; 0 before the first one
    from_ns, to_ns : since when and until when; None where it has no beginning or no end
    share : of the entities, that a canary decides; None where none was named
    """

    role: str
    version: str | None
    number: int
    from_ns: int | None
    to_ns: int | None
    actor: str = ""
    why: str = ""
    reverts: int = 0
    share: float | None = None


def scope_of(role: str) -> Scope:
    """Where a role's changes are in the settings."""
    return Scope(ChangeKind.DEPLOY, role)


_FREED_BY = {
    CHAMPION: "promote another one first",
    CHALLENGER: "end that first with homeostat models rollback --role challenger, or promote another one to it",
    CANARY: "end it first with homeostat models canary --stop",
}


def version_in(body: Mapping[str, Any] | None) -> str | None:
    """The version that a change's body deploys."""
    return None if body is None else str(body["version"])


def roles(settings: Settings) -> dict[str, list[str]]:
    """Version -> its roles now."""
    found: dict[str, list[str]] = {}
    for scope, change in settings.at(_ALWAYS_NS).items():
        version = version_in(change.body) if scope.kind == ChangeKind.DEPLOY else None
        if version is not None:
            found.setdefault(version, []).append(scope.name)
    return {version: sorted(names) for version, names in found.items()}


def beside_champion(settings: Settings) -> list[Change]:
    """The changes in force, all but deployments: no canary decides where another version is tried as champion."""
    return [change for scope, change in settings.at(_ALWAYS_NS).items() if scope.kind != ChangeKind.DEPLOY]


def deployed_at(settings: Settings, time_ns: int, role: str = CHAMPION) -> Deployment:
    """The version that had a role at a time."""
    scope = scope_of(role)
    change = next(iter(settings.history(scope, until_ns=time_ns, limit=1)), None)
    later = settings.next_of(scope, 0 if change is None else change.number)
    return _deployment(role, change, None if later is None else later.at_ns)


def deployments(settings: Settings, role: str = CHAMPION, limit: int | None = None, below: int = 0) -> list[Deployment]:
    """The deployments of a role, newest first.

    below : only those before this change of the role; 0 for all
    """
    end = None if not below else next(iter(settings.since(below - 1, 1)), None)
    until_ns, to_ns = (None, None) if end is None else (end.at_ns - 1, end.at_ns)
    found = []
    for change in settings.history(scope_of(role), until_ns, limit):
        found.append(_deployment(role, change, to_ns))
        to_ns = change.at_ns
    return found


def deployment_of(settings: Settings, number: int) -> Deployment | None:
    """The deployment that a change made; None where the change is none, or is not there."""
    change = next(iter(settings.since(number - 1, 1)), None)
    if change is None or change.kind != ChangeKind.DEPLOY:
        return None
    later = settings.next_of(change.where, number)
    return _deployment(change.scope, change, None if later is None else later.at_ns)


def promote(
    settings: Settings, registry: Registry, version: str, actor: str, reason: str, role: str = CHAMPION, key: str = "",
    *, fairness: Evidence | None = None, force: bool = False,
) -> Change:  # fmt: skip
    """Let a version have a role from now on. Raises Unfair, UnknownVersion, Changed, Conflict, Unavailable.

    fairness, force : see `fair_enough`; a bound that is overridden is named in the change's reason
    """
    with registry.keeping():
        found = usable(registry, version)
        overridden = fair_enough(found, role, fairness, force)
        if overridden:
            reason = f"{reason}{OVERRIDDEN}{overridden})"
        last = settings.last_of(scope_of(role))
        if last is not None and version_in(last.body) == found.version:
            raise Conflict(
                f"{found.version} is the {role} already, since change {last.number} by {last.actor}",
                remedy="nothing has to be done",
            )
        change = Change(ChangeKind.DEPLOY, role, {"version": found.version}, actor, reason, key)
        return settings.append(change, expected=0 if last is None else last.number)


def rollback_of(settings: Settings, actor: str, reason: str, role: str = CHAMPION, key: str = "") -> tuple[Change, int]:
    """The change that undoes the last promotion which has not been undone, and the number of the last change now.

    Raises NothingBefore.
    """
    scope = scope_of(role)
    for most in _LOOKS:
        history = settings.history(scope, limit=most)
        undone = _standing(history)
        if undone is not None:
            body, expires_ns = undone.before, undone.before_expires_ns
            change = Change(ChangeKind.DEPLOY, role, body, actor, reason, key, expires_ns, undone.number)
            return change, history[0].number
        if most is None or len(history) < most:
            break
    raise NothingBefore(f"no version was promoted to {role} that could be rolled back")


def roll_back(settings: Settings, registry: Registry, actor: str, reason: str, role: str = CHAMPION) -> Change:
    """Undo the last promotion. Raises NothingBefore, UnknownVersion, Changed, Unavailable."""
    with registry.keeping():
        change, last = rollback_of(settings, actor, reason, role)
        version = version_in(change.body)
        if version is not None:
            usable(registry, version)
        return settings.append(change, expected=last)


def stored(
    settings: Settings, registry: Registry | None, change: Change, expected: int | None,
    *, fairness: Evidence | None = None, force: bool = False,
) -> Change:  # fmt: skip
    """Store a change as `Settings.append` does; no version that it deploys is deleted meanwhile.

    registry : None where there is none
    fairness, force : see `promote`; going back to a version whose bounds of fairness bind is always possible
    Raises UnknownVersion, Unfair, and what `Settings.append` raises.
    """
    version = version_in(change.body) if change.kind == ChangeKind.DEPLOY else None
    if registry is None or version is None:
        return settings.append(change, expected)
    deployable(registry, change)  # A folder without versions is left as it is.
    with registry.keeping():
        if not change.reverts:
            overridden = fair_enough(usable(registry, version), change.scope, fairness, force)
            if overridden:
                change = replace(change, reason=f"{change.reason}{OVERRIDDEN}{overridden})")
        return settings.append(deployable(registry, change), expected)


def deployable(registry: Registry | None, change: Change) -> Change:
    """The change; a version that it deploys is there, and has its full name in it. Raises UnknownVersion."""
    version = version_in(change.body) if change.kind == ChangeKind.DEPLOY else None
    if registry is None or version is None:
        return change
    return replace(change, body={**(change.body or {}), "version": usable(registry, version).version})


def usable(registry: Registry, version: str) -> Version:
    """A version whose files are there. Raises UnknownVersion."""
    found = registry.get(version)
    if found.deleted_ns is not None:
        raise UnknownVersion(
            f"version {found.version} was deleted by {found.deleted_by} ({found.deleted_why})",
            remedy="import its bundle again with homeostat models import",
        )
    return found


def check_deletable(settings: Settings, version: str, now_ns: int, retention_ns: int | None) -> None:
    """Raise InUse where a version has a role, or gets one back by itself, or decided within the retention.

    retention_ns : how long decisions are kept; None for always
    """
    has = roles(settings).get(version)
    if has:
        raise InUse(f"version {version} is the {' and '.join(has)} now", remedy=_FREED_BY[has[0]])
    for change in settings.at(_ALWAYS_NS).values():
        if change.kind == ChangeKind.DEPLOY and change.expires_ns is not None:
            again = expiry(settings.history(change.where))
            if version_in(again.body) == version:
                raise InUse(
                    f"version {version} is the {change.scope} again when the time of change {change.number} is over",
                    remedy="Deploy another one first",
                )
    for role in (CHAMPION, CANARY):
        until_ns = _last_with(settings, version, role)
        if until_ns is not None and (retention_ns is None or until_ns > now_ns - retention_ns):
            raise InUse(f"version {version} was {role}, and decisions that it made are kept")


def _last_with(settings: Settings, version: str, role: str) -> int | None:
    """Until when a version had a role; None where it never had it."""
    ends = (one.to_ns for one in deployments(settings, role) if one.version == version)
    return next((_ALWAYS_NS if end is None else end for end in ends), None)


def _standing(history: Iterable[Change]) -> Change | None:
    """The last promotion that has not been undone, of changes that are given newest first."""
    undone_from = _ALWAYS_NS
    for change in history:
        if change.number >= undone_from:
            continue
        if not change.reverts:
            return change
        undone_from = change.reverts
    return None


def _deployment(role: str, change: Change | None, to_ns: int | None) -> Deployment:
    if change is None:
        return Deployment(role, None, 0, None, to_ns)
    version, share = version_in(change.body), (change.body or {}).get("share")
    return Deployment(
        role, version, change.number, change.at_ns, to_ns, change.actor, change.reason, change.reverts,
        None if share is None else float(share),
    )  # fmt: skip
