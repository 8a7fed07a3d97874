"""Plans follow from an app file alone."""

from __future__ import annotations

import warnings

from homeostat.config.load import parse_app
from homeostat.config.plans import category_literals

APP = """homeostat: 1
app: trial
events:
  entities: {customer: {}}
  fields: {amount: {type: number}, land: {type: category}}
features: {derived: {odd: "land == 'AB'"}}
scorers: {size: {kind: rules, rules: [{name: large, when: amount > 50, score: 0.8}]}}
fusion: {kind: weighted}
actions: [allow, block]
guards:
  rules:
    - name: far
      when: |
        amount > 1
        and land == 'XY'
      action: block
  fallback: {scorers_absent: allow}
"""


def test_texts_of_categories_are_found_in_expressions_of_several_lines() -> None:
    """A YAML block keeps its line breaks, which an expression reads as blanks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert category_literals(parse_app(APP)) == {"AB", "XY"}
