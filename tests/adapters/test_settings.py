"""Settings in memory, in SQLite and in PostgreSQL: one suite for all, and what only one of them can do wrong."""

from __future__ import annotations

import pytest

from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.checks.settings import SETTINGS_CHECKS

by_name = pytest.mark.parametrize("check", SETTINGS_CHECKS, ids=lambda check: check.__name__)


@by_name
def test_settings_in_memory_conform(check):
    settings = MemorySettings()
    check(lambda: settings)


@by_name
def test_settings_in_a_folder_conform(check, tmp_path):
    check(lambda: SqliteSettings(tmp_path, app="shop"))


@by_name
def test_settings_in_postgresql_conform(check, database):
    check(lambda: PostgresSettings(database, app="shop"))
