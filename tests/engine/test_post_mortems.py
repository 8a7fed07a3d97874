"""The post-mortem of an incident is written once it is closed, and again where it was opened again and closed."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.waiting import ID, waiting

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.checks.incidents import incident
from homeostat.cli import main
from homeostat.engine.post_mortems import FOLDER, PostMortems
from homeostat.records.incidents import Phase

NOW = 1_700_000_000 * 10**9


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder, self.lines = folder, list[str]()
        self.incidents, self.plans = SqliteIncidents(folder), SqlitePlans(folder)
        self.writer = self.made()

    def made(self) -> PostMortems:
        return PostMortems(self.folder, self.incidents, self.plans, "EUR", self.lines.append)

    def write(self, revision: int, phase: Phase = Phase.OPEN) -> None:
        """A revision, which is announced."""
        self.incidents.write([], [incident(ID, revision, phase, 2 + revision)])
        self.incidents.plan([], self.incidents.changes(0)[-1].number)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / FOLDER).glob("*"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    with closing(found.incidents), closing(found.plans):
        yield found


def test_it_is_written_when_the_incident_is_closed_and_once(desk: Desk) -> None:
    desk.write(1)
    assert desk.writer.step() == 0 and desk.files == []
    desk.write(2, Phase.CLOSED)
    assert desk.writer.step() == 1 and desk.files == [f"{ID}.html", f"{ID}.md"]
    assert (desk.writer.step(), desk.made().step()) == (0, 0)  # The second one is another process.
    (said,) = desk.lines
    assert f"{FOLDER}/{ID}.html" in said
    assert all(stat.S_IMODE((desk.folder / FOLDER / name).stat().st_mode) == 0o600 for name in desk.files)


def test_an_incident_that_comes_back_and_closes_has_a_newer_one(desk: Desk) -> None:
    desk.write(1, Phase.CLOSED)
    desk.writer.step()
    first = (desk.folder / FOLDER / f"{ID}.md").read_text()
    desk.write(2)
    assert desk.writer.step() == 0
    desk.write(3, Phase.CLOSED)
    assert desk.writer.step() == 1 and (desk.folder / FOLDER / f"{ID}.md").read_text() != first


def test_it_waits_until_loop_2_has_finished_with_the_incident(desk: Desk) -> None:
    plan = waiting(desk.folder, NOW)
    desk.write(2, Phase.CLOSED)
    assert desk.writer.step() == 0 == desk.writer.step() and desk.files == []
    desk.plans.write(desk.plans.get(ID).to(Phase.CLOSED, NOW, "the incident is over"))
    assert desk.writer.step() == 1 and plan.hash in (desk.folder / FOLDER / f"{ID}.md").read_text()


def test_a_command_writes_it_at_any_time(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = waiting(desk.folder, NOW)
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["incidents", "report", ID[:8], "--data", str(desk.folder), "--out", str(out), "--app", "payments",
              "--json"])  # fmt: skip
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert found == {"incident": ID, "files": [str(out / f"{ID}.md"), str(out / f"{ID}.html")]}
    assert plan.hash in (out / f"{ID}.html").read_text() and "EUR" in (out / f"{ID}.md").read_text()
