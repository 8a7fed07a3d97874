"""Policies of other packages: which are taken, and what an app file that names one may say."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from homeostat.app.policy_plugins import GROUP, plugin_policy
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app
from homeostat.decide.scorers.plugins import PluginError

APP = """
homeostat: 1
app: soft
events: {entities: {customer: {}}, fields: {amount: {type: number}}}
scorers: {size: {kind: rules, rules: [{name: large, when: amount > 100, score: 0.9}]}}
fusion: {kind: weighted}
actions: [allow, block]
policy: POLICY
guards: {fallback: {scorers_absent: allow}}
"""


@pytest.mark.parametrize(
    ("points", "hint"),
    [
        ((), "no plug-in offers it"),
        ((("soft", "a:b"), ("soft", "c:d")), "offered twice"),
        ((("soft", "no_such_package:make"),), "ModuleNotFoundError"),
        ((("soft", "builtins:zip"),), "lacks propose"),
        ((("sofd", "a:b"),), "did you mean 'sofd'"),
    ],
    ids=str,
)
def test_one_that_can_not_be_had_is_named(points: tuple[tuple[str, str], ...], hint: str) -> None:
    found = [EntryPoint(name, value, GROUP) for name, value in points]
    with pytest.raises(PluginError, match=hint):
        plugin_policy("soft", ("allow", "block"), {}, found)


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        ("{kind: plugin}", "which one"),
        ("{kind: plugin, holdout: 0.1, settings: {name: soft}}", "its own hold-out"),
        ("{kind: plugin, settings: {options: {}}}", "name"),
        ("{kind: plugin, settings: {name: soft, cut: 1}}", "cut"),
    ],
    ids=str,
)
def test_an_app_file_that_can_not_be_meant_is_a_fault(tmp_path: Path, policy: str, hint: str) -> None:
    path = tmp_path / "soft.yaml"
    path.write_text(APP.replace("POLICY", policy))
    with pytest.raises(AppFileError, match=hint):
        load_app(str(path))
