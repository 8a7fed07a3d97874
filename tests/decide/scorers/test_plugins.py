"""Plug-in scorers are found by entry point, and what is wrong with one is said."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from homeostat.decide.scorers.plugins import GROUP, PluginError, plugin_scorer
from homeostat.records.features import Features


class Constant:
    def __init__(self, name, value):
        self.name, self.value = name, value

    def score(self, features):
        return np.full(len(features), self.value), np.ones(len(features))


def make_constant(name, settings, features):
    assert features == ("a", "b")
    return Constant(name, settings["value"])


def make_nothing(name, settings, features):
    return None


HERE = __name__


def point(name, function):
    return EntryPoint(name, f"{HERE}:{function}", GROUP)


def test_a_plug_in_is_made_with_its_settings_and_features():
    scorer = plugin_scorer("constant", "mine", {"value": 0.25}, ["a", "b"], [point("constant", "make_constant")])
    assert scorer.name == "mine"
    assert scorer.score(Features(("a", "b"), np.zeros((3, 2)), np.zeros((3, 2), np.uint8)))[0].tolist() == [0.25] * 3


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "no plug-in offers the kind 'constant'; install"),
        ([point("constants", "make_constant")], "did you mean 'constants'"),
        ([point("constant", "make_constant"), point("constant", "make_nothing")], "offered twice"),
        ([point("constant", "make_nothing")], "did not return a scorer"),
        ([point("constant", "gone")], "failed: AttributeError"),
        ([EntryPoint("constant", "no_such_package:make", GROUP)], "failed: ModuleNotFoundError"),
    ],
)
def test_a_plug_in_that_can_not_be_had_is_refused_with_a_sentence(found, message):
    with pytest.raises(PluginError, match=message):
        plugin_scorer("constant", "mine", {"value": 0.25}, ["a", "b"], found)


def test_installed_entry_points_are_asked_by_default():
    with pytest.raises(PluginError, match="no plug-in offers"):
        plugin_scorer("surely_not_installed", "mine", {}, ["a"])
