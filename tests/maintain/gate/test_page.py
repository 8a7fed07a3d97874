"""The page for reviewers has every rule, in the order in which the rules speak, with the function that it is in."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from tests.maintain.gate.test_table import TABLE, business
from tests.support.made_plans import FINDINGS, NOW, PLAN

from homeostat.maintain.gate import rules
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.plans import Tier

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "gate.md").read_text("utf-8")
_ROW = re.compile(r"^\| (`[^|]+`) \| `(\w+)` \|", re.MULTILINE)


def listed() -> list[tuple[str, str]]:
    """Rule and function of each row of the table; rules that share a row are several."""
    found = []
    for names, code in _ROW.findall(PAGE):
        found += [(name, code) for name in re.findall("`([^`]+)`", names)]
    return found


def test_each_rule_stands_on_the_page_with_its_function_in_the_order_in_which_it_speaks() -> None:
    ruling = LimitsGate(business("hour > 25")).rule(PLAN, FINDINGS, (), NOW)
    spoken = [one.rule.replace("rule:desk", "rule:NAME") for one in ruling.rules]
    assert [name for name, _ in listed()] == list(dict.fromkeys(spoken))
    functions = [rule.__name__ for rule in rules.RULES]
    assert list(dict.fromkeys(code for _, code in listed())) == functions
    assert all(inspect.getsourcefile(rule) == inspect.getsourcefile(rules) for rule in rules.RULES)


def test_each_rule_of_the_page_has_a_line_of_the_decision_table_that_it_forbids_alone_and_others_agree() -> None:
    forbidden = {row.rule.replace("rule:desk", "rule:NAME") for row in TABLE if row.tier != Tier.EXECUTE}
    assert {name for name, _ in listed()} == forbidden - {""}


def test_every_test_that_the_page_names_is_there() -> None:
    folder = Path(__file__).parent
    named = re.findall(r"`((?:\.\./)*(?:\w+/)*test_\w+\.py)`", PAGE.partition("## How it was tried")[2])
    assert len(named) > 8
    assert [name for name in named if not (folder / name).is_file()] == []
