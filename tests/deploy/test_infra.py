"""The deployment of the infra app: by schema, of series that there are, and Telegraf sends what the app reads."""

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import kubernetes_validate
import pytest
import yaml

from homeostat.cli import build
from homeostat.config.load import app_file, load_app, parse_app

SERVICE = {f"service.{name}" for name in ("requests", "latency", "errors", "restarts", "deploying")}


@pytest.fixture(scope="module")
def folder(deploy: Path) -> Path:
    return deploy / "infra"


@pytest.fixture(scope="module")
def compose(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def dashboard(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "grafana" / "dashboards" / "infra.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def sent(folder: Path) -> set[str]:
    """The fields that Telegraf sends, as measurement.field."""
    config = tomllib.loads((folder / "telegraf.conf").read_text("utf-8"))
    found = {f"{name}.{field}" for name, (one,) in config["inputs"].items() for field in one.get("fieldinclude", ())}
    (derivative,) = config["aggregators"]["derivative"]
    assert derivative["namepass"] == ["net"]
    found.remove("net.bytes_recv")
    return found | {"net.bytes_recv_rate"} | SERVICE


def test_telegraf_sends_every_metric_that_the_shipped_app_reads(folder: Path, sent: set[str]) -> None:
    assert {f"{one.measurement}.{one.field}" for one in load_app("infra").metrics.fields.values()} == sent
    config = tomllib.loads((folder / "telegraf.conf").read_text("utf-8"))
    (output,) = config["outputs"]["influxdb_v2"]
    assert output["urls"] == ["${HOMEOSTAT_URL}"] and output["token"] == "${HOMEOSTAT_KEY}"
    (store,) = tomllib.loads((folder / "store.conf").read_text("utf-8"))["outputs"]["influxdb"]
    assert store["database"] == "infra" and store["skip_database_creation"]


def test_the_compose_file_is_of_the_right_form_and_open_to_this_machine_only(compose: dict[str, Any]) -> None:
    schemas = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text("utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(compose)
    assert set(compose["services"]) == {"influxdb", "server", "telegraf", "mlflow", "grafana"}
    for name, service in compose["services"].items():
        assert re.search(r":v?\d[\w.-]*$", service["image"]), f"{name} has no version"
        assert (
            service["security_opt"] == ["no-new-privileges:true"] and service["read_only"] and "cap_add" not in service
        )
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert all(volume.endswith(":ro") for volume in service.get("volumes", ()) if volume.startswith("."))
    assert compose["networks"]["inside"]["internal"] and compose["services"]["influxdb"]["networks"] == ["inside"]


def test_there_are_no_default_secrets_and_the_example_names_every_variable(folder: Path) -> None:
    text = (folder / "compose.yaml").read_text("utf-8")
    example = dict(
        line.split("=", 1) for line in (folder / "example.env").read_text("utf-8").splitlines() if "=" in line
    )
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) == set(example)
    asked = dict(re.findall(r"\$\{(\w*PASSWORD)([^}]*)\}", text))
    assert asked == {name: f":?set {name} in deploy/infra/.env" for name in ("INFLUXDB_PASSWORD", "GRAFANA_PASSWORD")}
    assert not any(example[name] for name in [*asked, "HOMEOSTAT_KEY"])


def test_mounted_files_are_there(compose: dict[str, Any], folder: Path) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            if volume.startswith("."):
                assert (folder / volume.partition(":")[0]).exists(), volume


def test_the_server_runs_the_shipped_app_with_its_predictions(folder: Path, compose: dict[str, Any]) -> None:
    whole = app_file("infra").read_text("utf-8") + (folder / "predictions.yaml").read_text("utf-8")
    app = parse_app(whole)
    assert app.predictions["store"].kind == "influxdb" and app.metrics is not None
    (script,) = compose["services"]["server"]["command"]
    words = shlex.split(script.partition("homeostat-entrypoint ")[2])
    command, bound, _ = build().parse_args(words, exit_on_error=False, print_error=False)
    assert command.__name__ == "serve" and bound.arguments["port"] == 8080


def test_every_object_is_one_that_kubernetes_takes_and_calls_a_command(folder: Path) -> None:
    kustomization = yaml.safe_load((folder / "kubernetes" / "kustomization.yaml").read_text("utf-8"))
    found = [
        each for name in kustomization["resources"]
        for each in yaml.safe_load_all((folder / "kubernetes" / name).read_text("utf-8"))
    ]  # fmt: skip
    for version in ("1.31", "1.33"):
        for each in found:
            kubernetes_validate.validate(each, version, strict=True)
    pods = [each["spec"]["template"]["spec"] for each in found if each["kind"] in ("StatefulSet", "DaemonSet")]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] and container["resources"]["limits"]
    words = next(pod for pod in pods if pod["containers"][0]["name"] == "server")["containers"][0]["args"]
    command, _, _ = build().parse_args(words, exit_on_error=False, print_error=False)
    assert command.__name__ == "serve"


def test_the_dashboard_is_what_the_code_makes(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("infra_grafana", folder / "grafana" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = (folder / "grafana" / "dashboards" / "infra.json").read_text("utf-8")
    assert made == module.text(), "run: python deploy/infra/grafana/build.py"


def test_panels_ask_for_fields_that_are_written(folder: Path, dashboard: dict[str, Any], sent: set[str]) -> None:
    predictions = {f"ai_predictions.{name}" for name in ("score", "flag", "action", "event_id")}
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["query"]
            (measurement,) = re.findall(r'FROM "(\w+)"', query)
            fields = set(re.findall(r'"(\w+)"', query)) - {measurement, "host"}
            assert fields or "contribution" in query
            asked |= {f"{measurement}.{field}" for field in fields}
    assert asked <= sent | predictions and predictions <= asked
    assert {panel["type"] for panel in dashboard["panels"]} == {"timeseries", "status-history", "table"}
    source = yaml.safe_load((folder / "grafana" / "provisioning" / "datasources" / "influxdb.yaml").read_text("utf-8"))
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["datasources"][0]["uid"]}


def test_panels_lie_side_by_side(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24
        taken |= cells
