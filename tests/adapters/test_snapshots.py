import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.samples.reading import unpacked

from homeostat.adapters.disk import snapshots
from homeostat.adapters.disk.snapshots import FileSnapshots, decode
from homeostat.checks.journal import SNAPSHOT_CHECKS
from homeostat.ports import Snapshot, Unavailable


@pytest.mark.parametrize("check", SNAPSHOT_CHECKS, ids=lambda check: check.__name__)
def test_file_snapshots_conform(check, tmp_path):
    check(lambda: FileSnapshots(tmp_path))


def test_a_damaged_newest_snapshot_falls_back_to_the_one_before(tmp_path):
    store, rng = FileSnapshots(tmp_path), np.random.default_rng(1)
    store.save(Snapshot(1, {"a": np.arange(3)}))
    store.save(Snapshot(2, {"a": np.arange(50)}))
    whole = store.newest.read_bytes()
    for _ in range(100):
        broken = bytearray(whole)
        broken[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
        store.newest.write_bytes(broken[: int(rng.integers(len(whole) // 2, len(whole) + 1))])
        loaded = store.load()
        assert loaded.sequence == 1 and loaded.state["a"].tolist() == [0, 1, 2]
        assert len(store.skipped) == 1
    store.save(Snapshot(3, {"a": np.arange(4)}))
    store.newest.unlink()
    assert store.load().sequence == 1, "a damaged snapshot pushed a good one out"
    store.previous.write_bytes(b"")
    assert store.load() is None


def test_a_snapshot_that_is_refused_is_passed_over_with_the_reason(tmp_path):
    store = FileSnapshots(tmp_path)
    store.save(Snapshot(5, {}))
    store.save(Snapshot(9, {}))

    def beyond(last):
        return lambda found: f"is of entry {found.sequence}" if found.sequence > last else ""

    assert store.load(beyond(9)).sequence == 9
    assert store.load(beyond(8)).sequence == 5
    assert store.skipped == [f"{store.newest} is of entry 9"]
    assert store.load(beyond(4)) is None and len(store.skipped) == 2


def test_a_snapshot_of_an_older_version_is_passed_over_with_a_sentence(tmp_path):
    folder = unpacked("shop", tmp_path)
    store = FileSnapshots(folder)
    assert store.load() is None
    assert store.skipped == [f"{store.newest}: an older version wrote it, which did not say of which history it is"]


def test_a_snapshot_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    store = FileSnapshots(tmp_path)
    store.save(Snapshot(1, {"a": np.arange(3)}))
    with pytest.raises(ValueError, match="numbers and texts"):
        store.save(Snapshot(2, {"a": np.array([object()])}))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("homeostat.adapters.disk.files.os.fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        store.save(Snapshot(2, {"a": np.arange(4)}))
    assert store.load().sequence == 1
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot.bin"]
    with pytest.raises(Unavailable):
        FileSnapshots(tmp_path / "nowhere").save(Snapshot(1, {}))


def test_arrays_that_are_not_contiguous_are_kept(tmp_path):
    store = FileSnapshots(tmp_path)
    array = np.arange(12).reshape(3, 4).T[::2]
    store.save(Snapshot(1, {"a": array, "b": np.array(5.0), "c": np.arange(3, dtype=">i4")}))
    loaded = store.load().state
    np.testing.assert_array_equal(loaded["a"], array)
    assert loaded["b"].shape == () and loaded["c"].tolist() == [0, 1, 2]


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_raise_nothing_but_value_errors(data, sealed):
    from hashlib import sha256

    if sealed:
        data = snapshots._MAGIC + data
        data += sha256(data).digest()
    with pytest.raises(ValueError):
        decode(data)


_WHOLE = {"sequence": 1, "history": "", "software": "", "meaning": {}, "arrays": []}


@given(st.sampled_from([
    "[]", "{}", "nonsense", *[json.dumps({**_WHOLE, **changed}) for changed in (
        {"arrays": [["a", "|O", [1]]]}, {"arrays": [["a", "<f8", [-1]]]}, {"arrays": [["a", "<f8", [1000000]]]},
        {"arrays": [["a", "<f8"]]}, {"arrays": [["a", "wrong", [1]]]}, {"arrays": [["a", "<f8", ["x"]]]},
        {"sequence": "x"}, {"meaning": {"a": 7}}, {"meaning": 7}, {"meaning": {"a": {"digest": "", "terms": 1}}},
    )],
]))  # fmt: skip
def test_a_forged_index_is_refused(index):
    from hashlib import sha256

    data = snapshots._MAGIC + len(index).to_bytes(8, "little") + index.encode() + b"\0" * 64
    with pytest.raises(ValueError):
        decode(data + sha256(data).digest())
