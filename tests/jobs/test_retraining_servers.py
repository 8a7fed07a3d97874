"""Retraining on servers: the journal and the record in PostgreSQL, the versions at servers.models."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.retrained import RETRAIN, ignorant
from tests.support.tuned import START_S, app_file

from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.cli import main
from homeostat.config.servers import Servers
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.serving import engine_of
from homeostat.jobs.retraining_record import rounds


def call(capsys, *words: object) -> dict:
    """The JSON that a command prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words), "--json"])
    out, err = capsys.readouterr()
    assert ended.value.code in (0, None), err
    return dict(json.loads(out))


@pytest.mark.long
def test_a_round_on_servers_trains_on_their_journal_and_gives_the_role_there(database: str, tmp_path: Path, capsys):
    bundle = ignorant(tmp_path)
    app, config = app_file(tmp_path, more=f"retrain: {RETRAIN}"), tmp_path / "servers.yaml"
    named = {"journal": database, "models": (tmp_path / "versions").as_uri(), "models_cache": str(tmp_path / "cache"),
             "spool": str(tmp_path / "spool")}  # fmt: skip
    config.write_text(json.dumps({"servers": named}))
    first = call(capsys, "models", "import", bundle, "--config", config)["version"]
    call(capsys, "models", "promote", first, "--yes", "--app", app, "--config", config)
    rng = np.random.default_rng(2)
    bad = rng.random(1500) < 0.2
    with engine_of(open_shared(app, Servers(**named), judges_lateness=True)) as engine:
        for start in range(0, 1500, 500):
            engine.decide([
                {"event_id": f"e{k}", "time": START_S + 600 * k, "customer": int(rng.integers(0, 400)),
                 "amount": float(10 if bad[k] else 60 + rng.exponential(20)), "fraud": int(bad[k])}
                for k in range(start, start + 500)
            ])  # fmt: skip
    seen = [call(capsys, "retrain", app, "--config", config) for _ in range(4)]
    assert [look["state"] for look in seen] == ["train", "judge", "challenge", "shadow"]
    version = seen[-1]["version"]
    roles = {one["version"]: one["roles"] for one in call(capsys, "models", "list", "--config", config)["versions"]}
    assert roles == {first: ["champion"], version: ["challenger"]}
    with closing(PostgresStatements(database)) as statements:
        (one,) = rounds(statements)
    assert list(one.steps) == ["begun", "version", "judged"] and one.steps["judged"].value == "PASS"
    stopped = call(capsys, "retrain", app, "--stop", "--reason", "enough", "--config", config)
    assert stopped["state"] == "idle"
    assert call(capsys, "models", "list", "--config", config)["versions"][0]["roles"] == []
