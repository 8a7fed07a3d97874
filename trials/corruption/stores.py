"""The files of settings, jobs, versions and incidents with bytes changed anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.checks.incidents import delivery, incident, signal, silence
from homeostat.errors import HomeostatError
from homeostat.models.bundle import Bundle, save_bundle
from homeostat.ports.registry import Lineage
from homeostat.records.changes import Change, ChangeKind, Scope
from homeostat.records.deliveries import DeliveryState
from homeostat.records.job import Job, JobState
from homeostat.records.parts import Part
from trials.corruption.noise import Chance, damaged
from trials.corruption.road import sentence

ROWS = 12


class Stores:
    """A file of SQLite that is read in all ways and then written to: each step works, or is refused in a sentence.

    A row's contents have no checksum of their own: that of settings is in the audit's chain, and a version's in its
    name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kinds: list[tuple[str, Callable[[Path], None], Callable[[Path], None]]] = [
            ("settings.db", write_settings, use_settings), ("jobs.db", write_jobs, use_jobs),
            ("models.db", write_versions, use_versions), ("incidents.db", write_incidents, use_incidents),
        ]  # fmt: skip
        self.whole: dict[str, bytes] = {}
        for name, write, use in self.kinds:
            (folder / name).mkdir()
            write(folder / name)
            use(folder / name)
            shutil.copytree(folder / name, folder / f"{name}-damaged")
            self.whole[name] = (folder / name / name).read_bytes()

    def case(self, number: int, chance: Chance) -> str:
        name, _, use = self.kinds[int(chance.integers(len(self.kinds)))]
        place = self.folder / f"{name}-damaged"
        for left in place.glob(f"{name}*"):
            left.unlink()
        (place / name).write_bytes(damaged(self.whole[name], chance))
        try:
            use(place)
        except HomeostatError as error:
            sentence(error)
            return "refused"
        return "read"


def write_settings(folder: Path) -> None:
    store = SqliteSettings(folder, app="a")
    for at in range(ROWS):
        kind, body = (
            (ChangeKind.THRESHOLD, {"at": at / 20}) if at % 2 else (ChangeKind.LIST, {"entries": ["é", str(at)]})
        )
        where = Scope(kind, f"x{at % 3}")
        last = store.last_of(where)
        store.append(Change(*where, body, "ann", "because", key=f"k{at}"), 0 if last is None else last.number)
    store.close()


def use_settings(folder: Path) -> None:
    store = SqliteSettings(folder, app="a")
    try:
        found: list[Any] = [store.since(0), store.at(1 << 62), store.last, store.processes()]
        for change in found[0]:
            store.history(change.where)
            store.next_of(change.where, change.number)
        where = Scope(ChangeKind.THRESHOLD, "x1")
        last = store.last_of(where)
        store.append(Change(*where, {"at": 0.5}, "bob", "more"), 0 if last is None else last.number)
        assert store.since(store.last - 1)[-1].actor == "bob"
    finally:
        store.close()


def write_jobs(folder: Path) -> None:
    store = SqliteJobs(folder)
    for at in range(ROWS):
        store.submit(Job("train", ("a", "é"), "ann", key=f"k{at}", folder="/x"))
    store.close()


def use_jobs(folder: Path) -> None:
    store = SqliteJobs(folder)
    try:
        for job in store.list():
            store.get(job.id)
            store.read(job.id)
        store.submit(Job("report", ("b",)))
        run = store.claim("one", 10**18, {}, 4)
        if run is not None:
            store.write(run, b"x")
            store.move(run.ended(JobState.SUCCEEDED, 10**18))
        store.prune()
    finally:
        store.close()


def write_versions(folder: Path) -> None:
    store = SqliteRegistry(folder, app="a")
    for at in range(3):
        bundle = folder / f"bundle{at}"
        save_bundle(Bundle("a", ("x",), {"at": at}, {"fusion": Part("k", ("x",))}), bundle)
        store.put(bundle, Lineage("a", parents=("é",), metrics={"ap": at / 3}, actor="ann", reason="why"))
    store.close()


def use_versions(folder: Path) -> None:
    store = SqliteRegistry(folder, app="a")
    found = store.versions()
    for version in found:
        store.get(version.version)
        if version.deleted_ns is None:
            store.fetch(version.version)
    store.put(folder / "bundle1", Lineage("a", actor="bob"))
    store.close()


def write_incidents(folder: Path) -> None:
    store = SqliteIncidents(folder, app="a")
    for at in range(ROWS):
        store.write([signal(f"s{at}")], [incident(f"i{at}")])
        store.plan([delivery(f"i{at}")], at)
        store.silence(silence(f"s{at}"))
    store.close()


def use_incidents(folder: Path) -> None:
    store = SqliteIncidents(folder, app="a")
    try:
        for kept in store.list():
            store.history(kept.incident.id)
            store.signals_of(kept.incident.signals)
        store.signals()
        last = store.list(limit=1)
        for one in store.claim(1 << 62, 1):
            store.report(replace(one, state=DeliveryState.SENT))
        store.deliveries()
        store.silences()
        store.changes(0)
        if last:
            store.write([signal("more")], [last[0].incident.closed("over", 0)], "bob")
    finally:
        store.close()


__all__ = ["Stores"]
