"""API keys in a file, or in PostgreSQL. Only hashes of their secrets are kept.

A secret is `hs_<id>_<random>`, its random part 192 bits: it can't be guessed, so a fast hash is as good as a slow one,
and a request pays a microsecond for it. The id finds the hash; the comparison takes the same time whatever differs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import replace_file
from homeostat.errors import needs
from homeostat.ports import Unavailable
from homeostat.ports.keys import NAME_MAX, SCOPES, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "keys.json"
_PREFIX, _ID_BYTES, _RANDOM_BYTES = "hs", 6, 24
_SECRET_MAX = 200  # Characters; what is longer is no secret of ours, and is not hashed.
_PERSON = b"homeostat.apikey"  # No other hash of the same text is equal to ours.
_LOCK_S_MAX = 5.0
_CONNECT_S_MAX = 5


@dataclass(frozen=True, slots=True)
class _Kept:
    """A key as it is stored."""

    key: Key
    hash: bytes


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    """A key in the file: a value of another type makes it a broken file."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_ns: int
    hash: str
    expires_ns: int | None = None
    revoked_ns: int | None = None
    rate: Annotated[float, msgspec.Meta(gt=0)] | None = None


class _File(msgspec.Struct):
    keys: list[_Stored]


_decode = msgspec.json.Decoder(_File).decode


class _Ring:
    """Keys in memory, found by their secrets."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def fill(self, kept: Iterable[_Kept]) -> None:
        """Hold these keys and no others."""
        self._kept = {item.key.id: item for item in kept}

    def keys(self) -> list[Key]:
        """All keys, oldest first."""
        return sorted((item.key for item in self._kept.values()), key=lambda key: (key.created_ns, key.id))

    def check(self, secret: str, now_ns: int) -> Key | None:
        """The live key of a secret."""
        if len(secret) > _SECRET_MAX or not secret.isascii():
            return None
        parts = secret.split("_", 2)
        kept = self._kept.get(parts[1]) if len(parts) == 3 else None
        if kept is None or not hmac.compare_digest(_hash(secret), kept.hash):
            return None
        return kept.key if kept.key.live(now_ns) else None


def _hash(secret: str) -> bytes:
    return hashlib.blake2b(secret.encode(), digest_size=32, person=_PERSON).digest()


def _made(name: str, scopes: Sequence[str], expires_ns: int | None, rate: float | None) -> tuple[str, _Kept]:
    """A new secret and what is kept of it. Raises ValueError."""
    now_ns = time.time_ns()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise ValueError(f"a key's name has 1 to {NAME_MAX} printable characters")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        what = f"there is no scope {unknown[0]!r}" if unknown else "a key needs a scope"
        raise ValueError(f"{what}: choose of {', '.join(SCOPES)}")
    if expires_ns is not None and expires_ns <= now_ns:
        raise ValueError("a key that has expired already is good for nothing: give a later time")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise ValueError("a rate is a positive number of requests a second")
    key_id = secrets.token_hex(_ID_BYTES)
    secret = f"{_PREFIX}_{key_id}_{secrets.token_hex(_RANDOM_BYTES)}"
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    return secret, _Kept(Key(key_id, name, ordered, now_ns, expires_ns, None, rate), _hash(secret))


class FileApiKeys:
    """Keys in `keys.json` of a folder, readable by its owner only. Other processes see a change at their `refresh`."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written yet: `refresh` does."""
        self._path = folder / FILE
        self._ring = _Ring()
        self._seen: tuple[int, ...] | None = None

    def prepare(self) -> None:
        """See `ApiKeys`: the first change makes the folder and the file."""

    def create(self, name: str, scopes: Sequence[str], expires_ns: int | None = None, rate: float | None = None) -> str:
        """See `ApiKeys`."""
        secret, made = _made(name, scopes, expires_ns, rate)
        with self._changing() as kept:
            kept.append(made)
        return secret

    def all(self) -> list[Key]:
        """See `ApiKeys`."""
        self.refresh()
        return self._ring.keys()

    def revoke(self, id: str) -> bool:
        """See `ApiKeys`."""
        with self._changing() as kept:
            for at, item in enumerate(kept):
                if item.key.id == id:
                    if item.key.revoked_ns is None:
                        kept[at] = replace(item, key=replace(item.key, revoked_ns=time.time_ns()))
                    return True
        return False

    def check(self, secret: str, now_ns: int) -> Key | None:
        """See `ApiKeys`."""
        return self._ring.check(secret, now_ns)

    def refresh(self) -> int:
        """See `ApiKeys`. The file is read only when it was replaced."""
        seen = self._stamp()
        if seen != self._seen:
            self._ring.fill(self._read())
            self._seen = seen
        return len(self._ring)

    def close(self) -> None:
        """See `ApiKeys`."""

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise Unavailable(f"{self._path} can't be read: {os.strerror(error.errno or 0)}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> list[_Kept]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable(f"{self._path} can't be read: {os.strerror(error.errno or 0)}") from error
        try:
            return [_of_stored(item) for item in _decode(text).keys]
        except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors.
            # The cause may quote the file, so it is not passed on.
            raise Unavailable(f"{self._path} is no file of keys: restore it from a copy") from None

    @contextmanager
    def _changing(self) -> Iterator[list[_Kept]]:
        """The keys as they are in the file, written back if they were changed; one writer at a time."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._path.parent} can't be made: {os.strerror(error.errno or 0)}") from error
        lock = FileLock(self._path.with_name(FILE + ".lock"))
        _acquire(lock, f"another process is changing {self._path}")
        try:
            before = self._read()
            kept = list(before)
            yield kept
            if kept != before:
                text = json.dumps({"keys": [_as_json(item) for item in kept]}, indent=1)
                replace_file(self._path, [text.encode()], mode=0o600)
        finally:
            lock.release()
        self.refresh()


def _acquire(lock: FileLock, refusal: str) -> None:
    """Wait a little for a lock that others hold for a moment only."""
    until = time.monotonic() + _LOCK_S_MAX
    while True:
        try:
            return lock.acquire(refusal)
        except Unavailable as error:
            if str(error) != refusal or time.monotonic() > until:  # Only another process is worth waiting for.
                raise
            time.sleep(0.02)


def _as_json(kept: _Kept) -> dict[str, Any]:
    return {**asdict(kept.key), "hash": kept.hash.hex()}


def _of_stored(item: _Stored) -> _Kept:
    fields = {name: getattr(item, name) for name in item.__struct_fields__}
    digest = bytes.fromhex(fields.pop("hash"))
    return _Kept(Key(**fields), digest)


class PostgresApiKeys:
    """Keys in the table `api_keys` of a PostgreSQL database, which `adapters.postgres` creates."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet. Raises MissingExtra where homeostat[postgres] is not installed."""
        with needs("postgres", "a store of keys in PostgreSQL"):
            import psycopg
        # Nothing is prepared: behind a pooler the next statement may reach another server process.
        self._connect: Callable[[], Any] = lambda: psycopg.connect(
            url, autocommit=True, connect_timeout=_CONNECT_S_MAX, prepare_threshold=None
        )
        self._url = url
        self._failures = (psycopg.Error, OSError)
        self._connection: Any = None
        self._ring = _Ring()

    def prepare(self) -> None:
        """Create the tables where there are none. Raises Unavailable."""
        from homeostat.adapters.postgres.connections import Connections
        from homeostat.adapters.postgres.schema import migrate

        connections = Connections(self._url, most=1)
        try:
            migrate(connections, "")
        finally:
            connections.close()

    def create(self, name: str, scopes: Sequence[str], expires_ns: int | None = None, rate: float | None = None) -> str:
        """See `ApiKeys`."""
        secret, made = _made(name, scopes, expires_ns, rate)
        key = made.key
        self._run(
            "INSERT INTO api_keys (id, name, scopes, hash, created_at, expires_at, rate) "
            "VALUES (%s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s), %s)",
            (key.id, key.name, list(key.scopes), made.hash, _seconds(key.created_ns), _seconds(key.expires_ns), rate),
        )
        self.refresh()
        return secret

    def all(self) -> list[Key]:
        """See `ApiKeys`."""
        self.refresh()
        return self._ring.keys()

    def revoke(self, id: str) -> bool:
        """See `ApiKeys`."""
        rows = self._run(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %s RETURNING id",
            (id.replace("\0", ""),),
        )
        self.refresh()
        return bool(rows)

    def check(self, secret: str, now_ns: int) -> Key | None:
        """See `ApiKeys`."""
        return self._ring.check(secret, now_ns)

    def refresh(self) -> int:
        """See `ApiKeys`."""
        rows = self._run(
            "SELECT id, name, scopes, hash, extract(epoch FROM created_at), extract(epoch FROM expires_at), "
            "extract(epoch FROM revoked_at), rate FROM api_keys",
            (),
        )
        self._ring.fill(_of_row(*row) for row in rows)
        return len(self._ring)

    def close(self) -> None:
        """See `ApiKeys`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """The statement's rows. A connection that broke since it was last used is opened again, once."""
        while True:
            fresh = self._connection is None
            try:
                if self._connection is None:
                    self._connection = self._connect()
                cursor = self._connection.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
            except self._failures as error:
                lost = self._connection is None or self._connection.closed
                if lost:
                    self.close()
                if fresh or not lost:
                    # The client's text may hold the address with its password, so the kind of error has to do.
                    raise Unavailable(f"the keys in PostgreSQL can't be used: {_kind(error)}") from None


def _kind(error: BaseException) -> str:
    return "the table api_keys is missing" if type(error).__name__ == "UndefinedTable" else type(error).__name__


def _seconds(when_ns: int | None) -> float | None:
    return None if when_ns is None else when_ns / 1e9


def _of_row(
    id: str, name: str, scopes: list[str], digest: bytes, created: Any, expires: Any, revoked: Any, rate: float | None
) -> _Kept:
    created_ns, expires_ns, revoked_ns = (None if at is None else int(at * 10**9) for at in (created, expires, revoked))
    assert created_ns is not None
    return _Kept(Key(id, name, tuple(scopes), created_ns, expires_ns, revoked_ns, rate), bytes(digest))
