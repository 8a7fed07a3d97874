import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.adapters.disk.dead_letters import VALUE_MAX, DeadLetterFile, as_line
from homeostat.checks.journal import DEAD_LETTER_CHECKS
from homeostat.ports import Unavailable
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Reason


@pytest.mark.parametrize("check", DEAD_LETTER_CHECKS, ids=lambda check: check.__name__)
def test_the_dead_letter_file_conforms(check, tmp_path):
    with DeadLetterFile(tmp_path / "dead_letters.jsonl") as letters:
        check(letters)


@pytest.mark.long
@given(st.integers(0, 10**9), st.text(), st.text(st.characters(codec=None)), st.sampled_from(list(Reason)))
def test_a_letter_is_one_line_of_json_that_says_the_same(line, field, value, reason):
    text = as_line(DeadLetter(line, field, value, reason))
    assert text.isascii() and text.count("\n") == 1 and text.endswith("\n")
    assert json.loads(text) == {"line": line, "field": field, "value": value, "reason": reason.value}


def test_letters_are_added_to_those_of_the_last_start_and_long_values_are_cut(tmp_path):
    path = tmp_path / "dead_letters.jsonl"
    for k in range(2):
        with DeadLetterFile(path) as letters:
            letters.bury([DeadLetter(k, "amount", "9" * 10_000, "out_of_range")] * 2)
            assert letters.count == 2
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [letter["line"] for letter in found] == [0, 0, 1, 1]
    assert all(letter["value"] == "9" * VALUE_MAX + "... (10000 characters)" for letter in found)


def test_what_cannot_be_written_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        DeadLetterFile(tmp_path / "nowhere" / "dead_letters.jsonl")
    letters = DeadLetterFile(tmp_path / "dead_letters.jsonl")
    letters.close()
    with pytest.raises(Unavailable):
        letters.bury([DeadLetter(1, "a", "b", "malformed")])
