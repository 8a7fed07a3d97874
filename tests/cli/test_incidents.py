"""`homeostat incidents`: the lists, one incident, and people's words on it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.checks.incidents import delivery, incident, signal
from homeostat.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(SqliteIncidents(tmp_path)) as store:
        store.write([signal("a")], [incident("abcdef01"), incident("abcd9999")])
        store.write([], [incident("abcdef01", hour=5).closed("over", 0)])
        store.plan([delivery("abcdef01")], 1)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        main(["incidents", *map(str, words)])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    out, err = capsys.readouterr()
    return code, out, err


def stored(folder: Path):
    return closing(SqliteIncidents(folder))


def test_open_closed_and_all_incidents_are_listed_newest_first(folder: Path, capsys) -> None:
    def ids(*words: str) -> list[str]:
        found = json.loads(run(capsys, "list", "--data", folder, "--json", *words)[1])
        return [one["id"] for one in found["incidents"]]

    assert ids() == ["abcd9999"] and ids("--state", "closed") == ["abcdef01"]
    assert ids("--state", "all") == ["abcd9999", "abcdef01"] and ids("--state", "all", "--limit", "1") == ["abcd9999"]
    text = run(capsys, "list", "--data", folder)[1]
    assert "abcd9999  1970-01-01T01:00:00Z  open  high: unit at field:amount is suspected (75 %), from 1 signal" in text


def test_an_empty_folder_has_no_incidents_and_stays_as_it_is(tmp_path: Path, capsys) -> None:
    assert run(capsys, "list", "--data", tmp_path)[1].startswith(
        "no incidents: nobody has watched this record yet"
    ) and not list(tmp_path.iterdir())


def test_one_incident_is_shown_with_all_that_is_known(folder: Path, capsys) -> None:
    found = json.loads(run(capsys, "show", "abcdef", "--data", folder, "--json")[1])
    assert found["signals"][0]["node"] == "field:amount" and found["suspects"][0]["kind"] == "unit"
    assert [one["revision"] for one in found["history"]] == [1, 2] and found["closed"] == "1970-01-01T05:00:00Z"
    assert [found[name] for name in ("findings", "receipts", "plan", "gate", "verdict")] == [[], [], None, None, None]
    assert found["cost_per_hour"] is None and found["cost"] is not None
    text = run(capsys, "show", "abcdef01", "--data", folder)[1]
    assert "suspect: unit at field:amount" in text and "revision 2: " in text and "over" in text


@pytest.mark.parametrize("word", ["abcd", "zzzz", "a"])
def test_an_unclear_or_unknown_id_is_a_sentence(folder: Path, capsys, word: str) -> None:
    code, out, err = run(capsys, "show", word, "--data", folder)
    assert code == 1 and out == "" and ("give more of the id" in err or "there is no incident" in err)


def test_a_person_closes_an_incident_once(folder: Path, capsys) -> None:
    code, _, err = run(capsys, "close", "abcd9999", "--reason", "a test", "--expected", "7", "--data", folder)
    assert code == 1 and "at revision 1 by now" in err
    assert run(capsys, "close", "abcd9999", "--reason", "a test", "--actor", "ann", "--data", folder)[0] == 0
    code, _, err = run(capsys, "close", "abcd9999", "--reason", "again", "--data", folder)
    assert code == 1 and "closed already: a test" in err
    with stored(folder) as store:
        assert store.history("abcd9999")[-1].actor == "ann"


def test_silences_end_and_can_be_ended(folder: Path, capsys) -> None:
    words = ("--node", "field:*", "--reason", "a migration", "--data", folder)
    assert run(capsys, "silence", *words, "--for", "2h")[0] == 0
    assert "field:* *  until" in run(capsys, "silences", "--data", folder)[1]
    assert run(capsys, "silence", *words, "--for", "0s")[0] == 0
    assert run(capsys, "silences", "--data", folder)[1] == "no silences\n"


def test_one_incident_is_silenced(folder: Path, capsys) -> None:
    found = run(capsys, "silence", "abcd9999", "--until", "2100-01-01", "--reason", "known", "--data", folder, "--json")
    assert json.loads(found[1])["silenced_until"] == "2100-01-01T00:00:00Z"
    with stored(folder) as store:
        one = store.get("abcd9999")
        assert one.revision == 2 and one.silenced_until_ns > time.time_ns() and one.notes["silenced"] == "known"


@pytest.mark.parametrize(
    "words",
    [
        ("silence", "abcd9999", "--reason", "x"),
        ("silence", "abcd9999", "--reason", "x", "--for", "2h", "--until", "2100-01-01"),
        ("silence", "--reason", "x", "--for", "2h"),
        ("silence", "abcd9999", "--node", "x", "--reason", "x", "--for", "2h"),
        ("silence", "abcd9999", "--reason", " ", "--for", "2h"),
        ("silence", "abcd9999", "--reason", "x", "--for", "two hours"),
        ("list", "--limit", "-1"),
    ],
)
def test_words_that_do_not_fit_are_refused_and_change_nothing(folder: Path, capsys, words) -> None:
    code, out, err = run(capsys, *words, "--data", folder)
    assert code == 1 and out == "" and err.count("\n") <= 2
    with stored(folder) as store:
        assert len(store.changes(0)) == 3 and not store.silences()


def test_the_log_of_deliveries_is_shown(folder: Path, capsys) -> None:
    (one,) = json.loads(run(capsys, "deliveries", "--data", folder, "--json")[1])["deliveries"]
    assert (one["channel"], one["state"], one["news"]) == ("desk", "waiting", "opened")
    with stored(folder) as store:
        (claimed,) = store.claim(10, 1)
        store.report(replace(claimed, error="answers 503"))
    assert "waiting, 1 tries: answers 503" in run(capsys, "deliveries", "--data", folder)[1]


def test_a_silence_without_a_reason_says_why_one_is_needed(folder: Path, capsys) -> None:
    for words in (("silence", "abcd9999", "--for", "2h"), ("close", "abcd9999", "--reason", " ")):
        code, out, err = run(capsys, *words, "--data", folder)
        assert code == 1 and out == "" and "a reason is needed, for those who look later" in err and "--reason" in err


def test_a_silence_of_nothing_names_what_comes_nearest(folder: Path, capsys) -> None:
    def made(*words: str) -> tuple[int, str]:
        code, _, err = run(capsys, "silence", "--for", "2h", "--reason", "x", *words, "--data", folder)
        return code, err

    assert made("--kind", "units") == (1, "homeostat: no signal has the kind 'units': the nearest is unit\n")
    for words, warning in (
        (("--kind", "x*"), "no signal has a kind such as 'x*': there are missing, unit"),
        (("--node", "fields:*"), "no signal is at a node 'fields:*': the nearest is field"),
        (("--node", "field:amont"), "no signal is known at a node 'field:amont': the nearest is field:amount"),
    ):
        code, err = made(*words)
        assert code == 0 and f"homeostat: warning: {warning}" in err
    for words in (("--node", "field:*"), ("--node", "segment:amount > 5"), ("--kind", "un?t"), ("--node", "*:amount")):
        assert made(*words) == (0, "")
