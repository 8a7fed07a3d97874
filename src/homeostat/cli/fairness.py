"""A version's fairness on the last outcomes, before it is promoted at the command line."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeostat.cli.failures import CommandError
from homeostat.cli.version_stores import Stores
from homeostat.errors import HomeostatError

if TYPE_CHECKING:
    from homeostat.config.tree import App
    from homeostat.models.judgement import Evidence
    from homeostat.ports import NamedJournal
    from homeostat.ports.registry import Version


def fairness_of(
    stores: Stores, one: Version, role: str, data: Path | None, config: Path | None, app: str | None, forced: bool
) -> Evidence | None:
    """The evidence on a version that is to decide, where bounds of fairness bind; None where none do.

    A verdict that is no PASS is printed on standard error. Raises CommandError where the app file is needed and not
    named, unless `forced`.
    """
    from homeostat.cli.settings import app_of
    from homeostat.models.deployments import CHAMPION, binds_fairness

    if role != CHAMPION:
        return None
    declared = app_of(app, data, config)
    binds = binds_fairness(one) if declared is None else declared.fairness is not None and bool(declared.fairness.binds)
    if not binds:
        return None
    if declared is None:
        if forced:
            return None
        raise CommandError(
            f"version {one.number} was trained under bounds of fairness that bind: give --app with the app file, so "
            "that the last outcomes can be looked at"
        )
    try:
        found = _evidence(stores, one.version, declared, data, config)
    except HomeostatError as error:
        if forced:
            return None
        raise CommandError(f"the version's fairness can't be looked at: {error}") from error
    if found.verdict.value != "PASS":
        print(f"homeostat: fairness is {found.verdict.value}: {found.why}", file=sys.stderr)
    return found


def fairness_facts(
    stores: Stores, one: Version, role: str, data: Path | None, config: Path | None, app: str | None
) -> dict[str, Any]:
    """The same as JSON, for a preview: `fairness`, null where no bound binds, and `no_fairness` for what hinders it."""
    try:
        found = fairness_of(stores, one, role, data, config, app, forced=False)
    except CommandError as error:
        return {"fairness": None, "no_fairness": str(error)}
    return {"fairness": None if found is None else {**asdict(found), "verdict": found.verdict.value}}


def _evidence(stores: Stores, version: str, app: App, data: Path | None, config: Path | None) -> Evidence:
    from homeostat.cli.journals import journal_in, shared_journal
    from homeostat.jobs.fair_evidence import fairness_evidence, nothing_decided
    from homeostat.models.deployments import beside_champion

    if data is not None and not (data / "journal.db").is_file():
        return nothing_decided()
    journal: NamedJournal = shared_journal(config) if data is None else journal_in(data)
    with closing(journal):
        return fairness_evidence(app, journal, stores.registry.fetch(version), beside_champion(stores.settings))
