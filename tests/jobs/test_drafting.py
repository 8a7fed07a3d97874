"""An app drafted from a file of events loads, decides every event of it, and leaves out what hindsight knows."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.event_lines import EventFileError
from homeostat.cli import main
from homeostat.config.load import load_app
from homeostat.jobs.drafting import draft
from homeostat.jobs.profiles import Role, profile
from homeostat.jobs.replay import Request, replay_events

START = datetime(2026, 1, 5, tzinfo=UTC)


def logins(n=400):
    rng = np.random.default_rng(7)
    return pa.table({
        "loginId": [f"L-{k:06d}" for k in range(n)],
        "Occurred At": [(START + timedelta(minutes=3 * k)).isoformat() for k in range(n)],
        "userName": [f"user{k}" for k in rng.integers(0, 40, n)],
        "ip_address": [f"10.0.0.{k}" for k in rng.integers(0, 60, n)],
        "country": rng.choice(["FR", "DE", "NO"], n),
        "attempts": rng.integers(1, 9, n),
        "seconds": rng.random(n) * 30,
        "mobile": rng.random(n) < 0.5,
        "note": [f"free text number {k}" for k in range(n)],
        "is_fraud": rng.integers(0, 2, n),
        "fraud_reason": rng.choice(["none", "stolen"], n),
    })  # fmt: skip


def written(table, path):
    if path.name.endswith(".parquet"):
        pq.write_table(table, path)
    elif ".csv" in path.name:
        arrow_csv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def test_each_column_gets_the_role_that_its_name_and_values_speak_for():
    roles = {one.name: one.role for one in profile(logins())}
    assert roles == {
        "loginId": Role.ID, "Occurred At": Role.TIME, "userName": Role.ENTITY, "ip_address": Role.ENTITY,
        "country": Role.CATEGORY, "attempts": Role.INTEGER, "seconds": Role.NUMBER, "mobile": Role.BOOLEAN,
        "note": Role.UNUSED, "is_fraud": Role.LABEL, "fraud_reason": Role.UNUSED,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["e.parquet", "e.csv", "e.csv.gz", "e.jsonl", "e.ndjson.gz"])
def test_a_drafted_app_decides_every_event_of_its_file(tmp_path, name):
    events = written(logins(), tmp_path / name)
    path = tmp_path / "shop.yaml"
    path.write_text(draft(events, "shop").text)
    app = load_app(path)
    assert (
        set(app.events.entities) == {"username", "ip_address"} and "fraud_reason" not in path.read_text().split("#")[0]
    )
    report = replay_events(path, Request(events, tmp_path / "out"), lambda stage, share: None)
    assert report["decisions"] == report["events"] == 400 and report["dead_letters"] == 0


def test_the_command_writes_the_draft_and_says_what_it_took_each_column_for(tmp_path, capsys):
    events = written(logins(), tmp_path / "e.parquet")
    with pytest.raises(SystemExit) as ended:
        main(["init", str(tmp_path / "Web Shop.yaml"), "--from", str(events)])
    assert ended.value.code in (0, None)
    said = capsys.readouterr().err
    assert "entity" in said and "homeostat replay" in said
    assert load_app(tmp_path / "Web Shop.yaml").app == "web_shop"


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        ({"time": ["2026-01-01"], "user": ["a"]}, "id"),
        ({"event_id": [1, 2], "user": ["a", "a"]}, "time"),
        ({"event_id": [1, 2], "time": ["2026-01-01", "2026-01-02"], "user": ["a", "b"]}, "past"),
    ],
)
def test_a_file_without_an_id_a_time_or_a_past_is_refused_with_what_its_columns_seem_to_be(tmp_path, columns, missing):
    events = written(pa.table(columns), tmp_path / "e.parquet")
    with pytest.raises(EventFileError, match=missing) as refused:
        draft(events, "x")
    assert "user (" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'{"a": ', b"a,b\n1\n", b"PAR1"])
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".xlsx"])
def test_a_file_that_is_no_table_is_refused_in_a_sentence(tmp_path, content, suffix):
    path = tmp_path / f"e{suffix}"
    path.write_bytes(content)
    with pytest.raises(EventFileError):
        draft(path, "x")


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("e.csv", b"", "is empty: an app is drafted from"),
        ("e.jsonl", b"\n\n", "is empty: an app is drafted from"),
        ("e.parquet", b"", "is empty: an app is drafted from"),
        ("e.csv", b"event_id,time,user\n", "has a header and no rows: an app is drafted from"),
        ("e.parquet", b"PAR1 and the rest is missing", "is no whole Parquet file: write it again"),
        ("e.jsonl", b'{"a": ', "is no whole JSON Lines file"),
        ("e.csv", b"a,b\n1\n", "is no whole CSV file"),
        ("e.csv", b"id,time,user,user\n1,2026-01-01,a,b\n", "has the column user more than once"),
    ],
)
def test_an_empty_or_broken_file_is_refused_with_what_to_do(tmp_path, name, content, advice):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EventFileError) as refused:
        draft(tmp_path / name, "x")
    assert advice in str(refused.value) and "footer" not in str(refused.value)
    with pytest.raises(EventFileError, match="Check the path"):
        draft(tmp_path / "nowhere" / name, "x")


@pytest.mark.parametrize("name", ["score", "Score", "score_a", "score_id", "score_"])
@pytest.mark.parametrize("kind", ["field", "entity"])
def test_a_column_called_score_gets_a_name_that_scorers_leave_free(tmp_path, name, kind):
    rng, n = np.random.default_rng(1), 60
    columns = {
        "event_id": list(range(n)), "time": [(START + timedelta(hours=k)).isoformat() for k in range(n)],
        "user_id": rng.integers(0, 9, n), name: rng.random(n) if kind == "field" else [f"k{k % 9}" for k in range(n)],
    }  # fmt: skip
    path = tmp_path / "drafted.yaml"
    path.write_text(draft(written(pa.table(columns), tmp_path / "e.parquet"), "x").text)
    events = load_app(path).events
    assert any(one.startswith("own_score") for one in (*events.fields, *events.entities))


@pytest.mark.long
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(min_size=1, max_size=12).filter(lambda t: t.isprintable()), min_size=1, max_size=6, unique=True
    ),
    seed=st.integers(0, 99),
)
def test_whatever_the_columns_are_called_the_draft_loads(tmp_path, names, seed):
    rng, n = np.random.default_rng(seed), 60
    kinds = [
        lambda: rng.random(n), lambda: rng.integers(0, 5, n), lambda: rng.choice(["a", "b: c", "#"], n),
        lambda: [f"k{k}" for k in rng.integers(0, 9, n)], lambda: rng.random(n) < 0.5,
    ]  # fmt: skip
    columns = {name: kinds[rng.integers(len(kinds))]() for name in names}
    columns |= {
        "event_id": list(range(n)),
        "time": [(START + timedelta(hours=k)).isoformat() for k in range(n)],
        "user_id": rng.integers(0, 9, n),
    }
    path = tmp_path / "drafted.yaml"
    path.write_text(draft(written(pa.table(columns), tmp_path / "e.parquet"), "x").text)
    assert load_app(path).app == "x"


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("is_bad", [0, 1], Role.LABEL),
        ("wasFraudulent", [True, False], Role.LABEL),
        ("chargeback_flag", [0.0, 1.0], Role.LABEL),
        ("predicted_fraud", [0, 1], Role.BOOLEAN),
        ("bad", [0, 7], Role.INTEGER),
        ("label", ["fraud", "fine"], Role.UNUSED),
        ("label", [-1, 1], Role.UNUSED),
        ("mobile", [0, 1], Role.BOOLEAN),
    ],
)
def test_a_label_is_known_by_its_words_and_its_two_values(name, values, role):
    table = logins().drop_columns(["is_fraud", "fraud_reason", "mobile"])
    (found,) = [one for one in profile(table.append_column(name, pa.array(values * 200))) if one.name == name]
    assert found.role is role, found.why


def outcomes_of(table, negatives):
    rows = [
        {"event_id": one, "label": label, "time": (datetime.fromisoformat(at) + timedelta(days=4 + k % 2)).isoformat()}
        for k, (one, at) in enumerate(zip(table["loginId"].to_pylist(), table["Occurred At"].to_pylist(), strict=True))
        for label in ([1] if k % 9 == 0 else [0] if negatives else [])
    ]
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("negatives", [True, False])
def test_a_file_of_outcomes_says_how_late_they_come_and_what_silence_means(tmp_path, negatives, capsys):
    table = logins().drop_columns(["is_fraud", "fraud_reason"])
    events = written(table, tmp_path / "e.parquet")
    outcomes = written(outcomes_of(table, negatives), tmp_path / "o.parquet")
    with pytest.raises(SystemExit) as ended:
        main(["init", str(tmp_path / "shop.yaml"), "--from", str(events), "--outcomes", str(outcomes)])
    assert ended.value.code in (0, None) and f"--outcomes {outcomes}" in capsys.readouterr().err
    found = load_app(tmp_path / "shop.yaml").outcomes
    assert found.horizon == 7 * 86_400 * 10**9 and found.unknown == ("skip" if negatives else "negative")


def test_without_outcomes_a_draft_asks_for_them_and_others_are_refused(tmp_path, capsys):
    table = logins().drop_columns(["is_fraud", "fraud_reason"])
    events = written(table, tmp_path / "e.parquet")
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "shop.yaml"), "--from", str(events)])
    assert "--outcomes FILE" in capsys.readouterr().err
    other = written(pa.table({"event_id": ["x"], "label": [1]}), tmp_path / "other.parquet")
    with pytest.raises(EventFileError, match="none of the first 400 events"):
        draft(events, "x", other)
    for columns, lacks in (({"login": ["x"], "bad": [1]}, "lacks an id"), ({"loginId": ["x"]}, "lacks a label")):
        unnamed = written(pa.table(columns), tmp_path / "unnamed.parquet")
        with pytest.raises(EventFileError, match=lacks):
            draft(events, "x", unnamed)


def test_outcomes_under_the_names_of_the_events_are_read_as_the_draft_says(tmp_path):
    table = logins().drop_columns(["is_fraud", "fraud_reason"])
    events = written(table, tmp_path / "e.parquet")
    named = outcomes_of(table, True).rename_columns(["loginId", "chargeback", "Occurred At"])
    outcomes = written(named, tmp_path / "o.parquet")
    path = tmp_path / "shop.yaml"
    path.write_text(draft(events, "shop", outcomes).text)
    assert load_app(path).outcomes.label == "chargeback"
    report = replay_events(path, Request(events, tmp_path / "out", outcomes), lambda stage, share: None)
    assert report["dead_letters"] == 0 and report["outcomes"] > 0
