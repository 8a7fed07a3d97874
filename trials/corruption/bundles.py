"""Every file of a bundle damaged, or changed and sealed again as if it had been trained so."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.app import NotTrained, Ports, brain, build, feature_plan
from homeostat.checks.stand_ins import MemoryJournal, ScriptedClock
from homeostat.config.definitions import feature_definitions
from homeostat.config.load import parse_app
from homeostat.config.plans import category_coding
from homeostat.config.tree import App
from homeostat.decide.contracts import ContributingScorer, Scorer
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.windows.features import FeaturePlan
from homeostat.engine.assembly import shipped_bundle
from homeostat.engine.readiness import made_up
from homeostat.models.bundle import MANIFEST, Bundle, BundleError, load_bundle
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import Coding
from homeostat.records.parts import Part, PartError
from trials.corruption.noise import Chance, change, damaged
from trials.corruption.road import APPS, sentence
from trials.corruption.small_bundle import SCORERS, small_app, small_bundle

ROWS = (3, 40)  # A few events, and so many that forests take their other way through the trees.
CATEGORIES = ("FR", "DE", "é", "JP")
SHIPPED_EVERY = 100  # Cases between two with the shipped bundle, which take ten times as long.
LEARNED_EVERY = 16  # Cases between two whose policy is the bundle's, though it is whole.


class Served:
    """A whole bundle in a folder, another folder of the same files to be damaged, and all that is made of whole parts.

    apps : the same app with thresholds and with the bundle's own policy
    """

    def __init__(self, kept: Path, apps: Sequence[App]) -> None:
        self.kept, self.folder, self.apps = kept, kept.with_name(f"{kept.name}-damaged"), apps
        shutil.copytree(kept, self.folder, copy_function=os.link)
        self.features = feature_plan(apps[0])
        self.definitions = feature_definitions(apps[0])
        self.files = {path.name: path.read_bytes() for path in sorted(kept.iterdir())}
        self.entries = {name: _entry(data) for name, data in self.files.items()}
        self.whole = self.load()
        self.told = {name: _told(part) for name, part in self.whole.parts.items()}
        self.batches = [_events(rows, apps[0], self.features) for rows in ROWS]
        names = (name for name, spec in apps[0].scorers.items() if spec.kind != "rules")
        made = brain(apps[0], self.features, self.whole)
        self.scorers: dict[str, Scorer] = dict(zip(apps[0].scorers, made.scorers, strict=True))
        self.trained = {name: f"scorer.{name}" for name in names}
        self.written: set[str] = set()

    def load(self) -> Bundle:
        return load_bundle(self.folder, self.features.names, self.definitions)

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).unlink()  # A file that is written over waits for the disk: 2 ms.
        (self.folder / name).write_bytes(data)
        self.written.add(name)

    def mend(self) -> None:
        """Put the whole files back."""
        for name in self.written:
            (self.folder / name).unlink()
            (self.folder / name).hardlink_to(self.kept / name)
        self.written.clear()

    def seal(self) -> None:
        """Let the manifest say the sizes and hashes of the files as they are, where it is one."""
        path = self.folder / MANIFEST
        try:
            manifest = json.loads(path.read_bytes())
            for name, entry in manifest["files"].items():
                entry |= _entry((self.folder / name).read_bytes()) if name in self.written else self.entries[name]
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            return
        self.write(MANIFEST, json.dumps(manifest).encode())

    def loop(self, bundle: Bundle, learned: bool) -> DecisionLoop:
        """The loop of a bundle, in which scorers of whole parts are those that were made before.

        learned : the policy is the bundle's, as it always is where it was changed
        """
        whole = {name for name, part in bundle.parts.items() if self.told.get(name) == _told(part)}
        ready = {name: one for name, one in self.scorers.items() if self.trained.get(name, "") in {"", *whole}}
        app = self.apps[learned or "policy.ppo" not in whole]
        ports = Ports(MemoryJournal(), ScriptedClock(), Coding.of_seed(0), bounded=False)
        return build(app, self.features, brain(app, self.features, bundle, ready), ports)


def _events(rows: int, app: App, features: FeaturePlan) -> EventBatch:
    """Events whose categories are those that models know, and others."""
    events, code = made_up(rows, features), category_coding(app)
    numbers = events.numbers.copy()
    for column, field in enumerate(app.events.fields.values()):
        if field.type == "category":
            numbers[:, column] = [code(CATEGORIES[row % len(CATEGORIES)]) for row in range(rows)]
        else:
            numbers[:, column] = np.arange(rows) * 7.0
    return replace(events, numbers=numbers)


def _entry(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": sha256(data).hexdigest()}


def _told(part: Part) -> tuple[Any, ...]:
    """All of a part, down to the bits of its arrays and the types of its settings: the same is made of the same."""
    arrays = {name: (array.dtype, array.shape, array.tobytes()) for name, array in part.arrays.items()}
    return part.kind, part.features, arrays, part.graphs, json.dumps(part.settings, sort_keys=True)


class Bundles:
    """Small bundles with one kind of scorer each in nearly all cases, the shipped one in the others."""

    def __init__(self, folder: Path) -> None:
        payments = APPS / "payments"
        theirs = _apps((payments / "app.yaml").read_text(), payments)
        shipped = shipped_bundle(theirs[0])
        assert shipped is not None
        shutil.copytree(shipped, folder / "shipped")
        self.shipped = Served(folder / "shipped", theirs)
        self.small = [self.made(folder / scorer, scorer) for scorer in SCORERS]

    def made(self, folder: Path, scorer: str) -> Served:
        """A small bundle with one scorer, and the shipped bundle's policy."""
        apps = _apps(small_app(scorer), folder)
        graph = self.shipped.files["policy.ppo.model.onnx"]
        small_bundle(folder, scorer, feature_plan(apps[0]).names, feature_definitions(apps[0]), graph)
        return Served(folder, apps)

    def case(self, number: int, chance: Chance) -> str:
        small = self.small[int(chance.integers(len(self.small)))]
        served = self.shipped if number % SHIPPED_EVERY == SHIPPED_EVERY - 1 else small
        try:
            self.corrupt(served, number, chance)
            return self.serve(served, number % LEARNED_EVERY == 0)
        finally:
            served.mend()

    def corrupt(self, served: Served, number: int, chance: Chance) -> None:
        names = sorted(served.files)
        target = names[int(chance.integers(len(names)))]
        data = served.files[target]
        if number % 3 == 0:
            served.write(target, damaged(data, chance))
            return
        served.write(target, _other(target)(data, chance))
        served.seal()

    def serve(self, served: Served, learned: bool) -> str:
        try:
            bundle = served.load()
            loop = served.loop(bundle, learned)
        except (BundleError, PartError, NotTrained) as error:
            sentence(error)
            return "refused"
        left_out, made = False, None
        for events in served.batches:
            made = loop.decide(events).fresh
            assert made is not None and ((made.fused.risk >= 0) & (made.fused.risk <= 1)).all()
            left_out |= bool(np.isnan(made.scores.values).any())
        assert made is not None
        explain(loop, made.features, served.scorers.values())
        return "served, scorers left out" if left_out else "served"


def _apps(text: str, folder: Path) -> tuple[App, App]:
    """An app with thresholds, and with a policy that was learned."""
    learned = text.replace("kind: thresholds", "kind: ppo")
    return parse_app(text, folder=folder), parse_app(learned, folder=folder)


def explain(loop: DecisionLoop, features: Features, known: Collection[Scorer]) -> None:
    """Ask each scorer that was made for this case what moved it, as explanations do."""
    for seat in loop.stages.panel.seats:
        if isinstance(seat.scorer, ContributingScorer) and seat.scorer not in known:
            moved, _ = seat.scorer.contributions(features)
            assert moved.shape == features.values.shape


def _other(name: str) -> Callable[[bytes, Chance], bytes]:
    """How a file of this name becomes another that may have been trained."""
    if name == MANIFEST:
        return changed_manifest
    return changed_array if name.endswith(".npy") else damaged


def changed_manifest(data: bytes, chance: Chance) -> bytes:
    """A manifest with garbage in one or two places, or at two levels of one."""
    manifest = json.loads(data)
    for _ in range(int(chance.integers(1, 3))):
        change(manifest, chance)
    return json.dumps(manifest).encode()


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


__all__ = ["Bundles"]
