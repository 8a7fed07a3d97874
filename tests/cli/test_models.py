"""`homeostat models` as it is typed."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.app import fingerprint
from homeostat.checks.registry import bundle_in
from homeostat.cli import main
from homeostat.config.load import load_app
from homeostat.engine.assembly import shipped_bundle
from homeostat.ports.settings import Applied


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    code = 0
    try:
        main(["models", *(str(argument) for argument in arguments)])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def call(capsys, tmp_path: Path):
    """Runs a command on a data folder, and gives what it prints as JSON."""

    def called(*arguments: str | Path) -> Any:
        code, printed, said = run(capsys, *arguments, "--data", tmp_path / "data", "--json")
        assert code == 0 and printed.count("\n") == 1, said
        return json.loads(printed)

    return called


@pytest.fixture
def kept(call, tmp_path: Path) -> list[str]:
    """Three versions in the data folder."""
    return [call("import", bundle_in(tmp_path, k), "--reason", f"try {k}")["version"] for k in (1, 2, 3)]


def test_versions_are_listed_with_their_roles(call, kept: list[str]) -> None:
    call("promote", "2", "--reason", "better", "--yes")
    call("promote", kept[2], "--role", "challenger")
    listed = call("list")["versions"]
    assert [(one["version"], one["number"], one["roles"]) for one in listed] == [
        (kept[2], 3, ["challenger"]), (kept[1], 2, ["champion"]), (kept[0], 1, []),
    ]  # fmt: skip
    assert set(listed[0]) >= {"version", "number", "created_at", "roles"} and listed[0]["created_at"].endswith("Z")
    assert [one["number"] for one in call("list", "--limit", "1")["versions"]] == [3]


def test_the_version_of_a_time_is_one_look_up(call, kept: list[str]) -> None:
    assert call("at", "2026-01-01") == {
        "version": None, "number": None, "from": None, "to": None, "why": "", "role": "champion", "actor": "",
        "change": 0, "reverts": 0, "share": None,
    }  # fmt: skip
    call("promote", "1", "--reason", "the first", "--actor", "ann")
    call("promote", "2", "--reason", "better")
    history = call("history")["deployments"]
    assert [(one["number"], one["why"], one["to"]) for one in history] == [
        (2, "better", None), (1, "the first", history[0]["from"]),
    ]  # fmt: skip
    assert call("at", history[1]["from"]) == history[1] and call("at", "2099-01-01") == history[0]
    before = call("at", "2026-01-01")
    assert before["version"] is None and before["to"] == history[1]["from"]


def test_a_rollback_brings_the_version_before_back(call, kept: list[str], capsys, tmp_path: Path) -> None:
    call("promote", "1", "--yes")
    call("promote", "2", "--yes")
    back = call("rollback", "--reason", "worse", "--yes")
    assert (back["version"], back["number"], back["before"]) == (kept[0], 1, kept[1])
    again = call("rollback", "--yes")
    assert again["version"] is None and again["number"] is None
    code, printed, said = run(capsys, "rollback", "--yes", "--data", tmp_path / "data")
    assert code == 1 and printed == "" and "no version was promoted" in said
    assert [one["reverts"] for one in call("history")["deployments"]] == [1, 2, 0, 0]


def test_a_promotion_waits_for_each_process_and_says_how_long(call, kept: list[str], tmp_path: Path) -> None:
    settings = SqliteSettings(tmp_path / "data")
    settings.report(Applied("server", 0, time.time_ns()))
    settings.report(Applied("dead", 0, time.time_ns() - 10**12))

    def apply() -> None:
        while settings.last == 0:
            pass
        settings.report(Applied("server", 1, time.time_ns()))

    thread = threading.Thread(target=apply)
    thread.start()
    shown_text = call("promote", "1", "--reason", "better", "--yes")
    thread.join()
    assert shown_text["processes"] == ["server"] and shown_text["waiting"] == {} and 0 <= shown_text["seconds"] < 30
    settings.close()


def test_a_process_that_can_not_apply_a_version_is_named(kept: list[str], capsys, tmp_path: Path) -> None:
    settings = SqliteSettings(tmp_path / "data")
    settings.report(Applied("server", 0, time.time_ns() + 10**10, "its features are others"))
    code, printed, said = run(capsys, "promote", "1", "--yes", "--json", "--data", tmp_path / "data")
    assert code == 1 and json.loads(printed)["waiting"] == {"server": "its features are others"}
    assert "not applied after" in said and "server: its features are others" in said
    settings.report(Applied("server", 0, time.time_ns()))
    code, printed, _ = run(capsys, "promote", "2", "--yes", "--wait", "0.01", "--data", tmp_path / "data")
    assert code == 1 and "not applied after" in printed
    settings.close()


def test_without_a_process_the_promotion_returns_at_once(kept: list[str], capsys, tmp_path: Path) -> None:
    code, printed, _ = run(capsys, "promote", "1", "--yes", "--data", tmp_path / "data")
    says = "no process runs; the next one that starts applies it"
    assert code == 0 and printed == f"version 1 ({kept[0]}) is the champion: {says}\n"


def test_a_version_that_decided_is_not_deleted_without_force(call, kept: list[str], capsys, tmp_path: Path) -> None:
    call("promote", "1", "--yes")
    code, _, said = run(capsys, "delete", "1", "--yes", "--force", "--data", tmp_path / "data")
    assert code == 1 and "is the champion now" in said
    call("promote", "2", "--yes")
    code, _, said = run(capsys, "delete", "1", "--yes", "--data", tmp_path / "data")
    assert code == 1 and "was champion" in said
    assert call("delete", "1", "--force", "--reason", "wrong labels")["deleted_why"] == "wrong labels"
    assert call("delete", "3")["deleted_at"]
    assert [one["deleted_at"] is None for one in call("list")["versions"]] == [False, True, False]
    code, _, said = run(capsys, "promote", "3", "--yes", "--data", tmp_path / "data")
    assert code == 1 and "was deleted by" in said
    assert call("at", "2099-01-01")["number"] == 2 and call("history")["deployments"][1]["number"] == 1


def test_two_versions_are_shown_side_by_side(call, kept: list[str], capsys, tmp_path: Path) -> None:
    shown_text = call("diff", "1", "2")
    assert (
        shown_text["versions"] == kept[:2]
        and shown_text["settings"] == {"fusion.base": [1.0, 2.0]}
        and shown_text["features"] == {}
    )
    assert shown_text["lineage"]["reason"] == ["try 1", "try 2"]
    code, printed, _ = run(capsys, "diff", "1", "2", "--data", tmp_path / "data")
    assert code == 0 and "fusion.base" in printed and "features: the same" in printed
    call("delete", "1")
    assert "settings" not in call("diff", "1", "2")
    assert "not compared" in run(capsys, "diff", "1", "2", "--data", tmp_path / "data")[1]


def test_a_version_is_shown_with_where_it_comes_from(call, kept: list[str], capsys, tmp_path: Path) -> None:
    call("promote", "1", "--yes", "--reason", "better")
    shown_text = call("show", kept[0][:6])
    assert shown_text["lineage"]["app"] == "demo" and shown_text["lineage"]["reason"] == "try 1"
    assert [one["why"] for one in shown_text["champion"]] == ["better"] and shown_text["roles"] == ["champion"]
    code, printed, _ = run(capsys, "show", "1", "--data", tmp_path / "data")
    assert code == 0 and f"version 1 ({kept[0]})" in printed and "reason: try 1" in printed


def test_a_file_in_place_of_a_bundle_is_refused_with_what_to_name(capsys, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("no folder")
    code, _, said = run(capsys, "import", tmp_path / "bundle", "--data", tmp_path / "data")
    assert code == 1 and "is a file: name the folder that holds manifest.json" in said


def test_a_version_is_exported_as_it_was_imported(call, kept: list[str], tmp_path: Path) -> None:
    call("export", "2", "--out", tmp_path / "out")
    bundle = tmp_path / "bundle-demo-2"
    assert {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()} == {
        one.name: one.read_bytes() for one in bundle.iterdir()
    }
    assert call("import", tmp_path / "out")["number"] == 2


def test_people_get_tables(kept: list[str], capsys, tmp_path: Path) -> None:
    run(capsys, "promote", "1", "--yes", "--reason", "it is better", "--data", tmp_path / "data")
    for command, says in ((["list"], "champion"), (["history"], "it is"), (["at", "2099-01-01"], kept[0])):
        code, printed, _ = run(capsys, *command, "--data", tmp_path / "data")
        assert code == 0 and says in printed


def test_a_folder_without_versions_says_how_to_keep_one(capsys, tmp_path: Path) -> None:
    assert "homeostat models import" in run(capsys, "list", "--data", tmp_path)[1]
    assert run(capsys, "history", "--data", tmp_path)[1] == "no version was promoted to this role yet\n"


def test_the_reasons_of_a_history_fit_a_narrow_terminal(kept: list[str], capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for version, why in (("1", "the first model"), ("2", "more trees for the winter")):
        run(capsys, "promote", version, "--yes", "--reason", why, "--actor", "somebody", "--data", tmp_path / "data")
    printed = run(capsys, "history", "--data", tmp_path / "data")[1]
    assert max(map(len, printed.splitlines())) <= 80 and len(printed.splitlines()) < 12
    assert all(word in printed.split() for word in ("first", "model", "trees", "winter", "somebody", *kept[:2]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "9"], "there is no version '9'"),
        (["promote", "1"], "say --yes"),
        (["rollback", "--yes"], "no version was promoted"),
        (["at", "yesterday"], "is not an ISO 8601 time"),
        (["import", "nowhere"], "can't be read"),
        (["list", "--config", "servers.yaml"], "Give one of them"),
        (["export", "1", "--out", "."], "is not a bundle"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence(kept, capsys, tmp_path: Path, arguments, says, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, said = run(capsys, *arguments, "--data", tmp_path / "data")
    assert code == 1 and printed == "" and says in said and said.count("\n") == 1


def test_where_versions_are_has_to_be_said(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOMEOSTAT_SERVERS__JOURNAL", raising=False)
    assert "--data FOLDER" in run(capsys, "list")[2]
    monkeypatch.setenv("HOMEOSTAT_SERVERS__JOURNAL", "postgresql://someone:hunter2@127.0.0.1:1/nothing")
    code, _, said = run(capsys, "list")
    assert code == 1 and "servers.models" in said and "hunter2" not in said
    code, _, said = run(capsys, "list", "--data", tmp_path / "nowhere")
    assert code == 1 and "there is no folder" in said


def test_a_listing_leaves_a_folder_as_it_is(capsys, tmp_path: Path) -> None:
    assert run(capsys, "list", "--data", tmp_path, "--json")[1] == '{"versions": []}\n'
    assert list(tmp_path.iterdir()) == []


def test_the_same_commands_work_on_servers(capsys, postgres, tmp_path: Path) -> None:
    database = f"models_cli_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    config = tmp_path / "servers.yaml"
    config.write_text(
        f"servers:\n  journal: {postgres.url.rsplit('/', 1)[0]}/{database}\n"
        f"  models: {(tmp_path / 'shared').as_uri()}\n  models_cache: {tmp_path / 'cache'}\n  retention: 90d\n"
    )

    def call(*arguments: str | Path) -> Any:
        code, printed, said = run(capsys, *arguments, "--config", config, "--json")
        assert code == 0, said
        return json.loads(printed)

    try:
        names = [call("import", bundle_in(tmp_path, k))["version"] for k in (1, 2)]
        call("promote", "1", "--reason", "the first")
        call("promote", "2", "--reason", "better")
        assert call("rollback", "--reason", "worse")["version"] == names[0]
        at = call("at", "2099-01-01")
        assert (at["version"], at["number"], at["why"]) == (names[0], 1, "worse")
        assert [one["number"] for one in call("history")["deployments"]] == [1, 2, 1]
        assert call("diff", "1", "2")["settings"] == {"fusion.base": [1.0, 2.0]}
        code, _, said = run(capsys, "delete", "2", "--yes", "--config", config)
        assert code == 1 and "was champion" in said
        assert call("delete", "2", "--force")["deleted_at"]
        call("export", "1", "--out", tmp_path / "out")
        assert (tmp_path / "out" / "manifest.json").read_bytes() == (
            tmp_path / "bundle-demo-1" / "manifest.json"
        ).read_bytes()
        code, _, said = run(capsys, "promote", "1", "--preview", "--config", config)
        assert code == 1 and "which app decided?" in said
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list", "--limit", str(10**30)), "Invalid value"), (("list", "--limit=-1"), "Must be >= 0"),
        (("history", "--limit", str(10**30)), "Invalid value"),
        (("show", "\udc80"), "there is no version"),
        (("delete", "1", "--yes", "--actor", "\udcff"), "printable characters"),
        (("delete", "1", "--yes", "--reason", "a\nb"), "printable characters"),
    ],
)  # fmt: skip
def test_numbers_and_names_that_no_store_holds_are_refused_in_a_sentence(
    capsys, kept: list[str], tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, _, said = run(capsys, *arguments, "--data", tmp_path / "data")
    assert code in (1, 2) and says in said


def test_a_bundle_is_imported_for_the_app_that_it_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, data = shipped_bundle(load_app("payments")), tmp_path / "data"
    code, _, said = run(capsys, "import", bundle, "--app", "access", "--data", data)
    assert code == 1 and "trained on other features" in said and not data.exists()
    own = tmp_path / "own.yaml"
    text = (files("homeostat.apps") / "payments" / "app.yaml").read_text("utf-8")
    own.write_text(text.replace("\napp: payments\n", "\napp: own\n"))
    code, _, said = run(capsys, "import", bundle, "--app", own, "--data", data)
    assert code == 1 and "was trained for the app payments, and not for own" in said and not data.exists()
    code, _, _ = run(capsys, "import", bundle, "--app", "payments", "--data", data, "--json")
    assert code == 0
    with closing(SqliteRegistry(data)) as registry:
        assert registry.get("1").lineage.fingerprint == fingerprint(load_app("payments"))
