"""The recipes of the contributor's guide, followed to the letter: their files are written, and their tests run."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")


def follow(heading: str, folder: Path) -> None:
    """Write the new files of one recipe below a folder."""
    (recipe,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for name, text in re.findall(r'^```\w+ title="([^"]+)"$\n(.*?)^```$', recipe, re.MULTILINE | re.DOTALL):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def checks_of(path: Path) -> list[tuple[Any, Any]]:
    """A recipe's test and what it is called with, each."""
    (test,) = (value for name, value in runpy.run_path(str(path)).items() if name.startswith("test_"))
    return [(test, check) for mark in test.pytestmark for check in mark.args[1]]


def test_the_recipe_of_a_scorer_makes_one_that_keeps_its_contract_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow("Add a scorer", tmp_path)
    folder = tmp_path / "steep"
    registered = folder / "steep-1.0.dist-info"  # As installing it leaves, without the network.
    registered.mkdir()
    (registered / "METADATA").write_text("Metadata-Version: 2.1\nName: steep\nVersion: 1.0\n")
    (registered / "entry_points.txt").write_text("[homeostat.scorers]\nsteep = steep:make_scorer\n")
    assert 'homeostat.scorers"]\nsteep = "steep:make_scorer"' in (folder / "pyproject.toml").read_text()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    checks = checks_of(folder / "test_steep.py")
    assert checks
    for test, check in checks:
        test(check)
    runpy.run_path("decide.py")
    assert capsys.readouterr().out == "5 allow\n500 block\n"
    sys.modules.pop("steep")
