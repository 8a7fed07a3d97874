"""Identities, pairs and chance that nobody can choose without the secret."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.records.identity import (
    ABSENT,
    CODE_MAX,
    Coding,
    Ids,
    category_code,
    first_rows,
    is_hashed,
    joined_ids,
    rows_in,
    text_of,
)
from homeostat.records.siphash import draw_chances, hash_pairs

MASK = (1 << 64) - 1
CODING, OTHER = Coding.of_seed(0), Coding.of_seed(1)
words = st.integers(0, MASK)
identities = st.tuples(st.integers(-3, 3), st.integers(0, 2))  # So few codes that most are shared.


def sip(key: tuple[int, int], message: list[int], wide: bool) -> int:
    """SipHash-2-4 of 64-bit words in plain Python; 128 bits where `wide`."""
    v = [a ^ b for a, b in zip(
        (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573), (*key, *key), strict=True
    )]  # fmt: skip
    v[1] ^= 0xEE * wide

    def rounds(count: int) -> None:
        for _ in range(count):
            for a, b, by in ((0, 1, 13), (2, 3, 16)):
                v[a] = (v[a] + v[b]) & MASK
                v[b] = ((v[b] << by | v[b] >> (64 - by)) & MASK) ^ v[a]
            v[0] = (v[0] << 32 | v[0] >> 32) & MASK
            for a, b, by in ((2, 1, 17), (0, 3, 21)):
                v[a] = (v[a] + v[b]) & MASK
                v[b] = ((v[b] << by | v[b] >> (64 - by)) & MASK) ^ v[a]
            v[2] = (v[2] << 32 | v[2] >> 32) & MASK

    for word in [*message, (8 * len(message)) << 56]:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE if wide else 0xFF
    rounds(4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return low | (v[0] ^ v[1] ^ v[2] ^ v[3]) << 64 if wide else low


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def pair_of(first: tuple[int, int], second: tuple[int, int], coding: Coding = CODING) -> tuple[int, int]:
    keys, checks = np.array([[first[0], second[0], 0]]), np.array([[first[1], second[1], 0]])
    coding.fill_pair(keys, checks, (0, 1), 2)
    return int(keys[0, 2]), int(checks[0, 2])


def test_the_twin_agrees_with_the_published_test_vectors():
    key = tuple(int.from_bytes(bytes(range(k, k + 8)), "little") for k in (0, 8))
    message = [int.from_bytes(bytes(range(k, k + 8)), "little") for k in (0, 8, 16, 24)]
    assert sip(key, message[:2], False).to_bytes(8, "little").hex() == "db9bc2577fcc2a3f"
    assert sip(key, message, True).to_bytes(16, "little").hex() == "7c3956ca5eeafc3e363e9d556546eb68"


@settings(deadline=None)
@given(words, words, st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_the_hash_of_two_words_equals_its_twin(first, second, rows):
    out = np.zeros((len(rows), 2))
    columns = (np.array(column, np.uint64).view(np.int64) for column in zip(*rows))
    draw_chances(np.array([[first, second], [second, first]], np.uint64), *columns, out)
    twins = [[sip(key, list(row), False) for key in ((first, second), (second, first))] for row in rows]
    assert out.tolist() == [[(drawn >> 11) / 2**53 for drawn in row] for row in twins]


@settings(deadline=None)
@given(words, words, st.lists(words, min_size=4, max_size=4))
def test_the_hash_of_a_pair_equals_its_twin(first, second, message):
    a, b, c, d = map(signed, message)
    keys, checks = np.array([[a, c, 0]]), np.array([[b, d, 0]])
    hash_pairs(np.uint64(first), np.uint64(second), keys, checks, 0, 1, 2)
    if ABSENT in (a, c):
        assert (keys[0, 2], checks[0, 2]) == (ABSENT, 0)
        return
    wide = sip((first, second), message, True)
    assert keys[0, 2] == 1 << 62 | (wide & MASK) >> 2 and checks[0, 2] == signed(wide >> 64)


@given(st.integers(-CODE_MAX, CODE_MAX))
def test_an_integer_and_its_text_are_one_under_any_secret(number):
    assert CODING.identify(number) == CODING.identify(str(number)) == OTHER.identify(number) == (number, 0)


@pytest.mark.parametrize("key", ["", "a", "007", "+7", "-0", " 7", str(CODE_MAX + 1), CODE_MAX + 1, "\ud800", "7.0"])
def test_any_other_text_is_a_hash_that_hangs_on_the_secret(key):
    code, check = CODING.identify(key)
    assert is_hashed(code) and (code, check) == Coding(CODING.secret).identify(key) != OTHER.identify(key)
    assert check != OTHER.identify(key)[1] and text_of(code, check, {(code, check): str(key)}) == str(key)


def test_ids_that_one_hash_without_a_secret_gave_one_code_are_two():
    found = {CODING.identify(key) for key in ("id-2315e4eba5839872", "id-0e48d36c63439b5d")}
    assert len({code for code, _ in found}) == len({check for _, check in found}) == 2


def test_a_pair_that_could_be_reached_by_arithmetic_is_another():
    a, c = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F  # The multipliers that pairs were once mixed with.
    victim, terminal = 4711, 77
    chosen, reached = [], victim * a + (terminal ^ terminal >> 31) * c & MASK
    for other in range(1000, 3000):
        customer = signed((reached - (other ^ other >> 31) * c) * pow(a, -1, 1 << 64) & MASK)
        if -CODE_MAX <= customer <= CODE_MAX and customer != victim:
            chosen.append((customer, other))
    assert len(chosen) > 100
    assert pair_of((victim, 0), (terminal, 0)) not in {pair_of((one, 0), (other, 0)) for one, other in chosen}


def test_pairs_hang_on_both_members_in_their_order_and_never_meet_an_integer():
    members = [(1, 0), (2, 0), CODING.identify("a"), (CODING.identify("a")[0], 5)]
    pairs = {pair_of(one, other) for one in members for other in members}
    assert len(pairs) == len(members) ** 2 and all(is_hashed(code) for code, _ in pairs)
    assert pair_of((1, 0), (2, 0)) != pair_of((1, 0), (2, 0), OTHER)
    assert pair_of((1, 0), (ABSENT, 0)) == pair_of((ABSENT, 0), (1, 0)) == (ABSENT, 0)


def test_a_secret_is_never_shown():
    assert CODING.secret.hex()[:8] not in repr(CODING) and "secret" in repr(CODING)
    with pytest.raises(ValueError, match="16 bytes"):
        Coding(b"short")


@given(st.lists(identities, max_size=12), st.lists(identities, max_size=12))
def test_rows_are_found_by_both_words(known, asked):
    ids = Ids.of(known)
    assert first_rows(ids).tolist() == [known.index(one) for one in known]
    assert rows_in(ids, Ids.of(asked)).tolist() == [known.index(one) if one in known else -1 for one in asked]
    assert joined_ids([ids, Ids.of(asked)]).tolist() == known + asked


def test_no_other_text_gets_the_code_of_a_category_that_the_app_names(monkeypatch):
    monkeypatch.setattr("homeostat.records.identity.category_code", lambda text: float(len(text)))
    coding = CODING.with_literals(["web", "shop"])
    assert coding.category("web") == 3.0 and coding.category("shop") == 4.0
    assert coding.category("app") not in (3.0, 4.0) and coding.category("mail") not in (3.0, 4.0)


def test_categories_keep_the_numbers_that_models_were_trained_on():
    assert CODING.category("web") == OTHER.category("web") == category_code("web") == 1593633002381332.0
