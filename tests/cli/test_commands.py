"""Each command as it is typed: what it prints where, and how it exits."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from homeostat import load
from homeostat.cli import COMMANDS, main
from homeostat.config.starter import starter

RULES = """guards:
  rules:
    - {name: busy, when: count_1m > 3, action: block}
  fallback: {scorers_absent: allow}
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def lines(count: int) -> str:
    common = {"event_type": "action", "value": 1}
    events = ({"event_id": k, "entity_id": k % 3, "timestamp": 1.77e9 + k, **common} for k in range(count))
    return "".join(json.dumps(event) + "\n" for event in events)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text(lines(30))
    return path


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom homeostat.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('numpy', 'numba', 'pyarrow', 'pydantic', 'fastapi', 'yaml') if m in sys.modules])"
    )
    printed_here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240).stdout
    assert all(name in printed_here for name in COMMANDS)
    assert printed_here.splitlines()[-1] == "[]"


def test_replay_then_explain_then_verify(capsys, recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, _ = run(capsys, "replay", "access", recorded, "--out", out, "--json")
    assert code == 0 and json.loads(printed)["decisions"] == 30
    code, printed, _ = run(capsys, "explain", "29", "--out", out)
    assert code == 0 and printed.startswith("29: allow, at a risk of")
    code, printed, _ = run(capsys, "explain", "29", "--out", out, "--json")
    printed_here = json.loads(printed)
    assert printed_here["event_id"] == "29" and printed_here["explanation"]["same_version"]
    code, printed, _ = run(capsys, "audit", "verify", out / "audit.jsonl", "--json")
    assert code == 0 and json.loads(printed)["ok"]
    trail = (out / "audit.jsonl").read_bytes()
    (out / "audit.jsonl").write_bytes(trail.replace(b'"rows":30', b'"rows":31'))
    code, _, complaint = run(capsys, "audit", "verify", out / "audit.jsonl")
    assert code == 1 and "line" in complaint


def test_audit_verify_gives_one_verdict_on_trail_journal_and_files(capsys, recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(capsys, "replay", "access", recorded, "--out", out, "--json")
    code, printed, _ = run(capsys, "audit", "verify", out)
    assert (
        code == 0 and "whole, " in printed and "(30 decisions, journal.db, decisions.parquet, report.json)" in printed
    )
    code, head, _ = run(capsys, "audit", "head", out)
    assert code == 0 and run(capsys, "audit", "verify", out, "--head", head.strip())[0] == 0
    code, _, said = run(capsys, "audit", "verify", out, "--head", "0" * 64)
    assert code == 1 and "no line has the hash" in said
    kept = shutil.copy(out / "audit.checkpoint.json", tmp_path / "kept.json")
    assert run(capsys, "audit", "verify", out / "audit.jsonl", "--checkpoint", kept)[0] == 0
    assert run(capsys, "audit", "verify", out, "--checkpoint", tmp_path / "nowhere.json")[0] == 1
    with closing(sqlite3.connect(out / "journal.db")) as journal:
        triggers = journal.execute("SELECT name, sql FROM sqlite_schema WHERE name = 'entries_UPDATE'").fetchall()
        journal.execute("DROP TRIGGER entries_UPDATE")
        journal.execute("UPDATE entries SET ids = x'' WHERE sequence = 1")
        journal.execute(triggers[0][1])
        journal.commit()
    code, _, said = run(capsys, "audit", "verify", out)
    assert code == 1 and "journal.db, entries, entry 1: ids is x'' instead of" in said and "1 fault (" in said
    code, printed, _ = run(capsys, "audit", "verify", out, "--json")
    [fault] = json.loads(printed)["faults"]
    assert (fault["where"], fault["row"], fault["column"]) == ("journal.db, entries", "entry 1", "ids")
    assert run(capsys, "audit", "verify", out, "--alone")[0] == 0
    (out / "journal.db").unlink()
    code, _, said = run(capsys, "audit", "verify", out)
    assert code == 1 and "no journal is there to compare" in said


def test_replay_without_json_prints_tables_for_people(capsys, recorded: Path, tmp_path: Path) -> None:
    code, printed, _ = run(capsys, "replay", "access", recorded, "--out", tmp_path / "out")
    assert code == 0 and "audit head" in printed and "allow" in printed


def test_guards_test_shows_what_would_have_changed(capsys, recorded: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    code, printed, _ = run(capsys, "guards", "test", rules, recorded, "--app", "access", "--json")
    report = json.loads(printed)
    assert code == 0 and report["app"] == "access" and report["decisions"] == 30
    [change] = report["changes"]
    assert (change["before"], change["after"], change["rule_after"]) == ("allow", "block", "busy")
    assert change["count"] == report["changed"] == report["hits_after"]["busy"] == 21
    assert change["examples"][0]["event_id"] == "9"
    code, printed, _ = run(capsys, "guards", "test", rules, recorded, "--app", "access")
    assert code == 0 and "21 of 30 decisions would have changed" in printed


def test_guards_test_on_a_folder_shows_precision_cost_and_overlap_of_what_was_decided(
    capsys, recorded: Path, tmp_path: Path
) -> None:
    out, rules, outcomes = tmp_path / "out", tmp_path / "rules.yaml", tmp_path / "outcomes.jsonl"
    own = tmp_path / "app.yaml"
    own.write_text(starter().replace("actions:", "# Mine.\nactions:"))
    assert run(capsys, "replay", own, recorded, "--out", out)[0] == 0
    rules.write_text(RULES.replace("  fallback", "    - {name: any, when: value >= 1, action: throttle, priority: -1}\n"
                                   "  fallback"))  # fmt: skip
    known = [(9, 1), (10, 1), (11, 0), (1, 0)]
    outcomes.write_text("".join(json.dumps({"event_id": k, "label": v, "time": 1.78e9}) + "\n" for k, v in known))
    asked = ("guards", "test", rules, "--data", out, "--app", own, "--outcomes", outcomes)
    code, printed, _ = run(capsys, *asked, "--json")
    report = json.loads(printed)
    busy, any_ = report["rules_after"]["busy"], report["rules_after"]["any"]
    assert code == 0 and report["decisions"] == 30 and report["known"] == 4
    assert (busy["held"], busy["decided"], busy["known"], busy["positives"]) == (21, 21, 3, 2)
    assert busy["precision"] == pytest.approx(2 / 3) and busy["overlap"] == {"any": 21} and busy["alone"] == 0
    # Blocking costs 0 where the outcome is positive and 5 where it is negative; allowing 10 and 0.
    assert (busy["cost"], busy["proposed_cost"]) == (5.0, 20.0) and (any_["decided"], any_["alone"]) == (9, 9)
    assert (report["cost_before"], report["cost_after"]) == (20.0, 5.5)
    code, printed, _ = run(capsys, *asked)
    assert code == 0 and "66.7%" in printed and "20.00 before, 5.50 after" in printed


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("{rules}", "{events}"), "Give --app"),
        (("{rules}", "--app", "access"), "either EVENTS"),
        (("{rules}", "{events}", "--app", "access", "--data", "{tmp}"), "either EVENTS"),
        (("{rules}", "--app", "access", "--data", "{tmp}"), "no journal.db"),
        (("{rules}", "--app", "payments", "--data", "{tmp}/out"), "other"),
    ],
)
def test_guards_test_asks_for_what_it_needs(capsys, recorded: Path, tmp_path: Path, arguments, hint: str) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES.replace("count_1m", "amount" if "payments" in arguments else "count_1m"))
    if "out" in arguments[-1]:
        assert run(capsys, "replay", "access", recorded, "--out", tmp_path / "out")[0] == 0
    given = [a.format(rules=rules, events=recorded, tmp=tmp_path) for a in arguments]
    code, _, said = run(capsys, "guards", "test", *given)
    assert code == 1 and hint in said


def test_explain_asks_for_an_app_that_it_can_not_know(capsys, recorded: Path, tmp_path: Path) -> None:
    out, own = tmp_path / "out", tmp_path / "app.yaml"
    for name in ("shop", "access"):  # The second has the name of a shipped app, and is another one.
        own.write_text(starter().replace("app: starter", f"app: {name}"))
        assert run(capsys, "replay", own, recorded, "--out", out)[0] == 0
        code, _, said = run(capsys, "explain", "29", "--out", out)
        assert code == 1 and "--app" in said and name in said
        assert run(capsys, "explain", "29", "--out", out, "--app", own)[0] == 0


def test_explain_says_late_and_stale(capsys, tmp_path: Path) -> None:
    path, app, out = tmp_path / "events.jsonl", tmp_path / "app.yaml", tmp_path / "out"
    app.write_text(starter())
    common = {"event_type": "action", "entity_id": 1}
    seconds = (0, 1, 400_000, 2)
    path.write_text("".join(
        json.dumps({"event_id": k, "timestamp": 1.77e9 + s, **common}) + "\n" for k, s in enumerate(seconds)
    ))  # fmt: skip
    assert run(capsys, "replay", app, path, "--out", out)[0] == 0
    code, printed, _ = run(capsys, "explain", "3", "--out", out, "--app", app)
    assert code == 0 and "It came late" in printed and "Stale, since" in printed and "count_1d" in printed
    code, printed, _ = run(capsys, "explain", "2", "--out", out, "--app", app)
    assert "It came late" not in printed and "Stale" not in printed


@pytest.mark.long
def test_doctor_finds_a_sound_machine_and_a_broken_app(capsys, tmp_path: Path) -> None:
    with load("access", data=tmp_path / "data") as engine:
        engine.decide({"event_id": 1, "entity_id": 1, "event_type": "a", "timestamp": "2026-01-01"})
    code, printed, _ = run(capsys, "doctor", "access", "--data", tmp_path / "data", "--json")
    findings = {finding["what"]: finding for finding in json.loads(printed)["findings"]}
    assert code == 0 and {"python", "packages", "clock", "disk", "app file", "models", "audit"} <= findings.keys()
    assert all(finding["health"] != "broken" for finding in findings.values())
    bad = tmp_path / "bad.yaml"
    bad.write_text("homeostat: 1\napp: bad\nevnts: {}\n")
    code, printed, _ = run(capsys, "doctor", bad)
    assert code == 1 and "app file" in printed and "->" in printed


def test_init_writes_an_app_file_that_loads(capsys, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "app.yaml"
    assert run(capsys, "init", path)[0] == 0
    assert run(capsys, "doctor", path)[0] == 0
    code, _, said = run(capsys, "init", path)
    assert code == 1 and "--force" in said


def test_schema_prints_a_json_schema(capsys) -> None:
    code, printed, _ = run(capsys, "schema")
    assert code == 0 and json.loads(printed)["type"] == "object"


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("replay", "paymnts", "x.csv", "--out", "{tmp}/o"), "payments"),
        (("replay", "access", "{tmp}/none.csv", "--out", "{tmp}/o"), "none.csv"),
        (("replay", "access", "{tmp}/e.txt", "--out", "{tmp}/o"), ".parquet"),
        (("replay", "access", "x.csv", "--out", "{tmp}/o", "--until", "soon"), "soon"),
        (("explain", "1"), "--data"),
        (("explain", "1", "--data", "{tmp}"), "journal.db"),
        (("train", "access", "{tmp}/none.csv", "--until", "2026-01-01", "--out", "{tmp}/b"), "none.csv"),
        (("train", "access", "x", "--until", "2026-01-01", "--from", "2026-01-02", "--out", "b"), "--from"),
        (("guards", "test", "{tmp}/none.yaml", "x.csv", "--app", "access"), "none.yaml"),
        (("serve", "access", "--bundle", "{tmp}/none"), "none"),
        (("worker", "access", "--metrics-port", "0", "--metrics-host", "0.0.0.0"), "say --plain-http"),
    ],
)
def test_what_can_not_be_done_is_said_in_words(capsys, tmp_path: Path, arguments, hint: str) -> None:
    code, printed, said = run(capsys, *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert code == 1 and printed == "" and "Traceback" not in said
    assert said.startswith("homeostat: ") and hint in said


def test_a_wrong_call_exits_with_2(capsys) -> None:
    for arguments in (("nosuch",), ("replay", "access"), ("serve", "access", "--port", "many"), ("doctor", "--nosuch")):
        code, printed, said = run(capsys, *arguments)
        assert code == 2, (arguments, printed, said)


@pytest.fixture
def model() -> Iterator[tuple[str, list[dict]]]:
    """A server on this machine that speaks both protocols, and what it was asked."""
    asked: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append({"path": self.path, "key": self.headers.get("authorization"), **body})
            message = {"role": "assistant", "content": "It was \x1b[31mfine."}
            answer = {"choices": [{"message": message}]} if "/v1/" in self.path else {"message": message, "done": True}
            raw = json.dumps(answer).encode() if body["model"] != "broken" else b"[]"
            self.send_response(200)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("base", "path"), [("", "/api/chat"), ("/v1", "/v1/chat/completions")])
def test_a_model_words_an_explanation_and_is_quoted(capsys, tmp_path, monkeypatch, model, base: str, path: str) -> None:
    with load("access", data=tmp_path) as engine:
        engine.decide({"event_id": "secret-id", "entity_id": 1, "event_type": "a", "timestamp": "2026-01-01"})
    url, asked = model
    monkeypatch.setenv("HOMEOSTAT_WORDING_URL", url + base)
    monkeypatch.setenv("HOMEOSTAT_WORDING_KEY", "k")
    words = ("explain", "secret-id", "--data", tmp_path, "--words", "--words-model")
    code, printed, _ = run(capsys, *words, "small")
    assert code == 0 and "> It was [31mfine." in printed
    [one] = asked
    assert one["path"] == path and one["key"] == "Bearer k" and one["stream"] is False
    assert "secret-id" not in json.dumps(one) and "allow" in one["messages"][1]["content"]
    code, printed, said = run(capsys, *words, "broken")
    assert code == 1 and "no chat reply" in said
    assert run(capsys, "explain", "secret-id", "--data", tmp_path)[0] == 0 and len(asked) == 2


def test_facts_leave_this_machine_only_with_leave(capsys, tmp_path: Path) -> None:
    where = ("--data", tmp_path, "--words", "--words-model", "m")
    code, _, said = run(capsys, "explain", "1", *where, "--words-url", "https://models.example.com/v1")
    assert code == 1 and "--words-anywhere" in said
    code, _, said = run(capsys, "explain", "1", *where, "--words-url", "nowhere")
    assert code == 1 and "no address" in said


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1", b"\xff" * 100])
def test_a_replay_of_a_damaged_parquet_file_says_so(capsys, tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "events.parquet"
    path.write_bytes(damage)
    code, _, said = run(capsys, "replay", "access", path, "--out", tmp_path / "out")
    assert code == 1 and "events.parquet" in said and "Traceback" not in said


def test_the_shell_can_complete_commands_and_options(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    with pytest.raises(SystemExit) as ended:
        main(["--install-completion", "--shell", "bash"])
    assert ended.value.code == 0, capsys.readouterr()
    (script,) = (tmp_path / ".local/share/bash-completion/completions").iterdir()
    assert all(word in script.read_text() for word in ("replay", "--out", "doctor"))


@pytest.mark.parametrize(("command", "niceness"), [("promote", [10]), ("rollback", [4]), ("list", [])])
def test_a_promotion_lets_servers_have_the_processor_first(tmp_path, monkeypatch, capsys, command, niceness) -> None:
    lowered = list[int]()
    monkeypatch.setattr(os, "getpriority", lambda which, who: 0)
    monkeypatch.setattr(os, "setpriority", lambda which, who, to: lowered.append(to))
    arguments = ["models", command, *(["7"] if command == "promote" else []), "--data", str(tmp_path / "none")]
    monkeypatch.setattr(sys, "argv", ["homeostat", *arguments])
    with pytest.raises(SystemExit):
        main()
    assert lowered == niceness and "there is no folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(arguments)  # A program that calls it keeps its own priority.
    assert lowered == niceness


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["foo"], "homeostat --help"),
        (["trian"], "homeostat --help"),
        (["incidents", "foo"], "homeostat incidents --help"),
        (["replay", "payments", "--nope"], "homeostat replay --help"),
    ],
)
def test_a_wrong_call_names_the_help_that_fits(capsys, words, hint) -> None:
    code, printed, said = run(capsys, *words)
    assert code == 2 and not printed and f"homeostat: {hint} says what there is" in said


def test_a_replay_of_nothing_warns(tmp_path, capsys) -> None:
    (tmp_path / "none.jsonl").write_text("")
    (tmp_path / "bad.jsonl").write_text('{"event_id": 1}\n[]\n')
    for name, more, warning in (
        ("none.jsonl", (), "none.jsonl holds no event"),
        ("bad.jsonl", (), "each of the 2 rows read is a dead letter"),
    ):
        code, printed, said = run(
            capsys, "replay", "access", tmp_path / name, "--out", tmp_path / "out", *more, "--json"
        )
        assert code == 0 and "warning: nothing was decided: " in said and warning in said
        assert any(warning in one for one in json.loads(printed)["warnings"])
