"""A journal as Parquet: everything in it, in its own types, and enough to decide and to learn from again."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from homeostat import load
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.cli import main
from homeostat.jobs.exporting import export_journal
from homeostat.jobs.replay import Request, replay_events
from homeostat.ports import Unavailable

APP = """
homeostat: 1
app: shop
events:
  entities: {user: {}, device: {required: false}, both: {of: [user, device]}}
  fields:
    amount: {type: number, required: false}
    tries: {type: integer}
    mobile: {type: boolean}
  lateness: 1h
features:
  windows:
    - {entity: user, lengths: [1h, 1d], compute: {"count_{length}": count, "mean_{length}": mean(amount)}}
    - {entity: device, lengths: [1d], compute: {tries_1d: sum(tries)}}
scorers: {rules: {kind: rules, rules: [{name: many, when: count_1h > 3, score: 0.9}]}}
fusion: {kind: weighted}
actions: [allow, block]
costs: {allow: {positive: 10, negative: 0}, block: {positive: 0, negative: 3}}
guards: {rules: [{name: huge, when: amount > 900, action: block, priority: 1}], fallback: {scorers_absent: allow}}
outcomes: {label: bad, horizon: 7d}
"""
START = datetime(2026, 3, 2, tzinfo=UTC)


def events(n=120):
    rng = np.random.default_rng(3)
    for k in range(n):
        yield {
            "event_id": f"order-{k}" if k % 3 else k, "time": (START + timedelta(minutes=7 * k)).isoformat(),
            "user": f"u{rng.integers(9)}" if k % 2 else int(rng.integers(9)), "tries": int(rng.integers(5)),
            **({"device": f"d{rng.integers(4)}"} if k % 5 else {}), "mobile": bool(rng.integers(2)),
            **({"amount": round(float(rng.random() * 1000), 2)} if k % 7 else {}),
        }  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    app = folder / "shop.yaml"
    app.write_text(APP)
    sent = list(events())
    with load(app, data=folder / "data") as engine:
        answers = engine.decide(sent)
        engine.learn([
            {"event_id": one["event_id"], "label": k % 2, "time": (START + timedelta(days=1, minutes=k)).isoformat()}
            for k, one in enumerate(sent[::10])
        ])  # fmt: skip
    return app, folder / "data", sent, answers


def exported(data, out, **limits):
    with SqliteJournal(data / "journal.db", readonly=True) as journal:
        return export_journal(journal, out, **limits)


def test_every_event_outcome_and_decision_is_in_the_files_as_it_was(served, tmp_path):
    _, data, sent, answers = served
    assert exported(data, tmp_path) == {"events": 120, "outcomes": 12, "decisions": 120}
    rows = pq.read_table(tmp_path / "events.parquet").to_pylist()
    for row, one in zip(rows, sent, strict=True):
        assert row["event_id"] == str(one["event_id"]) and row["user"] == str(one["user"])
        assert row["device"] == one.get("device") and row["amount"] == one.get("amount")
        assert (row["tries"], row["mobile"]) == (one["tries"], one["mobile"])
        assert row["time"].isoformat() == one["time"]
    assert "both" not in rows[0]
    decided = pq.read_table(tmp_path / "decisions.parquet").to_pylist()
    assert [(row["action"], row["risk"], row["rule"]) for row in decided] == [
        (one["action"], one["risk"], one["rule"] or "") for one in answers
    ]
    outcomes = pq.read_table(tmp_path / "outcomes.parquet").to_pylist()
    assert [row["event_id"] for row in outcomes] == [str(one["event_id"]) for one in sent[::10]]
    assert [row["label"] for row in outcomes] == [k % 2 for k in range(12)]


def test_a_replay_of_the_export_sees_the_same_features(served, tmp_path):
    app, data, _, _ = served
    exported(data, tmp_path / "exported")
    request = Request(tmp_path / "exported/events.parquet", tmp_path / "out", tmp_path / "exported/outcomes.parquet")
    report = replay_events(app, request, lambda what, share: None)
    assert report["decisions"] == 120 and report["dead_letters"] == 0 and report["outcomes"] == 12
    again = pq.read_table(tmp_path / "out/decisions.parquet").to_pylist()
    first = pq.read_table(tmp_path / "exported/decisions.parquet").to_pylist()
    for one, other in zip(first, again, strict=True):
        for name in one:
            if name.startswith("feature."):
                assert one[name] == other[name] or (one[name] != one[name] and other[name] != other[name]), name


def test_times_bound_what_is_written(served, tmp_path):
    _, data, _, _ = served
    until_ns = int((START + timedelta(minutes=70)).timestamp()) * 10**9
    assert exported(data, tmp_path, until_ns=until_ns) == {"events": 10, "outcomes": 0, "decisions": 10}
    assert pq.read_table(tmp_path / "outcomes.parquet").num_rows == 0


def test_a_journal_in_the_words_of_two_versions_of_an_app_is_one_table(served, tmp_path):
    app = tmp_path / "shop.yaml"
    app.write_text(APP)
    with load(app, data=tmp_path / "data") as engine:
        engine.decide(next(events()))
    app.write_text(
        APP.replace("    tries: {type: integer}", "    tries: {type: integer}\n    channel: {type: category}")
    )
    with load(app, data=tmp_path / "data") as engine:
        engine.decide({**next(events()), "event_id": "later", "channel": "web"})
    exported(tmp_path / "data", tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/events.parquet").to_pylist()
    assert [row["channel"] for row in rows] == [None, "web"]
    assert [row["tries"] for row in rows] == [rows[0]["tries"]] * 2


def test_a_folder_that_cannot_be_written_is_said_and_leaves_no_file(served, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(Unavailable, match="taken"):
        exported(served[1], tmp_path / "taken")


def test_the_command_says_what_it_wrote_and_what_comes_next(served, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", "--data", str(served[1]), "--out", str(tmp_path / "out"), "--json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["decisions"] == 120
    with pytest.raises(SystemExit) as ended:
        main(["export", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert ended.value.code == 1 and "journal.db" in capsys.readouterr().err


def test_a_file_of_no_export_is_not_replaced(served, tmp_path, capsys):
    for number, name in enumerate(("events.parquet", "outcomes.parquet", "decisions.parquet")):
        out = tmp_path / str(number)
        out.mkdir()
        (out / name).write_text("precious")
        words = ["export", "--data", str(served[1]), "--out", str(out)]
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 1 and f"{name} is of no earlier export" in capsys.readouterr().err
        assert (out / name).read_text() == "precious"
        for more in (["--force"], []):
            with pytest.raises(SystemExit) as ended:
                main([*words, *more])
            assert not ended.value.code


OTHER_WORDS = """
homeostat: 1
app: words
events:
  id: {name: id}
  time: {name: t}
  label: {name: fraud}
  entities: {customer: {}, event_id: {required: false}}
  fields: {amount: {type: number}}
features:
  windows: [{entity: customer, lengths: [1h], compute: {count: count}}]
scorers: {large: {kind: rules, rules: [{name: large, when: amount > 5, score: 0.99}]}}
fusion: {kind: weighted}
actions: [allow, block]
costs: {allow: {positive: 10, negative: 0}, block: {positive: 0, negative: 1}}
guards: {fallback: {scorers_absent: allow}}
outcomes: {label: fraud, horizon: 1d}
"""


def test_an_export_is_read_back_whatever_the_app_calls_id_time_and_label(tmp_path):
    app = tmp_path / "words.yaml"
    app.write_text(OTHER_WORDS)
    with load(app, data=tmp_path / "data") as engine:
        sent = [
            {"id": f"x{k}", "t": 1_700_000_000 + k, "customer": 1, "event_id": "DEVICE", "amount": k, "fraud": k % 2}
            for k in range(10)
        ]
        first = engine.decide(sent)
    exported(tmp_path / "data", tmp_path / "out")
    names = pq.read_schema(tmp_path / "out/events.parquet").names
    assert (
        len(set(names)) == len(names)
        and pq.read_table(tmp_path / "out/events.parquet")["event_id"][0].as_py() == "DEVICE"
    )
    report = replay_events(app, Request(tmp_path / "out/events.parquet", tmp_path / "again"), lambda what, share: None)
    assert (report["decisions"], report["dead_letters"], report["quality"]["known"]) == (10, 0, 10)
    again = pq.read_table(tmp_path / "again/decisions.parquet").to_pylist()
    assert [(one["event_id"], one["action"]) for one in again] == [(one["event_id"], one["action"]) for one in first]
