"""The reference, the JSON Schema and the tree say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeostat.config.reference import BEGIN, END, reference
from homeostat.config.schema import json_schema
from homeostat.config.starter import starter

PAGE = (Path(__file__).parents[2] / "docs" / "app-file.md").read_text()


def test_the_page_holds_the_reference_as_the_tree_makes_it() -> None:
    made = PAGE[PAGE.index(BEGIN) + len(BEGIN) : PAGE.index(END)].strip()
    assert made == reference(), "put what `python -m homeostat.config.reference` prints into the page"


def test_every_key_is_documented_and_described() -> None:
    schema = json_schema()
    for name, definition in [("App", schema), *schema["$defs"].items()]:
        assert definition["description"], name
        for key, part in definition["properties"].items():
            assert part.get("description"), f"{name}.{key} has no description"
            assert f"| `{key}` |" in PAGE


def test_durations_are_text_with_a_pattern_everywhere() -> None:
    def defaults(part: Any) -> list[Any]:
        if isinstance(part, list):
            return [found for value in part for found in defaults(value)]
        if not isinstance(part, dict):
            return [part] if isinstance(part, int) and not isinstance(part, bool) else []
        bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
        return [found for key, value in part.items() if key not in bounds for found in defaults(value)]

    schema = json_schema()
    assert all(number < 10**6 for number in defaults(schema)), "a duration is shown in nanoseconds"
    pattern = schema["$defs"]["Events"]["properties"]["lateness"]["pattern"]
    assert re.fullmatch(pattern, "1.5h") and not re.fullmatch(pattern, "1 hour")


def test_the_schema_is_valid_and_accepts_the_starter() -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.validator_for(schema)
    found = yaml.safe_load(starter())
    validator.validate(found)
    assert not validator.is_valid({**found, "evnts": {}})
    assert not validator.is_valid({**found, "deadline": "50 milliseconds"})


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ("scorers: {x: {kind: network, settings: {hidden: [8]}}}", True),
        ("scorers: {x: {kind: network, settings: {foo: 1}}}", False),
        ("scorers: {x: {kind: boosted_trees, settings: {trees: 0}}}", False),
        ("scorers: {x: {kind: of_a_plug_in, settings: {foo: 1}}}", True),
        ("policy: {kind: bandit, settings: {maturity: 14d, memory: 1000}}", True),
        ("policy: {kind: bandit, settings: {maturity: 5}}", False),
        ("policy: {settings: {cuts: [0.5, 0.9]}}", True),
        ("policy: {settings: {memory: 5}}", False),
    ],
)
def test_an_editor_knows_the_settings_of_each_kind(settings: str, fits: bool) -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    validator = jsonschema_rs.validator_for(json_schema())
    assert validator.is_valid({**yaml.safe_load(starter()), **yaml.safe_load(settings)}) is fits
