"""Whether the settings in a data folder are as they were made. They are read by SQL of its own, as a journal is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from homeostat.adapters.disk.audit.changes import AppliedChanges
from homeostat.adapters.disk.audit.findings import Faults
from homeostat.adapters.disk.sqlite.settings import APPLICATION_ID, FORM, FORMAT
from homeostat.errors import Unavailable
from homeostat.records.change_rows import COLUMNS

_CHANGES = f"SELECT {', '.join(COLUMNS)}, digest FROM changes ORDER BY number"  # noqa: S608
_WORLD = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR")


def compare_settings(path: Path, applied: AppliedChanges, app: str, needed: bool, faults: Faults) -> None:
    """Add what is wrong with a file of settings. Raises Unavailable.

    applied : the changes that the journal beside it holds
    app : whose journal that is
    needed : whether it is a fault that the file is missing
    """
    where = path.name
    if not path.is_file():
        if needed:
            applied.compare(f"{where}, changes", (), faults)
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            db.execute("BEGIN")
            _compare_structure(db, where, faults)
            applied.compare(f"{where}, changes", db.execute(_CHANGES), faults)
            for name, value in db.execute("SELECT name, value FROM about").fetchall():
                if name != "app":
                    faults.add(f"{where}, about", name, "is not of settings, and nothing covers it", "name")
                elif value not in ("", app):
                    faults.differs(f"{where}, about", name, "value", value, app, "as the journal says")
    except (sqlite3.Error, ValueError, TypeError) as error:
        # A damaged page may read as rows of other types than the tables allow.
        if getattr(error, "sqlite_errorname", "").startswith(_WORLD):
            raise Unavailable(f"{path} can't be read: {error}") from error
        faults.add(where, "", f"is damaged or does not hold settings ({error})")
    faults.checked.append(where)


def _compare_structure(db: sqlite3.Connection, where: str, faults: Faults) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as blank:
        FORM.make(blank, "")
        expected = _structure(blank)
    found = _structure(db)
    for name in expected.keys() | found.keys():
        if name not in found:
            faults.add(where, name, "is missing")
        elif name not in expected:
            faults.add(where, name, "is not of settings, and nothing covers it")
        elif found[name] != expected[name]:
            faults.add(where, name, "is not as settings have it")
    for pragma, own in (("application_id", APPLICATION_ID), ("user_version", FORMAT)):
        (value,) = db.execute(f"PRAGMA {pragma}").fetchone()
        if value != own:
            faults.add(where, "", f"has {pragma} {value} instead of {own}")


def _structure(db: sqlite3.Connection) -> dict[str, object]:
    return {f"{kind} {name}": sql for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema")}
