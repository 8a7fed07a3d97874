"""The effect of a version on the last hours' traffic, before it is promoted or rolled back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeostat.cli.failures import CommandError
from homeostat.cli.progress import shown
from homeostat.cli.version_stores import Stores
from homeostat.errors import HomeostatError

if TYPE_CHECKING:
    from homeostat.ports import NamedJournal


def show_effect(
    stores: Stores, version: str | None, data: Path | None, config: Path | None, app: str | None, hours: float,
    json: bool, needed: bool, more: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Print how the last decisions would have differed.

    version : None for the bundle of the start
    more : further facts, printed as JSON only
    needed : raise what stands against it; otherwise one line on standard error says so
    """
    try:
        found = _effect(stores, version, data, config, app, hours)
    except HomeostatError as error:
        if needed:
            raise
        print(f"homeostat: no preview: {error}", file=sys.stderr)
        return
    if json:
        print(dumps({**found, **(more or {})}))
        return
    print("\n".join(effect_lines(found)), file=sys.stdout if needed else sys.stderr)


def effect_lines(found: Mapping[str, Any]) -> list[str]:
    """A preview for people.

    >>> effect_lines({"decisions": 0})
    ['there were no decisions that it could be tried on']
    """
    if not found["decisions"]:
        return ["there were no decisions that it could be tried on"]
    share = found["differ"] / found["decisions"]
    lines = [
        f"of {found['decisions']:,} decisions from {found['from']} until {found['until']}, {found['differ']:,} "
        f"({share:.2%}) would have been others"
    ]
    lines += [f"  {change['count']:,} {change['before']} -> {change['after']}" for change in found["changes"]]
    if found["known"]:
        lines.append(
            f"cost of the {found['known']:,} decisions whose outcome is known: {found['cost_before']:,.2f} as decided, "
            f"{found['cost_after']:,.2f} with it {found['currency']}".rstrip()
        )
    return lines


def _effect(
    stores: Stores, version: str | None, data: Path | None, config: Path | None, app: str | None, hours: float
) -> dict[str, Any]:
    from homeostat.cli.journals import journal_in, shared_journal
    from homeostat.jobs.preview import preview
    from homeostat.models.deployments import beside_champion

    bundle = None if version is None else stores.registry.fetch(version)
    journal: NamedJournal = shared_journal(config) if data is None else journal_in(data)
    with closing(journal), shown("preview") as progress:
        changes = beside_champion(stores.settings)
        return preview(app or _named_by(journal), journal, bundle, changes, hours, progress)


def _named_by(journal: NamedJournal) -> str:
    """The shipped app that a journal names. Raises CommandError where it names another."""
    from homeostat.config.load import shipped_apps

    if journal.app in shipped_apps():
        return journal.app
    raise CommandError(f"which app decided? The journal calls it {journal.app!r}: give --app with its app file")
