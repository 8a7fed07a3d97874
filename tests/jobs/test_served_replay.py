"""A server that goes on in a replay's folder: the folder's secret follows from the seed, so chance has one of its own.

The ids are chosen by someone who knows the seed, so that by the folder's own secret each gets the hold-out.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.app import chance_of
from homeostat.cli import main
from homeostat.config.load import parse_app
from homeostat.config.tree import App
from homeostat.engine.assembly import open_engine
from homeostat.jobs.replay import Request, replay_events
from homeostat.records.identity import Coding

START = 1_700_000_000
SHARE = 0.05
CHOSEN = 60


def app() -> App:
    return parse_app(
        f"""
homeostat: 1
app: small
events:
  entities: {{customer: {{}}}}
  fields: {{amount: {{type: number}}}}
  label: {{name: fraud}}
features:
  windows: [{{entity: customer, lengths: [1h], compute: {{count: count}}}}]
scorers: {{large: {{kind: rules, rules: [{{name: large, when: amount > 5, score: 0.99}}]}}}}
fusion: {{kind: weighted}}
policy: {{kind: thresholds, holdout: {SHARE}}}
actions: [allow, block]
costs: {{allow: {{positive: 100, negative: 0}}, block: {{positive: 0, negative: 1}}}}
guards: {{fallback: {{scorers_absent: allow}}}}
outcomes: {{label: fraud, horizon: 1d, censoring: [block]}}
"""
    )


def event(key: object, second: int) -> dict:
    return {"event_id": key, "time": START + second, "customer": 1, "amount": 10}


def replayed(folder: Path) -> Path:
    events, out = folder / "events.jsonl", folder / "out"
    events.write_text("".join(json.dumps(event(f"old {k}", k)) + "\n" for k in range(200)))
    replay_events(app(), Request(events, out), lambda what, share: None)
    return out


def chosen(count: int) -> list[str]:
    coding = Coding.of_seed(app().seed)
    names = [f"mine {k}" for k in range(60 * count)]
    lucky = chance_of(app(), coding)(coding.ids(names))[:, 1] < SHARE
    return [names[k] for k in np.flatnonzero(lucky)[:count]]


def decided(out: Path, names: list[str]) -> list[dict]:
    with open_engine(app(), data=out) as engine:
        return [engine.decide(event(name, 1000 + k)) for k, name in enumerate(names)]


def test_by_the_replays_own_secret_each_chosen_id_gets_the_hold_out(tmp_path):
    events, out = tmp_path / "mine.jsonl", tmp_path / "out"
    events.write_text("".join(json.dumps(event(name, k)) + "\n" for k, name in enumerate(chosen(CHOSEN))))
    replay_events(app(), Request(events, out), lambda what, share: None)
    with SqliteJournal(out / "journal.db", readonly=True) as journal:
        assert all(batch.proposal.explored.all() for batch, _ in journal.decisions())


def test_a_server_draws_a_secret_so_that_nobody_foresees_its_chances(tmp_path):
    out = replayed(tmp_path)
    answers = decided(out, chosen(CHOSEN))
    assert sum(answer["action"] == "allow" for answer in answers) < CHOSEN // 2


@pytest.mark.long
@pytest.mark.parametrize("snapshot", [True, False])
def test_after_a_kill_its_decisions_are_made_again_bit_for_bit(tmp_path, snapshot):
    out = replayed(tmp_path)
    if not snapshot:
        for path in out.glob("snapshot*"):
            path.unlink()
    names = [f"new {k}" for k in range(400)]
    with open_engine(app(), data=out) as engine:
        before = [engine.decide(event(name, 1000 + k)) for k, name in enumerate(names)]
        shutil.copytree(out, tmp_path / "killed")
    heard: list[str] = []
    with open_engine(app(), data=tmp_path / "killed", tell=heard.append) as engine:
        again = [engine.decide(event(name, 1000 + k)) for k, name in enumerate(names)]
        assert heard == [] and [a["action"] for a in again] == [a["action"] for a in before]
        assert any(reason["name"] == "chance" for a in before for reason in a["reasons"])


def test_the_secret_is_drawn_once_and_the_audit_knows_of_it(tmp_path, capsys):
    out, drawn = replayed(tmp_path), []
    for k in range(2):
        decided(out, [f"one {k}"])
        with SqliteJournal(out / "journal.db", readonly=True) as journal:
            assert journal.served is not None
            drawn.append((journal.served.after, journal.served.coding.secret))
    assert drawn[0] == drawn[1]
    with pytest.raises(SystemExit) as ended:
        main(["audit", "verify", str(out / "audit.jsonl")])
    assert ended.value.code in (0, None), capsys.readouterr()


def test_a_journal_of_a_servers_own_needs_no_second_secret(tmp_path):
    decided(tmp_path / "own", ["a"])
    with SqliteJournal(tmp_path / "own" / "journal.db", readonly=True) as journal:
        assert journal.served is None
