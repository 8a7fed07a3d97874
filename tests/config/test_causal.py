"""The causal graph of an app is that of its file."""

from pathlib import Path

import pytest

from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.config.tree import duration_ns
from homeostat.records.causes import CausalGraph

STARTER = Path(__file__).parents[2] / "src/homeostat/config/starter.yaml"


@pytest.fixture(scope="module", params=["payments", "access", str(STARTER)])
def graph(request: pytest.FixtureRequest) -> CausalGraph:
    return causal_graph(load_app(request.param))


def test_every_effect_is_a_node(graph: CausalGraph) -> None:
    assert {effect for effects in graph.effects.values() for effect in effects} <= set(graph.nodes)
    assert set(graph.effects) == set(graph.nodes)


def test_nothing_acts_on_itself(graph: CausalGraph) -> None:
    for node in graph.nodes:
        assert all(node not in graph.downstream(effect) for effect in graph.effects[node])


def test_everything_but_the_outcome_has_an_effect_on_it_or_serves(graph: CausalGraph) -> None:
    idle = {node for node in graph.nodes if node != "outcome" and "outcome" not in graph.downstream(node)}
    assert all(node.startswith(("field:", "feature:")) for node in idle)  # Nothing reads them.


def test_windows_read_their_entity_the_time_and_what_they_are_made_of() -> None:
    graph = causal_graph(load_app("payments"))
    causes = {node for node in graph.nodes if "feature:customer_past_squares_7d" in graph.effects[node]}
    assert causes == {"time", "entity:customer", "field:amount", "environment", "dependency:feature_store"}


def test_filters_and_labels_are_read() -> None:
    graph = causal_graph(load_app("payments"))
    causes = {node for node in graph.nodes if "feature:terminal_fraud_count_7d" in graph.effects[node]}
    assert causes >= {"labels", "field:amount", "entity:terminal"}
    assert graph.lag_ns["feature:terminal_fraud_count_7d"] == duration_ns("7d") // 4
    assert graph.lag_ns["feature:customer_clean_count_150d"] == duration_ns("3d")


def test_lists_and_costs_are_read_by_guards_and_policy() -> None:
    graph = causal_graph(load_app("payments"))
    assert "guards" in graph.effects["entity:customer"]
    assert "guards" in graph.effects["field:amount"]
    assert "policy" in graph.effects["field:amount"]


def test_rules_read_the_features_that_they_name() -> None:
    graph = causal_graph(load_app("access"))
    assert "scorer:rules" in graph.effects["feature:evenness"]
    assert "scorer:rules" not in graph.effects["feature:mean_value_1h"]


def test_a_category_is_read_where_it_is_counted() -> None:
    graph = causal_graph(load_app("access"))
    assert "feature:types_1d" in graph.effects["field:event_type"]
    assert graph.effects["field:value"][:1] == ("feature:mean_value_10s",)


def test_trained_scorers_follow_the_version_and_rules_do_not() -> None:
    graph = causal_graph(load_app("payments"))
    assert "scorer:boosted" in graph.effects["version"]
    assert "scorer:rules" not in graph.effects["version"]
    assert {"fusion", "policy"} <= set(graph.effects["settings"])


def test_the_chain_leads_from_a_field_to_the_outcome() -> None:
    graph = causal_graph(load_app("payments"))
    assert {"scorer:network", "fusion", "policy", "guards", "action:block", "outcome"} <= graph.downstream(
        "field:amount"
    )
    assert graph.downstream("outcome") == frozenset()


def test_a_field_named_like_a_function_is_read_only_where_it_is_meant(tmp_path: Path) -> None:
    text = STARTER.read_text("utf-8").replace("value: {type: number, required: false}", (
        "value: {type: number, required: false}\n    mean: {type: number, required: false}"
    ))  # fmt: skip
    (tmp_path / "app.yaml").write_text(text, "utf-8")
    graph = causal_graph(load_app(str(tmp_path / "app.yaml")))
    assert not [node for node in graph.effects["field:mean"] if node.startswith("feature:")]
