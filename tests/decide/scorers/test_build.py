"""A part that was damaged is refused in a sentence, before anything is made of it."""

from __future__ import annotations

import pytest

from homeostat.decide.scorers.build import check_categories
from homeostat.records.parts import Part, PartError
from homeostat.stats.categories import SETTING


@pytest.mark.parametrize("damaged", [7, 0.5, True, "country", [["country"]], [None], {"country": 1}, {}])
def test_categories_that_are_no_mapping_by_name_are_refused(damaged: object) -> None:
    part = Part("forest", ("country",), {}, {}, {SETTING: {"version": 1, "features": damaged}})
    with pytest.raises(PartError, match=r"categor|country"):
        check_categories("odd", part, frozenset({"country"}))


@pytest.mark.parametrize("damaged", [3, "text", ["country"], None])
def test_settings_of_categories_that_are_no_mapping_are_refused(damaged: object) -> None:
    with pytest.raises(PartError, match="categor"):
        check_categories("odd", Part("forest", ("country",), {}, {}, {SETTING: damaged}), frozenset())


def test_a_part_without_categories_has_none() -> None:
    check_categories("odd", Part("forest", ("amount",), {}, {}, {}), frozenset())
