"""API keys in a file and in PostgreSQL: one suite for both, and what only one of them can do wrong."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from homeostat.adapters.disk.api_keys import FILE, FileApiKeys, PostgresApiKeys
from homeostat.checks.api_keys import API_KEY_CHECKS
from homeostat.ports import Unavailable


@pytest.mark.parametrize("check", API_KEY_CHECKS, ids=lambda check: check.__name__)
def test_keys_in_a_file_conform(check, tmp_path: Path) -> None:
    check(lambda: FileApiKeys(tmp_path / "data"))


def test_the_file_is_its_owners_alone_and_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text('{"keys": []}')
    path.chmod(0o644)
    (tmp_path / f"{FILE}.new").touch(0o666)
    secret = FileApiKeys(tmp_path).create("till", ["decide"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert secret not in text and secret.rsplit("_", 1)[1] not in text
    assert {file.name for file in tmp_path.iterdir()} == {FILE, f"{FILE}.lock"}


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def make(k: int) -> None:
        store = FileApiKeys(tmp_path)
        for j in range(5):
            store.create(f"{k}-{j}", ["read"])

    threads = [threading.Thread(target=make, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(FileApiKeys(tmp_path).all()) == 20


def test_a_broken_file_is_unavailable_and_what_was_known_goes_on(tmp_path: Path) -> None:
    keys, other = FileApiKeys(tmp_path), FileApiKeys(tmp_path)
    secret = keys.create("till", ["decide"])
    whole = (tmp_path / FILE).read_text()
    wrong = {
        "hash": "x",
        "created_ns": "1",
        "expires_ns": "soon",
        "rate": "many",
        "scopes": "decide",
        "id": None,
        "x": 1,
    }
    one = json.loads(whole)["keys"][0]
    broken = ("{", '{"keys": [{"id": 1}]}', "[]", '{"keys":' + "[" * 5000, '{"keys": 1}')
    broken += tuple(json.dumps({"keys": [{**one, name: value}]}) for name, value in wrong.items())
    for text in broken:
        (tmp_path / FILE).write_text(text)
        with pytest.raises(Unavailable, match="no file of keys"):
            keys.refresh()
        with pytest.raises(Unavailable, match="no file of keys"):
            other.create("second", ["read"])
        assert keys.check(secret, 1) is not None
    (tmp_path / FILE).write_text(whole)
    assert keys.refresh() == 1


def test_an_unreadable_place_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for use in (FileApiKeys(tmp_path / "taken").all, lambda: FileApiKeys(tmp_path / "taken").create("x", ["read"])):
        with pytest.raises(Unavailable):
            use()


@pytest.fixture
def database(postgres) -> str:
    """A database with an empty table of keys."""
    import psycopg

    PostgresApiKeys(postgres.url).prepare()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("TRUNCATE api_keys")
    return postgres.url


@pytest.mark.parametrize("check", API_KEY_CHECKS, ids=lambda check: check.__name__)
def test_keys_in_postgresql_conform(check, database: str) -> None:
    check(lambda: PostgresApiKeys(database))


def test_a_broken_connection_is_opened_again(database: str) -> None:
    import psycopg

    keys = PostgresApiKeys(database)
    secret = keys.create("till", ["decide"])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
            "current_database() AND backend_type = 'client backend'"
        )
    assert keys.refresh() == 1 and keys.check(secret, 1) is not None
    keys.close()


def test_a_server_that_is_away_or_has_no_table_is_said_without_its_password() -> None:
    keys = PostgresApiKeys("postgresql://someone:hunter2@127.0.0.1:1/nothing")
    for use in (keys.refresh, keys.all, lambda: keys.create("x", ["read"]), lambda: keys.revoke("x")):
        with pytest.raises(Unavailable) as raised:
            use()
        assert "hunter2" not in str(raised.value) and raised.value.__cause__ is None
    assert "hunter2" not in repr(keys) + repr(os.environ.get("PGPASSWORD"))


@pytest.mark.parametrize(("call", "says"), [("mkdir", "can't be made"), ("open", "can't be")])
def test_a_disk_that_takes_no_writing_is_said_at_once(tmp_path: Path, monkeypatch, call: str, says: str) -> None:
    """Nobody waits for it as for another process that has the lock."""
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits"))

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, call, read_only)
    with pytest.raises(Unavailable, match=f"{says}.*Read-only file system"):
        FileApiKeys(tmp_path / "data").create("till", ["read"])


def test_a_disk_that_becomes_read_only_while_a_file_is_written_is_said(tmp_path: Path, monkeypatch) -> None:
    keys = FileApiKeys(tmp_path)
    keys.create("till", ["read"])

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "unlink", read_only)
    monkeypatch.setattr(os, "replace", read_only)
    with pytest.raises(Unavailable, match="can't be written: Read-only file system"):
        keys.create("other", ["read"])
