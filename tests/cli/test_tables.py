"""Reports as tables, for people."""

from io import StringIO

import pytest

from homeostat.cli.tables import jobs_table, profile_table, training_table
from homeostat.jobs.profiles import Profile, Role
from homeostat.records.job import Job


def report(**more):
    return {
        "bundle": "b", "version": "v1", "rows": 900, "positives": 9, "from": "2026-01-01", "until": "2026-02-01",
        "repeated": 0, "out_of_fold": {}, "fused": None, "warnings": [],
        "left_out": {"age": "14d", "too_young": 0, "positives_too_young": 0, "without_outcome": 0, "censored": 0},
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"repeated": 1200}, "1,200 events were given more than once"),
        ({"left_out": report()["left_out"] | {"censored": 31}}, "31 whose outcome could not be seen"),
        ({"warnings": ["the share doubled"]}, "warning: the share doubled"),
    ],
)
def test_the_table_of_a_training_says_what_is_unusual_and_else_nothing(more, line):
    usual, unusual = StringIO(), StringIO()
    training_table(report(), usual)
    training_table(report(**more), unusual)
    assert line not in usual.getvalue() and line in unusual.getvalue()


def test_a_column_is_shown_by_two_different_values():
    out = StringIO()
    profile_table([Profile("customer", Role.ENTITY, 9, 2, 0, (40, 40, 40, 7, 8))], out)
    assert "40, 7" in out.getvalue() and "40, 40" not in out.getvalue()


@pytest.mark.parametrize(("error", "shown"), [("x" * 80, "x" * 80), ("x" * 81, "x" * 79 + "…")])
def test_a_cut_in_what_a_job_is_about_is_seen(error, shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    out = StringIO()
    jobs_table([Job("train", (), error=error)], out)
    assert shown in out.getvalue() and out.getvalue().count("x") == shown.count("x")
