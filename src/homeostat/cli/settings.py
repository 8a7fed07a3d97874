"""`homeostat settings`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json, Stored
from homeostat.cli.version_stores import actor_of, store_at

if TYPE_CHECKING:
    from homeostat.config.tree import App as AppFile
    from homeostat.ports.registry import Registry
    from homeostat.ports.settings import Settings
    from homeostat.records.changes import Change

settings = App(name="settings", help="Show, make and undo changes to what decides", help_format="plaintext")
Data: TypeAlias = Annotated[Path | None, Parameter(help="The --data folder of a server, which may be running.")]
Config: TypeAlias = Annotated[
    Path | None, Parameter(help="A file with a `servers` section: settings are in its journal's PostgreSQL.")
]
Actor: TypeAlias = Annotated[
    str | None, Parameter(help="The person who wants it; the user of this system when absent.")
]
AppName: TypeAlias = Annotated[
    str | None, Parameter(help="The app file that changes are checked against; a shipped app that decides needs none.")
]
Preview: TypeAlias = Annotated[
    bool, Parameter("--preview", negative="", help="Check it and show what would change; store nothing.")
]
Wait: TypeAlias = Annotated[
    float, Parameter(help="Seconds to wait until each process that runs has applied it; 0 to end at once.")
]


@settings.command(name="list")
def list_(
    *,
    limit: Annotated[Stored, Parameter(help="How many changes to show, the newest first.")] = 20,
    below: Annotated[int | None, Parameter(help="Show changes with smaller numbers only.")] = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what is in force, the last changes, and how far each process has come."""
    if limit < 0:
        raise CommandError("--limit is how many changes to show: 0 or more")
    with store_of(data, config) as store:
        found = _standing(store, limit, below)
    if json:
        print(dumps(found))
        return
    from homeostat.cli.settings_view import settings_tables

    settings_tables(found, sys.stdout)


@settings.command
def show(number: Stored, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show one change, and whether it is still in force.

    Parameters
    ----------
    number
        As `homeostat settings list` shows it.
    """
    from homeostat.records.change_rows import shown

    with store_of(data, config) as store:
        change = _change(store, number)
        last = store.last_of(change.where)
    assert last is not None
    found = {**shown(change), "last_of_scope": last.number}
    if json:
        print(dumps(found))
        return
    from homeostat.cli.settings_view import change_text

    change_text(change, last, sys.stdout)


@settings.command
def apply(
    *,
    kind: Annotated[str, Parameter(help="deploy, threshold, calibration, rule, list, learning, fallback, fusion.")],
    scope: Annotated[str, Parameter(help="A role, an action, a rule, a list, a learner, `risk` or `app`: by kind.")],
    body: Annotated[str, Parameter(help="The new value as JSON; null for what the app file says.")],
    reason: Annotated[str, Parameter(help="Why, for those who look later.")],
    actor: Actor = None,
    expires: Annotated[str | None, Parameter(help="Undo it by itself after so long, such as 2h.")] = None,
    expected: Annotated[
        int | None, Parameter(help="The number of the scope's last change as you saw it, 0 for none.")
    ] = None,
    key: Annotated[str, Parameter(help="The same key is the same change, however often it is sent.")] = "",
    preview: Preview = False,
    wait: Wait = 5.0,
    app: AppName = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a change. Each process applies it between two events, without a restart."""
    from homeostat.config.tree import duration_ns
    from homeostat.records.changes import Change

    try:
        lasts_ns = None if expires is None else duration_ns(expires)
    except ValueError as error:
        raise CommandError(str(error)) from error
    end_ns = None if lasts_ns is None else time.time_ns() + lasts_ns
    wish = Change(_kind(kind), scope, _body(body), actor_of(actor), reason, key, end_ns)
    with store_of(data, config) as store:
        _check(store, wish, app, data, config)
        last = store.last_of(wish.where)
        with _versions_for(wish, data, config) as registry:
            _finish(store, registry, wish, last, expected, None if preview else wait, json, lasts_ns)


@settings.command
def undo(
    number: Stored,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Why, for those who look later.")] = None,
    actor: Actor = None,
    key: Annotated[str, Parameter(help="The same key is the same change, however often it is sent.")] = "",
    preview: Preview = False,
    wait: Wait = 5.0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Bring back what was in force before a change, which has to be the last one of its scope.

    Parameters
    ----------
    number
        As `homeostat settings list` shows it.
    """
    with store_of(data, config) as store:
        change = _change(store, number)
        wish = change.undo(actor_of(actor), reason or f"undoes change {number}", key)
        if wish.expires_ns is not None and wish.expires_ns <= time.time_ns():
            raise CommandError(
                f"the time of what was in force before change {number} is over: make the change that you want with "
                "homeostat settings apply"
            )
        with _versions_for(wish, data, config) as registry:
            _finish(store, registry, wish, store.last_of(change.where), number, None if preview else wait, json)


@settings.command
def at(when: str, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show what was in force at a time.

    Parameters
    ----------
    when
        An ISO 8601 time; without a zone it is UTC.
    """
    from homeostat.cli.instants import instant
    from homeostat.records.change_rows import shown

    time_ns = instant(when)
    assert time_ns is not None
    with store_of(data, config) as store:
        found = [shown(change) for change in store.at(time_ns).values()]
    if json:
        print(dumps({"at": when, "in_force": found}))
        return
    from homeostat.cli.settings_view import changes_table

    changes_table(found, sys.stdout, f"in force at {when}")


@settings.command
def sizes(
    *,
    limit: Annotated[Stored, Parameter(help="How many to show, the newest first.")] = 20,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the sizes of batches and of memory that workers and servers chose by their load, and why."""
    from homeostat.cli.statements import statements_of
    from homeostat.records.statements import StatementKind, shown

    if limit < 0:
        raise CommandError("--limit is how many to show: 0 or more")
    with statements_of(data, config) as store:
        found = [shown(one) for one in store.list(StatementKind.SIZE, limit=limit)]
    if json:
        print(dumps({"sizes": found}))
        return
    for one in found:
        print(f"{one['number']}: {one['at']} {one['process']} {one['size']} {one['value']:,.0f}: {one['text']}")
    if not found:
        print("no size was chosen")


def store_of(data: Path | None, config: Path | None) -> AbstractContextManager[Settings]:
    """The settings that options name, closed at the end. Raises CommandError where neither is named, or both are."""

    def here(folder: Path) -> Settings:
        from homeostat.adapters.disk.sqlite.settings import SqliteSettings

        return SqliteSettings(folder)

    def there(url: str) -> Settings:
        from homeostat.adapters.opening import settings_opener

        return settings_opener(url)(url)

    return store_at(data, config, "settings", here, there)


@contextmanager
def _versions_for(wish: Change, data: Path | None, config: Path | None) -> Iterator[Registry | None]:
    """The registry of a change that needs one, closed at the end; None for other changes, and where there is none.

    A deployment needs its version, and a change of the fusion the champion that has to be trained with it.
    """
    from homeostat.adapters.process.environment import servers_of
    from homeostat.cli.version_stores import stores_of
    from homeostat.records.changes import ChangeKind

    if wish.kind not in {ChangeKind.DEPLOY, ChangeKind.FUSION} or (data is None and servers_of(config).models is None):
        yield None
        return
    with stores_of(data, config) as stores:
        yield stores.registry


def _standing(store: Settings, limit: int, below: int | None) -> dict[str, Any]:
    from homeostat.records.change_rows import shown

    last, now_ns = store.last, time.time_ns()
    end = last + 1 if below is None else min(below, last + 1)
    first = max(0, end - 1 - limit)
    changes = store.since(first, max(0, end - 1 - first))
    return {
        "last": last, "in_force": [shown(change) for change in store.at((1 << 63) - 1).values()],
        "changes": [shown(change) for change in reversed(changes)],
        "processes": [
            {
                "process": one.process, "number": one.number, "seconds_ago": round((now_ns - one.at_ns) / 1e9, 1),
                "gone": one.gone(now_ns), "trouble": one.trouble or None,
            }
            for one in store.processes()
        ],
    }  # fmt: skip


def _change(store: Settings, number: int) -> Change:
    found = store.since(number - 1, 1) if number > 0 else []
    if not found:
        raise CommandError(f"there is no change {number}: homeostat settings list shows those that there are")
    return found[0]


def _kind(text: str) -> Any:
    from homeostat.config.faults import nearest
    from homeostat.records.changes import ChangeKind

    try:
        return ChangeKind(text)
    except ValueError:
        meant = nearest(text, list(ChangeKind))
        hint = f"; did you mean {meant}?" if meant else ""
        raise CommandError(f"there is no kind {text!r}{hint} Known: {', '.join(ChangeKind)}") from None


def _body(text: str) -> dict[str, Any] | None:
    try:
        body = loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--body is no JSON: {error}") from None
    if body is not None and not isinstance(body, dict):
        raise CommandError('--body is a JSON object such as {"at": 0.9}, or null for what the app file says')
    return body


def _check(store: Settings, wish: Change, app: str | None, data: Path | None, config: Path | None) -> None:
    """Raise ChangeError where a change does not fit."""
    from homeostat.config.change_faults import check_change

    declared = app_of(app, data, config)
    check_change(wish, declared, store.at((1 << 63) - 1).values())
    if declared is None:
        print(
            "homeostat: only the form of the change was checked: name the app file with --app to check what it names, "
            "too",
            file=sys.stderr,
        )


def app_of(app: str | None, data: Path | None, config: Path | None) -> AppFile | None:
    """The app that a change is for: as named, as the file of --config declares it, or the shipped one that decides."""
    from homeostat.config.load import load_app, shipped_apps

    if app is not None:
        return load_app(app)
    if config is not None and "homeostat:" in config.read_text("utf-8", "replace"):
        return load_app(config)
    if data is not None and (data / "journal.db").is_file():
        from homeostat.cli.journals import journal_in

        with journal_in(data) as journal:
            name = journal.app
        if name in shipped_apps():
            return load_app(name)
    return None


def _finish(
    store: Settings, registry: Registry | None, wish: Change, last: Change | None, expected: int | None,
    wait_s: float | None, json: bool, lasts_ns: int | None = None,
) -> None:  # fmt: skip
    """Store a change and wait for the processes; or show what it would do, where there is no time to wait.

    lasts_ns : how long it is in force, from when it is stored; None for as long as it says itself

    Ends with 1 where a process has not applied it.
    """
    from homeostat.cli.applying import wait_applied
    from homeostat.cli.settings_view import stored_text
    from homeostat.models.deployments import deployable, stored
    from homeostat.ports.settings import unchanged
    from homeostat.records.change_rows import checked, placed, shown

    seen = (0 if last is None else last.number) if expected is None else expected
    if str(wish.kind) == "fusion":  # Only then are models looked at, which takes the compiler along.
        from homeostat.engine.fusion_changes import check_fusion

        check_fusion(wish, store, registry)
    if lasts_ns is not None:  # The checks took a while: a change of a second must not be over before it is stored.
        wish = replace(wish, expires_ns=time.time_ns() + lasts_ns)
    try:
        if wait_s is None:
            unchanged(last, seen)
            change = placed(checked(deployable(registry, wish)), 0, time.time_ns(), last)
        else:
            change = stored(store, registry, wish, seen)
    except ValueError as error:
        raise CommandError(str(error)) from error
    waited = None if wait_s is None else wait_applied(store, change, wait_s)
    if json:
        answer = {**shown(change), "stored": waited is not None, "expected": seen}
        print(dumps(answer if waited is None else {**answer, **waited.as_json()}))
    else:
        stored_text(change, last, waited is None, sys.stdout)
    if waited is not None:
        print(f"homeostat: {waited.sentence()}", file=sys.stderr)
        sys.exit(1 if waited.waiting else 0)
