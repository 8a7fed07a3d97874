"""The recipes of the contributor's guide, followed to the letter: their files are written, and their tests run."""

import json
import re
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeostat.adapters.language.asking import open_models
from homeostat.adapters.process.clock import SystemClock
from homeostat.app.investigating import plugin_hypotheses
from homeostat.app.monitor_plugins import plugin_monitors
from homeostat.app.responding import means_of
from homeostat.checks.hypotheses import HYPOTHESIS_CHECKS
from homeostat.checks.language import FACTS, questions
from homeostat.checks.remedies import REMEDY_CHECKS
from homeostat.checks.ticks import NAMES
from homeostat.cli import COMMANDS
from homeostat.config.language import LanguageModelSpec
from homeostat.config.load import load_app
from homeostat.maintain.advise.grammar import Words
from homeostat.maintain.plan.remedies import offers
from homeostat.ports.language import Role
from homeostat.records.plans import Remedy

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")


def blocks(heading: str) -> list[tuple[str, str, str]]:
    """Language, path and text of the blocks with a path in one recipe."""
    (recipe,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r'^```(\w+) title="([^"]+)"$\n(.*?)^```$', recipe, re.MULTILINE | re.DOTALL)


def follow(heading: str, folder: Path) -> None:
    """Write the new files of one recipe below a folder."""
    for language, name, text in blocks(heading):
        if language != "diff":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")


def changes() -> list[tuple[str, str]]:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    return [(name, text) for heading in headings for kind, name, text in blocks(heading) if kind == "diff"]


def beside(package: str, folder: Path) -> list[str]:
    """Where a package's modules are, the recipe's among them."""
    return [*import_module(package).__path__, str(folder / "src" / package.replace(".", "/"))]


def checks_of(path: Path) -> list[tuple[Any, Any]]:
    """A recipe's test and what it is called with, each."""
    (test,) = (value for name, value in runpy.run_path(str(path)).items() if name.startswith("test_"))
    return [(test, check) for mark in test.pytestmark for check in mark.args[1]]


@pytest.mark.long
def test_the_recipe_of_a_scorer_makes_one_that_keeps_its_contract_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow("Add a scorer", tmp_path)
    folder = tmp_path / "steep"
    registered(folder, "steep", "homeostat.scorers", "steep:make_scorer")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    checks = checks_of(folder / "test_steep.py")
    assert checks
    for test, check in checks:
        test(check)
    runpy.run_path("decide.py")
    assert capsys.readouterr().out == "5 allow\n500 block\n"
    sys.modules.pop("steep")


@pytest.mark.long
def test_the_recipe_of_a_policy_makes_one_that_keeps_its_contract_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow("Add a policy", tmp_path)
    folder = tmp_path / "soft"
    registered(folder, "soft", "homeostat.policies", "soft:make_policy")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    checks = checks_of(folder / "test_soft.py")
    assert checks
    for test, check in checks:
        test(check)
    runpy.run_path("decide.py")
    assert capsys.readouterr().out == "5 allow\n500 block\n"
    sys.modules.pop("soft")


def registered(folder: Path, name: str, group: str, value: str) -> None:
    """Leave beside a recipe's package what installing it leaves, without the network."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    assert f'{group}"]\n{name} = "{value}"' in (folder / "pyproject.toml").read_text()


@pytest.mark.long
def test_the_recipe_of_a_monitor_makes_one_that_keeps_its_contract_and_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow("Add a monitor", tmp_path)
    folder = tmp_path / "whole"
    registered(folder, "whole", "homeostat.monitors", "whole:make_monitor")
    monkeypatch.syspath_prepend(folder)
    checks = checks_of(folder / "test_whole.py")
    assert checks
    for test, check in checks:
        test(check)
    (found,) = plugin_monitors({"whole": {"field": "amount"}}, NAMES)
    assert [one.node for one in found.series] == ["field:amount"]
    sys.modules.pop("whole")


@pytest.mark.long
def test_the_recipe_of_a_hypothesis_makes_one_that_keeps_its_contract_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow("Add a hypothesis", tmp_path)
    folder = tmp_path / "rounding"
    registered(folder, "rounding", "homeostat.hypotheses", "rounding:Rounding")
    monkeypatch.syspath_prepend(folder)
    own = runpy.run_path(str(folder / "test_rounding.py"))
    assert HYPOTHESIS_CHECKS
    for check in HYPOTHESIS_CHECKS:
        own["test_the_hypothesis_keeps_its_contract"](check)
    own["test_an_investigation_names_it_beside_all_other_kinds"]()
    assert "rounding" in [one.kind for one in plugin_hypotheses()]
    sys.modules.pop("rounding")


@pytest.mark.long
def test_the_recipe_of_a_remedy_makes_one_that_keeps_its_contract_and_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow("Add a remedy", tmp_path)
    folder = tmp_path / "tills"
    registered(folder, "tills", "homeostat.remedies", "tills:Tills")
    monkeypatch.syspath_prepend(folder)
    own = runpy.run_path(str(folder / "test_tills.py"))
    assert REMEDY_CHECKS
    for check in REMEDY_CHECKS:
        own["test_the_remedy_keeps_its_contract"](check)
    found = offers(own["FINDING"], means_of(load_app("payments")))
    assert [one.remedy for one in found] == [Remedy.MASK, Remedy.ESCALATE]
    sys.modules.pop("tills")


@pytest.mark.long
def test_the_recipe_of_an_agent_makes_one_that_keeps_its_contract_and_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow("Add an agent", tmp_path)
    folder = tmp_path / "plain"
    registered(folder, "plain", "homeostat.agents", "plain:make_agent")
    monkeypatch.syspath_prepend(folder)
    checks = checks_of(folder / "test_plain.py")
    assert checks
    for test, check in checks:
        test(check)
    text = re.findall(r"^```yaml$\n(maintain:\n  models:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    declared = {name: LanguageModelSpec(**one) for name, one in yaml.safe_load(text)["maintain"]["models"].items()}
    models = open_models(declared, SystemClock(), environ={})
    assert set(models) == {Role.COORDINATOR}
    asked = models[Role.COORDINATOR].ask(questions(json.dumps(FACTS))[0])
    assert asked.answer == Words("An incident of severity high touches 12 decisions.")
    assert asked.model == "words/plain"
    sys.modules.pop("plain")


@pytest.mark.long
def test_the_recipe_of_a_command_makes_one_that_passes_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow("Add a command", tmp_path)
    monkeypatch.setattr(import_module("homeostat.cli"), "__path__", beside("homeostat.cli", tmp_path))
    ((line, text),) = re.findall(r'^\+    "actions": \("(.*)", "(.*)"\),$', PAGE, re.MULTILINE)
    monkeypatch.setitem(COMMANDS, "actions", (line, text))
    test = runpy.run_path(str(tmp_path / "tests/cli/test_actions.py"))
    test["test_each_action_is_counted_and_outcomes_are_not"](tmp_path, capsys)
    sys.modules.pop("homeostat.cli.actions")


@pytest.mark.long
def test_the_recipe_of_a_journal_makes_one_that_keeps_its_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow("Add a journal backend", tmp_path)
    disk = import_module("homeostat.adapters.disk")
    monkeypatch.setattr(disk, "__path__", beside("homeostat.adapters.disk", tmp_path))
    checks = checks_of(tmp_path / "tests/adapters/test_file_journal.py")
    assert checks
    for number, (test, check) in enumerate(checks):
        test(check, tmp_path / str(number))
    sys.modules.pop("homeostat.adapters.disk.file_journal")


@pytest.mark.parametrize(("name", "change"), changes())
def test_the_changes_of_the_recipes_fit_the_files_as_they_are(name: str, change: str) -> None:
    before = "".join(f"{line[1:]}\n" for line in change.splitlines() if line[0] != "+")
    assert (ROOT / name).read_text("utf-8").count(before) == 1
