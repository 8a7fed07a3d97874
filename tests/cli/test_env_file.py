"""A `.env` file sets what the environment does not, gives away nothing, and is refused in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from homeostat.cli.env_file import take_env_file
from homeostat.cli.failures import CommandError
from homeostat.config.servers import FORMER_PREFIX, PREFIX, read_servers

JOURNAL, FORMER = "HOMEOSTAT_SERVERS__JOURNAL", "HOMEOSTAT_WORLD__JOURNAL"


def written(folder: Path, text: str | bytes, name: str = ".env", mode: int = 0o600) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def taken(folder: Path, text: str, **environment: str) -> dict[str, str]:
    """The environment after a file that gets no warning."""
    written(folder, text)
    assert take_env_file(environment, folder) == []
    return environment


def test_the_prefixes_are_those_of_the_servers() -> None:
    from homeostat.cli import env_file

    assert (env_file.SERVERS, env_file.FORMER_SERVERS) == (PREFIX, FORMER_PREFIX)


def test_no_file_sets_nothing_and_imports_no_parser(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    assert take_env_file(environment, tmp_path) == [] and environment == {}
    (tmp_path / ".env").mkdir()  # Some keep a virtual environment under this name.
    assert take_env_file(environment, tmp_path) == [] and environment == {}


def test_a_file_sets_servers_words_logs_and_traces(tmp_path: Path) -> None:
    found = taken(
        tmp_path,
        "# our servers\nexport HOMEOSTAT_SERVERS__JOURNAL=postgresql://u@db/h\n\n"
        "HOMEOSTAT_SERVERS__KAFKA__PASSWORD='a # b $HOME ${HOME}'\nHOMEOSTAT_WORDING_KEY=k\nHOMEOSTAT_LOG=json\n"
        "OTEL_SERVICE_NAME=one\nOTEL_SERVICE_NAME=two\n",
    )
    assert found == {
        JOURNAL: "postgresql://u@db/h", "HOMEOSTAT_SERVERS__KAFKA__PASSWORD": "a # b $HOME ${HOME}",
        "HOMEOSTAT_WORDING_KEY": "k", "HOMEOSTAT_LOG": "json", "OTEL_SERVICE_NAME": "two",
    }  # fmt: skip
    assert read_servers(None, found).kafka.password == "a # b $HOME ${HOME}"


@pytest.mark.parametrize(
    "environment", [{JOURNAL: "postgresql://own@db/h"}, {JOURNAL: ""}, {FORMER: "postgresql://own@db/h"}]
)
def test_the_environment_wins_over_the_file(tmp_path: Path, environment: dict[str, str]) -> None:
    assert taken(tmp_path, f"{JOURNAL}=postgresql://file@db/h\n", **environment) == environment


def test_names_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    assert taken(tmp_path, "PATH=/tmp/evil\nPYTHONPATH=/tmp/evil\nLD_PRELOAD=x\nDATABASE_URL=y\nPASSED_ON\n") == {}


def test_a_name_that_looks_like_ours_is_warned_of_without_its_value(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    written(tmp_path, "HOMEOSTAT_JOB_FD=3\nHOMEOSTAT_SERVER__JOURNAL=postgresql://u:hunter2@db/h\n")
    (warning,) = take_env_file(environment, tmp_path)
    assert "HOMEOSTAT_JOB_FD, HOMEOSTAT_SERVER__JOURNAL" in warning and "hunter2" not in warning and environment == {}


@pytest.mark.parametrize(("mode", "open_"), [(0o600, False), (0o400, False), (0o640, True), (0o602, True)])
def test_a_file_that_others_may_read_or_write_is_warned_of(tmp_path: Path, mode: int, open_: bool) -> None:
    written(tmp_path, f"{JOURNAL}=postgresql://u:hunter2@db/h\n", mode=mode)
    warnings = take_env_file({}, tmp_path)
    assert ["chmod 600" in warning and "hunter2" not in warning for warning in warnings] == [True] * open_
    written(tmp_path, "DATABASE_URL=y\n", mode=mode)  # Nothing of ours is in it.
    assert take_env_file({}, tmp_path) == []


def test_a_variable_names_another_file_or_none(tmp_path: Path) -> None:
    written(tmp_path, "HOMEOSTAT_LOG=json\n")
    other = written(tmp_path, "HOMEOSTAT_LOG=text\n", "other.env")
    for named, found in ((str(other), {"HOMEOSTAT_LOG": "text"}), ("", {})):
        environment = {"HOMEOSTAT_ENV_FILE": named}
        assert take_env_file(environment, tmp_path) == []
        assert environment == {"HOMEOSTAT_ENV_FILE": named, **found}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"HOMEOSTAT_LOG=json\nHOMEOSTAT_SERVERS__JOURNAL='hunter2\n", "line 2: this is no NAME=value"),
        (b"HOMEOSTAT_LOG=json\n\nhunter2 is it\n", "line 3: this is no NAME=value"),
        (b"HOMEOSTAT_WORDING_KEY\n", "line 1: HOMEOSTAT_WORDING_KEY has no value"),
        (b"HOMEOSTAT_WORDING_KEY=hunter2\0\n", "line 1: there is a NUL"),
        (b"HOMEOSTAT_WORDING_KEY=hunter2\xff\n", "is no UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_line_alone(tmp_path: Path, content: bytes, says: str) -> None:
    written(tmp_path, content)
    environment: dict[str, str] = {}
    with pytest.raises(CommandError) as refused:
        take_env_file(environment, tmp_path)
    assert says in str(refused.value) and "hunter2" not in str(refused.value) and environment == {}


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere can't be read \(No such file or directory\)"):
        take_env_file({"HOMEOSTAT_ENV_FILE": str(tmp_path / "nowhere")})


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOMEOSTAT_")}
    command = [sys.executable, "-m", "homeostat", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.long
def test_a_command_uses_the_file_and_ends_in_a_sentence_where_it_is_broken(tmp_path: Path) -> None:
    written(tmp_path, f"{JOURNAL}=postgresql://u:hunter2@127.0.0.1:1/h\n", mode=0o644)
    found = ran(tmp_path, "keys", "list")
    assert found.returncode == 1 and "PostgreSQL" in found.stderr and "chmod 600 .env" in found.stderr
    assert "hunter2" not in found.stdout + found.stderr and "Traceback" not in found.stderr
    written(tmp_path, "it's hunter2\n")
    found = ran(tmp_path, "keys", "list")
    assert (found.returncode, found.stdout) == (1, "") and found.stderr.startswith("homeostat: .env, line 1: ")
    assert found.stderr.count("\n") == 1 and "hunter2" not in found.stderr
    assert ran(tmp_path, "--version").returncode == 0
