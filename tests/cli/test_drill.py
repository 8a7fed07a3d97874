"""`homeostat drill` at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scenarios", "S30"], "there is no scenario S30"),
        (["--seeds", "x"], "names no seeds"),
        (["--days", "2"], "--days is from 4 to 366"),
        (["--jobs", "0"], "--jobs is at least 1"),
    ],
)
def test_a_drill_that_can_not_be_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drill", "access", "--out", str(tmp_path / "out"), *words])
    assert ended.value.code == 1 and said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_journal_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["drill", "access", "--out", str(tmp_path / "out"), "--journal", str(tmp_path)])
    assert "no journal.db" in capsys.readouterr().err
