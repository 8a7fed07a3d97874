"""Reports as tables, for people."""

from io import StringIO

import pytest

from homeostat.cli.tables import training_table


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
