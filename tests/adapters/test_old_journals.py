"""Journals of version 0.1.0, whose texts were coded without a secret, are named by one from when they are opened."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.engine.assembly import prepare
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import is_hashed, text_of
from homeostat.records.legacy import is_old

SAMPLES = Path(__file__).parent.parent / "samples" / "format1"
APPS = {"shop": str(SAMPLES / "shop.yaml"), "access": "access", "replay": str(SAMPLES / "shop.yaml")}


@pytest.fixture(params=sorted(APPS))
def old(request, tmp_path):
    """The folder with an old journal, and the app that decided."""
    with tarfile.open(SAMPLES / f"{request.param}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (journal,) = tmp_path.rglob("journal.db")
    return journal, prepare(APPS[request.param])


def bodies_of(journal):
    return [entry.body for entry in journal.read()]


@pytest.mark.parametrize("readonly", [False, True])
def test_every_decision_is_found_by_its_text_and_named_by_the_folder_s_secret(old, readonly):
    path, prepared = old
    for _ in range(2):
        with SqliteJournal(path, app=prepared.app.app, words=prepared.words, readonly=readonly) as journal:
            now, texts = prepared.keyed(journal.coding), set()
            for body in bodies_of(journal):
                if not isinstance(body, DecisionBatch):
                    continue
                events = body.events
                for row in range(len(events)):
                    text = events.id_text(row)
                    assert journal.coding.identify(text) == events.ids.at(row)
                    found = journal.find_text(text)
                    assert found is not None and found[0].events.id_text(found[1]) == text
                    texts.add(text)
                keys, checks = events.keys.copy(), events.key_checks.copy()
                for column, entity in enumerate(now.schema.entities):
                    if entity.of is not None:
                        keys[:, column] = checks[:, column] = 0
                        now.coding.fill_pair(keys, checks, entity.of, column)
                        continue
                    for key, check in zip(keys[:, column].tolist(), checks[:, column].tolist(), strict=True):
                        assert (
                            not is_hashed(key) or journal.coding.identify(text_of(key, check, events.texts))[1] == check
                        )
                assert np.array_equal(keys, events.keys) and np.array_equal(checks, events.key_checks)
            assert len(texts) == len(journal) > 10


def test_outcomes_name_their_events_and_these_are_found_where_they_do_not_say_of_whom_they_were(old):
    path, prepared = old
    with SqliteJournal(path, app=prepared.app.app, words=prepared.words) as journal:
        outcomes = [body for body in bodies_of(journal) if isinstance(body, OutcomeBatch)]
        assert outcomes
        for body in outcomes:
            for found, k in zip(journal.find_all(body.ids), range(len(body)), strict=True):
                if found is None:  # A replay kept no texts beside some, only hashes that nothing is found by any more.
                    assert body.scheduled and is_old(body.id_code[k], body.id_check[k])
                elif body.keys is not None and body.key_checks is not None:
                    batch, row = found
                    assert body.keys[k].tolist() == batch.events.keys[row].tolist()
                    assert body.key_checks[k].tolist() == batch.events.key_checks[row].tolist()


def test_the_bytes_of_old_entries_stay_and_their_secret_is_drawn_once(old):
    path, prepared = old
    with SqliteJournal(path, readonly=True) as journal:
        facts = [(fact.sequence, fact.digest, fact.rows) for fact in journal.facts()]
    secrets = set()
    for _ in range(2):
        with SqliteJournal(path, app=prepared.app.app, words=prepared.words) as journal:
            secrets.add(journal.coding.secret)
            assert [(fact.sequence, fact.digest, fact.rows) for fact in journal.facts()] == facts
    assert len(secrets) == 1
    assert json.dumps([secret.hex() for secret in secrets]) not in repr(journal)
