"""From the app file to the incident's notes: a live app asks its model, and tests what an assistant proposes."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_server import asked_for, model_server
from tests.support.watched_app import app_file, decide

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.process.clock import SystemClock
from homeostat.cli import main
from homeostat.cli.mcp import sources
from homeostat.records.advice import advice_in, proposals_in
from homeostat.records.statements import StatementKind
from homeostat.serve.assistants.desk import Desk

pytest.importorskip("pydantic_ai")
pytestmark = pytest.mark.long


def run(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, words)])
    assert stop.value.code in (0, None)
    return capsys.readouterr().out


def words(body: dict[str, Any]) -> Any:
    return {"text": "Something moved.\x1b[2J"} if asked_for(body) == "text" else {}


def test_a_model_is_heard_and_a_proposal_tested_on_a_live_app(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, data = app_file(tmp_path), tmp_path / "data"
    decide(data, app, range(24 * 12), 24 * 10)
    run(capsys, "maintain", app, "--data", data, "--once")
    with closing(SqliteIncidents(data, app="watched")) as store:
        # A busy machine may make an incident of its own, of slow decisions.
        (found,) = [kept.incident for kept in store.list() if "field:amount" in str(kept.incident.notes)]
    id = found.id
    assert advice_in(found.notes) is None and "findings" in found.notes
    desk = Desk(sources(str(app), data, None, None), "assistant ann", SystemClock())

    desk.propose(id, "unit", "field:amount", "cents", "convert")
    desk.propose(id, "flood", "source", "many events", "rate_limit")
    monkeypatch.setenv("THE_KEY", "s3cret")
    with model_server(words) as server:
        near = f"{{address: '{server.url}', model: made-up, key_from: THE_KEY, timeout: 60s}}"
        asks = app.read_text("utf-8").replace("remembers: 1000", f"remembers: 1000, models: {{near: {near}}}")
        other = tmp_path / "asks.yaml"
        other.write_text(asks, "utf-8")
        run(capsys, "maintain", other, "--data", data, "--once")
    assert server.keys and set(server.keys) == {"Bearer s3cret"}
    with closing(SqliteIncidents(data, app="watched")) as store:
        one = store.get(id)
    advice = advice_in(one.notes)
    assert advice is not None and advice.words == "Something moved.[2J"
    unit, flood = proposals_in(one.notes)
    assert (unit.state, flood.state) == ("shown", "not_shown"), (unit.result, flood.result)
    assert unit.gate is not None and unit.gate["ruling"] != "execute" and unit.gate["rules"][-1]["rule"] == "proposal"
    with closing(SqliteStatements(data, app="watched")) as record:
        words_of = [each for each in record.list(StatementKind.ADVICE) if each.about == id]
        # The saving of the repair is near that of other remedies, so the strategist is asked; it has no answer.
        assert [(each.topic, each.source) for each in words_of] == [
            ("invalid", "strategist"), ("answered", "coordinator"),
        ]  # fmt: skip
        assert words_of[1].value == f"{advice.asked[0].asked}:{advice.asked[0].answered}"
    shown = run(capsys, "incidents", "show", id, "--data", data)
    assert "> Something moved.[2J" in shown and "assistant ann proposes flood at source" in shown
    assert "\x1b" not in shown and "s3cret" not in shown
    told = json.loads(run(capsys, "incidents", "show", id, "--data", data, "--json"))
    assert told["notes"]["advice"]["asked"][0]["outcome"] == "answered"
