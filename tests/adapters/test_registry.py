"""Registries of versions: the contract over each, and what happens to the one on the disk when it is killed or full."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.checks.registry import APP, REGISTRY_CHECKS, bundle_in
from homeostat.errors import Unavailable
from homeostat.models.bundle import BundleError, load_bundle
from homeostat.ports.registry import Lineage, RegistryError, UnknownVersion

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("check", REGISTRY_CHECKS, ids=lambda check: check.__name__)
def test_the_registry_of_a_data_folder_keeps_the_contract(check, tmp_path: Path) -> None:
    check(lambda: SqliteRegistry(tmp_path / "data"), tmp_path)


def test_looking_at_a_folder_leaves_it_as_it_is(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path)
    assert list(registry.versions()) == [] and list(tmp_path.iterdir()) == []


def test_everything_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        SqliteRegistry(tmp_path / "data").put(bundle_in(tmp_path, 1), Lineage(APP))
    finally:
        os.umask(before)
    for path in (tmp_path / "data").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_damaged_files_are_refused_and_mended_by_putting_them_again(tmp_path: Path) -> None:
    registry, bundle = SqliteRegistry(tmp_path / "data"), bundle_in(tmp_path, 1)
    version = registry.put(bundle, Lineage(APP)).version
    file = registry.fetch(version) / "fusion.weights.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError, match="SHA-256"):
        registry.fetch(version)
    registry.put(bundle, Lineage(APP))
    assert registry.fetch(version)
    (tmp_path / "data" / "models" / version).rename(tmp_path / "gone")
    with pytest.raises(BundleError, match="can't be read"):
        registry.fetch(version)


def test_a_folder_that_holds_another_version_under_the_name_is_refused(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "data")
    first, second = (registry.put(bundle_in(tmp_path, k), Lineage(APP)).version for k in (1, 2))
    models = tmp_path / "data" / "models"
    (models / first).rename(models / "aside")
    (models / second).rename(models / first)
    with pytest.raises(BundleError, match="another version"):
        registry.fetch(first)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("PRAGMA application_id = 1", "does not hold versions"),
        ("PRAGMA user_version = 99", "reads format 1"),
        ("DROP TRIGGER versions_UPDATE; UPDATE versions SET lineage = '{'", "version 1 is damaged"),
    ],
)
def test_an_index_that_is_something_else_is_refused(statement: str, says: str, tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path)
    registry.put(bundle_in(tmp_path, 1), Lineage(APP))
    with closing(sqlite3.connect(tmp_path / "models.db")) as db:
        db.executescript(statement)
    with pytest.raises(RegistryError, match=says):
        registry.versions()


def test_entries_can_not_be_changed_or_removed(tmp_path: Path) -> None:
    SqliteRegistry(tmp_path).put(bundle_in(tmp_path, 1), Lineage(APP))
    with closing(sqlite3.connect(tmp_path / "models.db")) as db:
        for statement in ("UPDATE versions SET size = 1", "UPDATE versions SET lineage = '{}'", "DELETE FROM versions"):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(statement)


def test_no_json_file_is_a_registry(tmp_path: Path) -> None:
    (tmp_path / "models.db").write_text("{}" * 4000)
    with pytest.raises(RegistryError, match="is not a registry"):
        SqliteRegistry(tmp_path).versions()


def test_a_folder_that_can_not_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(Unavailable):
        SqliteRegistry(tmp_path / "data").put(bundle_in(tmp_path, 1), Lineage(APP))


def test_a_full_disk_keeps_nothing_by_half(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the bundle's second file does not fit."""
    registry = SqliteRegistry(tmp_path / "data")
    registry.put(bundle_in(tmp_path, 1), Lineage(APP))
    bundle, code = bundle_in(tmp_path, 2), (
        "import sys, resource, signal; from pathlib import Path\n"
        "from homeostat.adapters.disk.sqlite.registry import SqliteRegistry\n"
        "from homeostat.errors import Unavailable; from homeostat.ports.registry import Lineage\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
        "try:\n    SqliteRegistry(Path(sys.argv[1])).put(Path(sys.argv[2]), Lineage('demo'))\n"
        "except Unavailable as error:\n    print(error)\n"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "data", bundle], capture_output=True, text=True)
    assert "can't be changed: File too large" in done.stdout, done.stderr
    assert [one.number for one in registry.versions()] == [1]
    assert registry.put(bundle, Lineage(APP)).number == 2 and registry.fetch("2")
    assert not list((tmp_path / "data" / "models").glob(".partial*"))


def killed(act: str) -> list[dict]:
    """The state that is left after the act was killed at each of its calls, one process for each."""
    command = [sys.executable, "-m", "tests.support.killing", act]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.long
def test_a_process_that_is_killed_while_it_puts_has_put_all_or_nothing() -> None:
    states = killed("put")
    assert len(states) > 50 and {state["there"] for state in states} == {True, False}
    assert all(state["whole"] for state in states if state["there"])
    assert all(state["again"] == [2, True, 0] for state in states)


@pytest.mark.long
def test_a_process_that_is_killed_while_it_deletes_has_deleted_all_or_nothing() -> None:
    states = killed("delete")
    assert len(states) > 20 and {state["there"] for state in states} == {True, False}
    assert all(state["whole"] for state in states if state["there"])
    assert all(state["again"] == [2, True, 0] for state in states)


def test_a_version_that_was_deleted_says_by_whom_and_why(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "data")
    registry.put(bundle_in(tmp_path, 1), Lineage(APP))
    registry.delete("1", "ann", "wrong labels")
    with pytest.raises(UnknownVersion, match="was deleted by ann: wrong labels"):
        registry.fetch("1")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(["put", "delete", "get"]), st.integers(1, 3)), max_size=12))
def test_any_order_of_acts_equals_a_naive_registry(acts: list[tuple[str, int]], tmp_path: Path) -> None:
    data = tmp_path / uuid4().hex
    numbers: dict[str, int] = {}
    there: set[str] = set()
    for act, k in acts:
        registry, bundle = SqliteRegistry(data), bundle_in(tmp_path, k)
        name = load_bundle(bundle).version
        if act == "put":
            assert registry.put(bundle, Lineage(APP)).number == numbers.setdefault(name, len(numbers) + 1)
            there.add(name)
        elif name not in numbers:
            with pytest.raises(UnknownVersion):
                registry.delete(name, "ann", "no use") if act == "delete" else registry.fetch(name)
        elif act == "delete":
            registry.delete(name, "ann", "no use")
            there.discard(name)
        elif name in there:
            assert registry.fetch(name)
        else:
            with pytest.raises(UnknownVersion):
                registry.fetch(name)
    found = SqliteRegistry(data).versions()
    assert {one.version: one.number for one in found} == numbers
    assert {one.version for one in found if one.deleted_ns is None} == there
    if numbers:
        assert {one.name for one in (data / "models").iterdir() if not one.name.startswith(".")} == there
