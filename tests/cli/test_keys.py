"""`homeostat keys` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    code = 0
    try:
        main(["keys", *(str(argument) for argument in arguments)])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_key_is_made_listed_and_revoked(capsys, tmp_path: Path) -> None:
    code, printed, said = run(
        capsys, "create", "till 7", "--scopes", "decide", "--expires", "90d", "--rate", "100", "--data", tmp_path
    )
    secret = printed.strip()
    assert code == 0 and printed.count("\n") == 1 and "only time" in said and secret not in said
    key = FileApiKeys(tmp_path).all()[0]
    assert key.expires_ns is not None and (key.expires_ns - key.created_ns) // 10**9 in (7_775_999, 7_776_000)
    assert key.name == "till 7" and key.scopes == ("decide",) and key.rate == 100
    code, printed, said = run(capsys, "list", "--data", tmp_path)
    assert code == 0 and said == "" and key.id in printed and "live" in printed
    assert secret.rsplit("_", 1)[1] not in printed
    assert run(capsys, "revoke", key.id, "--data", tmp_path) == (0, f"revoked {key.id}\n", "")
    code, printed, _ = run(capsys, "list", "--data", tmp_path, "--json")
    assert [(item["id"], item["state"]) for item in json.loads(printed)] == [(key.id, "revoked")]


def test_a_whole_secret_revokes_its_key_and_is_not_repeated(capsys, tmp_path: Path) -> None:
    made = json.loads(run(capsys, "create", "x", "--data", tmp_path, "--json")[1])
    assert made["scopes"] == ["decide", "read"]
    code, printed, said = run(capsys, "revoke", made["secret"], "--data", tmp_path)
    assert code == 0 and made["secret"] not in printed + said
    assert FileApiKeys(tmp_path).all()[0].revoked_ns is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "x", "--scopes", "write"], "there is no scope 'write'"),
        (["create", "x", "--scopes", ","], "needs a scope"),
        (["create", "", "--scopes", "read"], "name has 1 to"),
        (["create", "x", "--rate", "0"], "positive number"),
        (["create", "x", "--expires", "soon"], "is not a duration"),
        (["revoke", "0123456789ab"], "no such key"),
        (["list", "--config", "servers.yaml"], "Give one of them"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence(capsys, tmp_path: Path, arguments, says) -> None:
    code, printed, said = run(capsys, *arguments, "--data", tmp_path)
    assert code == 1 and printed == "" and says in said and said.count("\n") == 1


def test_where_keys_are_kept_has_to_be_said(capsys, monkeypatch) -> None:
    monkeypatch.delenv("HOMEOSTAT_SERVERS__JOURNAL", raising=False)
    code, _, said = run(capsys, "list")
    assert code == 1 and "--data" in said and "servers.journal" in said


def test_the_environment_names_the_postgresql_and_its_password_is_not_said(capsys, monkeypatch) -> None:
    monkeypatch.setenv("HOMEOSTAT_SERVERS__JOURNAL", "postgresql://someone:hunter2@127.0.0.1:1/nothing")
    code, printed, said = run(capsys, "list")
    assert code == 1 and said.startswith("homeostat: the keys in PostgreSQL") and "hunter2" not in printed + said
