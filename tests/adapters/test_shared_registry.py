"""The registry in PostgreSQL and an object store: the contract over S3 and a disk, and what is away, killed or lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest

from homeostat.adapters.objects.store import ObjectStore
from homeostat.adapters.postgres.registry import PostgresRegistry
from homeostat.checks.registry import APP, REGISTRY_CHECKS, bundle_in
from homeostat.checks.servers import postgres_server, s3_server
from homeostat.errors import Unavailable
from homeostat.models.bundle import BundleError
from homeostat.ports.registry import Lineage

NUMBERS = count(1)
by_name = pytest.mark.parametrize("check", REGISTRY_CHECKS, ids=lambda check: check.__name__)


def folder_of(s3) -> str:
    """An empty folder of the object store."""
    return s3.url.replace("/models?", f"/models-{os.getpid()}-{next(NUMBERS)}?")


@pytest.fixture
def open_registry() -> Iterator[Callable[..., PostgresRegistry]]:
    """Opens registries that are closed at the end."""
    with ExitStack() as stack:
        yield lambda *given, **named: stack.enter_context(closing(PostgresRegistry(*given, **named)))


@by_name
def test_the_registry_on_s3_keeps_the_contract(open_registry, check, database, s3, tmp_path: Path) -> None:
    models, caches = folder_of(s3), count()
    check(lambda: open_registry(database, models, tmp_path / f"cache-{next(caches)}"), tmp_path)


@by_name
def test_the_registry_on_a_shared_disk_keeps_the_contract(open_registry, check, database, tmp_path: Path) -> None:
    models = (tmp_path / "shared").as_uri()
    check(lambda: open_registry(database, models, tmp_path / "cache"), tmp_path)


def test_a_store_that_is_away_is_said_without_its_secret(open_registry, database, own_server, tmp_path: Path) -> None:
    store = own_server(s3_server)
    registry = open_registry(database, store.url, tmp_path / "cache")
    first, second = bundle_in(tmp_path, 1), bundle_in(tmp_path, 2)
    registry.put(first, Lineage(APP))
    registry.fetch("1")
    store.kill()
    with pytest.raises(Unavailable, match="s3://homeostat/models failed") as raised:
        registry.put(second, Lineage(APP))
    assert "secret" not in str(raised.value)
    assert [one.number for one in registry.versions()] == [1] and registry.fetch("1")  # It is in the local folder.
    with pytest.raises(Unavailable):
        open_registry(database, store.url, tmp_path / "other").fetch("1")
    store.start()  # It has forgotten everything.
    with pytest.raises(BundleError, match="is missing"):
        open_registry(database, store.url, tmp_path / "other").fetch("1")
    assert registry.put(second, Lineage(APP)).number == 2


def test_a_database_that_is_away_is_said_and_comes_back(open_registry, own_server, s3, tmp_path: Path) -> None:
    server = own_server(postgres_server)
    registry = open_registry(server.url, folder_of(s3), tmp_path / "cache", deadline_s=3.0)
    bundle = bundle_in(tmp_path, 1)
    server.kill()
    for call in (registry.versions, lambda: registry.put(bundle, Lineage(APP)), lambda: registry.get("1")):
        with pytest.raises(Unavailable):
            call()
    with pytest.raises(Unavailable), registry.keeping():
        pass
    server.start()
    assert registry.put(bundle, Lineage(APP)).number == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from homeostat.adapters.postgres.registry import PostgresRegistry
from homeostat.ports.registry import Lineage
database, models, cache, bundle, act = sys.argv[1:]
def count(frame, event, arg):
    global left
    if event == "call" and frame.f_code.co_filename.endswith(("postgres/registry.py", "objects/store.py")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
for step in sys.stdin:  # Each is killed in a child, made before anything has threads.
    child = os.fork()
    if child == 0:
        try:
            registry, left = PostgresRegistry(database, models, Path(cache)), int(step)
            sys.setprofile(count)
            registry.put(Path(bundle), Lineage("demo")) if act == "put" else registry.delete("1", "ann", "no use")
            sys.setprofile(None)
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("act", ["put", "delete"])
def test_a_process_that_is_killed_leaves_all_or_nothing(open_registry, act: str, database, s3, tmp_path: Path) -> None:
    models, bundle = folder_of(s3), bundle_in(tmp_path, 1)
    registry = open_registry(database, models, tmp_path / "cache")
    ends = set()
    command = [sys.executable, "-c", KILLED, database, models, tmp_path / "own", bundle, act]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        for step in range(4, 120, 11):
            if act == "delete":
                registry.put(bundle, Lineage(APP))
            print(step, file=killed.stdin, flush=True)
            code = int(killed.stdout.readline())
            assert code in (0, -signal.SIGKILL)
            found = [one.deleted_ns is None for one in registry.versions()]
            ends.add(tuple(found))
            if found == [True]:
                assert open_registry(database, models, tmp_path / f"cache-{act}-{step}").fetch("1")
            assert registry.put(bundle, Lineage(APP)).number == 1
            assert open_registry(database, models, tmp_path / f"again-{act}-{step}").fetch("1")
            if code == 0:
                break
            if act == "put":
                registry.delete("1", "bob", "once more")
        else:
            raise AssertionError("it never came to its end")
    assert (True,) in ends and len(ends) >= 2


def test_the_local_folder_keeps_the_versions_that_were_fetched_last(
    open_registry, database, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("homeostat.adapters.postgres.registry._KEPT_MOST", 2)
    registry = open_registry(database, (tmp_path / "shared").as_uri(), tmp_path / "cache")
    for k in (1, 2, 3):
        registry.put(bundle_in(tmp_path, k), Lineage(APP))
        registry.fetch(str(k))
        os.utime(tmp_path / "cache" / registry.get(str(k)).version, (k, k))
    kept = {path.name for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")}
    assert kept == {registry.get("2").version, registry.get("3").version}
    damaged = tmp_path / "cache" / registry.get("2").version / "manifest.json"
    damaged.write_text("{}")
    assert registry.fetch("2") and damaged.read_text() != "{}"


def test_files_that_were_exchanged_in_the_store_are_refused(open_registry, database, tmp_path: Path) -> None:
    registry = open_registry(database, (tmp_path / "shared").as_uri(), tmp_path / "cache")
    first, second = (registry.put(bundle_in(tmp_path, k), Lineage(APP)).version for k in (1, 2))
    (place,), (other,) = ((tmp_path / "shared" / name).iterdir() for name in (first, second))
    for file in other.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BundleError, match="another version"):
        registry.fetch("1")
    (place / "fusion.weights.npy").write_bytes(b"x")
    with pytest.raises(BundleError, match="bytes"):
        registry.fetch("1")


def test_an_address_shows_no_secret() -> None:
    store = ObjectStore("s3://key:s%2Fcret@bucket/a/b/?region=x")
    assert store.where == "s3://bucket/a/b"
    with pytest.raises(Unavailable) as raised:
        ObjectStore("gs://bucket/a?no_such_option=1").read("x")
    assert "gs://bucket/a failed" in str(raised.value)


FULL = """
import resource, signal, sys
from pathlib import Path
from homeostat.adapters.postgres.registry import PostgresRegistry
from homeostat.errors import Unavailable
from homeostat.ports.registry import Lineage
database, models, cache, bundle = sys.argv[1:]
registry = PostgresRegistry(database, models, Path(cache))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
for act in (lambda: registry.put(Path(bundle), Lineage("demo")), lambda: registry.fetch("1")):
    try:
        act()
    except Unavailable as error:
        print(error)
"""


def test_a_full_disk_keeps_nothing_by_half(open_registry, database, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk of the store, and for that of the local folder."""
    models = (tmp_path / "shared").as_uri()
    registry = open_registry(database, models, tmp_path / "cache")
    registry.put(bundle_in(tmp_path, 1), Lineage(APP))
    second, local = bundle_in(tmp_path, 2), tmp_path / "local"
    done = subprocess.run([sys.executable, "-c", FULL, database, models, local, second], capture_output=True, text=True)
    put, fetched = done.stdout.splitlines()
    assert put.startswith("file://") and "failed" in put and fetched.startswith(f"{local} can't be changed")
    assert [one.number for one in registry.versions()] == [1]
    assert registry.put(second, Lineage(APP)).number == 2
    assert open_registry(database, models, local).fetch("2") and not list(local.glob(".partial*"))
