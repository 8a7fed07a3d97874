"""Nobody can choose keys, values or ids that lie in one place of a hash table, so lookups stay short."""

import numpy as np
import pytest

from homeostat.adapters.disk.sqlite.id_index import IdIndex
from homeostat.decide.outcomes.kernel import index as put
from homeostat.decide.windows import layout as at
from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.links import mix
from homeostat.decide.windows.plan import Aggregate, Kind, LabelFilter, Window, WindowPlan
from homeostat.records.identity import ABSENT, PLACES, Ids

COUNT = 1500
WORD = (1 << 64) - 1
SECRETS = [0x2545F4914F6CDD1D, 0x6A09E667F3BCC909, 0x3C6EF372FE94F82B]


def unshifted(word: int, by: int) -> int:
    """The x of which `word` is x ^ (x >> by)."""
    found = word
    while word:
        word >>= by
        found ^= word
    return found


def unmixed(word: int) -> int:
    """The word that SplitMix64's finaliser makes `word` of."""
    word = unshifted(word, 31) * pow(0x94D049BB133111EB, -1, 1 << 64) & WORD
    word = unshifted(word, 27) * pow(0xBF58476D1CE4E5B9, -1, 1 << 64) & WORD
    return unshifted(word, 30)


def chosen(secret: int) -> list[int]:
    """Entity keys that all lie in one place, for someone who knows the secret."""
    odd = pow(secret, -1, 1 << 64)
    apart = (
        at.G_WORDS + 1
    ) * 0x9E3779B97F4A7C15  # The tag that keeps the keys of one kind of entity from those of another.
    keys = ((unmixed(k << 20 | 5) * odd - apart) & WORD for k in range(16 * COUNT))
    return [key for key in keys if key < 1 << 61][:COUNT]


def longest_run(held: np.ndarray) -> int:
    """The most places in a row that are taken: no lookup looks at more."""
    free = np.flatnonzero(~np.concatenate([held, held]))
    return int(np.diff(free).max()) - 1


def windows_with(keys: list[int], places: int) -> Windows:
    window = Window(0, 3600 * 10**9, 0, -1, LabelFilter.ANY, False, (Aggregate(Kind.SUM, 0, 0),))
    made, n = Windows(WindowPlan(1, 1, 0, 1, (window,), 0, True), places), len(keys)
    made.advance(
        time_ns=np.arange(n), keys=np.array(keys).reshape(n, 1), checks=np.zeros((n, 1), np.int64),
        values=np.ones((n, 1)), masks=np.zeros((n, 0), bool), label=np.full(n, np.nan), tag=np.arange(n),
        kind=np.zeros(n, np.uint8),
    )  # fmt: skip
    return made


def test_with_the_number_known_entities_can_be_chosen_that_lie_in_one_place():
    """The choice of keys works, or the next test would show nothing."""
    held = windows_with(chosen(SECRETS[0]), SECRETS[0])._memory.hash_states >= 0
    assert held.sum() == COUNT and longest_run(held) >= COUNT


@pytest.mark.parametrize("secret", SECRETS)
def test_chosen_entities_are_spread_over_the_map(secret):
    held = windows_with(chosen(1), secret)._memory.hash_states >= 0
    assert held.sum() == COUNT and longest_run(held) < COUNT // 10


@pytest.mark.parametrize("secret", SECRETS)
def test_chosen_values_are_spread_over_the_buckets_of_distinct(secret):
    """Buckets take the low bits of the same hash, of the value's 64 bits."""
    program = np.zeros(at.G_WORDS, np.int64)
    words = [np.uint64(unmixed(k << 12 | 7)) for k in range(COUNT)]
    for places, least, most in ((1, 1, 1), (secret, COUNT // 3, COUNT)):
        program[at.G_PLACES] = places
        assert least <= len({int(mix(program, word)) & 1023 for word in words}) <= most


def chosen_ids(word: int) -> list[int]:
    """Ids that all lie in one place of an index whose number is known."""
    odd, last = pow(word, -1, 1 << 64), pow(0xD6E8FEB86659FD93, -1, 1 << 64)
    ids = (unshifted((5 << 32 | low) * last & WORD, 32) * odd & WORD for low in range(1, 1 << 20))
    return [one for one in ids if one < 1 << 61][:COUNT]


def test_chosen_ids_are_spread_over_the_index_of_a_journal():
    ids = Ids.of([(one, 0) for one in chosen_ids(SECRETS[0])])
    known, secret = IdIndex(), IdIndex()
    known._places = SECRETS[0]
    for index in (known, secret):
        index.put_all(ids, 1)
        assert len(index) == COUNT
    assert longest_run(known._codes != ABSENT) >= COUNT
    assert longest_run(secret._codes != ABSENT) < COUNT // 10


@pytest.mark.long
@pytest.mark.parametrize("secret", SECRETS)
def test_chosen_ids_are_spread_over_the_decisions_that_wait_for_outcomes(secret):
    table, facts = np.full(4096, -1, np.int32), np.zeros((COUNT, 8), np.int64)
    for word, most in ((PLACES, None), (secret, COUNT // 10)):
        facts[:, 0] = chosen_ids(PLACES)
        table[:] = -1
        put(np.arange(COUNT), facts, table, word)
        run = longest_run(table >= 0)
        assert run >= COUNT if most is None else run < most


def test_features_do_not_depend_on_where_entities_lie():
    keys = [k % 37 for k in range(COUNT)]
    states = [windows_with(keys, places).state() for places in (1, *SECRETS)]
    for state in states[1:]:
        for name, array in states[0].items():
            np.testing.assert_array_equal(array, state[name])
