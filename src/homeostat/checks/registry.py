"""The contract of every registry of versions, whatever it is built on.

A plug-in's author calls each function with a way to open the registry on one and the same, empty place, and a folder::

    @pytest.mark.parametrize("check", REGISTRY_CHECKS, ids=lambda check: check.__name__)
    def test_my_registry(check, tmp_path):
        check(lambda: MyRegistry(tmp_path / "registry"), tmp_path)

Each function asserts; none needs pytest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from homeostat.models.bundle import Bundle, BundleError, load_bundle, save_bundle
from homeostat.ports.registry import InUse, Lineage, Registry, RegistryError, UnknownVersion
from homeostat.records.parts import Part

OpensRegistry = Callable[[], Registry]
APP = "demo"
LINEAGE = Lineage(
    APP, "1f2e3d4c", "file:ab", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", 7, "0.2.0", ("0a1b",),
    {"auc": 0.75, "by": {"scorer": [1, 2]}}, "ann", "the first of all, with \"quotes\" and ü",
)  # fmt: skip
_Kind = TypeVar("_Kind", bound=Exception)


def bundle_in(folder: Path, number: int, app: str = APP) -> Path:
    """A small bundle, another one for each number."""
    arrays = {"weights": np.arange(4, dtype=float) + number}
    part = Part("weighted", ("a", "b"), arrays, settings={"base": float(number)})
    path = folder / f"bundle-{app}-{number}"
    save_bundle(Bundle(app, ("a", "b"), {"number": number}, {"fusion": part}), path)
    return path


def an_empty_registry_has_no_versions(opens: OpensRegistry, folder: Path) -> None:
    """Nothing is listed, and every name is unknown."""
    registry = opens()
    assert list(registry.versions()) == []
    for name in ("", "1", "0", "-1", "abcdef012345", "%", "_", "\x00", "ü", "\udc80", "1" * 400):
        for call in (registry.get, registry.fetch, partial(registry.delete, actor="ann", reason="no use")):
            _refused(UnknownVersion, partial(call, name))
    registry.close()


def a_version_comes_back_as_it_was_put(opens: OpensRegistry, folder: Path) -> None:
    """Its name is its content's, its files are the same bytes, its lineage is whole; here and elsewhere."""
    registry, other = opens(), opens()
    bundle = bundle_in(folder, 1)
    put = registry.put(bundle, LINEAGE)
    assert put.version == load_bundle(bundle).version and put.number == 1 and put.deleted_ns is None
    assert put.lineage == LINEAGE and put.size == sum(file.stat().st_size for file in bundle.iterdir())
    for one in (registry, other):
        assert one.get(put.version) == put == one.get("1") == one.get(put.version[:5])
        fetched = one.fetch(put.version[:5])
        assert fetched != bundle and _bytes(fetched) == _bytes(bundle)
        one.close()


def putting_twice_is_once(opens: OpensRegistry, folder: Path) -> None:
    """The second author gets the first one's version, and the first lineage stays."""
    registry, other = opens(), opens()
    bundle = bundle_in(folder, 1)
    first = registry.put(bundle, LINEAGE)
    assert other.put(bundle, Lineage(APP, actor="bob", reason="again")) == first
    assert list(registry.versions()) == [first]
    registry.close()
    other.close()


def versions_are_numbered_and_listed_newest_first(opens: OpensRegistry, folder: Path) -> None:
    """In the order in which they were put, by whomever; in pages too."""
    registries = [opens(), opens()]
    put = [registries[k % 2].put(bundle_in(folder, k), Lineage(APP)) for k in range(5)]
    assert [one.number for one in put] == [1, 2, 3, 4, 5]
    assert [one.created_ns for one in put] == sorted(one.created_ns for one in put)
    for registry in registries:
        assert list(registry.versions()) == put[::-1]
        assert list(registry.versions(limit=2)) == [put[4], put[3]]
        assert list(registry.versions(limit=2, below=4)) == [put[2], put[1]]
        assert list(registry.versions(below=1)) == []
        registry.close()


def authors_who_race_get_the_same(opens: OpensRegistry, folder: Path) -> None:
    """Eight at once, two for each of four bundles: four versions, numbers without gaps."""
    bundles = [bundle_in(folder, k) for k in range(4)]
    start = threading.Barrier(8)

    def author(k: int) -> tuple[str, int]:
        registry = opens()
        start.wait(30)
        put = registry.put(bundles[k % 4], Lineage(APP, actor=str(k)))
        assert _bytes(registry.fetch(put.version)) == _bytes(bundles[k % 4])
        registry.close()
        return put.version, put.number

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(author, range(8)))
    assert got[:4] == got[4:] and sorted(number for _, number in got[:4]) == [1, 2, 3, 4]
    registry = opens()
    assert [(one.version, one.number) for one in registry.versions()] == sorted(got[:4], key=lambda one: -one[1])
    registry.close()


def a_deleted_version_leaves_a_tombstone(opens: OpensRegistry, folder: Path) -> None:
    """Its entry says who deleted it, when and why; its files are gone, its number is not given again."""
    registry, other = opens(), opens()
    first = registry.put(bundle_in(folder, 1), LINEAGE)
    place = other.fetch(first.version)
    deleted = registry.delete("1", "bob", "trained on wrong labels")
    assert deleted.deleted_ns is not None and deleted.deleted_ns >= first.created_ns
    assert (deleted.deleted_by, deleted.deleted_why) == ("bob", "trained on wrong labels")
    assert (deleted.version, deleted.number, deleted.lineage) == (first.version, 1, LINEAGE)
    assert other.get("1") == deleted == registry.delete(first.version, "cid", "again")
    _refused(UnknownVersion, lambda: other.fetch(first.version))
    _refused(UnknownVersion, lambda: registry.fetch(first.version))
    assert place != folder / "bundle-demo-1"
    assert registry.put(bundle_in(folder, 2), Lineage(APP)).number == 2
    assert [one.number for one in other.versions()] == [2, 1]
    registry.close()
    other.close()


def a_deleted_version_can_be_put_again(opens: OpensRegistry, folder: Path) -> None:
    """It is what it was: number, time and lineage too."""
    registry = opens()
    bundle = bundle_in(folder, 1)
    first = registry.put(bundle, LINEAGE)
    registry.delete("1", "bob", "a slip")
    assert registry.put(bundle, Lineage(APP, actor="bob")) == first
    assert _bytes(registry.fetch("1")) == _bytes(bundle)
    registry.close()


def a_version_in_use_is_not_deleted(opens: OpensRegistry, folder: Path) -> None:
    """An exception of the check reaches the caller, and everything is as it was."""
    registry, other = opens(), opens()
    first = registry.put(bundle_in(folder, 1), LINEAGE)

    def check() -> None:
        raise InUse("it decides")

    _refused(InUse, lambda: registry.delete("1", "bob", "to make room", check))
    assert other.get("1") == first and _bytes(other.fetch("1")) == _bytes(folder / "bundle-demo-1")
    registry.close()
    other.close()


def no_version_is_deleted_while_another_deploys(opens: OpensRegistry, folder: Path) -> None:
    """A deletion waits for the author who holds versions, and asks after that whether it is used."""
    registry, other = opens(), opens()
    registry.put(bundle_in(folder, 1), LINEAGE)
    deployed, asked = threading.Event(), []

    def check() -> None:
        asked.append(deployed.is_set())
        raise InUse("it decides")

    thread = threading.Thread(target=lambda: _refused(InUse, lambda: other.delete("1", "bob", "to make room", check)))
    with registry.keeping():
        thread.start()
        thread.join(0.2)
        assert not asked and registry.get("1").deleted_ns is None
        deployed.set()
    thread.join(30)
    assert asked == [True]
    registry.close()
    other.close()


def what_is_no_bundle_of_the_app_is_refused(opens: OpensRegistry, folder: Path) -> None:
    """A BundleError says what is wrong, and nothing is kept; nor is another app's bundle, for either name."""
    registry = opens()
    registry.put(bundle_in(folder, 1), Lineage(APP))
    damaged = bundle_in(folder, 2)
    (damaged / "fusion.weights.npy").write_bytes(b"x")
    _refused(BundleError, lambda: registry.put(damaged, Lineage(APP)))
    _refused(BundleError, lambda: registry.put(folder / "nowhere", Lineage(APP)))
    _refused(BundleError, lambda: registry.put(bundle_in(folder, 3, "other"), Lineage(APP)))
    _refused(RegistryError, lambda: registry.put(bundle_in(folder, 3, "other"), Lineage("other")))
    assert [one.number for one in registry.versions()] == [1]
    registry.close()


def names_that_fit_several_versions_are_refused(opens: OpensRegistry, folder: Path) -> None:
    """The text names some of them; a number wins over the beginning of a name."""
    registry = opens()
    put = [registry.put(bundle_in(folder, k), Lineage(APP)) for k in range(17)]
    first = [one.version[0] for one in put]
    twice = next(letter for letter in first if first.count(letter) > 1)  # 17 names begin with 16 letters.
    if twice.isalpha():
        error = _refused(UnknownVersion, lambda: registry.get(twice))
        assert "may mean" in str(error)
    assert registry.get("7").number == 7
    registry.close()


def _refused(kind: type[_Kind], call: Callable[[], object]) -> _Kind:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


REGISTRY_CHECKS: tuple[Callable[[OpensRegistry, Path], None], ...] = (
    an_empty_registry_has_no_versions,
    a_version_comes_back_as_it_was_put,
    putting_twice_is_once,
    versions_are_numbered_and_listed_newest_first,
    authors_who_race_get_the_same,
    a_deleted_version_leaves_a_tombstone,
    a_deleted_version_can_be_put_again,
    a_version_in_use_is_not_deleted,
    no_version_is_deleted_while_another_deploys,
    what_is_no_bundle_of_the_app_is_refused,
    names_that_fit_several_versions_are_refused,
)
