"""Stores of plans: the contract over each, looks that leave nothing, and files of others."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite import plans as embedded
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.postgres.plans import PostgresPlans
from homeostat.checks.plans import PLAN_CHECKS, response
from homeostat.errors import Unavailable
from homeostat.ports.plans import PlanBounds, PlansError

by_name = pytest.mark.parametrize("check", PLAN_CHECKS, ids=lambda check: check.__name__)


@by_name
def test_the_store_of_a_data_folder_keeps_the_contract(check, tmp_path: Path) -> None:
    check(lambda bounds=None: SqlitePlans(tmp_path, bounds=bounds or PlanBounds()))


@by_name
def test_the_store_in_postgres_keeps_the_contract(check, database: str) -> None:
    check(lambda bounds=None: PostgresPlans(database, bounds=bounds or PlanBounds()))


def test_looking_leaves_a_folder_as_it_is_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with closing(SqlitePlans(tmp_path)) as store:
        assert list(store.list()) == [] and list(tmp_path.iterdir()) == []
        store.write(response())
        assert stat.S_IMODE(os.stat(tmp_path / embedded.FILE).st_mode) == 0o600
    with pytest.raises(Unavailable, match="is closed"):
        store.list()


def test_the_plans_of_another_app_and_files_of_others_are_refused(tmp_path: Path) -> None:
    with closing(SqlitePlans(tmp_path, app="loans")) as store:
        store.write(response())
    with closing(SqlitePlans(tmp_path, app="shop")) as store, pytest.raises(PlansError, match="of the app loans"):
        store.list()
    with closing(sqlite3.connect(tmp_path / embedded.FILE)) as db:
        db.execute("UPDATE responses SET text = '[1]'")
        db.commit()
    with closing(SqlitePlans(tmp_path)) as store, pytest.raises(PlansError, match="is damaged or of a newer version"):
        store.list()
    (tmp_path / embedded.FILE).write_bytes(b"plans" * 999)
    with closing(SqlitePlans(tmp_path)) as store, pytest.raises(PlansError, match="does not hold plans"):
        store.list()
