"""One case of each kind of corruption: `case(number)` raises what should not have been."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from homeostat.adapters.disk.event_files import EventFileError, read_events
from homeostat.adapters.disk.snapshots import FileSnapshots
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals.entries import JournalError
from homeostat.app import costs_of, feature_plan, ready_scorers
from homeostat.config import plans
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app, shipped_apps
from homeostat.config.nodes import compose
from homeostat.config.starter import starter
from homeostat.decide.guards.engine import Guards
from homeostat.engine.assembly import open_engine, prepare
from homeostat.ports import Snapshot, Unavailable
from homeostat.records.identity import Coding
from trials.corruption.bundles import Bundles
from trials.corruption.noise import Chance, change, damaged
from trials.corruption.road import APPS, Road, sentence
from trials.corruption.stores import Stores

NOW_NS = 1_800_000_000 * 10**9


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
                    found[key] = facts_of(entry.body, row)
            for key in [str(k) for k in range(60)]:
                one = journal.find_text(key)
                assert one is None or found.get(key) == facts_of(*one), f"event {key} is found as another"
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


def facts_of(body: Any, row: int) -> tuple[Any, ...]:
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
    "stores": Stores,
}  # fmt: skip
