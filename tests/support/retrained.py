"""A folder whose models are trained again in a second: a champion that blocks what is large, and small frauds."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from threading import Lock

import numpy as np
from tests.support.tuned import START_S, TUNE, app_file, events_file

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.cli import main
from homeostat.engine.assembly import open_engine
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.deployments import promote
from homeostat.ports.registry import Lineage

UNTIL_NS = (START_S + 600 * 1500) * 10**9
RETRAIN = "{outcomes: 300, least: {outcomes: 100, positives: 10}, validation: 5d, autonomy: full, library: 0}"
CANARY = """{steps: [0.5, 1], events_min: 50, time_min: 0s, inconclusive: go_on,
  guardrails: {actions: {block: 0.9}, failed: 0.5, late: 0.5}}"""


def ignorant(folder: Path) -> Path:
    """A bundle for the app of `app_file`, trained on events in which chance alone makes frauds."""
    (folder / "noise").mkdir()
    events = events_file(folder / "noise", 400, frauds=0.02)
    rng = np.random.default_rng(5)
    rows = [json.loads(line) for line in events.read_text().splitlines()]
    for row in rows:
        row["amount"], row["fraud"] = float(rng.exponential(20)), int(rng.random() < 0.02)
    events.write_text("\n".join(map(json.dumps, rows)))
    request = TrainingRequest(events, folder / "ignorant", UNTIL_NS)
    train_on_events(app_file(folder), request, lambda what, share: None)
    return folder / "ignorant"


class World:
    """A folder whose engine decides when the test says so; each command begins with what is stored, as after kill -9.

    retrain, tune : the sections of the app file
    """

    def __init__(self, root: Path, bundle: Path, retrain: str = RETRAIN, tune: str = TUNE) -> None:
        self.app = app_file(root, tune, more=f"canary: {CANARY}\nretrain: {retrain}")
        self.folder, self.turn, self.sent = root / "data", Lock(), 0
        self.folder.mkdir()
        with closing(SqliteRegistry(self.folder, app="small")) as registry:
            self.first = registry.put(bundle, Lineage("small", actor="ann", reason="the first")).version
            with closing(SqliteSettings(self.folder)) as settings:
                promote(settings, registry, self.first, "ann", "the first")
        self.engine = open_engine(self.app, bundle=bundle, data=self.folder)
        self.engine.parts.watcher.on_ready = self.change
        self.rng = np.random.default_rng(2)

    def change(self) -> None:
        with self.turn:
            self.engine.change()

    def decide(self, count: int, frauds: float = 0.2) -> None:
        """Decide events ten minutes apart, whose labels come along; the small ones are frauds."""
        self.engine.parts.watcher.look()
        fraud = self.rng.random(count) < frauds
        given = [
            {"event_id": f"e{k}", "time": START_S + 600 * k, "customer": int(self.rng.integers(0, 400)),
             "amount": float(10 if bad else 60 + self.rng.exponential(20)), "fraud": int(bad)}
            for k, bad in enumerate(fraud, self.sent)
        ]  # fmt: skip
        self.sent += count
        with self.turn:
            self.engine.decide(given)

    def call(self, capsys, command: str, *words: object, code: int = 0) -> dict:
        """The JSON that a command prints."""
        capsys.readouterr()
        found = 0
        try:
            main([*command.split(), *map(str, words), "--data", str(self.folder), "--json"])
        except SystemExit as stop:
            found = stop.code or 0
        out, err = capsys.readouterr()
        assert found == code, err
        return json.loads(out) if code == 0 else {"err": err}

    def step(self, capsys, *words: object, code: int = 0) -> dict:
        """The next step of `homeostat retrain`."""
        return self.call(capsys, "retrain", self.app, *words, code=code)

    def changes(self) -> list:
        with closing(SqliteSettings(self.folder)) as settings:
            return settings.since(0)

    def champion(self) -> str:
        return [change.body["version"] for change in self.changes() if change.scope == "champion"][-1]
