"""The mirror in MLflow, against the recorded answers of a real server; `tests/peers` holds it against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.mlflow_exchange import playing, story
from tests.support.mlflow_stand_in import StandIn

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.mlflow import mirror
from homeostat.adapters.mlflow.mirror import Mirrored, MlflowMirror
from homeostat.checks.registry import APP, bundle_in
from homeostat.cli import main
from homeostat.errors import Unavailable
from homeostat.ports.registry import Lineage

EXCHANGE = Path(__file__).parent / "mlflow_exchange.json"
PASSES = [
    Mirrored(1, 0, ()), Mirrored(0, 0, ()), Mirrored(2, 0, ("champion", "challenger")),
    Mirrored(0, 1, ("champion", "challenger")), Mirrored(0, 0, ()),
]  # fmt: skip
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Of the client's own libraries.
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks a server that is away once, and not again after 1 s and 2 s."""
    for name, value in {**mirror._QUIET, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)


def test_each_pass_asks_what_a_real_server_has_answered(tmp_path: Path) -> None:
    with playing(json.loads(EXCHANGE.read_text())) as (url, left, strange):
        assert story(url, tmp_path) == PASSES
    assert strange == [] and not any(left.values())


def timeless(members):
    """An answer without the times of the server's own clock, and without sizes, which the recording does not hold."""
    if isinstance(members, list):
        return [timeless(one) for one in members]
    if not isinstance(members, dict):
        return members
    own = ("creation_timestamp", "last_updated_timestamp", "creation_time", "last_update_time", "file_size")
    return {name: timeless(value) for name, value in members.items() if name not in own}


def test_the_stand_in_for_a_server_answers_as_a_real_one_has() -> None:
    exchanges = [(json.loads(asked), status, body) for asked, status, body in json.loads(EXCHANGE.read_text())]
    runs = [
        json.loads(body)["run"]["info"]["run_id"] for asked, _, body in exchanges if asked[1].endswith("runs/create")
    ]
    stand_in = StandIn(iter(runs).__next__)
    for (method, path, query, sent), status, body in exchanges:
        answered = stand_in.answer(method, path, dict(query), sent)
        assert (answered[0], timeless(answered[1])) == (status, timeless(json.loads(body or "{}"))), (method, path)
    assert stand_in.answer("GET", "/api/2.0/mlflow/prompts/search", {}, None)[0] == 404


def test_a_server_that_is_away_is_unavailable_and_its_password_is_not_said() -> None:
    mirror = MlflowMirror("http://ann_of_x:hunter2@127.0.0.1:1", "demo")
    with pytest.raises(Unavailable, match=r"MLflow at .* failed") as raised:
        mirror.catch_up([], {}, lambda version: Path(version))
    assert "hunter2" not in str(raised.value) and "ann_of_x" not in str(raised.value)


def test_the_command_prints_one_line_for_a_pass(tmp_path: Path, capsys) -> None:
    SqliteRegistry(tmp_path / "data").put(bundle_in(tmp_path, 1), Lineage(APP))
    with pytest.raises(SystemExit) as ended:
        main(["models", "mirror", "--to", "http://127.0.0.1:1", "--json", "--data", str(tmp_path / "data")])
    printed = capsys.readouterr()
    assert ended.value.code == 1 and printed.out == ""
    assert printed.err.splitlines()[-1].startswith("homeostat: MLflow at 127.0.0.1:1 failed")


@pytest.mark.parametrize(
    ("to", "says"), [("mlflow.example", "begins with http://"), ("http://127.0.0.1:1", "there are no versions yet")]
)
def test_what_can_not_be_mirrored_is_said(to: str, says: str, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "mirror", "--to", to, "--data", str(tmp_path)])
    assert ended.value.code == 1 and says in capsys.readouterr().err
