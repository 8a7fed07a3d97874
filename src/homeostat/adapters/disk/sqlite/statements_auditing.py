"""Whether the statements in a data folder are as they were made. They are read by SQL of its own, as a journal is."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from homeostat.adapters.disk.audit.findings import Faults
from homeostat.adapters.disk.audit.statements import compare_statements
from homeostat.adapters.disk.sqlite.statements import FORM
from homeostat.errors import Unavailable
from homeostat.records.statements import COLUMNS

_ALL = f"""SELECT {", ".join(f"one.{name}" for name in COLUMNS)}, one.digest, words.salt, words.text, words.contact
    FROM statements AS one LEFT JOIN statement_texts AS words ON words.number = one.number ORDER BY one.number"""  # noqa: S608
_WORLD = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR")


def compare_statement_file(path: Path, named: Mapping[int, str], faults: Faults) -> None:
    """Add what is wrong with a file of statements. Raises Unavailable.

    named : number -> the digest that the trail says it has
    """
    where = path.name
    if not path.is_file():
        compare_statements(where, (), named, faults)
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            db.execute("BEGIN")
            found, expected = _structure(db), _blank()
            for name in sorted(found.keys() | expected.keys()):
                if found.get(name) != expected.get(name):
                    faults.add(where, name, "is not as statements have it")
            compare_statements(f"{where}, statements", db.execute(_ALL), named, faults)
    except (sqlite3.Error, ValueError, TypeError) as error:
        if getattr(error, "sqlite_errorname", "").startswith(_WORLD):
            raise Unavailable(f"{path} can't be read: {error}") from error
        faults.add(where, "", f"is damaged or does not hold statements ({error})")
    faults.checked.append(where)


def _blank() -> dict[str, object]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as blank:
        FORM.make(blank, "")
        return _structure(blank)


def _structure(db: sqlite3.Connection) -> dict[str, object]:
    return {f"{kind} {name}": sql for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema")}
