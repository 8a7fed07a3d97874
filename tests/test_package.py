"""The wheel and the source archive hold what they have to; their version, pins, commands and news agree."""

import os
import re
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from homeostat.records.software import VERSION
from trials import wheel as trial

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
HEAVY = {"torch", "scikit-learn", "xgboost-cpu", "ray", "pandas", "stable-baselines3", "confluent-kafka", "psycopg"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The archives by their endings. The wheel is built from the source archive, not from the tree."""
    room = tmp_path_factory.mktemp("dist")
    try:
        trial.run(trial.uv(), "build", "--quiet", "--python", sys.executable, "--out-dir", room, ROOT, cwd=room)
    except trial.Failed as failure:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"nothing can be built here: {str(failure).splitlines()[-1]}")
    return {path.suffix: path for path in room.iterdir() if path.name.startswith("homeostat")}


@pytest.fixture(scope="module")
def wheel(built: dict[str, Path]) -> zipfile.ZipFile:
    return zipfile.ZipFile(built[".whl"])


def metadata(wheel: zipfile.ZipFile):
    return Parser().parsestr(wheel.read(f"homeostat-{VERSION}.dist-info/METADATA").decode())


def in_tree(*folders: str) -> set[str]:
    """The files of these folders of the repository that are no leftovers of a run."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(ROOT)) for path in found
        if "__pycache__" not in path.parts and not any(part.startswith(".") for part in path.parts[len(ROOT.parts) :])
    }  # fmt: skip


@pytest.mark.long
def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {f"src/{name}" for name in held} == in_tree("src/homeostat")
    assert {"homeostat/py.typed", "homeostat/apps/payments/bundle/manifest.json"} <= held


@pytest.mark.long
def test_the_source_archive_can_be_built_and_tested(built: dict[str, Path]) -> None:
    archive = built[".gz"]
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    assert in_tree("src", "tests", "docs", "deploy", "trials", "news.d") - held == set()
    assert {"Makefile", "pyproject.toml", "constraints.txt", "LICENSE", "SECURITY.md", "CHANGELOG.md"} <= held


@pytest.mark.long
def test_the_wheel_is_typed_licensed_and_light(wheel: zipfile.ZipFile) -> None:
    about = metadata(wheel)
    assert about["License-Expression"] == "Apache-2.0" and about.get_all("License-File") == ["LICENSE"]
    assert "Typing :: Typed" in about.get_all("Classifier")
    base = {re.match(r"[\w-]+", line)[0] for line in about.get_all("Requires-Dist") if "extra ==" not in line}
    assert {"numba", "pyarrow"} <= base and not base & HEAVY
    assert set(about.get_all("Provides-Extra")) == set(PROJECT["project"]["optional-dependencies"])


@pytest.mark.long
def test_there_is_one_version(wheel: zipfile.ZipFile) -> None:
    assert metadata(wheel)["Version"] == VERSION
    named = [
        (path, found)
        for path in [*(ROOT / "deploy").rglob("*"), ROOT / "docs" / "deploy.md"]
        if path.is_file() and path.suffix != ".pyc"
        for found in re.findall(r"(?:homeostat:|newTag: )(\d+\.\d+\.\d+)", path.read_text("utf-8"))
    ]  # fmt: skip
    assert len(named) >= 4 and {found for _, found in named} == {VERSION}, named


@pytest.mark.long
def test_the_installed_wheel_runs_outside_of_the_repository(built: dict[str, Path], tmp_path: Path) -> None:
    wheel = built[".whl"]
    site, outside = tmp_path / "site", tmp_path / "outside"
    outside.mkdir()
    trial.run(trial.uv(), "pip", "install", "--quiet", "--no-deps", "--target", site, wheel, cwd=outside)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from homeostat.cli import main; main(sys.argv[1:])"

    def output(*arguments: str) -> str:
        return trial.run(sys.executable, "-c", code, *arguments, cwd=outside)

    assert output("--version").strip() == VERSION
    output("init", "app.yaml")
    assert (outside / "app.yaml").read_text("utf-8") == (
        ROOT / "src" / "homeostat" / "config" / "starter.yaml"
    ).read_text("utf-8")
    assert '"https://json-schema.org' in output("schema", "audit")


def test_the_trial_of_wheels_knows_every_extra_that_users_have() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"]) - {"dev"}
    assert set(trial.USES) == extras
    assert set(trial.ALL.split(",")) | {"kafka", "redis", "postgres", "prefect"} == extras


@pytest.mark.parametrize(
    "output", ["", "day 1", "[]", '{"decisions": 0, "costs": {"none": 1.0}}', '{"decisions": 5, "costs": {}}',
               '{"decisions": 5, "costs": {"none": 0.0}}'],
)  # fmt: skip
def test_a_demo_that_decides_nothing_fails_the_trial(output: str) -> None:
    with pytest.raises(trial.Failed, match="the demo"):
        trial.played(output)
    assert trial.played('{"decisions": 5, "costs": {"none": 9.5}}') == "demo: 5 payments decided"


def test_an_interpreter_may_be_named_from_the_folder_of_the_caller() -> None:
    assert trial.interpreter(".venv/bin/python") == str(Path.cwd() / ".venv" / "bin" / "python")
    assert trial.interpreter("3.12") == "3.12"


def test_a_step_that_exits_with_an_error_fails_the_trial(tmp_path: Path) -> None:
    with pytest.raises(trial.Failed, match="exited with 3:\nwhy"):
        trial.run(sys.executable, "-c", "import sys; print('why'); sys.exit(3)", cwd=tmp_path)


def test_everything_that_is_asked_for_is_pinned() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [PROJECT["project"]["dependencies"], *extras.values(), *PROJECT["dependency-groups"].values()]
    names = {re.match(r"[\w.-]+", line)[0].lower() for lines in asked for line in lines} - {"homeostat"}
    assert len(names) > 40 and names - pinned == set()


def test_tools_that_make_runs_by_themselves_are_pinned() -> None:
    tools = {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependency-groups"]["package"]} - {"uv"}
    assert set(re.findall(r"\$\(TOOL\) --from ([\w-]+)", MAKEFILE)) == tools


def test_workflows_run_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    run = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            for command in (step["run"] for step in job["steps"] if "run" in step):
                run |= {word for word in command.split()[1:] if command.startswith("make ") and "=" not in word}
    assert {"wheel-check", "sbom", "licences", "audit", "changelog"} <= run
    assert {word for word in run if not word.startswith(("$", "{", "}", "matrix"))} <= targets


def test_fragments_of_news_are_of_a_kind_that_is_known_and_say_something() -> None:
    kinds = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
    for path in (ROOT / "news.d").iterdir():
        named = re.fullmatch(r"\+[a-z0-9-]+\.(\w+)\.md", path.name)
        assert path.name == "README.md" or (named and named[1] in kinds and path.read_text("utf-8").strip()), path
    assert PROJECT["tool"]["towncrier"]["start_string"] in (ROOT / "CHANGELOG.md").read_text("utf-8")
