"""The dashboards: what the code makes, of series that there are."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import queries
import yaml

from homeostat.decide.meters import STAGES


@pytest.fixture(scope="module")
def build(deploy: Path):
    spec = importlib.util.spec_from_file_location("grafana_build", deploy / "grafana" / "build.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # Its dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dashboards(deploy: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((deploy / "grafana" / "dashboards").iterdir())]


def targets(dashboards: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(panel["title"], target) for each in dashboards for panel in each["panels"] for target in panel["targets"]]


def test_the_files_are_what_the_code_makes(build, deploy: Path) -> None:
    made = build.dashboards()
    there = {path.name: path.read_text("utf-8") for path in (deploy / "grafana" / "dashboards").iterdir()}
    assert there == made, "run: python deploy/grafana/build.py"


def test_dashboards_and_panels_have_ids_of_their_own(dashboards: list[dict[str, Any]]) -> None:
    assert len({each["uid"] for each in dashboards}) == len({each["title"] for each in dashboards}) == len(dashboards)
    for each in dashboards:
        assert each["schemaVersion"] >= 36 and len(each["uid"]) <= 40
        ids = [panel["id"] for panel in each["panels"]]
        assert len(set(ids)) == len(ids) and all(number > 0 for number in ids)
        for panel in each["panels"]:
            letters = [target["refId"] for target in panel["targets"]]
            assert panel["title"] and len(set(letters)) == len(letters) > 0


def test_panels_lie_side_by_side(dashboards: list[dict[str, Any]]) -> None:
    for each in dashboards:
        taken: set[tuple[int, int]] = set()
        for panel in each["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not cells & taken and at["x"] + at["w"] <= 24
            taken |= cells


def test_everything_asks_the_source_that_is_provisioned(deploy: Path, dashboards: list[dict[str, Any]]) -> None:
    folder = deploy / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    named = {(item["datasource"]["type"], item["datasource"]["uid"]) for _, item in targets(dashboards)}
    for each in dashboards:
        parts = [*each["panels"], *each["templating"]["list"]]
        named |= {(part["datasource"]["type"], part["datasource"]["uid"]) for part in parts}
    assert named == {(source["type"], source["uid"])}
    (provider,) = yaml.safe_load((folder / "dashboards" / "homeostat.yaml").read_text("utf-8"))["providers"]
    mounts = yaml.safe_load((deploy / "compose.yaml").read_text("utf-8"))["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts


def test_every_expression_is_promql_of_series_that_are_exported(
    dashboards: list[dict[str, Any]], exported: dict[str, set[str]]
) -> None:
    for title, target in targets(dashboards):
        assert not queries.unknown(queries.filled(target["expr"]), exported), title
    for each in dashboards:
        for variable in each["templating"]["list"]:
            series, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
            assert label in exported[series]


def test_every_variable_that_is_used_is_there(dashboards: list[dict[str, Any]]) -> None:
    for each in dashboards:
        there = {variable["name"] for variable in each["templating"]["list"]}
        used = {name for _, target in targets([each]) for name in re.findall(r'"\$(\w+)"', target["expr"])}
        assert used <= there


def test_legends_name_labels_that_their_series_keep(dashboards: list[dict[str, Any]]) -> None:
    for title, target in targets(dashboards):
        kept = queries.grouped(target["expr"]) | {"instance"}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, title


def test_every_stage_and_every_series_of_homeostat_is_shown(
    dashboards: list[dict[str, Any]], exported: dict[str, set[str]]
) -> None:
    expressions = [queries.filled(target["expr"]) for _, target in targets(dashboards)]
    for stage in STAGES:
        assert any(f'stage="{stage}"' in expression for expression in expressions)
    shown = {re.sub("_(bucket|sum|count)$", "", name) for text in expressions for name, _ in queries.asked(text)}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in exported if name.startswith("homeostat_")}
    assert families <= shown
