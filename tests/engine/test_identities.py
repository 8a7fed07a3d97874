"""Texts whose hashes are alike are not taken for each other, and nobody chooses the fate of an event by its id."""

from __future__ import annotations

import pytest
from tests.support.identities import START, app_file, lived, one_code_for_all, one_hash_for_all

from homeostat import load
from homeostat.engine import assembly

EVENT = {"event_id": "a", "time": START, "customer": 1, "terminal": 2, "amount": 1, "channel": "web"}


@pytest.fixture
def expected(tmp_path):
    return lived(lambda: load(app_file(tmp_path), data=tmp_path / "strong"))


def test_texts_of_one_code_are_distinguished_in_memory_and_in_a_folder(tmp_path, monkeypatch, expected):
    app = app_file(tmp_path)
    one_code_for_all(monkeypatch)
    assert lived(lambda: load(app, data=tmp_path / "weak")) == expected


def test_a_folder_that_was_killed_recovers_texts_of_one_code(tmp_path, monkeypatch, expected):
    app, saves = app_file(tmp_path), []
    one_code_for_all(monkeypatch)
    monkeypatch.setattr("homeostat.adapters.disk.snapshots.FileSnapshots.save", lambda *state: saves.append(state))
    assert lived(lambda: load(app, data=tmp_path / "weak")) == expected and saves


def test_an_id_of_the_same_hash_as_another_is_refused_and_never_answered_with_its_decision(tmp_path, monkeypatch):
    app = app_file(tmp_path)
    one_hash_for_all(monkeypatch)
    for _ in range(2):
        with load(app, data=tmp_path / "weak") as engine:
            first = engine.decide(EVENT)
            assert first["event_id"] == "a"
            (other,) = engine.decide([{**EVENT, "event_id": "b", "amount": 1e6}])
            assert other["status"] == 422 and other["errors"][0]["reason"] == "ambiguous"
            together = engine.decide([EVENT, {**EVENT, "event_id": "c"}, {**EVENT, "event_id": 5}])
            assert together[0]["duplicate"] and together[1]["status"] == 422 and together[2]["event_id"] == "5"
            assert engine.find("b") is None and engine.find("a") is not None


@pytest.mark.long
def test_a_folder_draws_its_secret_once_and_tells_nobody(tmp_path):
    app = app_file(tmp_path)
    secrets = set()
    for folder in ("one", "one", "other"):
        with load(app, data=tmp_path / folder) as engine:
            secrets.add(engine.parts.journal.coding.secret)
            engine.decide({**EVENT, "event_id": f"{folder}-{len(secrets)}"})
    assert len(secrets) == 2
    for path in tmp_path.rglob("*"):
        if path.is_file() and "journal.db" not in path.name:
            assert not any(secret.hex() in path.read_bytes().decode("latin-1") for secret in secrets), path


def test_without_a_folder_the_secret_follows_from_the_seed(tmp_path):
    prepared = assembly.prepare(app_file(tmp_path))
    with load(app_file(tmp_path)) as one, load(app_file(tmp_path)) as other:
        assert one.parts.journal.coding.secret == other.parts.journal.coding.secret == prepared.coding.secret
