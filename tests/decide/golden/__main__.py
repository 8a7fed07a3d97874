"""Writes the transcripts: `make golden`. Read what changed, and say in the commit why."""

from tests.decide.golden.transcripts import HERE, transcripts

for stage, text in transcripts().items():
    (HERE / f"{stage}.txt").write_text(text, "utf-8")
