"""On servers too, texts whose codes are alike are not taken for each other."""

from __future__ import annotations

import pytest
from tests.support.identities import app_file, lived, one_code_for_all

from homeostat import load
from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.config.servers import Servers
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.serving import engine_of


@pytest.fixture
def expected(tmp_path):
    return lived(lambda: load(app_file(tmp_path), data=tmp_path / "strong"))


@pytest.mark.long
def test_texts_of_one_code_are_distinguished_by_twins_of_the_servers(tmp_path, monkeypatch, expected):
    one_code_for_all(monkeypatch)
    servers, store, ledger = Servers(spool=str(tmp_path / "spool")), MemoryFeatures(), Ledger()

    def opened():
        journal, features = MemoryJournal(ledger), MemoryFeatures(beside=store)
        return engine_of(
            open_shared(app_file(tmp_path), servers, judges_lateness=True, journal=journal, store=features)
        )

    assert lived(opened) == expected


def test_texts_of_one_code_are_distinguished_on_redis_and_postgresql(servers, tmp_path, monkeypatch, expected):
    one_code_for_all(monkeypatch)
    assert lived(lambda: engine_of(open_shared(app_file(tmp_path), servers, judges_lateness=True))) == expected


def test_processes_of_one_database_share_its_secret_and_each_database_has_its_own(servers, tmp_path):
    secrets = []
    for _ in range(2):
        with engine_of(open_shared("access", servers)) as engine:
            secrets.append(engine.duties.shared.journal.coding.secret)
            assert engine.duties.shared.prepared.coding.secret == secrets[-1] == engine.parts.schema.coding.secret
    assert secrets[0] == secrets[1] and len(secrets[0]) == 32
