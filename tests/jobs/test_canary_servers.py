"""A canary on servers: two processes on one PostgreSQL, and a keeper that is killed on its way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tests.jobs.test_canary_keeping import APP, SHIFTS, START_S, bundles  # noqa: F401
from tests.support.job_programs import until
from tests.support.warm import Process, start_logging

from homeostat.adapters.opening import registry_opener, settings_opener
from homeostat.cli import main
from homeostat.config.load import parse_app
from homeostat.config.servers import Servers
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.metrics import LoopCollector
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.serving import engine_of
from homeostat.models.deployments import promote
from homeostat.ports.registry import Lineage

pytestmark = pytest.mark.long


class World:
    """Two engines that share a journal, and the commands of an operator."""

    def __init__(self, folder: Path, database: str, made: Path, opened: ExitStack) -> None:
        (folder / "app.yaml").write_text(APP)
        named = {"journal": database, "models": (folder / "versions").as_uri(), "models_cache": str(folder / "cache"),
                 "spool": str(folder / "spool")}  # fmt: skip
        self.folder, self.config, self.app = folder, folder / "servers.yaml", parse_app(APP)
        self.config.write_text(json.dumps({"servers": named}))
        opener = registry_opener(database)
        self.registry = opened.enter_context(closing(opener(database, named["models"], folder / "cache", app="ramp")))
        self.settings = opened.enter_context(closing(settings_opener(database)(database, app="ramp")))
        self.versions = {
            name: self.registry.put(made / name, Lineage("ramp", actor="ann", reason=name)).version for name in SHIFTS
        }
        promote(self.settings, self.registry, self.versions["one"], "ann", "the first")
        servers = Servers(**named)
        self.engines = [
            opened.enter_context(engine_of(open_shared(self.app, servers, judges_lateness=True))) for _ in range(2)
        ]
        self.turn, self.rng, self.sent = Lock(), np.random.default_rng(1), 0
        for engine in self.engines:  # As a server does it.
            assert engine.parts.watcher is not None
            engine.parts.watcher.on_ready = lambda loop=engine.parts.loop: self.change(loop)

    def change(self, loop: DecisionLoop) -> None:
        with self.turn:
            loop.change()

    def decide(self, rows: int = 100) -> set[str]:
        """Each engine decides some events; the versions that did."""
        found = set()
        for engine in self.engines:
            given = [
                {
                    "event_id": f"e{k}", "time": START_S + 2 * k, "user": f"u{self.rng.integers(1, 5000)}",
                    "amount": float(self.rng.integers(1, 1000)) / 10,
                }
                for k in range(self.sent, self.sent + rows)
            ]  # fmt: skip
            self.sent += rows
            with self.turn:
                found |= {answer["version"].partition("+")[2] for answer in engine.decide(given)}
        return found

    def command(self, *words: str) -> list[str]:
        return ["models", *words, "--app", str(self.folder / "app.yaml"), "--config", str(self.config), "--json"]

    def call(self, *words: str) -> dict:
        with redirect_stdout(StringIO()) as said, pytest.raises(SystemExit) as ended:
            main(self.command(*words))
        assert ended.value.code == 0
        return dict(json.loads(said.getvalue()))

    @contextmanager
    def keeper(self) -> Iterator[Process]:
        """A process that keeps the canary, killed with -9 at the end, if it still runs."""
        kept = start_logging(self.command("ramp", "--every", "0.1"), self.folder / "keeper.log", {})
        try:
            yield kept
        finally:
            kept.kill()
            kept.wait()

    def changes(self) -> list[tuple[str, float | None, str]]:
        """Each change: role, share, and which version it names."""
        names = {version: name for name, version in self.versions.items()}
        return [
            (one.scope, (one.body or {}).get("share"), names.get((one.body or {}).get("version"), ""))
            for one in self.settings.since(0)
        ]

    def roles(self) -> dict[str, tuple[str, float]]:
        """The metric of the first engine: role -> version, share."""
        registry = CollectorRegistry()
        registry.register(LoopCollector(self.engines[0].parts.loop, "ramp"))
        found = (sample for family in registry.collect() for sample in family.samples)
        return {
            sample.labels["role"]: (sample.labels["version"], sample.value)
            for sample in found if sample.name == "homeostat_version_share"
        }  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, database: str, bundles: Path) -> Iterator[World]:  # noqa: F811
    with ExitStack() as opened:
        yield World(tmp_path, database, bundles, opened)


def test_a_keeper_killed_on_its_way_makes_each_move_once_and_a_bad_version_is_ended(world: World) -> None:
    first, like, blocks = (world.versions[name] for name in ("one", "like", "blocks"))
    assert world.decide() == {first}
    started = world.call("canary", like, "--reason", "try", "--yes", "--no-keep")
    assert not started["waiting"] and len(started["processes"]) == 2
    assert world.decide() == {first, like}
    assert world.roles() == {"champion": (first, 0.8), "canary": (like, 0.2)}
    with world.keeper():
        until(lambda: bool(world.decide()) and ("canary", 0.5, "like") in world.changes())
    with world.keeper() as kept:  # Knows nothing but journal and settings.
        until(lambda: bool(world.decide()) and kept.poll() == 0)
    assert world.changes() == [
        ("champion", None, "one"), ("canary", 0.2, "like"), ("canary", 0.5, "like"), ("champion", None, "like"),
        ("canary", None, ""),
    ]  # fmt: skip
    until(lambda: world.decide() == {like})
    assert world.roles() == {"champion": (like, 1.0)}

    world.call("canary", blocks, "--reason", "a new export", "--yes", "--no-keep")
    with world.keeper() as kept:
        until(lambda: bool(world.decide()) and kept.poll() == 0)
    ended = world.settings.since(0)[-1]
    assert (ended.scope, ended.body, ended.actor) == ("canary", None, "homeostat canary")
    assert "action block" in ended.reason
    until(lambda: world.decide() == {like})
    assert world.call("rollback", "--reason", "the first did as well", "--yes")["version"] == first
    assert world.decide() == {first}
