"""Every scheme of an address leads to an adapter, and a fault of one is reported in a sentence."""

from __future__ import annotations

import sys
from dataclasses import replace
from inspect import signature
from typing import Any

import pytest

from homeostat.adapters import opening
from homeostat.config import backends
from homeostat.config.faults import AppFileError
from homeostat.config.servers import read_servers
from homeostat.errors import MissingExtra

OPENERS = {
    "JOURNALS": (opening.journal_opener, opening.JournalOpener), "KEYS": (opening.keys_opener, opening.KeysOpener),
    "SETTINGS": (opening.settings_opener, opening.SettingsOpener), "JOBS": (opening.jobs_opener, opening.JobsOpener),
    "MODELS": (opening.registry_opener, opening.RegistryOpener),
    "LEARNING": (opening.learning_opener, opening.LearningOpener),
    "STATEMENTS": (opening.statements_opener, opening.StatementsOpener),
    "SHADOWS": (opening.shadow_opener, opening.ShadowOpener),
    "INCIDENTS": (opening.incidents_opener, opening.IncidentsOpener),
    "MEMORIES": (opening.memory_opener, opening.MemoryOpener),
    "DECISION_LISTS": (opening.decision_lists_opener, opening.DecisionListsOpener),
    "PLANS": (opening.plans_opener, opening.PlansOpener),
    "FEATURES": (opening.store_opener, opening.StoreOpener), "STREAMS": (opening.stream_opener, opening.StreamOpener),
}  # fmt: skip
SCHEMES = [(table, scheme) for table in OPENERS for scheme in getattr(backends, table)]


def test_every_table_of_backends_has_an_opener() -> None:
    assert {name for name, value in vars(backends).items() if name.isupper() and isinstance(value, dict)} == set(
        OPENERS
    )


@pytest.mark.parametrize(("table", "scheme"), SCHEMES)
def test_every_scheme_leads_to_an_adapter_that_takes_what_the_opener_is_given(table: str, scheme: str) -> None:
    found, protocol = OPENERS[table]
    given = signature(protocol.__call__).parameters.values()
    taken = signature(found(f"{scheme}://127.0.0.1/x")).parameters
    assert {one.name for one in given if one.kind is one.KEYWORD_ONLY} <= set(taken)
    positional = [one for one in given if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]
    assert len(positional) <= len(taken)


def test_every_scheme_of_a_stream_leads_to_what_creates_it() -> None:
    for scheme in backends.STREAMS:
        assert callable(opening.stream_creator(f"{scheme}://127.0.0.1/x"))


@pytest.mark.parametrize("table", OPENERS)
def test_an_unknown_scheme_is_refused_with_those_that_there_are(table: str) -> None:
    with pytest.raises(ValueError, match="begins with " + next(iter(getattr(backends, table)))):
        OPENERS[table][0]("mysql://127.0.0.1/x")


@pytest.mark.parametrize("key", ["journal", "features", "events", "outcomes", "decisions", "dead_letters"])
def test_a_file_that_names_an_unknown_scheme_is_refused_by_the_same_table(key: str) -> None:
    with pytest.raises(AppFileError, match="begins with"):
        read_servers(None, {f"HOMEOSTAT_SERVERS__{key.upper()}": "mysql://127.0.0.1/x"})


def test_a_package_that_is_missing_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    away: Any = replace(backends.STREAMS["kafka"], opener="homeostat_nowhere:x")
    monkeypatch.setitem(backends.STREAMS, "kafka", away)
    assert "homeostat_nowhere" not in sys.modules
    with pytest.raises(
        MissingExtra, match=r"a stream on Kafka needs homeostat_nowhere: pip install 'homeostat\[kafka\]'"
    ):
        opening.stream_opener("kafka://127.0.0.1/x")
