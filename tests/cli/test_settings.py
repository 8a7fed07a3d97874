"""`homeostat settings` as it is typed."""

from __future__ import annotations

import json
import time
from contextlib import closing

import pytest

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.checks.registry import APP, bundle_in
from homeostat.cli import main
from homeostat.cli import settings as settings_command
from homeostat.cli.applying import wait_applied
from homeostat.cli.version_stores import actor_of
from homeostat.ports.registry import Lineage
from homeostat.ports.settings import Applied
from homeostat.records.changes import Change, ChangeKind

HIGHER = ("apply", "--kind", "threshold", "--scope", "block", "--body", '{"at": 0.9}', "--reason", "too many")
LOWER = ("apply", "--kind", "threshold", "--scope", "block", "--body", '{"at": 0.8}', "--reason", "too few")


@pytest.fixture
def run(capsys, tmp_path):
    """Exit code, standard output and standard error of one command on a folder; output read where it is JSON."""

    def command(*arguments, on=("--data", tmp_path)):
        code = 0
        try:
            main(["settings", *(str(argument) for argument in (*arguments, *on))])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if "--json" in arguments and not code else printed.out, printed.err

    return command


def test_the_time_of_a_change_begins_when_it_is_stored_not_before_its_checks(run, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(settings_command, "_check", lambda store, wish, *places: begun.append(wish.expires_ns))
    _, found, _ = run(*HIGHER, "--expires", "1h", "--json")
    with closing(SqliteSettings(tmp_path)) as settings:
        (change,) = settings.since(0)
    assert found["number"] == 1 and change.expires_ns > begun[0]


def test_a_change_is_made_shown_and_undone(run, tmp_path):
    assert run("list")[1] == "nothing was changed yet: the app file says all\n" and not list(tmp_path.iterdir())
    code, printed, shown_text = run(*HIGHER, "--app", "payments")
    assert (code, shown_text) == (0, "homeostat: no process runs; the next one that starts applies it\n")
    assert printed == 'change 1: threshold block from the app file\'s to {"at": 0.9}\n'
    code, found, _ = run(*LOWER, "--app", "payments", "--expires", "2h", "--actor", "eve", "--json")
    assert (found["number"], found["actor"], found["before"], found["stored"]) == (2, "eve", {"at": 0.9}, True)
    with closing(SqliteSettings(tmp_path)) as settings:
        first, second = settings.since(0)
    assert first.actor == actor_of(None) and (second.expires_ns - second.at_ns) // 10**9 in (7199, 7200)
    shown = run("show", 1, "--json")[1]
    assert (shown["body"], shown["reason"], shown["last_of_scope"]) == ({"at": 0.9}, "too many", 2)
    assert "followed by change 2" in run("show", 1)[1] and "the last change of its scope" in run("show", 2)[1]
    code, found, _ = run("undo", 2, "--reason", "it was well before", "--json")
    assert (found["number"], found["body"], found["reverts"], found["reason"]) == (
        3, {"at": 0.9}, 2, "it was well before",
    )  # fmt: skip
    listed = run("list", "--json")[1]
    assert listed["last"] == 3 and [one["number"] for one in listed["in_force"]] == [3]
    assert [one["number"] for one in listed["changes"]] == [3, 2, 1]
    assert [one["number"] for one in run("list", "--limit", 1, "--below", 3, "--json")[1]["changes"]] == [2]
    assert all(word in run("list")[1] for word in ("in force", "newest first", "threshold", "block", "eve"))


def test_what_was_in_force_at_a_time_is_shown(run):
    run(*HIGHER)
    assert run("at", "2020-01-01", "--json")[1]["in_force"] == []
    assert [one["number"] for one in run("at", "2099-01-01", "--json")[1]["in_force"]] == [1]
    assert run("at", "2020-01-01")[1] == "in force at 2020-01-01: none\n"


def test_an_undo_of_an_older_change_shows_the_newer_one(run):
    run(*HIGHER)
    run(*LOWER, "--actor", "eve")
    code, printed, shown_text = run("undo", 1)
    assert (code, printed) == (1, "") and "was changed meanwhile: change 2 by eve (too few)" in shown_text
    code, _, shown_text = run(*HIGHER, "--expected", 1)
    assert code == 1 and "change 2 by eve" in shown_text
    assert run(*HIGHER, "--expected", 2)[0] == 0


def test_a_preview_checks_and_stores_nothing(run, tmp_path):
    code, printed, _ = run(*HIGHER, "--app", "payments", "--preview")
    assert code == 0 and printed.startswith("would change threshold block") and not list(tmp_path.iterdir())
    run(*HIGHER)
    found = run("undo", 1, "--preview", "--json")[1]
    assert (found["body"], found["before"], found["stored"], found["expected"]) == (None, {"at": 0.9}, False, 1)
    code, _, shown_text = run(*LOWER, "--expected", 0, "--preview")
    assert code == 1 and "was changed meanwhile" in shown_text and run("list", "--json")[1]["last"] == 1


def test_a_key_makes_a_change_once(run):
    first = run(*HIGHER, "--key", "a", "--json")[1]
    assert run(*HIGHER, "--key", "a", "--json")[1]["number"] == first["number"] == 1
    code, _, shown_text = run(*LOWER, "--key", "a")
    assert code == 1 and "was used for change 1" in shown_text


def test_a_shipped_app_that_decides_is_known_by_its_journal(run, tmp_path):
    SqliteJournal(tmp_path / "journal.db", app="payments").close()
    code, printed, shown_text = run("apply", "--kind", "rule", "--scope", "large", "--reason", "?", "--body",
                              '{"when": "amuont > 5", "action": "blok"}')  # fmt: skip
    assert (code, printed) == (1, "")
    assert "Did you mean amount?" in shown_text and "Did you mean block?" in shown_text and shown_text.count("\n") == 3


def test_a_change_waits_for_the_processes_that_run_and_names_those_that_have_not_applied_it(run, tmp_path):
    now_ns = time.time_ns()
    with closing(SqliteSettings(tmp_path)) as settings:
        settings.report(Applied("worker 1", 9, now_ns + 10**12))
        code, found, shown_text = run(*HIGHER, "--json")
        assert (code, found["processes"], found["waiting"]) == (
            0,
            ["worker 1"],
            {},
        ) and "applied by 1 process" in shown_text
        settings.report(Applied("worker 2", 0, now_ns + 10**12, "no such version"))
        code, _, shown_text = run(*LOWER)
        assert code == 1 and "worker 2: no such version" in shown_text
        assert run("undo", 2, "--wait", 0)[0] == 1 and run("undo", 3, "--preview")[0] == 0
    assert run("list", "--json")[1]["last"] == 3


def test_a_deployment_names_a_version_that_is_there_and_in_full(run, tmp_path):
    def deploy(name):
        return (
            "apply",
            "--kind",
            "deploy",
            "--scope",
            "challenger",
            "--body",
            f'{{"version": "{name}"}}',
            "--reason",
            "x",
        )

    code, _, shown_text = run(*deploy("../x"))
    assert code == 1 and "there is no version '../x'" in shown_text and not list(tmp_path.iterdir())
    with closing(SqliteRegistry(tmp_path)) as registry:
        name = registry.put(bundle_in(tmp_path, 1), Lineage(APP)).version
    assert run(*deploy(1), "--preview", "--json")[1]["body"] == {"version": name}
    assert run(*deploy(name[:5]), "--json")[1]["body"] == {"version": name}
    assert run("undo", 1, "--json")[1]["body"] is None
    with closing(SqliteRegistry(tmp_path)) as registry:
        registry.delete("1", "ann", "no use")
    code, _, shown_text = run("undo", 2)
    assert code == 1 and "was deleted by" in shown_text and run("list", "--json")[1]["last"] == 2


def test_a_change_that_mends_the_trouble_of_a_process_waits_for_its_next_report(tmp_path):
    with closing(SqliteSettings(tmp_path)) as settings:
        wrong = settings.append(Change(ChangeKind.THRESHOLD, "block", {"at": 2}, "eve", "a slip"), 0)
        settings.report(Applied("server", 0, wrong.at_ns, "change 1 can't be applied"))
        mending = settings.append(wrong.undo("bob", "it was a slip"), 1)
        later = iter((Applied("server", 2, mending.at_ns + 1),))

        class Reporting:
            """The settings of a process that reports after it was looked at once."""

            def processes(self):
                found = settings.processes()
                settings.report(next(later, found[0]))
                return found

        waited = wait_applied(Reporting(), mending, 30)
        assert (waited.applied, waited.waiting) == (("server",), {})
        settings.report(Applied("server", 0, mending.at_ns - 1, "said before"))
        assert wait_applied(settings, mending, 0).waiting == {"server": "said before"}
        settings.report(Applied("server", 1, mending.at_ns + 1, "said after"))
        assert wait_applied(settings, mending, 1e9).waiting == {"server": "said after"}


@pytest.mark.parametrize("arguments", [("show", 10**30), ("undo", 10**30), ("list", "--limit", 10**30)])
def test_a_number_that_no_store_holds_is_refused_in_a_sentence(run, arguments):
    code, _, shown_text = run(*arguments)
    assert code == 2 and "Invalid value" in shown_text


def test_the_app_files_value_has_no_end(run):
    code, _, shown_text = run(*HIGHER[:6], "null", *HIGHER[7:], "--expires", "1h")
    assert code == 1 and "expires: should be absent: what the app file says has no end of its own" in shown_text
    assert run("list", "--json")[1]["last"] == 0


def test_a_process_that_says_nothing_applies_a_change_before_its_next_event(run, tmp_path):
    with closing(SqliteSettings(tmp_path)) as settings:
        settings.report(Applied("worker 1", 0, time.time_ns() + 10**12))
    code, _, shown_text = run(*HIGHER, "--wait", 0)
    assert code == 1 and "worker 1, which applies it before it decides its next event" in shown_text


def test_processes_are_listed_with_their_trouble(run, tmp_path):
    with closing(SqliteSettings(tmp_path)) as settings:
        settings.report(Applied("worker 1", 3, 1, "no such\nversion"))
    found = run("list", "--json")[1]["processes"]
    assert [(one["process"], one["number"], one["gone"]) for one in found] == [("worker 1", 3, True)]
    assert "worker 1 has applied change 3 (gone): no such\\nversion\n" in run("list")[1]


@pytest.mark.parametrize("columns", [80, 200])
def test_reasons_are_shown_whole_however_narrow_the_terminal_is(run, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    why = ("it", "blocked", "half", "of", "the", "honest", "customers")
    run("apply", "--kind", "rule", "--scope", "challenger", "--body", '{"off": true}', "--reason", " ".join(why),
        "--actor", "somebody", "--expires", "2h")  # fmt: skip
    printed = run("list")[1]
    shown = printed.split()
    assert max(map(len, printed.splitlines())) <= columns
    assert all(shown.count(word) == 2 for word in why) and "ends" in printed
    assert all(printed.count(text) == 2 for text in ("challenger", '{"off": true}', "somebody"))


def test_values_of_others_steer_no_terminal(run):
    run("apply", "--kind", "list", "--scope", "x", "--body", '{"entries": ["\\u001b[2J"]}', "--reason", "why")
    for printed in (run("list")[1], run("show", 1)[1]):
        assert "\x1b[2J" not in printed and "u001b" in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("apply", "--kind", "treshold", *HIGHER[3:]), "did you mean threshold?"),
        ((*HIGHER[:6], "{", *HIGHER[7:]), "--body is no JSON"),
        ((*HIGHER[:6], "[1]", *HIGHER[7:]), "--body is a JSON object"),
        ((*HIGHER, "--expires", "soon"), "is not a duration"),
        ((*HIGHER, "--actor", "a\nb"), "printable characters"),
        ((*HIGHER[:-1], ""), "printable characters"),
        (("show", 7), "there is no change 7"),
        (("undo", 0), "there is no change 0"),
        (("at", "soon"), "is not an ISO 8601 time"),
        (("list", "--limit", -1), "0 or more"),
        (("list", "--config", "servers.yaml"), "Give one of them"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence(run, arguments, says):
    code, printed, shown_text = run(*arguments)
    shown_text = "\n".join(line for line in shown_text.splitlines() if "only the form" not in line)
    assert (code, printed) == (1, "") and says in shown_text and shown_text.count("\n") == 0


def test_where_settings_are_has_to_be_said(run, monkeypatch, tmp_path):
    monkeypatch.delenv("HOMEOSTAT_SERVERS__JOURNAL", raising=False)
    code, _, shown_text = run("list", on=())
    assert code == 1 and "--data" in shown_text and "servers.journal" in shown_text
    code, _, shown_text = run("list", on=("--data", tmp_path / "nowhere"))
    assert code == 1 and "there is no folder" in shown_text


def test_settings_on_a_server_are_changed_by_the_same_commands(run, postgres, tmp_path, monkeypatch):
    import psycopg

    name = "settings_at_the_command_line"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        servers = tmp_path / "servers.yaml"
        servers.write_text(f"servers:\n  journal: {postgres.url.rsplit('/', 1)[0]}/{name}\n")
        on = ("--config", servers)
        assert run(*HIGHER, "--app", "payments", on=on)[0] == 0
        assert run("undo", 1, "--json", on=on)[1]["number"] == 2
        assert [one["number"] for one in run("list", "--json", on=on)[1]["changes"]] == [2, 1]
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_fusion_that_the_champion_was_not_trained_with_is_refused_before_it_is_stored(run, tmp_path):
    with closing(SqliteRegistry(tmp_path)) as registry:
        version = registry.put(bundle_in(tmp_path, 1), Lineage(APP, actor="ann")).version
    deploy = ("apply", "--kind", "deploy", "--scope", "champion", "--reason", "the first")
    assert run(*deploy, "--body", json.dumps({"version": version}))[0] == 0
    fusion = ("apply", "--kind", "fusion", "--scope", "app", "--reason", "a better rank")
    for preview in ((), ("--preview",)):
        code, _, shown_text = run(*fusion, "--body", '{"name": "ensemble"}', *preview)
        assert code == 1 and "no trained fusion.ensemble: its models have weighted" in shown_text
    assert run("list", "--json")[1]["last"] == 1
    assert run(*fusion, "--body", '{"name": "weighted"}')[0] == 0
