"""A bundle fits an app only where the features mean what they meant at training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.worlds import small_app, trained

from homeostat.config.definitions import feature_definitions
from homeostat.config.load import app_file, load_app, parse_app
from homeostat.config.tree import App
from homeostat.engine.assembly import bundle_of, open_engine, prepare
from homeostat.models.bundle import BundleError, load_bundle

TEXT = app_file("payments").read_text()


def app_with(old: str, new: str, redefined: str = "") -> App:
    """The shipped app with one thing changed, and the small models' other parts."""
    text = TEXT.replace(old, new, 1)
    assert text != TEXT or old == new
    if redefined:
        text = text.replace("features:\n", f"features:\n  redefined: [{redefined}]\n", 1)
    other = parse_app(text)
    return small_app(features=other.features, outcomes=other.outcomes, events=other.events)


CHANGES = [
    ("night: hour(time) <= 6", "night: hour(time) < 5", ["night"]),
    ("where: fraud == 0", "where: fraud == 1", ["customer_clean_count_150d", "customer_clean_mean_150d"]),
    ("delay: 7d  # Frauds", "delay: 8d  # Frauds", ["terminal_count_1d", "terminal_frauds_mean_30d"]),
    ("sum(amount ** 2)", "sum(amount ** 3)", ["customer_past_squares_7d"]),
    ("unknown: negative", "unknown: skip", ["terminal_frauds_mean_1d", "terminal_since_clean"]),
    ("amount: {type: number, min: 0, max: 10_000_000,", "amount: {type: boolean,", ["amount"]),
    ("lengths: [7d, 14d]\n      past: true", "lengths: [7d, 14d]", ["customer_past_max_7d", "customer_past_max_14d"]),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("old", "new", "names"), CHANGES)
def test_a_feature_that_means_something_else_is_refused_by_name_or_allowed_on_purpose(
    old: str, new: str, names: list[str]
) -> None:
    changed = app_with(old, new)
    with pytest.raises(BundleError, match="mean something else") as error:
        bundle_of(prepare(changed), trained())
    lines, before = feature_definitions(changed), feature_definitions(load_app("payments"))
    other = [name for name, line in lines.items() if line != before[name]]
    assert set(names) <= set(other)
    assert f"{other[0]} was `{before[other[0]]}` and is `{lines[other[0]]}`" in str(error.value)
    assert f"redefined: [{', '.join(sorted(other))}]" in str(error.value)
    allowed = app_with(old, new, ", ".join(other))
    assert bundle_of(prepare(allowed), trained()) is not None


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("night: hour(time) <= 6", "night: ( hour( time )<=6.0 )"),
        ("max: 10_000_000", "max: 20_000_000"),
        ("lateness: 1h", "lateness: 2h"),
        ("aliases: [TX_AMOUNT]", "aliases: [AMOUNT]"),
        ("delay: 7d  # Frauds", "delay: 168h  # Frauds"),
    ],
)
def test_another_wording_of_the_same_meaning_fits(old: str, new: str) -> None:
    assert bundle_of(prepare(app_with(old, new)), trained()) is not None


def test_a_window_of_another_length_is_refused_although_its_name_is_the_same() -> None:
    text = "homeostat: 1\napp: a\nevents: {entities: {who: {}}}\nactions: [allow]\n"
    text += "guards: {fallback: {scorers_absent: allow}}\n"
    window = "features: {windows: [{entity: who, lengths: [%s], compute: {often: count}}]}\n"
    hour, hours = (feature_definitions(parse_app(text + window % length)) for length in ("1h", "2h"))
    assert hour == {"often": "count of who over 1h"}
    assert hours == {"often": "count of who over 2h"}


def test_a_pair_of_other_entities_is_another_entity() -> None:
    text = """
homeostat: 1
app: a
events: {entities: {who: {}, where: {}, device: {}, both: {of: [who, %s]}}}
features: {windows: [{entity: both, lengths: [1h], compute: {often: count}}]}
actions: [allow]
guards: {fallback: {scorers_absent: allow}}
"""
    one, other = (feature_definitions(parse_app(text % entity)) for entity in ("where", "device"))
    assert one != other


def test_every_feature_of_a_plan_has_a_definition() -> None:
    for name in ("payments", "access"):
        prepared = prepare(name)
        assert tuple(feature_definitions(prepared.app)) == prepared.features.names


@pytest.mark.long
def test_the_engine_refuses_such_a_bundle_and_a_bundle_without_definitions_still_serves(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="night was"):
        open_engine(app_with(*CHANGES[0][:2]), bundle=trained())
    old = Path(shutil.copytree(trained(), tmp_path / "old"))
    manifest = json.loads((old / "manifest.json").read_text())
    assert set(manifest.pop("definitions")) == set(prepare(small_app()).features.names)
    (old / "manifest.json").write_text(json.dumps(manifest))
    with open_engine(app_with(*CHANGES[0][:2]), bundle=old):
        pass


@pytest.mark.long
def test_a_definition_that_was_edited_is_refused(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trained(), tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["definitions"]["night"]["is"] = "hour(time) < 5"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="night does not have the SHA-256"):
        load_bundle(copy)
