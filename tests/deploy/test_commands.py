"""The deployment files call homeostat by commands and options that there are."""

import shlex
from pathlib import Path

import pytest
import yaml

from homeostat.cli import build
from homeostat.cli.doors import refuse_metrics_to_others


def calls(deploy: Path) -> dict[str, list[str]]:
    """Every command line, by where it stands."""
    services = yaml.safe_load((deploy / "compose.yaml").read_text("utf-8"))["services"]
    found = {f"compose {name}": services[name]["command"] for name in ("worker", "server", "maintain")}
    for name in ("worker", "server", "maintain"):
        first = next(yaml.safe_load_all((deploy / "kubernetes" / f"{name}.yaml").read_text("utf-8")))
        found[f"kubernetes {name}"] = first["spec"]["template"]["spec"]["containers"][0]["args"]
    nightly = yaml.safe_load_all((deploy / "kubernetes" / "cronjobs.yaml").read_text("utf-8"))
    for each in nightly:
        if each["kind"] == "CronJob":
            (container,) = each["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            words = container.get("args") or _after_the_entrypoint(container["command"][2])
            found[f"kubernetes {each['metadata']['name']}"] = words
    guide = (deploy.parent / "docs" / "deploy.md").read_text("utf-8")
    for line in guide.splitlines():
        if " homeostat keys create" in line:
            found["guide"] = shlex.split(line.partition(" homeostat ")[2])
    return found


def _after_the_entrypoint(script: str) -> list[str]:
    """The words of a shell's one command, with a date in the place of each substitution."""
    return shlex.split(script.replace("$(date -u +%Y-%m-%d)", "2026-03-01").partition("homeostat-entrypoint ")[2])


@pytest.mark.parametrize(
    "where",
    [
        "compose worker",
        "compose server",
        "compose maintain",
        "kubernetes worker",
        "kubernetes server",
        "kubernetes maintain",
        "kubernetes export",
        "kubernetes train",
        "kubernetes report-autonomy",
        "kubernetes report-fairness",
        "guide",
    ],
)
def test_the_command_line_understands_it(deploy: Path, where: str) -> None:
    command, bound, *_ = build().parse_args([str(word) for word in calls(deploy)[where]], exit_on_error=False,
                                            print_error=False)  # fmt: skip
    assert command.__module__.startswith("homeostat.cli") or where == "guide"
    if where.endswith(("worker", "server", "maintain")):
        assert bound.arguments["metrics_port"] == 9100 and bound.arguments["metrics_host"] == "0.0.0.0"
        refuse_metrics_to_others("0.0.0.0", "--plain-http" in calls(deploy)[where])
