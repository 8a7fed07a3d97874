"""`homeostat models`: the versions of an app's models, and which of them decides."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homeostat.cli.canary import canary, ramp
from homeostat.cli.deploying import ask, asks, end, named, version_of
from homeostat.cli.effects import show_effect
from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.retrain import retraining
from homeostat.cli.version_stores import Actor, Config, Data, actor_of, stores_of

if TYPE_CHECKING:
    pass

models = App(name="models", help="List, compare, promote and roll back versions of models", help_format="plaintext")
models.command(canary)
models.command(ramp)
models.command(retraining)
Role = Literal["champion", "challenger", "canary"]
Reason = Annotated[str | None, Parameter(help="Why; it is kept with the change.")]
Yes = Annotated[bool, Parameter("--yes", negative="", help="Do not ask.")]
Preview = Annotated[bool, Parameter(negative="", help="Only show the effect on the last hours' traffic.")]
Deciding = Annotated[str | None, Parameter(name="--app", help="The app that decides, for the preview.")]
Hours = Annotated[float, Parameter(help="Of traffic that the preview looks at.")]
Wait = Annotated[float, Parameter(help="Seconds to wait until each process has applied it.")]
Limit = Annotated[int | None, Parameter(help="Only so many, the newest.", validator=Number(gte=0, lte=10**15))]
_BY_HAND = "asked for at the command line"


@models.command(name="list")
def list_(
    *,
    limit: Limit = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show all versions, newest first, with their roles."""
    from homeostat.models.deployments import roles
    from homeostat.models.shown import summary

    with stores_of(data, config) as stores:
        has = roles(stores.settings)
        found = [summary(one, has.get(one.version, [])) for one in stores.registry.versions(limit)]
    if json:
        print(dumps({"versions": found}))
        return
    from homeostat.cli.models_view import versions_table

    versions_table(found, sys.stdout)


@models.command
def show(version: str, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show where a version comes from, its figures, and when it decided.

    Parameters
    ----------
    version
        Its name, the beginning of it, or its number.
    """
    from homeostat.models.deployments import deployments, roles
    from homeostat.models.shown import period, shadowed, summary

    with stores_of(data, config) as stores:
        one = stores.registry.get(version)
        has = roles(stores.settings).get(one.version, [])
        with closing(stores.open_shadow()) as kept:
            shadow = shadowed(kept.held().get(one.version))
        periods = [period(stores.registry, it) for it in deployments(stores.settings) if it.version == one.version]
    facts = {**summary(one, has), "lineage": one.lineage.as_json(), "champion": periods, "shadow": shadow}
    if json:
        print(dumps(facts))
        return
    from homeostat.cli.models_view import version_lines

    print("\n".join(version_lines(facts)))


@models.command
def diff(version: str, other: str, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show two versions side by side: settings, features, metrics, lineage.

    Parameters
    ----------
    version
        Its name, the beginning of it, or its number.
    other
        The same of another one.
    """
    from homeostat.models.bundle import load_bundle
    from homeostat.models.lineage import difference

    with stores_of(data, config) as stores:
        both = stores.registry.get(version), stores.registry.get(other)
        here = all(one.deleted_ns is None for one in both)
        first, second = ([load_bundle(stores.registry.fetch(one.version)) for one in both]) if here else (None, None)
    found = difference(*both, None if first is None or second is None else (first, second))
    facts = {
        "versions": [one.version for one in both],
        "numbers": [one.number for one in both],
        **found,
    }
    if json:
        print(dumps(facts))
        return
    from homeostat.cli.models_view import difference_tables

    difference_tables(facts, sys.stdout)


@models.command
def at(time: str, /, *, role: Role = "champion", data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show which version decided at a time.

    Parameters
    ----------
    time
        An ISO 8601 time; without a zone it is UTC.
    """
    from homeostat.cli.instants import instant
    from homeostat.models.deployments import deployed_at
    from homeostat.models.shown import period

    time_ns = instant(time)
    assert time_ns is not None
    with stores_of(data, config) as stores:
        facts = period(stores.registry, deployed_at(stores.settings, time_ns, role))
    if json:
        print(dumps(facts))
        return
    from homeostat.cli.models_view import periods_table

    periods_table([facts], sys.stdout)


@models.command
def history(
    *,
    role: Role = "champion",
    limit: Limit = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show which version decided from when to when, newest first."""
    from homeostat.models.deployments import deployments
    from homeostat.models.shown import period

    with stores_of(data, config) as stores:
        facts = [period(stores.registry, one) for one in deployments(stores.settings, role, limit)]
    if json:
        print(dumps({"role": role, "deployments": facts}))
        return
    from homeostat.cli.models_view import periods_table

    periods_table(facts, sys.stdout)


@models.command
def judge(
    version: str,
    /,
    *,
    app: Annotated[str, Parameter(help="A shipped app, or the app file of the server.")],
    data: Data = None,
    config: Config = None,
    source: Annotated[
        Literal["replay", "shadow"],
        Parameter(help="Its decisions: of the recorded events, made now; or those of `homeostat shadow`."),
    ] = "replay",
    alpha: Annotated[float, Parameter(help="How likely PASS or FAIL may be wrong, at whatever time one looks.")] = 0.05,
    margin: Annotated[float, Parameter(help="How much dearer an event may be, in the app's currency.")] = 0.0,
    json: Json = False,
) -> None:
    """Judge a version against the champion by what became known of the events: PASS, FAIL or INCONCLUSIVE.

    Parameters
    ----------
    version
        Its name, the beginning of it, or its number.
    """
    from homeostat.cli.progress import shown
    from homeostat.cli.shadow import place_of
    from homeostat.jobs.judging import judged, sentences
    from homeostat.models.judgement import judge as verdict_of

    if not 0.0 < alpha < 1.0 or not 0.0 <= margin < float("inf"):
        raise CommandError("--alpha is a probability above 0 and below 1, --margin 0 or more")
    with place_of(data, config, app) as place, shown(f"judge {version}") as progress:
        held = judged(app, place, version, source, progress, alpha=alpha, margin=margin)
    found = verdict_of([held.evidence], [source])
    print(dumps({**found.as_dict(), **held.as_dict()}) if json else "\n".join(sentences(held)))


@models.command
def promote(
    version: str,
    /,
    *,
    role: Role = "champion",
    reason: Reason = None,
    actor: Actor = None,
    yes: Yes = False,
    wait: Wait = 30.0,
    preview: Preview = False,
    force: Annotated[
        bool, Parameter(negative="", help="Also where it breaks a bound of fairness; needs --reason.")
    ] = False,
    app: Deciding = None,
    hours: Hours = 24.0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Let a version decide from now on, and wait until every process has applied that.

    Parameters
    ----------
    version
        Its name, the beginning of it, or its number.
    """
    from homeostat.cli.fairness import fairness_facts, fairness_of
    from homeostat.models import deployments

    if force and not reason:
        raise CommandError("--force overrides a bound that was declared: say why with --reason")
    with stores_of(data, config) as stores:
        one = deployments.usable(stores.registry, version)
        if preview or asks(yes or json):
            more = fairness_facts(stores, one, role, data, config, app) if preview and json else None
            show_effect(stores, one.version, data, config, app, hours, json, needed=preview, more=more)
        if preview:
            return
        ask(f"let version {one.number} ({one.version}) be the {role}", yes or json)
        fairness = fairness_of(stores, one, role, data, config, app, force)
        change = deployments.promote(
            stores.settings, stores.registry, one.version, actor_of(actor), reason or _BY_HAND, role,
            fairness=fairness, force=force,
        )  # fmt: skip
        end(stores, change, one, wait, json, fairness)


@models.command
def rollback(
    *,
    role: Role = "champion",
    reason: Reason = None,
    actor: Actor = None,
    yes: Yes = False,
    wait: Wait = 30.0,
    preview: Preview = False,
    app: Deciding = None,
    hours: Hours = 24.0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Undo the last promotion: let the version before it decide again, and wait until every process has applied that.

    A second rollback undoes the promotion before, and so on.
    """
    from homeostat.models import deployments

    with stores_of(data, config) as stores:
        who, why = actor_of(actor), reason or _BY_HAND
        if preview or asks(yes or json):
            planned, _ = deployments.rollback_of(stores.settings, who, why, role)
            show_effect(stores, deployments.version_in(planned.body), data, config, app, hours, json, needed=preview)
            if preview:
                return
            ask(f"let {named(stores, planned)} be the {role} again", False)
        change = deployments.roll_back(stores.settings, stores.registry, who, why, role)
        end(stores, change, version_of(stores, change), wait, json)


@models.command
def delete(
    version: str,
    /,
    *,
    force: Annotated[
        bool, Parameter(negative="", help="Also where it was champion and its decisions are kept.")
    ] = False,
    reason: Reason = None,
    actor: Actor = None,
    yes: Yes = False,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Delete a version's files; its entry stays, and says who deleted it and why.

    Parameters
    ----------
    version
        Its name, the beginning of it, or its number.
    """
    from homeostat.models.deployments import check_deletable
    from homeostat.models.shown import summary

    with stores_of(data, config) as stores:
        one, who, why = stores.registry.get(version), actor_of(actor), reason or _BY_HAND
        if not (who.isprintable() and why.isprintable()):
            raise CommandError("--actor and --reason have printable characters")
        ask(f"delete the files of version {one.number} ({one.version})", yes or json)

        def check() -> None:
            retention_ns = 0 if force else stores.retention_ns
            check_deletable(stores.settings, one.version, time.time_ns(), retention_ns)

        gone = stores.registry.delete(one.version, who, why, check)
    print(dumps(summary(gone, [])) if json else f"deleted version {gone.number} ({gone.version})")


@models.command(name="import")
def import_(
    bundle: Path,
    /,
    *,
    app: Annotated[str | None, Parameter(help="The app that it has to fit: refused where it does not.")] = None,
    reason: Reason = None, actor: Actor = None, data: Data = None, config: Config = None, json: Json = False,
) -> None:  # fmt: skip
    """Keep a bundle as a version; one that is kept already stays as it is.

    Parameters
    ----------
    bundle
        The folder of a bundle, such as `homeostat train --out` writes.
    """
    from homeostat.jobs.registering import lineage_by_hand
    from homeostat.models.shown import summary

    lineage = lineage_by_hand(bundle, app, actor_of(actor), reason or _BY_HAND)
    with stores_of(data, config, make=True) as stores:
        one = stores.registry.put(bundle, lineage)
    print(dumps(summary(one, [])) if json else f"{bundle} is version {one.number} ({one.version})")


@models.command
def export(version: str, /, *, out: Path, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Write a version's bundle into a folder.

    Parameters
    ----------
    version
        Its name, the beginning of it, or its number.
    out
        The bundle's folder; an earlier bundle there is replaced.
    """
    from homeostat.models.bundle import copy_bundle

    with stores_of(data, config) as stores:
        one = stores.registry.get(version)
        copy_bundle(stores.registry.fetch(one.version), out)
    facts = {"version": one.version, "number": one.number, "out": str(out)}
    print(dumps(facts) if json else f"version {one.number} ({one.version}) is in {out}")


@models.command
def mirror(
    *,
    to: Annotated[str, Parameter(help="The MLflow server, such as http://127.0.0.1:5000.")],
    watch: Annotated[bool, Parameter(negative="", help="Go on until a signal says to stop.")] = False,
    every: Annotated[float, Parameter(help="Seconds between two looks with --watch.")] = 10.0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the same versions, their figures and roles on an MLflow server. Needs homeostat[mlflow].

    It may be called at any time, also twice: what is there already stays as it is.
    """
    from homeostat.cli.mirroring import mirror_on, mirror_once

    if not to.startswith(("http://", "https://")):
        raise CommandError("an MLflow server's address begins with http:// or https://")
    with stores_of(data, config) as stores:
        if watch:
            mirror_on(stores, to, every, json)
        else:
            mirror_once(stores, to, json)
