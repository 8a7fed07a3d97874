"""The types of answers match the answers, the OpenAPI document, and what a type checker makes of a caller's program."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from homeostat import Decision, Problem, Receipt, UnusableEvent, load
from homeostat.engine.answer_types import Explained
from homeostat.engine.answers import answer, answers
from homeostat.serve.openapi import document

ROOT = Path(__file__).parents[2]
EVENT = {"entity_id": "123", "event_type": "login", "value": 1.0, "timestamp": "2026-01-30T12:00:00Z"}
PROGRAM = """
from homeostat import Decision, Problem, Receipt, load
from typing import assert_type

engine = load("access")
one = assert_type(engine.decide({"event_id": "1"}), Decision)
several = assert_type(engine.decide([{"event_id": "1"}]), list[Decision | Problem])
for answer in several:
    if "action" in answer:
        assert_type(answer["scores"], dict[str, float | None])
    else:
        assert_type(answer["fix"], str)
assert_type(engine.learn({"event_id": "1", "label": 1}), list[Receipt | Problem])
assert_type(engine.decision("1"), Decision | None)
for reason in one["reasons"]:
    if reason["kind"] == "scorer":
        assert_type(reason["contribution"], float)
"""


def misfits(value: object, kind: Any, where: str = "") -> list[str]:
    """The places where a value is not of a type: exactly, without keys that the type lacks."""
    if get_origin(kind) is NotRequired:
        return misfits(value, get_args(kind)[0], where)
    if get_origin(kind) in (Union, UnionType):
        tried = [misfits(value, one, where) for one in get_args(kind)]
        return [] if [] in tried else min(tried, key=len)
    if get_origin(kind) is Literal:
        return [] if value in get_args(kind) else [f"{where}: {value!r}"]
    if is_typeddict(kind):
        assert isinstance(value, dict)
        hints = get_type_hints(kind)
        wrong = [f"{where}.{name}" for name in (kind.__required_keys__ - value.keys()) | (value.keys() - hints.keys())]
        return wrong + [
            bad for name in value.keys() & hints for bad in misfits(value[name], hints[name], f"{where}.{name}")
        ]
    if get_origin(kind) is list:
        assert isinstance(value, list)
        return [bad for k, one in enumerate(value) for bad in misfits(one, get_args(kind)[0], f"{where}[{k}]")]
    if get_origin(kind) is dict:
        assert isinstance(value, dict)
        return [bad for name, one in value.items() for bad in misfits(one, get_args(kind)[1], f"{where}.{name}")]
    return [] if type(value) is (NoneType if kind is None else kind) else [f"{where}: {value!r} is no {kind.__name__}"]


def test_a_value_that_is_not_of_its_type_is_found() -> None:
    assert misfits({"event_id": "1", "accepted": True}, Receipt) == []
    assert misfits({"event_id": 1, "accepted": True, "more": 2}, Receipt) == [".more", ".event_id: 1 is no str"]
    assert misfits({"event_id": "1"}, Receipt) == [".accepted"]


def test_each_answer_is_of_its_type() -> None:
    with load("access") as engine:
        many = engine.decide([{"event_id": str(n), **EVENT, "value": float(n)} for n in range(60)])
        assert [misfits(one, Decision) for one in many] == [[]] * 60
        assert {reason["kind"] for one in many if "action" in one for reason in one["reasons"]} >= {"scorer"}
        again = engine.decide({"event_id": "2", **EVENT, "value": 7})
        assert misfits(again, Decision) == [] and again["duplicate"] and again["differs"]
        found = engine.decision("1", features=True, explain=True)
        assert found is not None and found["features"] and found["explanation"]["scorers"]
        assert misfits(found, Decision) == []
        assert [misfits(one, Problem) for one in engine.decide([{}, 7])] == [[], []]
        with pytest.raises(UnusableEvent) as unusable:
            engine.decide({})
        assert misfits(unusable.value.problem, Problem) == []
        taken, unknown = engine.learn([{"event_id": "1", "label": 1}, {"event_id": "no", "label": 1}])
        assert misfits(taken, Receipt) == [] and misfits(unknown, Problem) == []


def test_an_explanation_with_features_and_a_change_is_of_its_type() -> None:
    share = {"name": "amount", "value": 1.5, "contribution": 0.25}
    scorer = {"name": "trees", "score": None, "contribution": 0.0, "features": [share, {**share, "value": "login"}]}
    change = {"feature": "amount", "was": 1.5, "becomes": None, "action": "allow"}
    whole = {"by_version": "1", "same_version": True, "features": [share], "scorers": [scorer], "change": change}
    assert misfits(whole, Explained) == []
    assert misfits({**whole, "change": {**change, "was": 1j}}, Explained) != []


def test_decisions_by_a_rule_a_breaker_a_fallback_and_chance_are_of_their_type() -> None:
    with load("access") as engine:
        engine.decide({"event_id": "1", **EVENT})
        found = engine.find("1")
        assert found is not None
        made, row = found
        for rule, fallback, explored, hits in (
            (0, 0, False, 1),
            (-2, 0, False, 0),
            (-3, 1, False, 0),
            (-1, 0, True, 0),
        ):
            altered = replace(
                made,
                ruling=replace(made.ruling, rule=made.ruling.rule * 0 + rule, hits=made.ruling.hits * 0 + hits),
                proposal=replace(made.proposal, explored=made.proposal.explored | explored),
                fallback=made.fallback * 0 + fallback,
            )
            assert misfits(answer(altered, row), Decision) == []
            assert [misfits(one, Decision) for one in answers(altered)] == [[]] * len(altered)


def test_the_openapi_document_has_the_same_names() -> None:
    with load("access") as engine:
        schemas = document(engine.app, 0)["components"]["schemas"]
    for name, kind in (("Decision", Decision), ("Problem", Problem), ("Receipt", Receipt)):
        assert set(schemas[name]["properties"]) == set(get_type_hints(kind)), name
        assert set(schemas[name]["required"]) <= kind.__required_keys__, name
    assert set(schemas["Decision"]["required"]) == Decision.__required_keys__


@pytest.mark.long  # The type checker reads all of homeostat, quickly where `make check` has just done so.
def test_a_type_checker_knows_what_the_engine_answers(tmp_path: Path) -> None:
    for text, status in ((PROGRAM, 0), (PROGRAM.replace('answer["fix"], str', 'answer["fix"], int'), 1)):
        # Each text has a file of its own: mypy takes a file of the same second and size for the one that it knows.
        program = tmp_path / f"program_{status}.py"
        program.write_text(text)
        command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(program)]
        environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}  # An editable install is not read everywhere.
        checked = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert checked.returncode == status, checked.stdout + checked.stderr
