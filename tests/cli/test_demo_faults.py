"""The demo of faults: three courses of one world, money and steps, and a page that stands alone."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from homeostat.cli import main
from homeostat.cli.demo_faults import end, plan_of, screen
from homeostat.jobs.demo.faults import AS_IT_IS, SIX, WITH, WITHOUT, FaultsDemo, FaultsPlan, steps, summary
from homeostat.jobs.demo.faults_page import write_page


@pytest.fixture(scope="module")
def played() -> tuple[FaultsDemo, list[str]]:
    """A short demo with one fault, and its screens."""
    demo = FaultsDemo(FaultsPlan(days=4, past_days=10, warm_days=10, scenarios=("S21",)))
    demo.open()
    shots = [_text(screen(demo, share)) for share in demo.run()]
    return demo, shots


def _text(what: object) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.long
def test_a_fault_costs_money_and_the_second_loop_saves_most_of_it(played) -> None:
    demo, shots = played
    found = summary(demo, (1.0, 2.0))
    assert found["lost"][WITHOUT] > 2 * found["lost"][WITH] and found["unauthorised"] == 0
    assert found["under_fault"][WITHOUT] > 2 * found["under_fault"][WITH] > 0
    assert len({len(course.cost) for course in demo.courses.values()}) == 1 and len(demo.courses[AS_IT_IS].cost) == 96
    assert sum(demo.courses[AS_IT_IS].differing) == 0 < found["decided_otherwise"][WITHOUT]
    (fault,) = found["faults"]
    assert fault["kind"] == "configuration" and fault["mended"] is not None and fault["mended"] > fault["day"]
    assert [one["remedy"] for one in steps(demo)] == ["revert_settings"]
    assert "revert_settings" in shots[-1] and "day 4.0 of 4" in shots[-1]
    assert abs(sum(found["lost_by_hour"][WITH]) - found["lost"][WITH]) < 1.0


@pytest.mark.long
def test_the_end_fits_a_screen_and_the_page_stands_alone(played, tmp_path: Path) -> None:
    demo, _ = played
    found = summary(demo, (1.0, 2.0))
    written = write_page(found, tmp_path / "out")
    assert {one.name for one in written} == {"faults.html", "money.svg", "faults.json"}
    text = _text(end(found, written))
    assert len(text.splitlines()) <= 24 and "revert_settings" in text and "without loop 2" in text
    page = (tmp_path / "out" / "faults.html").read_text("utf-8")
    assert page.count("<svg") >= 2 and "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    assert json.loads((tmp_path / "out" / "faults.json").read_text("utf-8"))["lost"] == found["lost"]


def test_a_month_has_six_faults_and_a_wrong_call_is_explained(capsys) -> None:
    assert plan_of(1, 30).scenarios == SIX and len(plan_of(1, None).scenarios) == 3
    for words, hint in (
        (["--faults", "--days", "2"], "--days from 4 to 120"),
        (["--faults", "--train"], "do not go with --faults"),
        (["--out", "x"], "--out goes with --faults"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["demo", *words])
        assert stopped.value.code == 1 and hint in capsys.readouterr().err
