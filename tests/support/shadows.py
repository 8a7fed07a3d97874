"""Challengers' processes in tests: see `challengers/sitecustomize.py`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# An app whose risk is 0.8 for amounts above 50, and 0.02 for others.
APP = """
homeostat: 1
app: trial
events:
  entities: {customer: {}}
  fields: {amount: {type: number}}
features:
  windows: [{entity: customer, lengths: [1d], compute: {n: count}}]
scorers:
  size:
    kind: rules
    rules: [{name: large, when: amount > 50, score: 0.8}, {name: other, when: amount >= 0, score: 0.02}]
fusion: {kind: weighted}
actions: [allow, block]
policy: {holdout: 0.1}
costs: {allow: {positive: amount, negative: 0}, block: {positive: 0, negative: 3}}
guards: {fallback: {scorers_absent: allow}}
"""
HERE = Path(__file__).parent / "challengers"


def let_them_run(monkeypatch: pytest.MonkeyPatch, misbehaves: str = "") -> None:
    """Let challengers that are started in a test have their share of the processor, and misbehave in this way."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("MISBEHAVES", misbehaves)
    # On a busy machine a process that is asked to end may not have had the processor by then.
    monkeypatch.setattr("homeostat.adapters.process.companion._GRACE_S", 60.0)
