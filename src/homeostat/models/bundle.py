"""Model bundles: a folder with a manifest, arrays and ONNX graphs. Nothing in it can run code, and nothing is taken
on trust: whatever does not fit its manifest, its manifest's schema or the app's features is refused.

    manifest.json                 what this is, what it was trained on, every file's size and SHA-256
    <part>.<array>.npy            numbers
    <part>.<graph>.onnx           graphs

The same training writes the same bytes: there is no time of writing in it.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import HomeostatError
from homeostat.records.parts import Part

FORMAT = 1
MANIFEST = "manifest.json"
_MANIFEST_BYTES_MAX = 1 << 24
_FILE_BYTES_MAX = 1 << 30
_PART = re.compile(r"[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63})?")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FILE = re.compile(r"[a-z0-9_.]{1,200}")
_NUMERIC_KINDS = "biuf"
_SHOWN_MAX = 5  # Definitions that an error quotes.


class BundleError(HomeostatError, ValueError):
    """A bundle is refused; the text says which file or entry, and what is wrong with it."""

    why = "a bundle is used only whole and unchanged, and for the app that it was trained for"
    remedy = "Train the bundle again, or copy it again from where it is whole"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle in memory.

    app : the app it was trained for
    features : names of the app's features in order, at training
    about : training window, row counts, metrics, settings, seeds and library versions, as written
    parts : by name: `scorer.<name>`, `fusion`, `policy.<name>`
    version : short hash of the manifest, and so of every file
    definitions : feature -> what it meant at training, in one line; empty in bundles of before these were kept
    """

    app: str
    features: tuple[str, ...]
    about: Mapping[str, Any]
    parts: Mapping[str, Part]
    version: str = field(default="")
    definitions: Mapping[str, str] = field(default_factory=dict)

    @property
    def scorers(self) -> dict[str, Part]:
        """The scorers' parts by scorer."""
        return {name.partition(".")[2]: part for name, part in self.parts.items() if name.startswith("scorer.")}

    @property
    def fusion(self) -> Part | None:
        """The fusion's part, if one was trained."""
        return self.parts.get("fusion")


def save_bundle(bundle: Bundle, out: Path, private: bool = False) -> str:
    """Write a bundle's folder, replacing an earlier bundle there; returns its version.

    private : folder and files are their owner's alone, as in a data folder; if not, the process's umask decides
    Raises BundleError when `out` exists and is no bundle, or a part has a name that no bundle may hold.
    """
    _check_out(out)
    files: dict[str, bytes] = {}
    parts = {name: write_part(name, part, files) for name, part in sorted(bundle.parts.items())}
    manifest = {
        "homeostat_bundle": FORMAT,
        "app": bundle.app,
        "features": list(bundle.features),
        "definitions": {
            name: {"is": line, "sha256": digest_of(line)} for name, line in sorted(bundle.definitions.items())
        },
        "about": dict(bundle.about),
        "parts": parts,
        "files": {name: {"size": len(raw), "sha256": sha256(raw).hexdigest()} for name, raw in sorted(files.items())},
    }
    files[MANIFEST] = (json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()
    _write(files, out, private)
    return _version(files[MANIFEST])


def copy_bundle(path: Path, out: Path) -> str:
    """Write a checked copy of a bundle's folder, replacing an earlier bundle there; returns its version.

    Raises BundleError.
    """
    _check_out(out)
    files = read_files(path)
    bundle = bundle_of_files(files, where=str(path))
    _write(files, out, private=False)
    return bundle.version


def _check_out(out: Path) -> None:
    if out.exists() and not (out / MANIFEST).is_file():
        raise BundleError(f"{out} exists and is not a bundle; give another path or remove it")


def _write(files: Mapping[str, bytes], out: Path, private: bool) -> None:
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.mkdir(mode=0o700 if private else 0o777)
    for name, raw in files.items():
        (partial / name).write_bytes(raw)
        if private:
            (partial / name).chmod(0o600)
    if out.exists():
        shutil.rmtree(out)
    os.replace(partial, out)


def write_part(name: str, part: Part, files: dict[str, bytes]) -> dict[str, Any]:
    """A part's manifest entry; its files are added to `files`."""
    entry: dict[str, Any] = {"kind": part.kind, "features": list(part.features), "settings": dict(part.settings)}
    _named(_PART, name, "part")
    arrays, graphs = {}, {}
    for key, array in sorted(part.arrays.items()):
        _named(_NAME, key, "array")
        arrays[key] = f"{name}.{key}.npy"
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        files[arrays[key]] = stream.getvalue()
    for key, graph in sorted(part.graphs.items()):
        _named(_NAME, key, "graph")
        graphs[key] = f"{name}.{key}.onnx"
        files[graphs[key]] = graph
    return {**entry, "arrays": arrays, "graphs": graphs}


def digest_of(definition: str) -> str:
    """The part of a feature's definition that has to be the same."""
    return sha256(definition.encode()).hexdigest()


def load_bundle(
    path: Path,
    features: Sequence[str] | None = None,
    definitions: Mapping[str, str] | None = None,
    redefined: Sequence[str] = (),
) -> Bundle:
    """Read and check a bundle.

    features : the app's features in order; not compared when None
    definitions : what each feature of the app means; not compared when None
    redefined : features that may mean something else than at training
    Raises BundleError for anything that does not fit.
    """
    return bundle_of_files(read_files(path), features, definitions, redefined, where=str(path))


def read_files(path: Path) -> dict[str, bytes]:
    """The bytes of a bundle's files by name, not checked yet. Raises BundleError for what can't be a bundle's file."""
    return dict(_read_files(path))


def listed_files(manifest: bytes) -> list[str]:
    """The files that a manifest lists, beside itself. Raises BundleError for a manifest that can't be read."""
    return [_named(_FILE, name, "file") for name in _table(_parsed(manifest), "files")]


def bundle_of_files(
    given: Mapping[str, bytes],
    features: Sequence[str] | None = None,
    definitions: Mapping[str, str] | None = None,
    redefined: Sequence[str] = (),
    *,
    where: str = "this",
) -> Bundle:
    """Check a bundle whose files are in memory; see `load_bundle`.

    where : the bundle in words, for the sentence of an error
    """
    files = dict(given)
    raw = files.pop(MANIFEST, None)
    if raw is None:
        raise BundleError(f"{where} is no bundle: it has no {MANIFEST}")
    manifest = _parsed(raw)
    if manifest.get("homeostat_bundle") != FORMAT:
        raise BundleError(f"{MANIFEST} has format {manifest.get('homeostat_bundle')!r}; this version reads {FORMAT}")
    _check_files(_table(manifest, "files"), files)
    names = _strings(manifest.get("features"), "features")
    if features is not None:
        _check_schema(names, tuple(features))
    trained = _definitions(manifest.get("definitions", {}))
    if definitions is not None:
        _check_definitions(trained, definitions, redefined)
    app = manifest.get("app")
    if not isinstance(app, str):
        raise BundleError(f"{MANIFEST}: app must be a string")
    unread = set(files)
    parts = {}
    for name, entry in _table(manifest, "parts").items():
        parts[_named(_PART, name, "part")] = read_part(name, entry, files, unread)
    if unread:
        raise BundleError(f"{min(unread)} belongs to no part")
    return Bundle(app, names, _table(manifest, "about"), parts, _version(raw), trained)


def read_part(name: str, entry: Any, files: Mapping[str, bytes], unread: set[str]) -> Part:
    """A part from its manifest entry and the bundle's files; what was read is taken out of `unread`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        raise BundleError(f"part {name!r} must be a mapping with a kind")
    read: dict[str, dict[str, bytes]] = {}
    for table, suffix in (("arrays", "npy"), ("graphs", "onnx")):
        read[table] = {}
        for key, file in _table(entry, table).items():
            _named(_NAME, key, table[:-1])
            if file != f"{name}.{key}.{suffix}" or file not in files:
                raise BundleError(f"part {name!r}: {table} {key!r} must be in the file {name}.{key}.{suffix}")
            read[table][key] = files[file]
            unread.discard(file)
    arrays = {key: _array(f"{name}.{key}.npy", raw) for key, raw in read["arrays"].items()}
    features = _strings(entry.get("features"), f"part {name!r}: features")
    return Part(entry["kind"], features, arrays, read["graphs"], _table(entry, "settings"))


def _read_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The folder's files, none of them a link, a folder or of absurd size."""
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"{entry.name!r} is not a plain file")
            if status.st_size > (_MANIFEST_BYTES_MAX if entry.name == MANIFEST else _FILE_BYTES_MAX):
                raise BundleError(f"{entry.name!r} is too large")
            yield entry.name, Path(entry.path).read_bytes()
    except NotADirectoryError:
        raise BundleError(f"{path} is a file: name the folder that holds {MANIFEST}") from None
    except OSError as error:
        raise BundleError(f"{path} can't be read: {error.strerror or error}") from error


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise BundleError(f"{MANIFEST} must be a mapping")
    return manifest


def _check_files(listed: dict[str, Any], files: Mapping[str, bytes]) -> None:
    for name in sorted(listed.keys() | files.keys()):
        if name not in files:
            raise BundleError(f"{name} is listed in {MANIFEST} but missing")
        entry = listed.get(name)
        if not isinstance(entry, dict):
            raise BundleError(f"{name} is not listed in {MANIFEST}")
        if entry.get("size") != len(files[name]):
            raise BundleError(f"{name} has {len(files[name])} bytes; {MANIFEST} says {entry.get('size')!r}")
        if entry.get("sha256") != sha256(files[name]).hexdigest():
            raise BundleError(f"{name} does not have the SHA-256 that {MANIFEST} says: it was changed after training")


def _check_schema(trained: tuple[str, ...], served: tuple[str, ...]) -> None:
    if trained == served:
        return
    missing = [name for name in trained if name not in served]
    new = [name for name in served if name not in trained]
    what = [f"lacks {', '.join(missing[:3])}" * bool(missing), f"has the new {', '.join(new[:3])}" * bool(new)]
    differs = " and ".join(filter(None, what)) or "has them in another order"
    raise BundleError(f"the bundle was trained on other features: the app {differs}; train it again")


def _definitions(node: Any) -> dict[str, str]:
    """Each feature's definition, which must have its hash."""
    if not isinstance(node, dict):
        raise BundleError(f"{MANIFEST}: definitions must be a mapping")
    for name, entry in node.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("is"), str):
            raise BundleError(f"{MANIFEST}: the definition of {name} must be a mapping with a text")
        if entry.get("sha256") != digest_of(entry["is"]):
            raise BundleError(f"{MANIFEST}: the definition of {name} does not have the SHA-256 beside it")
    return {name: entry["is"] for name, entry in node.items()}


def _check_definitions(trained: Mapping[str, str], served: Mapping[str, str], redefined: Sequence[str]) -> None:
    """Refuse features that bear the same name and mean something else."""
    other = [
        name for name, line in trained.items() if name in served and served[name] != line and name not in redefined
    ]
    if not other:
        return
    shown = "; ".join(f"{name} was `{trained[name]}` and is `{served[name]}`" for name in other[:_SHOWN_MAX])
    more = f"; and {len(other) - _SHOWN_MAX} more" if len(other) > _SHOWN_MAX else ""
    raise BundleError(
        f"the bundle was trained on features that mean something else in this app: {shown}{more}; train it again, or, "
        f"if this is on purpose, declare `features: {{redefined: [{', '.join(other)}]}}`"
    )


def _array(name: str, raw: bytes) -> NDArray[np.generic]:
    """A numeric array of exactly the bytes that its header says."""
    stream = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise BundleError(f"{name} has an unknown array format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except BundleError:
        raise
    except Exception as error:  # NumPy raises many kinds for a broken header.
        raise BundleError(f"{name} has a broken header") from error
    count = 1
    for extent in shape:
        count *= extent
    if dtype.kind not in _NUMERIC_KINDS or not dtype.isnative or fortran or min((*shape, 0)) < 0:
        raise BundleError(f"{name} must hold plain numbers in row order, not {dtype}")
    if count * dtype.itemsize != len(raw) - stream.tell():
        raise BundleError(f"{name} does not hold as many bytes as its header says")
    return np.frombuffer(raw, dtype, count, stream.tell()).reshape(shape).copy()


def _table(node: dict[str, Any], key: str) -> dict[str, Any]:
    value = node.get(key)
    if not isinstance(value, dict):
        raise BundleError(f"{MANIFEST}: {key} must be a mapping")
    return value


def _strings(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BundleError(f"{MANIFEST}: {what} must be a list of names")
    if len(set(value)) != len(value):
        raise BundleError(f"{MANIFEST}: {what} holds a name twice")
    return tuple(value)


def _named(pattern: re.Pattern[str], name: str, what: str) -> str:
    if not pattern.fullmatch(name):
        raise BundleError(f"{name!r} can't name a {what}")
    return name


def _version(manifest: bytes) -> str:
    return sha256(manifest).hexdigest()[:12]
