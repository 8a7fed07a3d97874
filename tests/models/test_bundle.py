"""A bundle comes back as it was saved, or is refused with a sentence."""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.scorers.build import serve_part
from homeostat.models.bundle import Bundle, BundleError, load_bundle, save_bundle
from homeostat.models.training.boosted_trees import train_boosted
from homeostat.models.training.network import train_network
from homeostat.records.parts import Part, PartError

NAMES = ("a", "b", "c")


def make_bundle() -> Bundle:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = (x[:, 0] + rng.normal(size=300) > 1).astype(float)
    return Bundle("demo", NAMES, {"rows": 300, "metrics": {"auc": 0.5}}, {
        "scorer.boosted": train_boosted(x, y, NAMES, {"trees": 3, "depth": 2}, 0),
        "scorer.network": train_network(x, y, NAMES, {"epochs": 1, "hidden": (4,), "block": 16}, 0),
        "fusion": Part("learned_fusion", ("boosted", "network"), {"weights": np.ones((4, 2))}, settings={"base": -1.0}),
    })  # fmt: skip


trained = cache(make_bundle)  # When a test asks, not in every process that only collects the tests.


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundles") / "bundle"
    save_bundle(trained(), path)
    return path


@pytest.fixture
def copy(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def rewrite(path: Path, change) -> None:
    """Change the manifest as someone would who knows how to hash."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def replace(path: Path, name: str, raw: bytes) -> None:
    """Put other bytes into a file, with the size and hash that fit."""
    (path / name).write_bytes(raw)
    rewrite(path, lambda m: m["files"].update({name: {"size": len(raw), "sha256": sha256(raw).hexdigest()}}))


def test_a_bundle_comes_back_as_it_was_saved(saved):
    loaded = load_bundle(saved, NAMES)
    assert loaded.app == "demo"
    assert loaded.features == NAMES
    assert loaded.about == trained().about
    assert loaded.parts.keys() == trained().parts.keys()
    for name, part in loaded.parts.items():
        assert part.kind == trained().parts[name].kind
        assert part.features == trained().parts[name].features
        assert part.graphs == trained().parts[name].graphs
        assert all(
            np.array_equal(array, trained().parts[name].arrays[key], equal_nan=True)
            for key, array in part.arrays.items()
        )
    assert set(loaded.scorers) == {"boosted", "network"}
    assert loaded.fusion is not None


def test_the_same_training_writes_the_same_bytes(saved, tmp_path):
    version = save_bundle(make_bundle(), tmp_path / "again")
    assert version == load_bundle(saved).version
    for file in saved.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_saving_replaces_a_bundle_but_nothing_else(saved, copy, tmp_path):
    save_bundle(trained(), copy)
    assert load_bundle(copy).version == load_bundle(saved).version
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "letter.txt").write_text("dear")
    with pytest.raises(BundleError, match="not a bundle"):
        save_bundle(trained(), tmp_path / "precious")
    with pytest.raises(BundleError, match="can't name a part"):
        save_bundle(Bundle("demo", NAMES, {}, {"../evil": trained().parts["fusion"]}), tmp_path / "new")


def test_each_changed_byte_is_found(copy):
    for file in sorted(copy.iterdir()):
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
        with pytest.raises(BundleError):
            load_bundle(copy, NAMES)
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
    load_bundle(copy, NAMES)


def test_missing_added_and_linked_files_are_refused(copy, tmp_path):
    (copy / "extra.npy").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra.npy is not listed"):
        load_bundle(copy)
    (copy / "extra.npy").unlink()
    (copy / "folder").mkdir()
    with pytest.raises(BundleError, match="not a plain file"):
        load_bundle(copy)
    (copy / "folder").rmdir()
    file = copy / "fusion.weights.npy"
    file.rename(tmp_path / "elsewhere.npy")
    with pytest.raises(BundleError, match="missing"):
        load_bundle(copy)
    os.symlink(tmp_path / "elsewhere.npy", file)
    with pytest.raises(BundleError, match="not a plain file"):
        load_bundle(copy)
    with pytest.raises(BundleError, match="can't be read"):
        load_bundle(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="no bundle"):
        load_bundle(tmp_path / "empty")


@pytest.mark.parametrize(
    ("served", "message"),
    [(("a", "b"), "lacks c"), (("a", "b", "c", "d"), "new d"), (("b", "a", "c"), "another order")],
)
def test_other_features_are_refused(saved, served, message):
    with pytest.raises(BundleError, match=message):
        load_bundle(saved, served)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(homeostat_bundle=2),
        lambda m: m.pop("parts"),
        lambda m: m.update(features="abc"),
        lambda m: m.update(features=["a", "a", "b"]),
        lambda m: m.update(app=3),
        lambda m: m["parts"]["fusion"]["arrays"].update(weights="../fusion.weights.npy"),
        lambda m: m["parts"]["fusion"]["arrays"].update(weights="scorer.boosted.value.npy"),
        lambda m: m["parts"]["fusion"]["arrays"].clear(),
        lambda m: m["parts"].update({"../x": m["parts"].pop("fusion")}),
        lambda m: m["parts"]["fusion"].pop("kind"),
        lambda m: m["files"].update({"../../etc/passwd": {"size": 1, "sha256": ""}}),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(copy, change):
    rewrite(copy, change)
    with pytest.raises(BundleError):
        load_bundle(copy, NAMES)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"homeostat_bundle": 1}', b"null"])
def test_a_broken_manifest_is_refused(copy, raw):
    (copy / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleError):
        load_bundle(copy)


def npy(descr: str, shape: str, data: bytes) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x93NUMPY\x03\x00",
        npy("'|O'", "(1,)", b"\x80\x04N."),
        npy("'<f8'", "(99999999999999,)", b""),
        npy("'<f8'", "(-1,)", b""),
        npy("'<f8'", "(2,)", b"\0" * 8),
        npy("'<U4'", "(1,)", b"\0" * 16),
        npy("'>f8'", "(1,)", b"\0" * 8),
        npy("[('a', '<f8')]", "(1,)", b"\0" * 8),
        npy("__import__('os')", "(1,)", b"\0" * 8),
        np.arange(3).tobytes(),
    ],
)
def test_an_array_file_that_is_not_plain_numbers_is_refused(copy, raw):
    replace(copy, "fusion.weights.npy", raw)
    with pytest.raises(BundleError):
        load_bundle(copy)


@pytest.mark.long
@settings(deadline=None, max_examples=120)
@given(st.data())
def test_no_mutation_crashes_the_loader_or_what_it_feeds(saved, tmp_path_factory, data):
    """Bytes are changed and the hashes made to fit: whatever is wrong is found by the loader or by the scorers."""
    path = tmp_path_factory.mktemp("mutated") / "bundle"
    shutil.copytree(saved, path)
    name = data.draw(st.sampled_from(sorted(file.name for file in saved.iterdir())))
    raw = bytearray((path / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        raw = raw or bytearray(b"x")
    if name == "manifest.json":
        (path / name).write_bytes(raw)
    else:
        replace(path, name, bytes(raw))
    try:
        bundle = load_bundle(path, NAMES)
        for scorer, part in bundle.scorers.items():
            served = serve_part(scorer, part, NAMES)
            assert served.score(FEATURES)[0].shape == (20,)
    except (BundleError, PartError):
        pass
    finally:
        shutil.rmtree(path)


def _features():
    from homeostat.records.features import Features

    return Features(NAMES, np.random.default_rng(1).normal(size=(20, 3)), np.zeros((20, 3), np.uint8))


FEATURES = _features()
