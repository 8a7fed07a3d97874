import json
from datetime import datetime, timedelta

import pytest

from homeostat.cli import main
from homeostat.jobs.replay import Request, replay_events
from homeostat.models.training_set import silent


def _simulate(capsys, app, out, *more, many="60"):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", app, "--days", "3", "--customers", many, "--out", str(out), "--json", *more])
    assert not ended.value.code
    return json.loads(capsys.readouterr().out)


@pytest.mark.long
@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_simulated_access_replays_with_its_outcomes(tmp_path, capsys, form):
    report = _simulate(capsys, "access", tmp_path / "sim", "--format", form)
    events, outcomes = (tmp_path / "sim" / f"{name}.{form}" for name in ("events", "outcomes"))
    replayed = replay_events("access", Request(events, tmp_path / "out", outcomes), silent)
    assert replayed["decisions"] == report["events"]["rows"] > 0
    assert replayed["outcomes"] == report["outcomes"]["rows"] == replayed["decisions"]
    assert replayed["dead_letters"] == replayed["unknown_outcomes"] == 0


@pytest.mark.long
def test_a_simulated_data_centre_replays_and_its_faults_become_known_within_a_day(tmp_path, capsys):
    report = _simulate(capsys, "infra", tmp_path / "sim", many="6")
    events, outcomes = (tmp_path / "sim" / f"{name}.parquet" for name in ("events", "outcomes"))
    replayed = replay_events("infra", Request(events, tmp_path / "out", outcomes), silent)
    assert replayed["decisions"] == report["events"]["rows"] > 0
    assert replayed["dead_letters"] == replayed["unknown_outcomes"] == 0
    assert 0 < report["positives"] < report["events"]["rows"] / 5


def test_simulated_payments_replay_with_the_shipped_bundle(tmp_path, capsys):
    report = _simulate(capsys, "payments", tmp_path / "sim")
    events, outcomes = (tmp_path / "sim" / f"{name}.parquet" for name in ("events", "outcomes"))
    replayed = replay_events("payments", Request(events, tmp_path / "out", outcomes), silent)
    assert replayed["decisions"] == report["events"]["rows"] > 0
    assert replayed["dead_letters"] == 0 and replayed["quality"]["cost"] >= 0


def test_events_do_not_tell_their_outcomes(tmp_path, capsys):
    _simulate(capsys, "payments", tmp_path, "--format", "jsonl")
    first = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[0])
    assert set(first) == {"event_id", "time", "customer", "terminal", "amount"}
    outcome = json.loads((tmp_path / "outcomes.jsonl").read_text().splitlines()[0])
    assert set(outcome) == {"event_id", "label", "time"}


@pytest.mark.parametrize("app", ["payments", "access"])
def test_a_world_is_moved_by_whole_days_to_end_before_an_instant(tmp_path, capsys, app):
    files = [("events", "time" if app == "payments" else "timestamp"), ("outcomes", "time")]
    for name, more in (("a", ()), ("b", ("--until", "2026-11-28T11:00:00Z"))):
        _simulate(capsys, app, tmp_path / name, "--format", "jsonl", *more)
    for name, at in files:
        was, now = (
            [json.loads(line) for line in (tmp_path / folder / f"{name}.jsonl").read_text().splitlines()]
            for folder in "ab"
        )
        apart = {datetime.fromisoformat(b[at]) - datetime.fromisoformat(a[at]) for a, b in zip(was, now, strict=True)}
        assert len(apart) == 1 and not apart.pop() % timedelta(days=1)
        assert [one | {at: 0} for one in was] == [one | {at: 0} for one in now]
        if name == "events":
            last, until = datetime.fromisoformat(now[-1][at]), datetime.fromisoformat("2026-11-28T11:00:00Z")
            assert timedelta(0) <= until - last < timedelta(days=1)


def test_a_moment_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "payments", "--days", "3", "--out", str(tmp_path / "x"), "--until", "soon"])
    assert ended.value.code and "--until" in capsys.readouterr().err


def test_the_same_seed_writes_the_same_files_and_another_does_not(tmp_path, capsys):
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        _simulate(capsys, "payments", tmp_path / name, "--seed", seed, "--format", "csv")
    a, b, c = ((tmp_path / name / "events.csv").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(["trading", "--days", "1"], "no simulated world for 'trading'"), (["access", "--days", "0"], "--days from 1")],
)
def test_what_cannot_be_simulated_is_said_in_a_sentence(tmp_path, capsys, wrong, said):
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", *wrong, "--out", str(tmp_path)])
    assert stopped.value.code == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_in_place_of_the_folder_is_said_in_a_sentence_and_stays(tmp_path, capsys, below):
    taken = tmp_path / "world"
    taken.write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", "access", "--days", "1", "--out", str(taken / below)])
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert f"{taken} is a file" in said and "give another path" in said
    assert taken.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content"),
    [("events.jsonl", '{"event_id": 1, "mine": 2}\n'), ("events.jsonl", "precious"), ("outcomes.jsonl", "precious")],
)
def test_a_file_that_is_no_simulated_world_is_not_replaced(tmp_path, capsys, name, content):
    (tmp_path / name).write_text(content)
    words = ["simulate", "access", "--days", "1", "--customers", "9", "--out", str(tmp_path), "--format", "jsonl"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1 and f"{name} is no simulated world" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == content
    for more in (["--force"], []):  # Then an older world, which is replaced.
        with pytest.raises(SystemExit) as ended:
            main([*words, *more])
        assert not ended.value.code
