"""The Compose file: of the right form, nothing open, nothing by default."""

import json
import re
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import pytest
import yaml

from homeostat.config.servers import PREFIX, Servers, read_servers


@pytest.fixture(scope="module")
def compose(deploy: Path) -> dict[str, Any]:
    return yaml.safe_load((deploy / "compose.yaml").read_text("utf-8"))


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    folder = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text("utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(compose)


def test_all_parts_are_there_and_say_whether_they_live(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"kafka", "redis", "postgres", "worker", "server", "maintain", "prometheus", "grafana"}
    for name, service in services.items():
        assert "healthcheck" in service or name in ("worker", "server", "maintain")  # These have their image's.
        assert re.search(r":v?\d[\w.-]*$", service["image"]), f"{name} has no version"


def test_ports_are_published_to_this_machine_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert published and all(port.startswith("127.0.0.1:") for port in published)
    for name in ("redis", "postgres"):
        assert "ports" not in compose["services"][name] and compose["services"][name]["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True


def test_there_are_no_default_secrets(deploy: Path, compose: dict[str, Any]) -> None:
    text = (deploy / "compose.yaml").read_text("utf-8")
    asked = re.findall(r"\$\{(\w*PASSWORD)([^}]*)\}", text)
    assert {name for name, _ in asked} == {"REDIS_PASSWORD", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"}
    assert all(rest == f":?set {name} in deploy/.env" for name, rest in asked)
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("${")
    example = dict(
        line.split("=", 1) for line in (deploy / "example.env").read_text("utf-8").splitlines() if "=" in line
    )
    assert {name: example[name] for name, _ in asked} == {name: "" for name, _ in asked}


def test_every_variable_is_in_the_example(deploy: Path) -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (deploy / "compose.yaml").read_text("utf-8")))
    named = re.findall(r"^(\w+)=", (deploy / "example.env").read_text("utf-8"), re.MULTILINE)
    assert used == set(named)


def test_nothing_runs_with_more_than_it_needs(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert "privileged" not in service and "cap_add" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service.get("read_only") is True or name in ("kafka", "postgres")  # They write beside their data.
        volumes = service.get("volumes", ())
        assert not any("docker.sock" in volume for volume in volumes)
        assert all(volume.endswith(":ro") for volume in volumes if volume.startswith("."))


def test_the_servers_of_the_app_are_services(compose: dict[str, Any]) -> None:
    environment = compose["services"]["worker"]["environment"]
    filled = {name: re.sub(r"\$\{\w+[^}]*\}", "secret", value) for name, value in environment.items()}
    servers = read_servers(None, {name: value for name, value in filled.items() if name.startswith(PREFIX)})
    for part in ("events", "outcomes", "decisions", "dead_letters", "features", "journal"):
        host = re.search(r"(?:@|//)([a-z]+):\d+", getattr(servers, part))
        assert host is not None and host[1] in compose["services"]
    assert environment == compose["services"]["server"]["environment"]
    assert {name[len(PREFIX) :].lower() for name in filled if name.startswith(PREFIX)} <= set(Servers.model_fields)


def test_mounted_files_are_there(deploy: Path, compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (deploy / source).exists() if source.startswith(".") else source in compose["volumes"]
