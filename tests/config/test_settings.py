"""Settings of scorers, fusion and policy are typed by kind: faults are reported at load, with its place."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from homeostat.app import untrained
from homeostat.config.faults import AppFileError, Fault
from homeostat.config.load import parse_app
from homeostat.config.settings import POLICIES, SCORERS, BanditSettings, PpoSettings
from homeostat.decide.policy import bandit
from homeostat.decide.proposals import checked
from homeostat.decide.scorers import plugins
from homeostat.models.training import boosted_trees, isolation_forest, network, normal
from homeostat.records.decisions import Experience, Fused
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

SAMPLE = (Path(__file__).parent / "sample.yaml").read_text()
POLICY = "policy:\n  kind: thresholds\n"
DAY_NS = 86_400 * 10**9


def faults_of(text: str) -> tuple[Fault, ...]:
    with pytest.raises(AppFileError) as caught:
        parse_app(text)
    return caught.value.faults


def with_policy(settings: str, kind: str = "bandit") -> str:
    assert POLICY in SAMPLE
    return SAMPLE.replace(POLICY, f"policy:\n  kind: {kind}\n  settings: {settings}\n")


def with_scorer(settings: str, kind: str = "network") -> str:
    return SAMPLE.replace("scorers:\n", f"scorers:\n  added: {{kind: {kind}, settings: {settings}}}\n", 1)


@pytest.mark.parametrize(
    ("given", "path", "words", "nearest"),
    [
        ("{foo: 1}", "foo", "unknown key 'foo'; known here: alpha, prior_shift", None),
        ("{memry: 5}", "memry", "unknown key", "memory"),
        ("{maturity_ns: 14d}", "maturity_ns", "unknown key", "maturity"),
        ("{memory: 0}", "memory", "greater than or equal to 1", None),
        ("{memory: -5}", "memory", "greater than or equal to 1", None),
        ("{memory: 1e300}", "memory", "less than or equal to", None),
        ('{alpha: "x"}', "alpha", "should be a number, not the text 'x'", None),
        ("{alpha: true}", "alpha", "should be a number, not true", None),
        ("{alpha: .nan}", "alpha", "should be a number, not the text '.nan'", None),
        ("{alpha: 1e999}", "alpha", "number", None),
        ("{alpha: -1}", "alpha", "greater than or equal to", None),
        ("{cost_noise: 0}", "cost_noise", "greater than 0", None),
        ("{weight_max: 0.5}", "weight_max", "greater than or equal to 1", None),
        ("{prior_shift: 0}", "prior_shift", "greater than or equal to", None),
        ("{maturity: 14}", "maturity", "not a duration", "14s"),
        ("{maturity: 14 days}", "maturity", "not a duration", "14d"),
        ("{memory: {a: 1}}", "memory", "not a mapping", None),
        ("{cuts: [0.5]}", "cuts", "unknown key", None),
    ],
)
def test_a_setting_of_the_bandit_that_can_not_be_is_a_fault_with_its_place(
    given: str, path: str, words: str, nearest: str | None
) -> None:
    text = with_policy(given)
    (fault,) = faults_of(text)
    assert fault.path == f"policy.settings.{path}" and words in fault.message and fault.nearest == nearest
    assert text.splitlines()[fault.line - 1].strip().startswith("settings:")


@pytest.mark.parametrize(
    ("kind", "given", "path", "words"),
    [
        ("network", "{hidden: [64, 0]}", "hidden[1]", "greater than or equal to 1"),
        ("network", "{hidden: []}", "hidden", "at least 1 item"),
        ("network", "{hidden: [8.5]}", "hidden[0]", "whole number"),
        ("network", "{logarithm: some}", "logarithm", "not one of all, none, tails"),
        ("network", "{dropout: 1}", "dropout", "less than 1"),
        ("boosted_trees", "{trees: many}", "trees", "whole number, not the text 'many'"),
        ("boosted_trees", "{trees: true}", "trees", "whole number, not true"),
        ("boosted_trees", "{trees: 1e9}", "trees", "less than or equal to"),
        ("boosted_trees", "{rows: 0}", "rows", "greater than 0"),
        ("boosted_trees", "{foo: 1, depth: 0}", "foo", "unknown key"),
        ("isolation_forest", "{rows: 1}", "rows", "greater than or equal to 2"),
        ("rules", "{rows: 1}", "rows", "unknown key"),
    ],
)
def test_a_setting_of_a_scorer_that_can_not_be_is_a_fault_with_its_place(
    kind: str, given: str, path: str, words: str
) -> None:
    found = {fault.path: fault.message for fault in faults_of(with_scorer(given, kind))}
    assert words in found[f"scorers.added.settings.{path}"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{weights: {forest: 1e308}}", "less than or equal to 1000000"),
        ("{weights: {forest: -1}}", "greater than or equal to 0"),
        ("{weights: {forest: x}}", "a number"),
        ("{weights: {forest: 0, boosted: 0, network: 0, rules: 0}}", "no scorer has a weight above 0"),
        ("{kind: adaptive, bound: 1e300}", "less than or equal to 1000"),
        ("{kind: adaptive, rate: 0}", "greater than 0"),
        ("{kind: ensemble, of: [learned]}", "at least two"),
        ("{kind: ensemble, of: [learned, learned]}", "learned"),
        ("{kind: ensemble, of: [learned, ensemble]}", "not one of"),
        ("{kind: ensemble, also: [best]}", "not one of"),
        ("{foo: 1}", "unknown key"),
    ],
)
def test_an_impossible_setting_of_a_fusion_is_a_fault(given: str, words: str) -> None:
    names = [name for name in parse_app(SAMPLE).scorers if name not in given]
    for name in names:
        given = given.replace("rules: 0}", f"rules: 0, {name}: 0}}") if "rules: 0}" in given else given
    found = faults_of(SAMPLE.replace("fusion: {kind: learned}", f"fusion: {given}"))
    assert any(words in fault.message for fault in found), [str(fault) for fault in found]


@pytest.mark.parametrize(
    ("cuts", "words"),
    [("[0.5]", "3 actions need 2 cut-offs"), ("[0.9, 0.5]", "ascend"), ("[0.5, 2]", "less than or equal to 1")],
)
def test_cut_offs_must_fit_the_actions(cuts: str, words: str) -> None:
    start, stop = SAMPLE.index("costs:\n"), SAMPLE.index("policy:\n")
    text = with_policy(f"{{cuts: {cuts}}}", "thresholds").replace(SAMPLE[start:stop], "")
    (fault,) = faults_of(text)
    assert words in fault.message and fault.path.startswith("policy.settings.cuts")
    assert "declares costs" in faults_of(with_policy("{cuts: [0.5, 0.7]}", "thresholds"))[0].message
    assert parse_app(text.replace(f"{{cuts: {cuts}}}", "{cuts: [0.5, 0.7]}")).policy.settings["cuts"] == (0.5, 0.7)


VALUES = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.booleans(), st.text("abc .", max_size=5), st.none(),
    st.lists(st.integers(-5, 5), max_size=3), st.sampled_from([1, 2, 0.5, "7d", "all", 0, -1, [64, 64]]),
)  # fmt: skip


@pytest.mark.long
@given(kind=st.sampled_from(sorted(POLICIES)), data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_settings_of_a_policy_are_refused_or_make_one_that_learns(kind: str, data: st.DataObject) -> None:
    names = sorted(POLICIES[kind].model_fields)
    chosen = data.draw(st.dictionaries(st.sampled_from([*names, "foo"]), VALUES, max_size=3))
    try:
        app = parse_app(with_policy(yaml.safe_dump(chosen, default_flow_style=True).strip(), kind))
    except AppFileError:
        return
    if kind == "bandit":  # The others learn in training only.
        proposes_and_learns(untrained(app).policy)


def proposes_and_learns(policy: Any) -> None:
    """A policy of the sample's app decides and learns without a number that is none."""
    n, fields, rng = 40, len(parse_app(SAMPLE).events.fields), np.random.default_rng(0)
    events = EventBatch(
        np.arange(n), np.arange(n) * DAY_NS, np.ones((n, 2), np.int64), rng.uniform(0, 500, (n, fields)),
        np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip
    features = Features(("amount",), events.numbers[:, :1].copy(), np.zeros((n, 1), np.uint8))
    fused, chance = Fused(rng.random(n), np.zeros((n, 0))), rng.random((n, 2))
    for _ in range(2):
        proposal = policy.propose(fused, events, features, chance)
        checked(proposal, n, 3)
        one = np.ones(n)
        policy.learn(Experience(
            events.time_ns, events.id_code, np.zeros((n, 0)), np.zeros((n, 0)), fused.risk, proposal.action, one,
            (rng.random(n) < 0.3).astype(float), np.ones((n, 3)), np.zeros(n, np.uint8), one * 3,
        ))  # fmt: skip
    assert all(np.isfinite(part).all() for part in policy.state().values())


def _policy(text: str) -> Any:
    return untrained(parse_app(text)).policy


def test_the_bandit_waits_for_the_horizon_unless_the_file_says_otherwise() -> None:
    waits = _policy(with_policy("{}"))
    assert waits._settings.maturity_ns == parse_app(SAMPLE).outcomes.horizon
    assert _policy(with_policy("{maturity: 14d}"))._settings.maturity_ns == 14 * DAY_NS
    assert _policy(with_policy("{maturity: 0s, memory: 50}"))._settings.memory == 50.0


@pytest.mark.long  # Imports what trains.
def test_defaults_are_those_of_what_is_built() -> None:
    trainers = {
        "isolation_forest": isolation_forest.DEFAULTS, "boosted_trees": boosted_trees.DEFAULTS,
        "network": network.DEFAULTS, "reconstruction": normal.RECONSTRUCTION_DEFAULTS,
        "profile": normal.PROFILE_DEFAULTS,
    }  # fmt: skip
    for kind, defaults in trainers.items():
        assert SCORERS[kind]().model_dump() == defaults, kind
    ours = {field.name: field.default for field in dataclasses.fields(bandit.BanditSettings)}
    assert BanditSettings().model_dump(exclude={"maturity"}) == {k: v for k, v in ours.items() if k != "maturity_ns"}
    ppo = pytest.importorskip("homeostat.models.training.policy_ppo")
    assert PpoSettings().model_dump() == dataclasses.asdict(ppo.PpoSettings())


# A plug-in's own settings.


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(ge=1)
    name: str = "none"


@dataclass
class Plain:
    size: int
    name: str = "none"


def make_strict(name: str, settings: Any, features: tuple[str, ...]) -> Any:
    raise AssertionError("nothing is made while a file is read")


def make_plain(name: str, settings: Any, features: tuple[str, ...]) -> Any:
    raise AssertionError("nothing is made while a file is read")


make_strict.settings_type = Strict  # type: ignore[attr-defined]
make_plain.settings_type = Plain  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["strict", "plain"])
def test_a_plug_in_may_declare_the_type_of_its_settings(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(kind, f"{__name__}:make_{kind}", plugins.GROUP)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    monkeypatch.setattr("homeostat.config.meaning.entry_points", lambda group: points)
    assert parse_app(with_scorer("{size: 3}", kind)).scorers["added"].settings == {"size": 3}
    (unknown,) = faults_of(with_scorer("{size: 3, nam: x}", kind))
    assert (unknown.path, unknown.nearest) == ("scorers.added.settings.nam", "name")
    (wrong,) = faults_of(with_scorer("{size: many}", kind))
    assert wrong.path == "scorers.added.settings.size" and "whole number" in wrong.message
    (missing,) = faults_of(with_scorer("{name: x}", kind))
    assert "'size' is missing" in missing.message
