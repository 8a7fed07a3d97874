"""Remedies of other packages: sound ones are offered, others are not, and none gets more say than ours."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from homeostat.app.remedy_plugins import GROUP, plugin_remedies
from homeostat.decide.scorers.plugins import PluginError
from homeostat.maintain.plan.further import fault
from homeostat.maintain.plan.remedies import Means, Offer, offers
from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Finding
from homeostat.records.plans import Alteration, Remedy

MASK = Alteration(ChangeKind.REPAIR, "field:amount", {"op": "mask"})
SOUND = Offer(Remedy.MASK, "field:amount", (MASK,), order=0, protects=True, reversible=False, why="lost its cents")
FOUND = Finding("field:amount", "rounding", 0.9, 0)


class Offering:
    kinds = frozenset({"rounding", "unit"})

    def __init__(self, *made: Any) -> None:
        self.made = made

    def offers(self, finding: Finding, means: Means) -> Any:
        for one in self.made:
            if isinstance(one, Exception):
                raise one
            yield one


def offered(*made: Any, finding: Finding = FOUND) -> list[Offer]:
    return offers(finding, Means(("allow", "block"), further=(Offering(*made),)))


def test_a_sound_offer_comes_after_ours_is_rehearsed_and_before_a_person() -> None:
    found = offered(SOUND)
    assert [one.remedy for one in found] == [Remedy.MASK, Remedy.ESCALATE]
    assert not found[0].protects and found[0].reversible and found[0].order == 5
    unit = replace(FOUND, kind="unit", about={"factor": 0.01})
    assert offered(SOUND, finding=unit)[0].remedy == Remedy.CONVERT
    assert offered(SOUND, finding=replace(FOUND, kind="flood")) == offers(replace(FOUND, kind="flood"), Means(()))


@pytest.mark.parametrize(
    "offer",
    [
        replace(SOUND, alterations=()),
        replace(SOUND, job=("train", {})),
        replace(SOUND, remedy=Remedy.ESCALATE),
        replace(SOUND, remedy=Remedy.RETRAIN),
        replace(SOUND, remedy="delete"),
        replace(SOUND, alterations=("no alteration",)),
        replace(SOUND, why=""),
    ],
    ids=lambda one: str(fault(one)),
)
def test_an_unsound_offer_is_none(offer: Offer) -> None:
    assert fault(offer) and [one.remedy for one in offered(offer)] == [Remedy.ESCALATE]


@pytest.mark.parametrize("made", [(RuntimeError("broken"),), (SOUND, RuntimeError("broken")), (None,)], ids=str)
def test_one_that_breaks_offers_nothing(made: tuple[Any, ...]) -> None:
    assert [one.remedy for one in offered(*made)] == [Remedy.ESCALATE]


def test_so_many_are_taken_and_no_more() -> None:
    assert len(offered(*[SOUND] * 100)) == 9


def test_an_entry_point_that_makes_something_else_is_named() -> None:
    assert plugin_remedies([]) == ()
    with pytest.raises(PluginError, match="'odd'"):
        plugin_remedies([EntryPoint("odd", "builtins:dict", GROUP)])
    with pytest.raises(PluginError, match="'gone'"):
        plugin_remedies([EntryPoint("gone", "no_such_package:Remedies", GROUP)])
