"""The language's refusals, the places where it finds the fault, and how a filter is split."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.expressions import (
    FUNCTIONS,
    ExpressionError,
    LabelCondition,
    Scope,
    Type,
    compile_expression,
    split_conjunction,
)

SCOPE = Scope.of(
    [("amount", Type.NUMBER), ("count_1d", Type.NUMBER), ("foreign", Type.BOOLEAN), ("channel", Type.CATEGORY)],
    ["customer", "terminal"],
    {"blocked": (0, "customer"), "risky": (1, "channel")},
)


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, SCOPE)
    assert 0 <= caught.value.offset <= len(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "offset", "nearest"),
    [
        ("amuont > 3", 0, "amount"),
        ("amount > 3 and forein", 15, "foreign"),
        ("mxa(amount, 3)", 0, "max"),
        ("customer in blokced", 12, "blocked"),
        ("amount >\n  cuont_1d", 11, "count_1d"),
        ("channel == 'é' and amuont > 3", 19, "amount"),
        ("  amuont", 2, "amount"),
        ("true", 0, "True"),
    ],
)
def test_a_misspelt_name_is_shown_with_its_place_and_what_was_meant(text, offset, nearest):
    error = refused(text)
    assert (error.offset, error.nearest) == (offset, nearest)


@pytest.mark.parametrize(
    "text",
    [
        "amount and foreign", "not amount", "1 if amount else 2", "amount + channel", "-channel", "amount == 'a'",
        "channel == 3", "channel < 'a'", "customer < 3", "customer == 1.5", "customer == True", "customer + 1",
        "customer", "time", "time > 3", "hour(amount)", "hour(3)", "max(amount)", "clip(amount, 1)", "log(amount, 2)",
        "amount if foreign else 'x'", "default(amount, channel)", "default(customer, 3)", "missing('a')",
        "missing(time)", "amount in blocked", "terminal in blocked", "channel in blocked", "blocked", "max",
        "amount in (1, count_1d)", "channel in ('a', 3)", "amount in ('a',)", "amount in 3", "amount in ()",
        "channel in 'abc'", "'a' in ('a',)", "'a'", "'a' == 'a'", "1 < amount in (1, 2)", "amount is 3",
        "abs(x=amount)", "max(*amount)",
        "amount in (True,) + (1,)",
        "customer in (1.5,)", "0 < channel < 3", "-'a'", "'a' + 'b'", "customer in (-'a',)",
    ],
)  # fmt: skip
def test_wrong_types_are_refused(text):
    refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "amount.__class__", "().__class__.__bases__", "__import__('os')", "eval('1')", "lambda: 1", "(lambda: 1)()",
        "(x := 3)", "[x for x in amount]", "{amount: 1}", "amount[0]", "f'{amount}'", "await amount", "yield",
        "*amount", "...", "None", "b'a'", "3j", "amount; amount", "import os", "amount = 3", "amount) + (amount",
        "", " ", "\n", "\0", "amount # comment", "1 +\n# hidden\n1", "~amount", "amount | 1", "amount @ 2",
        "amount << 2",
        "1e999", "9" * 400, "9" * 1999, "(" * 10_000 + ")" * 10_000, "(" * 999 + "1" + ")" * 999, "-" * 1999 + "1",
        "not " * 499 + "foreign", "2" + "**9" * 600, "2**" * 600 + "2", "abs(" * 150 + "1" + ")" * 150,
        "1 if foreign else " * 100 + "2", "amount" * 1000, "аmount > 1", "𝐚mount > 1", "ｍax(1, 2)",
        "amount > 1 \\\n + 1", "'" * 1001, "\ud800", "'\ud800' == amount", "amount \u202e> 1",
    ],
)  # fmt: skip
def test_hostile_text_is_an_error_and_nothing_else(text):
    refused(text)


def test_hostile_text_does_not_overflow_the_small_stack_of_a_thread():
    found = []

    def attack() -> None:
        for text in ("-" * 1999 + "1", "not " * 499 + "foreign", "2**" * 600 + "2", "[" * 1999, "(" * 1999,
        "{" * 1999,
                     "lambda:" * 285 + "1", "amount" + "+1" * 990, "amount" + " if 1 else 2" * 100):  # fmt: skip
            try:
                compile_expression(text, SCOPE)
            except ExpressionError:
                pass
            found.append(text)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=attack)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert len(found) == 9


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.text(st.sampled_from("amount()+-*/<>=!'\" 019.,[]{}:#\\\n"), max_size=60))
def test_any_text_compiles_or_is_refused(text):
    try:
        offset = compile_expression(text, SCOPE).column
    except ExpressionError as error:
        offset = error.offset
    assert -1 <= offset <= len(text)


def test_long_sums_are_not_nested_deep():
    assert compile_expression(" + ".join(["amount"] * 200), SCOPE).type == Type.NUMBER
    assert compile_expression(" and ".join(["foreign"] * 150), SCOPE).type == Type.BOOLEAN


def test_chains_inside_chains_grow_with_the_text_only():
    text = "0 < 1 < 2"
    while len(text) < 400:
        text = f"0 < (1 if {text} else 0) < 2"
    assert len(compile_expression(text, SCOPE).code) < len(text)


def test_too_many_pending_values_are_refused():
    assert "pending" in refused("1 if foreign else " * 40 + "2").message


def test_constants_are_folded():
    assert len(compile_expression("amount > 2 * 24 * 3600 - -1", SCOPE).code) == 3


def test_a_program_tells_what_it_reads():
    program = compile_expression("customer in blocked and (amount > 3 or hour(time) < 6)", SCOPE)
    assert program.names == {"customer", "amount", "time"}
    assert program.lists == {"blocked"}
    assert compile_expression("amount", SCOPE).column == 0
    assert compile_expression("amount + 0", SCOPE).column == -1
    assert compile_expression("hour(time)", SCOPE).column == -1


def test_types_follow_from_the_parts():
    for text, kind in [
        ("amount", Type.NUMBER), ("foreign", Type.BOOLEAN), ("channel", Type.CATEGORY), ("foreign + 1", Type.NUMBER),
        ("channel if foreign else 'a'", Type.CATEGORY), ("'a' if foreign else 'b'", Type.CATEGORY),
        ("default(channel, 'none') == 'none'", Type.BOOLEAN), ("foreign if foreign else 1", Type.NUMBER),
        ("0 < amount <= 5 != count_1d", Type.BOOLEAN), ("customer != terminal", Type.BOOLEAN),
        ("3 == amount", Type.BOOLEAN), ("'a' == channel", Type.BOOLEAN), ("'17' == customer", Type.BOOLEAN),
        ("customer in (1, 'x', -3)", Type.BOOLEAN),
    ]:  # fmt: skip
        assert compile_expression(text, SCOPE).type == kind, text


@pytest.mark.parametrize(
    ("text", "condition", "rest"),
    [
        ("fraud == 1 and amount <= 220", LabelCondition.POSITIVE, "amount <= 220"),
        ("amount <= 220 and fraud == 0", LabelCondition.NEGATIVE, "amount <= 220"),
        ("not missing(fraud)", LabelCondition.KNOWN, None),
        ("not missing(fraud) and fraud == 1", LabelCondition.POSITIVE, None),
        ("fraud == 1 and not missing(fraud)", LabelCondition.POSITIVE, None),
        ("amount > 1 or foreign", LabelCondition.ANY, "amount > 1 or foreign"),
        ("(amount > 1 or foreign) and fraud == 1", LabelCondition.POSITIVE, "amount > 1 or foreign"),
        (
            "(amount > 1 or foreign) and (foreign and fraud == 1)",
            LabelCondition.POSITIVE,
            "(amount > 1 or foreign) and foreign",
        ),
    ],
)
def test_a_filter_is_split_into_label_and_event(text, condition, rest):
    assert split_conjunction(text, "fraud") == (condition, rest)


@pytest.mark.parametrize(
    "text",
    ["fraud", "not fraud", "fraud == 2", "fraud > 0", "fraud == 1 or amount > 3", "not (fraud == 1)",
        "missing(fraud)",
     "fraud == amount", "1 if fraud == 1 else 0", "fraud == 1 and fraud == 0", "fraud == True", "abs(fraud) == 1"],
)  # fmt: skip
def test_the_label_is_asked_about_in_three_ways_only(text):
    with pytest.raises(ExpressionError):
        split_conjunction(text, "fraud")


def test_every_function_and_every_example_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text(encoding="utf-8")
    for name in FUNCTIONS:
        assert f"`{name}(" in page, name
    columns = ["amount", "customer_mean_amount_30d", "seconds_since_last", "ratio", "risk"]
    scope = Scope.of(
        [*((name, Type.NUMBER) for name in columns), ("country", Type.CATEGORY)],
        ["customer"],
        {"blocked_customers": (0, "customer")},
    )
    example = yaml.safe_load(page.split("```yaml")[1].split("```")[0])
    texts = [*example["features"]["derived"].values(), *example["costs"]["allow"].values()]
    texts += [rule["when"] for rule in example["scorers"]["rules"]["rules"] + example["guards"]["rules"]]
    for text in texts:
        compile_expression(text, scope)
