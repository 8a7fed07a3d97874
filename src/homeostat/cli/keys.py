"""`homeostat keys`."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json

if TYPE_CHECKING:
    from homeostat.ports.keys import ApiKeys, Key

keys = App(name="keys", help="Create, list and revoke API keys", help_format="plaintext")
Data: TypeAlias = Annotated[Path | None, Parameter(help="The --data folder of a server: keys are in its keys.json.")]
Config: TypeAlias = Annotated[
    Path | None, Parameter(help="A file with a `servers` section: keys are in its journal's PostgreSQL.")
]


@keys.command
def create(
    name: str,
    /,
    *,
    scopes: Annotated[
        str, Parameter(help="Of decide, read, operate, approve and admin, with commas between.")
    ] = "decide,read",
    expires: Annotated[str | None, Parameter(help="After how long, such as 90d; never when absent.")] = None,
    rate: Annotated[float | None, Parameter(help="Requests a second that it may send.")] = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key and print its secret, which can't be shown again.

    Parameters
    ----------
    name
        Who uses it, for people: a service, a team.
    """
    from homeostat.config.tree import duration_ns

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    with closing(store_of(data, config, prepare=True)) as store:
        try:
            end_ns = None if expires is None else time.time_ns() + duration_ns(expires)
            secret = store.create(name, wanted, end_ns, rate)
        except ValueError as error:
            raise CommandError(str(error)) from error
        key = store.check(secret, time.time_ns())
        assert key is not None
    print(dumps({**_shown(key), "secret": secret}) if json else secret)
    print("homeostat: this is the only time that the secret is shown: keep it where secrets are kept", file=sys.stderr)


@keys.command(name="list")
def list_(*, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show all keys, revoked ones included; never their secrets."""
    with closing(store_of(data, config)) as store:
        found = [_shown(key) for key in store.all()]
    if json:
        print(dumps(found))
        return
    from homeostat.adapters.process.printable import printable

    columns = ("id", "name", "scopes", "state", "created", "expires", "rate")
    rows = [[printable(_cell(key[column])) for column in columns] for key in found]
    widths = [max(len(row[at]) for row in [list(columns), *rows]) for at in range(len(columns))]
    for row in [list(columns), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command
def revoke(id: str, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Let a key hold no longer; servers that run refuse it within a second.

    Parameters
    ----------
    id
        As `homeostat keys list` shows it.
    """
    with closing(store_of(data, config)) as store:
        # A user who pastes the whole secret means its key, and it should not be shown again.
        key_id = id.split("_")[1] if id.startswith("hs_") and id.count("_") == 2 else id
        if not store.revoke(key_id):
            raise CommandError("there is no such key: see homeostat keys list")
    print(dumps({"id": key_id, "revoked": True}) if json else f"revoked {key_id}")


def store_of(data: Path | None, config: Path | None, prepare: bool = False) -> ApiKeys:
    """Where keys are kept: a folder, or the PostgreSQL that a file or the environment names.

    prepare : create what is missing there
    Raises CommandError where neither is named.
    """
    from homeostat.adapters.disk.api_keys import FileApiKeys
    from homeostat.adapters.opening import keys_opener
    from homeostat.adapters.process.environment import servers_of

    if data is not None:
        if config is not None:
            raise CommandError("are the keys in --data or on the servers of --config? Give one of them")
        return FileApiKeys(data)
    journal = servers_of(config).journal
    if journal is None:
        raise CommandError("where are the keys kept? Give --data FOLDER, or --config FILE with `servers.journal`")
    store = keys_opener(journal)(journal)
    if prepare:
        store.prepare()
    return store


def _shown(key: Key) -> dict[str, object]:
    state = "revoked" if key.revoked_ns is not None else "live" if key.live(time.time_ns()) else "expired"
    return {
        "id": key.id, "name": key.name, "scopes": list(key.scopes), "state": state, "created": _when(key.created_ns),
        "expires": _when(key.expires_ns), "revoked": _when(key.revoked_ns), "rate": key.rate,
    }  # fmt: skip


def _when(at_ns: int | None) -> str | None:
    return None if at_ns is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns / 1e9))


def _cell(value: object) -> str:
    return "-" if value is None else ",".join(value) if isinstance(value, list) else str(value)
