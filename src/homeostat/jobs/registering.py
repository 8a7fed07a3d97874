"""Keeps a trained bundle as a version, with where it comes from."""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path

from homeostat.app import fingerprint
from homeostat.config.load import load_app
from homeostat.engine.assembly import fitting_bundle, prepare
from homeostat.errors import Unavailable
from homeostat.models.bundle import BundleError, load_bundle
from homeostat.models.deployments import CHAMPION, scope_of, version_in
from homeostat.models.lineage import lineage_of
from homeostat.ports.registry import Lineage, Registry, Version
from homeostat.ports.settings import Settings


def register(
    registry: Registry,
    settings: Settings,
    app: str | Path,
    bundle: Path,
    events: Path,
    until_ns: int | None,
    actor: str,
    reason: str,
) -> Version:
    """Keep a bundle that was trained on a file of events; the champion of now is the version that it follows from.

    until_ns : the moment of training
    Raises Unavailable, BundleError, RegistryError, AppFileError.
    """
    last = settings.last_of(scope_of(CHAMPION))
    champion = None if last is None else version_in(last.body)
    trained = load_bundle(bundle)
    lineage = lineage_of(
        trained, actor, reason, fingerprint=fingerprint(load_app(app)), source=source_of(events),
        parents=() if champion is None else (champion,), until_ns=until_ns,
    )  # fmt: skip
    return registry.put(bundle, lineage)


def lineage_by_hand(bundle: Path, app: str | None, actor: str, reason: str) -> Lineage:
    """The lineage of a bundle that a person brings.

    app : that it has to fit, so that its file's fingerprint is kept, too; None where nobody says
    Raises BundleError, AppFileError.
    """
    if app is None:
        return lineage_of(load_bundle(bundle), actor, reason)
    prepared = prepare(app)
    trained = fitting_bundle(bundle, prepared)
    if trained.app != prepared.app.app:
        raise BundleError(f"{bundle} was trained for the app {trained.app}, and not for {prepared.app.app}")
    return lineage_of(trained, actor, reason, fingerprint=fingerprint(prepared.app))


def source_of(events: Path) -> str:
    """A file of events by its content: `sha256:` and its hash. Raises Unavailable."""
    try:
        with open(events, "rb") as file:
            return f"sha256:{file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise Unavailable(f"{events} can't be read: {os.strerror(error.errno or 0)}") from error
