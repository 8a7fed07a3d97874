from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.checks.batches import decisions, outcomes, same
from homeostat.records import codec

ids = st.lists(st.one_of(st.integers(-(10**9), 10**9), st.text(max_size=5)), max_size=80)


@given(ids, st.integers(0, 99), st.integers(0, 4), st.integers(0, 3), st.integers(1, 4))
def test_decisions_come_back_bit_for_bit(keys, seed, features, scorers, actions):
    batch = decisions(keys, seed, features, scorers, actions)
    decoded = codec.decode(codec.encode(batch))
    assert same(batch, decoded)
    assert decoded.took_us == batch.took_us
    assert codec.encode(decoded) == codec.encode(batch)


@given(ids, st.integers(0, 99), st.booleans(), st.booleans(), st.booleans())
def test_outcomes_come_back_bit_for_bit(keys, seed, scheduled, timed, keyed):
    batch = outcomes(keys, seed)
    batch = replace(
        batch,
        scheduled=scheduled,
        time_ns=batch.known_ns - 5 if timed else None,
        keys=np.ones((len(keys), 2), np.int64) if keyed else None,
    )
    assert same(batch, codec.decode(codec.encode(batch)))


def test_surrogates_and_awkward_names_survive():
    batch = decisions(["\ud800", "é", "a\0b"], 1)
    decoded = codec.decode(codec.encode(replace(batch, version='v"ß')))
    assert decoded.events.texts == batch.events.texts
    assert decoded.version == 'v"ß'


def test_columns_that_are_all_alike_are_stored_once_and_come_back_whole():
    batch = decisions(list(range(1000)), 1)
    flat = replace(batch, features=replace(batch.features, values=np.full_like(batch.features.values, np.nan)))
    assert len(codec.encode(flat)) < len(codec.encode(batch)) - 30_000
    decoded = codec.decode(codec.encode(flat))
    assert same(flat, decoded)
    assert decoded.features.values.flags.c_contiguous and decoded.features.values.flags.writeable


def test_minus_zero_and_zero_are_not_alike():
    batch = decisions(list(range(100)), 1, features=1)
    values = np.zeros((100, 1))
    values[-1] = -0.0
    batch = replace(batch, features=replace(batch.features, values=values))
    assert np.signbit(codec.decode(codec.encode(batch)).features.values[-1, 0])


def test_the_digest_leaves_out_how_long_it_took_and_nothing_else():
    batch = decisions([1, 2, 3], 1)
    digest = codec.head(codec.encode(batch)).digest
    assert codec.head(codec.encode(replace(batch, took_us=9e9))).digest == digest
    assert codec.head(codec.encode(replace(batch, version="other"))).digest != digest
    risk = batch.fused.risk.copy()
    risk[1] = np.nextafter(risk[1], 1)
    assert codec.head(codec.encode(replace(batch, fused=replace(batch.fused, risk=risk)))).digest != digest


def test_a_small_and_a_large_encoding_agree(monkeypatch):
    batch = decisions(list(range(300)), 1)
    piecewise = codec.encode(batch)
    monkeypatch.setattr(codec, "_PIECEWISE_FROM", 10**9)
    assert codec.encode(batch) == piecewise


@pytest.mark.parametrize("keys", [[5], list(range(40))])
def test_every_damaged_byte_is_refused(keys):
    data = codec.encode(decisions([*keys, "text"], 3))
    rng = np.random.default_rng(1)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError):
            codec.decode(bytes(broken))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(ValueError):
        codec.decode(data)


@given(st.integers(0, 10**6), st.binary(max_size=40))
def test_a_cut_or_lengthened_body_is_refused(at, more):
    data = codec.encode(decisions([1, 2], 3))
    with pytest.raises(ValueError):
        codec.decode(data[: at % len(data)])
    with pytest.raises(ValueError):
        codec.decode(data + more + b"\0")


@given(st.integers(64, 400), st.integers(0, 255))
def test_a_forged_body_with_a_right_digest_raises_nothing_but_value_errors(at, value):
    from hashlib import sha256

    data = bytearray(codec.encode(decisions([1, "two"], 3)))
    data[at % len(data)] = value
    if at % len(data) >= 64:
        data[32:64] = sha256(data[64:]).digest()
    try:
        codec.decode(bytes(data))
    except ValueError:
        pass


def test_a_wrong_type_or_shape_is_refused_by_name():
    batch = decisions([1, 2], 1)
    with pytest.raises(ValueError, match=r"fused\.risk"):
        codec.encode(replace(batch, fused=replace(batch.fused, risk=batch.fused.risk.astype(np.float32))))
    with pytest.raises(ValueError, match=r"features\.values has 4 columns for 5 names"):
        codec.encode(replace(batch, features=replace(batch.features, values=batch.features.values[:, :4])))
    with pytest.raises(ValueError, match="fallback"):
        codec.encode(replace(batch, fallback=batch.fallback[:1]))


def test_a_column_that_is_not_contiguous_is_stored_all_the_same():
    batch = decisions([1, 2, 3, 4], 1)
    strided = np.asfortranarray(batch.features.values)
    assert same(batch, codec.decode(codec.encode(replace(batch, features=replace(batch.features, values=strided)))))


def test_pieces_put_together_are_the_batch():
    batch = decisions(["a", *range(100), "z"], 1)
    pieces = list(codec.parts(batch, 7))
    assert [len(piece) for piece in pieces] == [7] * 14 + [4]
    assert np.concatenate([piece.fused.risk for piece in pieces]).tobytes() == batch.fused.risk.tobytes()
    assert sum(piece.took_us for piece in pieces) == pytest.approx(batch.took_us)


def test_a_piece_carries_only_the_texts_it_mentions():
    batch = decisions([f"event-{k}" for k in range(500)], 1)
    piece = codec.decode(codec.encode(codec.rows_of(batch, 10, 12)))
    assert sorted(piece.events.texts.values()) == ["event-10", "event-11"]
