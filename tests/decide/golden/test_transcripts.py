"""Each stage says today the same as when its transcript was written: see `transcripts`."""

from difflib import unified_diff

import pytest
from tests.decide.golden.transcripts import HERE, STAGES, transcripts


@pytest.fixture(scope="module")
def spoken():
    return transcripts()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_what_its_transcript_says(spoken, stage):
    written = (HERE / f"{stage}.txt").read_text("utf-8")
    lines = unified_diff(written.splitlines(), spoken[stage].splitlines(), "transcript", "now", lineterm="", n=1)
    changed = "\n".join(lines)
    assert not changed, f"{changed}\nIf that is meant, run `make golden` and say why in the commit"
