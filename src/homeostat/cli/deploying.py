"""A deployment at the command line: whether a person wants it, and how the processes have taken it up."""

from __future__ import annotations

import sys
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING

from homeostat.cli.failures import CommandError
from homeostat.cli.version_stores import Stores

if TYPE_CHECKING:
    from homeostat.models.judgement import Evidence
    from homeostat.ports.registry import Version
    from homeostat.records.changes import Change


def version_of(stores: Stores, change: Change) -> Version | None:
    """The version that a change names; None for the bundle of the start."""
    return None if change.body is None else stores.registry.get(str(change.body["version"]))


def named(stores: Stores, change: Change) -> str:
    """That version, for people."""
    one = version_of(stores, change)
    return "the bundle of the start" if one is None else f"version {one.number} ({one.version})"


def asks(yes: bool) -> bool:
    """Whether a person at the terminal is asked."""
    return not yes and sys.stdin.isatty()


def ask(what: str, yes: bool) -> None:
    """Ask the person at the terminal. Raises CommandError for a no, and where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"nobody can be asked whether to {what}: say --yes")
    print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed")


def end(
    stores: Stores, change: Change, one: Version | None, wait_s: float, json: bool, fairness: Evidence | None = None
) -> None:
    """Wait for the processes, say what became of the change, and end with 1 where a process has not applied it."""
    from homeostat.cli.applying import wait_applied
    from homeostat.models.deployments import version_in

    waited = wait_applied(stores.settings, change, wait_s)
    facts = {
        "version": version_in(change.body), "number": None if one is None else one.number, "role": change.scope,
        "change": change.number, "before": version_in(change.before), **waited.as_json(),
    }  # fmt: skip
    if fairness is not None:
        facts["fairness"] = {**asdict(fairness), "verdict": fairness.verdict.value}
    name = "the bundle of the start" if one is None else f"version {one.number} ({one.version})"
    print(dumps(facts) if json else f"{name} is the {change.scope}: {waited.sentence()}")
    if waited.waiting:
        if json:
            print(f"homeostat: {waited.sentence()}", file=sys.stderr)
        sys.exit(1)
