"""Where studies are kept: a SQLite file, or PostgreSQL that several machines share."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE, create
from homeostat.adapters.process.pause import pause
from homeostat.errors import HomeostatError, Unavailable, needs

with needs("tune", "tuning"):
    import optuna
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

BEAT_S = 5
"""Between signs of life of a running trial."""
GRACE_S = 30
"""A trial without one for so long is lost."""
_TRIES = 8
_WAIT_S = 0.25


def open_storage(address: str) -> Any:
    """The storage at an address: postgresql://..., sqlite:///PATH or the path of a file.

    Raises Unavailable without the password of the address; MissingExtra.
    """
    quiet()
    url, place = _url(address)
    for left in reversed(range(_TRIES)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return optuna.storages.RDBStorage(
                    url, heartbeat_interval=BEAT_S, grace_period=GRACE_S, engine_kwargs=_engine(url)
                )
        except (SQLAlchemyError, StorageInternalError, OSError) as error:
            # Two processes that make the tables at the same moment get in each other's way once.
            if not left or _refused(error):
                raise Unavailable(f"studies can't be kept in {place}: {reason(error)}") from None
            pause(_WAIT_S)
        except ImportError as error:
            with needs("postgres", "a study in PostgreSQL"):
                raise error
        except RuntimeError as error:  # Tables of another version of Optuna.
            raise Unavailable(f"studies can't be kept in {place}: {reason(error)}") from None
    raise AssertionError("every try ends in a storage or an error")


@contextmanager
def unless_refused(address: str) -> Iterator[None]:
    """Where the block refuses the work, delete the file of studies and its folder, if they were not there before it."""
    path = _file(address)
    new = path is not None and not path.exists()
    try:
        yield
    except HomeostatError:
        if path is not None and new:
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            with suppress(OSError):  # It holds something else.
                path.parent.rmdir()
        raise


@contextmanager
def storing(place: str = "the storage of studies") -> Iterator[None]:
    """Unavailable in place of the storage's own errors, while the block runs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise Unavailable(f"{place} does not answer: {reason(error)}") from None


def quiet() -> None:
    """Optuna logs nothing: homeostat says itself how far it is."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def reason(error: BaseException) -> str:
    """The first line of the innermost error, which names no password."""
    inner: BaseException = error
    while (below := getattr(inner, "orig", None) or inner.__cause__) is not None:
        inner = below
    text = " ".join(str(inner).strip().splitlines()[:1])
    return text[:300] or type(inner).__name__


def _url(address: str) -> tuple[str, str]:
    """SQLAlchemy's address, and how people may see it. A new file is its owner's alone."""
    scheme, colon, rest = address.partition("://")
    if colon and scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}", f"PostgreSQL at {rest.rpartition('@')[2].partition('?')[0]}"
    path = _file(address)
    if path is None:
        raise Unavailable(f"studies are kept in a file or in PostgreSQL, not at {scheme}://")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        if not path.exists():
            create(path, FILE_MODE)
    except OSError as error:
        raise Unavailable(f"studies can't be kept in {path}: {os.strerror(error.errno or 0)}") from error
    return f"sqlite:///{path}", str(path)


def _file(address: str) -> Path | None:
    """The file of an address; None for a server's."""
    scheme, colon, rest = address.partition("://")
    if colon and scheme != "sqlite":
        return None
    return Path(rest.removeprefix("/") if colon else address)


class _Unhurried(sqlite3.Connection):
    """Writes ahead, so that no commit waits for the disk: a power cut may cost the last trials, and never the file."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.execute("PRAGMA journal_mode = WAL").close()
        self.execute("PRAGMA synchronous = NORMAL").close()


def _engine(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 60, "factory": _Unhurried}}
    return {"connect_args": {"connect_timeout": 5}, "pool_pre_ping": True, "pool_size": 4}


def _refused(error: BaseException) -> bool:
    """Whether trying again would change nothing."""
    text = str(error).lower()
    return any(
        word in text for word in ("not a database", "authentication", "does not exist", "permission", "readonly")
    )
