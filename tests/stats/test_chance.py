import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from homeostat.records.identity import Coding
from homeostat.stats.chance import bits, chances, keyed_chances, uniform


def _naive(seed: int, code: int, stream: int) -> float:
    mask = (1 << 64) - 1

    def finalise(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    key = (finalise(((seed & mask) + 0x9E3779B97F4A7C15) & mask) + stream * 0xD1342543DE82EF95) & mask
    mixed = finalise((finalise(((code & mask) * 0x9E3779B97F4A7C15 + key) & mask) + key) & mask)
    return (mixed >> 11) * 2.0**-53


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8), st.integers(0, 9))
def test_it_equals_its_twin_in_plain_python(seed, codes, stream):
    got = uniform(seed, np.array(codes, dtype=np.int64), stream)
    assert got.tolist() == [_naive(seed, code, stream) for code in codes]
    assert ((got >= 0) & (got < 1)).all()


def test_numbers_of_consecutive_ids_are_uniform_and_streams_uncorrelated():
    draws = chances(5, np.arange(200_000), 3)
    for column in draws.T:
        counts = np.bincount((column * 100).astype(int), minlength=100)
        assert ((counts - 2000) ** 2 / 2000).sum() < 160  # The 0.9999 quantile of chi-squared with 99 degrees is 158.
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.01
    assert abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.01


def test_every_bit_is_a_fair_coin():
    words = bits(9, np.arange(50_000))
    for bit in range(64):
        assert abs(((words >> np.uint64(bit)) & np.uint64(1)).mean() - 0.5) < 0.012


def test_seeds_and_streams_differ():
    ids = np.arange(1000)
    assert not (uniform(1, ids) == uniform(2, ids)).any()
    assert not (uniform(1, ids, 0) == uniform(1, ids, 1)).any()


def keys_of(coding: Coding, seed: int) -> np.ndarray:
    return np.array([coding.words(b"chance %d of seed %d" % (stream, seed)) for stream in range(2)])


def test_keyed_numbers_are_uniform_uncorrelated_and_of_one_row_as_of_many():
    ids, zeros = np.arange(200_000), np.zeros(200_000, np.int64)
    keys = keys_of(Coding.of_seed(0), 0)
    draws = keyed_chances(keys, ids, zeros)
    for column in draws.T:
        counts = np.bincount((column * 100).astype(int), minlength=100)
        assert ((counts - 2000) ** 2 / 2000).sum() < 160
    assert np.abs(np.corrcoef(draws.T) - np.eye(2)).max() < 0.01
    assert keyed_chances(keys, ids[7:8], zeros[7:8]).tolist() == draws[7:8].tolist()
    assert not (keyed_chances(keys, ids, zeros + 1) == draws).any()


def test_whoever_picks_ids_gets_the_hold_out_at_its_rate():
    ids = np.arange(2_000_000)
    chosen = ids[uniform(0, ids) < 0.002]  # By the seed alone, as it once was enough.
    assert len(chosen) > 3000
    for coding in (Coding.of_seed(0), Coding(b"drawn by the folder it is of")):
        draws = keyed_chances(keys_of(coding, 0), chosen, np.zeros(len(chosen), np.int64))
        assert abs((draws[:, 0] < 0.01).mean() - 0.01) < 0.01
    assert not np.array_equal(keys_of(coding, 0), keys_of(coding, 1))
