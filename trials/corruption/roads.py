"""One case of each kind of corruption: `case(number)` raises what should not have been."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from homeostat.adapters.disk.event_files import EventFileError, read_events
from homeostat.adapters.disk.snapshots import FileSnapshots
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals.entries import JournalError
from homeostat.app import NotTrained, Ports, brain, build, costs_of, feature_plan, ready_scorers
from homeostat.checks.stand_ins import MemoryJournal, ScriptedClock
from homeostat.config import plans
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app, parse_app, shipped_apps
from homeostat.config.nodes import compose
from homeostat.config.starter import starter
from homeostat.decide.guards.engine import Guards
from homeostat.engine.assembly import open_engine, prepare, shipped_bundle
from homeostat.engine.readiness import made_up
from homeostat.models.bundle import BundleError, load_bundle
from homeostat.ports import Snapshot, Unavailable
from homeostat.records.identity import Coding
from homeostat.records.parts import PartError
from trials.corruption.noise import Chance, change, damaged

APPS = Path(str(__import__("homeostat.apps", fromlist=["x"]).__path__[0]))
NOW_NS = 1_800_000_000 * 10**9


class Road(Protocol):
    """Where corrupted things come from. `case` says in a word how it ended."""

    def case(self, number: int, chance: Chance) -> str: ...


def sentence(error: Exception) -> None:
    """What is said must be readable: a sentence, without what a traceback would say."""
    text = str(error)
    assert text.strip() and "Traceback" not in text and "object at 0x" not in text, text
    json.dumps(text)
    text.encode()


class AppFiles:
    """App files as text, as a tree, and as bytes; one that loads must be fit to be built."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.yaml"
        texts = [(APPS / name / "app.yaml").read_text() for name in shipped_apps()]
        self.texts = [starter(), *texts]
        self.trees = [compose(text, "app.yaml")[0].plain() for text in self.texts]

    def case(self, number: int, chance: Chance) -> str:
        which = int(chance.integers(len(self.texts)))
        if number % 2:
            tree = json.loads(json.dumps(self.trees[which]))
            for _ in range(int(chance.integers(1, 4))):
                change(tree, chance)
            data = yaml.dump(tree, Dumper=_Dumper, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
        else:
            data = damaged(self.texts[which].encode(), chance)
        self.path.write_bytes(data)
        try:
            app = load_app(self.path)
        except AppFileError as error:
            sentence(error)
            lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 1
            for fault in error.faults:
                assert fault.message and fault.column >= 1 and 1 <= fault.line <= lines, fault
            json.dumps(error.as_json())
            return "refused"
        features = feature_plan(app)
        costs_of(app)
        ready_scorers(app, features)
        Guards(plans.guard_plan(app), plans.guard_names(app, features), plans.membership(app, Coding.of_seed(app.seed)))
        prepare(app)
        return "loaded"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


class Bundles:
    """Every file of the payments bundle damaged, or changed and sealed again as if it had been trained so."""

    def __init__(self, folder: Path) -> None:
        self.app = parse_app((APPS / "payments" / "app.yaml").read_text(), folder=APPS / "payments")
        self.features = feature_plan(self.app)
        self.whole = shipped_bundle(self.app)
        assert self.whole is not None
        self.folder = folder / "bundle"
        self.names = sorted(path.name for path in self.whole.iterdir())

    def case(self, number: int, chance: Chance) -> str:
        assert self.whole is not None
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.whole, self.folder)
        target = self.folder / self.names[int(chance.integers(len(self.names)))]
        if number % 3 == 0:
            target.write_bytes(damaged(target.read_bytes(), chance))
        elif target.name == "manifest.json":
            manifest = json.loads(target.read_text())
            for _ in range(int(chance.integers(1, 3))):
                change(manifest, chance)
            target.write_text(json.dumps(manifest))
        elif target.suffix == ".npy":
            target.write_bytes(changed_array(target.read_bytes(), chance))
        else:
            target.write_bytes(damaged(target.read_bytes(), chance))
        if number % 3:
            self.seal()
        return self.serve()

    def seal(self) -> None:
        """Let the manifest say the sizes and hashes of the files as they are, where it is one."""
        path = self.folder / "manifest.json"
        try:
            manifest = json.loads(path.read_bytes())
            for name, entry in manifest["files"].items():
                data = (self.folder / name).read_bytes()
                entry["size"], entry["sha256"] = len(data), sha256(data).hexdigest()
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            return
        path.write_text(json.dumps(manifest))

    def serve(self) -> str:
        try:
            bundle = load_bundle(self.folder, self.features.names)
            ready = brain(self.app, self.features, bundle)
            ports = Ports(MemoryJournal(), ScriptedClock(), Coding.of_seed(0), bounded=False)
            loop = build(self.app, self.features, ready, ports)
            made = loop.decide(made_up(3, self.features)).fresh
        except (BundleError, PartError, NotTrained) as error:
            sentence(error)
            return "refused"
        assert made is not None and ((made.fused.risk >= 0) & (made.fused.risk <= 1)).all()
        return "served, scorers left out" if np.isnan(made.scores.values).any() else "served"


def changed_array(data: bytes, chance: Chance) -> bytes:
    """An array of other numbers, another type or another shape, written as NumPy writes it."""
    array = np.lib.format.read_array(io.BytesIO(data))
    flat = array.reshape(-1).copy()
    match int(chance.integers(6)):
        case 0 if array.dtype.kind == "f":
            flat[int(chance.integers(len(flat)))] = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0][int(chance.integers(6))]
        case 1 if array.dtype.kind in "iu":
            info = np.iinfo(array.dtype)
            flat[int(chance.integers(len(flat)))] = [info.max, info.min, 0, 1][int(chance.integers(4))]
        case 2:
            kinds = ["f4", "f8", "i4", "i8", "u1", "c16", "S8", "b1", ">f8"]
            with np.errstate(all="ignore"):
                flat = flat.astype(kinds[int(chance.integers(len(kinds)))])
        case 3:
            flat = flat[: int(chance.integers(len(flat)))]
        case 4:
            flat = np.concatenate([flat, flat[:3]])
        case _:
            chance.shuffle(flat)
    if len(flat) == array.size and chance.random() < 0.9:
        flat = flat.reshape(array.shape)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, flat, allow_pickle=False)
    return stream.getvalue()


class Snapshots:
    """Snapshots damaged anywhere: the one before is loaded, or none; never other numbers."""

    def __init__(self, folder: Path) -> None:
        self.store = FileSnapshots(folder)
        rng = np.random.default_rng(0)
        self.states = [{"a/x": rng.random(20 * k), "b/y": np.arange(5 * k), "c": np.array(["x" * k])} for k in (1, 2)]
        for k, state in enumerate(self.states):
            self.store.save(Snapshot(k + 1, state))
        self.files = {path: path.read_bytes() for path in (self.store.newest, self.store.previous)}

    def case(self, number: int, chance: Chance) -> str:
        broken = {path: damaged(data, chance) if chance.random() < 0.6 else data for path, data in self.files.items()}
        for path, data in broken.items():
            path.write_bytes(data)
        try:
            found = self.store.load()
        except Unavailable as error:
            sentence(error)
            return "refused"
        same = [broken[path] == self.files[path] for path in (self.store.newest, self.store.previous)]
        if found is None:
            assert not any(same) and len(self.store.skipped) >= 1
            return "none"
        assert same[0] if found.sequence == 2 else same[1] and not same[0], "a damaged snapshot was loaded"
        expected = self.states[found.sequence - 1]
        assert found.state.keys() == expected.keys()
        assert all(np.array_equal(found.state[name], value) for name, value in expected.items())
        return "loaded"


class Journals:
    """A journal's file with bytes changed anywhere: what is read back is what was written, or it is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "journal.db"
        whole = folder / "whole"
        with open_engine("access", data=whole) as engine:
            for batch in range(6):
                engine.decide([event(10 * batch + k) for k in range(10)])
        self.data = (whole / "journal.db").read_bytes()
        self.path.write_bytes(self.data)
        self.bodies = self.read()
        assert len(self.bodies) == 60

    def read(self) -> dict[str, tuple[Any, ...]]:
        """By event what was decided, from the entries and by its id."""
        found: dict[str, tuple[Any, ...]] = {}
        with SqliteJournal(self.path, readonly=True) as journal:
            for entry in journal.read(0):
                for row in range(len(entry.body)):
                    key = entry.body.events.id_text(row)
                    found[key] = told(entry.body, row)
            for key in [str(k) for k in range(60)]:
                one = journal.find_text(key)
                assert one is None or found.get(key) == told(*one), f"event {key} is found as another"
        return found

    def case(self, number: int, chance: Chance) -> str:
        for left in self.folder.glob("journal.db-*"):
            left.unlink()
        self.path.write_bytes(damaged(self.data, chance))
        try:
            found = self.read()
        except (JournalError, Unavailable) as error:
            sentence(error)
            return "refused"
        wrong = [key for key, value in found.items() if self.bodies.get(key) != value]
        assert not wrong, f"{wrong[:3]} read back as something else"
        return "read" if len(found) == 60 else "read in part"


def told(body: Any, row: int) -> tuple[Any, ...]:
    return (
        int(body.events.time_ns[row]), int(body.ruling.action[row]), int(body.ruling.rule[row]),
        float(body.fused.risk[row]).hex(), body.version, body.features.values[row].tobytes(),
        body.events.numbers[row].tobytes(), body.events.keys[row].tobytes(),
    )  # fmt: skip


def event(number: int) -> dict[str, Any]:
    return {
        "event_id": str(number), "entity_id": str(number % 7), "event_type": "action", "value": number,
        "timestamp": 1_770_000_000 + number,
    }  # fmt: skip


class Parquet:
    """Parquet files with pages that carry a checksum, damaged anywhere.

    The format has no checksum of the footer, which holds the columns' names and types. Where only the footer is
    damaged, the rows may mean something else, but each is an event or a dead letter.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.parquet"
        n = 300
        table = pa.table({
            "event_id": [str(k) for k in range(n)], "entity_id": [f"e{k % 9}" for k in range(n)],
            "event_type": ["a", "b", None] * (n // 3), "value": [k / 7 for k in range(n)],
            "timestamp": pa.array([1_770_000_000_000_000 + k for k in range(n)], pa.timestamp("us")),
        })  # fmt: skip
        self.files = []
        for compression, dictionary in (("snappy", True), ("none", False), ("zstd", True), ("gzip", False)):
            pq.write_table(
                table, self.path, compression=compression, use_dictionary=dictionary, row_group_size=100,
                write_page_checksum=True, data_page_size=512,
            )  # fmt: skip
            self.files.append(self.path.read_bytes())
        self.schema, self.rows, self.letters = prepare("access").schema, n, 0
        self.whole = self.read()

    def read(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        self.letters = 0
        for batch, letters in read_events(self.path, self.schema, NOW_NS):
            self.letters += len(letters)
            for row in range(len(batch)):
                values = (batch.time_ns[row], batch.keys[row], batch.numbers[row])
                found[batch.id_text(row)] = b"".join(np.asarray(value).tobytes() for value in values)
        return found

    def case(self, number: int, chance: Chance) -> str:
        file = self.files[int(chance.integers(len(self.files)))]
        data = damaged(file, chance)
        self.path.write_bytes(data)
        try:
            found = self.read()
        except (EventFileError, Unavailable) as error:
            sentence(error)
            return "refused"
        if found != self.whole:
            pages = len(file) - 8 - int.from_bytes(file[-8:-4], "little")
            assert data[:pages] == file[:pages], "read as something else, though each page has a checksum"
            assert self.letters + len(found) == self.rows, "rows are lost without a word"
            return "read by another footer"
        return "read"


ROADS: dict[str, Callable[[Path], Road]] = {
    "app_files": AppFiles, "bundles": Bundles, "snapshots": Snapshots, "journals": Journals, "parquet": Parquet,
}  # fmt: skip
