"""Versions and deployments as JSON objects, the same at the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeostat.models.deployments import Deployment
from homeostat.ports.registry import Registry, UnknownVersion, Version
from homeostat.ports.shadow import Held
from homeostat.records.times import time_text


def summary(one: Version, roles: Iterable[str]) -> dict[str, Any]:
    """A version as a line of a list."""
    facts: dict[str, Any] = {
        "version": one.version, "number": one.number, "created_at": time_text(one.created_ns), "roles": list(roles),
        "size": one.size, "deleted_at": None,
    }  # fmt: skip
    if one.deleted_ns is not None:
        facts |= {"deleted_at": time_text(one.deleted_ns), "deleted_by": one.deleted_by, "deleted_why": one.deleted_why}
    return facts


def period(registry: Registry | None, one: Deployment) -> dict[str, Any]:
    """A deployment with its version's number.

    registry : that the version is of; None where there is none, and no number is known
    """
    began, ended = (None if end is None else time_text(end) for end in (one.from_ns, one.to_ns))
    number = None if one.version is None or registry is None else number_of(registry, one.version)
    return {
        "version": one.version, "number": number, "from": began, "to": ended, "why": one.why, "role": one.role,
        "actor": one.actor, "change": one.number, "reverts": one.reverts,
        "share": one.share,
    }  # fmt: skip


def shadowed(held: Held | None) -> dict[str, Any] | None:
    """How a version fares in shadow; None where it was never decided in shadow."""
    if held is None:
        return None
    return {"running": held.lives, "process": held.owner, **held.state.as_json()}


def number_of(registry: Registry, version: str) -> int | None:
    """The number of a version; None where the registry has none of that name."""
    try:
        return registry.get(version).number
    except UnknownVersion:
        return None
