"""Secrets and personal fields don't reach a language model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.maintain.advise.masking import TEXT_MAX, Masking, masked

SECRETS = [
    "ann.lee@example.org", "4111 1111 1111 1111", "4111-1111-1111-1111", "+49 170 1234567", "DE89370400440532013000",
    "DE89 3704 0044 0532 0130 00", "192.168.17.4", "2001:db8:85a3:0:0:8a2e:370:7334", "postgres://ann:pw@db/x",
    "sk-proj-abcdefgh12345678", "ghp_abcdefghij0123456789", "eyJhbGciOi.eyJzdWIi.c2lnbmF0",
    "hs_0a1b2c_0123456789abcdef",
    "password: hunter2", "Bearer abcdef", "api_key=xyz", "AKIAIOSFODNN7EXAMPLE", "'Ann Lee'", '"Ann Lee"', "`Ann Lee`",
    "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----", "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_what_identifies_or_opens_is_masked(secret: str) -> None:
    found = masked(f"values came from {secret} since then")
    assert secret not in found and "<" in found
    for part in ("hunter2", "abcdef", "Ann", "1111", "pw@", "MIIabc", "1234567", "xyz"):
        assert part not in found


@pytest.mark.parametrize(
    "text",
    [
        "its median is 100.5 times what it was", "the share of events without field:amount went from 0.01% to 12.00%",
        "risks that differ with the version before", "the distance of feature:usual is 0.31 (Kolmogorov-Smirnov)",
    ],
)  # fmt: skip
def test_what_was_measured_stays(text: str) -> None:
    assert masked(text) == text


@given(st.text(max_size=3 * TEXT_MAX))
def test_a_masked_text_is_short_and_has_no_control_characters(text: str) -> None:
    found = masked(text)
    assert len(found) <= TEXT_MAX and (found.isprintable() or not found)


def test_names_that_are_not_of_the_app_file_are_numbered_and_taken_back() -> None:
    masking = Masking(["field:amount", "labels"])
    assert masking.node("field:amount") == "field:amount" and masking.node("app") == "app"
    place = masking.node("segment:shop == 'Ann Lee'")
    assert place == "segment:#1" and masking.node("segment:shop == 'Ann Lee'") == place
    assert masking.node("segment:other") == "segment:#2"
    assert masking.back(place) == "segment:shop == 'Ann Lee'" and masking.back("segment:#9") is None
    assert masking.text("it is at segment:shop == 'Ann Lee' alone") == "it is at segment:#1 alone"
    facts = {"node": place, "words": ["by 'Ann'", 5, None], "more": {"mail": "a@b.org"}}
    assert masking.plain(facts) == {"node": place, "words": ["by <value>", 5, None], "more": {"mail": "<e-mail>"}}
