"""The image's recipe, as far as it can be judged without building it."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def steps(deploy: Path) -> list[tuple[str, str]]:
    """The instructions, each with what follows it, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (deploy / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


@pytest.fixture(scope="module")
def last(steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The instructions of the stage that becomes the image."""
    return steps[max(k for k, (word, _) in enumerate(steps) if word == "FROM") :]


def test_the_image_is_slim_and_runs_as_nobody_in_particular(last: list[tuple[str, str]]) -> None:
    assert last[0] == ("FROM", "python:3.11-slim-bookworm")
    users = [rest for word, rest in last if word == "USER"]
    assert users == ["10001:10001"]
    after = [word for word, _ in last[[word for word, _ in last].index("USER") :]]
    assert not {"RUN", "COPY", "ADD"} & set(after)


def test_no_tools_for_building_reach_the_image(last: list[tuple[str, str]]) -> None:
    run = " ".join(rest for word, rest in last if word == "RUN")
    assert not re.search(r"\b(apt|apt-get|pip|uv|gcc|make|curl|git)\b", run)
    assert [rest for word, rest in last if word == "COPY" and "--from=build" in rest] == [
        "--from=build /opt/homeostat /opt/homeostat"
    ]


def test_versions_are_those_that_are_tested(steps: list[tuple[str, str]]) -> None:
    installs = [part for word, rest in steps if word == "RUN" for part in rest.split("&&") if "pip install" in part]
    assert installs and all("--constraint /src/constraints.txt" in part for part in installs)
    assert not any(word == "ADD" for word, _ in steps)


def test_it_says_whether_it_lives_and_ends_by_draining(last: list[tuple[str, str]]) -> None:
    words = dict(last)
    assert "/healthz" in words["HEALTHCHECK"] and words["STOPSIGNAL"] == "SIGTERM"
    assert words["ENTRYPOINT"].startswith("[") and words["CMD"].startswith("[")  # Else a shell would catch the signal.


def test_no_secret_is_in_the_recipe(steps: list[tuple[str, str]]) -> None:
    assert not any(re.search("password|secret|token", rest, re.IGNORECASE) for _, rest in steps)


def test_what_is_copied_is_there_and_is_sent_to_the_builder(deploy: Path, steps: list[tuple[str, str]]) -> None:
    root, sent = deploy.parent, (deploy / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert sent[1] == "*"
    for word, rest in steps:
        if word == "COPY" and "--from" not in rest:
            for source in [part for part in shlex.split(rest) if not part.startswith("--")][:-1]:
                assert (root / source).exists() and f"!{source}" in sent


def test_the_entry_point_becomes_homeostat(deploy: Path, tmp_path: Path) -> None:
    script = (deploy / "entrypoint.sh").read_text("utf-8")
    assert subprocess.run(["sh", "-n", str(deploy / "entrypoint.sh")], check=False).returncode == 0
    assert script.rstrip().endswith('exec homeostat "$@"')
    stand_in = tmp_path / "homeostat"
    stand_in.write_text('#!/bin/sh\necho "$@"\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NUMBA_CACHE_DIR": "/nowhere"}
    command = ["sh", str(deploy / "entrypoint.sh"), "worker", "a b"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "worker a b\n"


def test_hadolint_finds_nothing(deploy: Path) -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed; the other tests look at the recipe all the same")
    command = [hadolint, "--failure-threshold", "warning", str(deploy / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
