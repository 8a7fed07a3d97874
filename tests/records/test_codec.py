import json
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.checks.batches import changes, decisions, outcomes, same, with_canary, words_of
from homeostat.records import codec
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import changes_text, read_changes
from homeostat.records.identity import category_code
from homeostat.records.rows import parts, rows_of
from homeostat.records.schemas import read_schema
from homeostat.records.vocabulary import NAMELESS


def coded(batch):
    """A batch as it comes back from its bytes."""
    schemas = codec.Schemas()
    return codec.decode(codec.encode_beside(batch, schemas), schemas)


def decode(data, *batches):
    return codec.decode(data, codec.Schemas([codec.schema_of(batch).text for batch in batches]))


ids = st.lists(st.one_of(st.integers(-(10**9), 10**9), st.text(max_size=5)), max_size=80)


@given(ids, st.integers(0, 99), st.integers(0, 4), st.integers(0, 3), st.integers(1, 4))
def test_decisions_come_back_bit_for_bit(keys, seed, features, scorers, actions):
    batch = decisions(keys, seed, features, scorers, actions)
    decoded = coded(batch)
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
    assert same(batch, coded(batch))


def test_changes_come_back_bit_for_bit():
    batch = changes(1, 2, 7)
    decoded = coded(batch)
    assert decoded == batch and decoded.number == 7
    assert codec.encode(decoded) == codec.encode(batch)
    assert coded(ChangeBatch(())).number == 0


def test_the_settings_number_comes_back_and_is_part_of_the_digest():
    batch = decisions([1, 2, 3], 1)
    later = replace(batch, settings=4_000_000_000)
    assert (coded(batch).settings, coded(later).settings) == (0, 4_000_000_000)
    assert codec.head(codec.encode(batch)).digest != codec.head(codec.encode(later)).digest
    assert rows_of(later, 1, 2).settings == 4_000_000_000
    assert [piece.settings for piece in parts(later, 2)] == [4_000_000_000] * 2


@pytest.mark.parametrize("n", [1, 40])
def test_the_version_that_made_each_decision_comes_back(n):
    batch = with_canary(decisions(list(range(n)), 1))
    again = coded(batch)
    assert again.makers == batch.makers == [batch.made_by(row) for row in range(n)]
    assert (again.version, again.canary, again.arm.tolist()) == (batch.version, batch.canary, batch.arm.tolist())
    plain = coded(replace(batch, canary="", arm=None))
    assert plain.arm is None and plain.makers == [batch.version] * n


def test_changes_that_their_columns_do_not_name_are_refused():
    data = bytearray(codec.encode(changes(1, 2)))
    data[-16:-8] = (3).to_bytes(8, "little")  # The second number, or the first time.
    data[32:64] = sha256(data[64:]).digest()
    with pytest.raises(ValueError, match="not those that their columns name"):
        decode(bytes(data), changes(1))


@pytest.mark.parametrize("text", ["7", "[7]", "{}", '[{"kind":"deploy"}]', '[{"kind":"?"}]', "[" * 5000])
def test_texts_that_hold_no_changes_are_refused(text):
    with pytest.raises(ValueError):
        read_changes(text)


@pytest.mark.parametrize("more", [{"colour": 1}, {"body": 7}, {"before": [1]}])
def test_a_change_with_what_no_change_has_is_refused(more):
    (one,) = json.loads(changes_text(changes(1).changes))
    with pytest.raises(ValueError):
        read_changes(json.dumps([one | more]))


def test_surrogates_and_awkward_names_survive():
    batch = decisions(["\ud800", "é", "a\0b"], 1)
    decoded = coded(replace(batch, version='v"ß'))
    assert decoded.events.texts == batch.events.texts
    assert decoded.version == 'v"ß'


def test_columns_that_are_all_alike_are_stored_once_and_come_back_whole():
    batch = decisions(list(range(1000)), 1)
    flat = replace(batch, features=replace(batch.features, values=np.full_like(batch.features.values, np.nan)))
    assert len(codec.encode(flat)) < len(codec.encode(batch)) - 30_000
    decoded = coded(flat)
    assert same(flat, decoded)
    assert decoded.features.values.flags.c_contiguous and decoded.features.values.flags.writeable


def test_minus_zero_and_zero_are_not_alike():
    batch = decisions(list(range(100)), 1, features=1)
    values = np.zeros((100, 1))
    values[-1] = -0.0
    batch = replace(batch, features=replace(batch.features, values=values))
    assert np.signbit(coded(batch).features.values[-1, 0])


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


@pytest.mark.long
@pytest.mark.parametrize("keys", [[5], list(range(40)), None])
def test_every_damaged_byte_is_refused(keys):
    batch = changes(1, 2) if keys is None else decisions([*keys, "text"], 3)
    data = codec.encode(batch)
    rng = np.random.default_rng(1)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError):
            decode(bytes(broken), batch)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(ValueError):
        codec.decode(data)


@given(st.integers(0, 10**6), st.binary(max_size=40))
def test_a_cut_or_lengthened_body_is_refused(at, more):
    batch = decisions([1, 2], 3)
    data = codec.encode(batch)
    with pytest.raises(ValueError):
        decode(data[: at % len(data)], batch)
    with pytest.raises(ValueError):
        decode(data + more + b"\0", batch)


@given(st.integers(64, 400), st.integers(0, 255))
def test_a_forged_body_with_a_right_digest_raises_nothing_but_value_errors(at, value):
    batch = decisions([1, "two"], 3)
    data = bytearray(codec.encode(batch))
    data[at % len(data)] = value
    if at % len(data) >= 64:
        data[32:64] = sha256(data[64:]).digest()
    try:
        decode(bytes(data), batch)
    except ValueError:
        pass


def test_a_wrong_type_or_shape_is_refused_by_name():
    batch = decisions([1, 2], 1)
    with pytest.raises(ValueError, match=r"fused\.risk"):
        codec.encode(replace(batch, fused=replace(batch.fused, risk=batch.fused.risk.astype(np.float32))))
    with pytest.raises(ValueError, match=r"features\.values has the shape \(2, 4\), not that of 2 rows of 5 features"):
        codec.encode(replace(batch, features=replace(batch.features, values=batch.features.values[:, :4])))
    with pytest.raises(ValueError, match="fallback"):
        codec.encode(replace(batch, fallback=batch.fallback[:1]))


def test_a_column_that_is_not_contiguous_is_stored_all_the_same():
    batch = decisions([1, 2, 3, 4], 1)
    strided = np.asfortranarray(batch.features.values)
    assert same(batch, coded(replace(batch, features=replace(batch.features, values=strided))))


def test_pieces_put_together_are_the_batch():
    batch = decisions(["a", *range(100), "z"], 1)
    pieces = list(parts(batch, 7))
    assert [len(piece) for piece in pieces] == [7] * 14 + [4]
    assert np.concatenate([piece.fused.risk for piece in pieces]).tobytes() == batch.fused.risk.tobytes()
    assert sum(piece.took_us for piece in pieces) == pytest.approx(batch.took_us)


def test_a_piece_carries_only_the_texts_it_mentions():
    batch = decisions([f"event-{k}" for k in range(500)], 1)
    piece = coded(rows_of(batch, 10, 12))
    assert sorted(piece.events.texts.values()) == ["event-10", "event-11"]


def test_a_piece_carries_the_texts_of_the_categories_that_it_mentions():
    batch = decisions([f"event-{k}" for k in range(500)], 1)
    texts = {f"category {k}": category_code(f"category {k}") for k in range(50)}
    numbers = np.array(list(texts.values()))[np.arange(500) % 50][:, None].copy()
    numbers[10] = np.nan
    named = {(int(code), 0): text for text, code in texts.items()}
    events = replace(batch.events, numbers=numbers, texts=batch.events.texts | named)
    words = replace(batch.words, fields=(("kind", "category"),)) if batch.words.fields else batch.words
    piece = coded(rows_of(replace(batch, events=events, words=words), 10, 12))
    assert sorted(piece.events.texts.values()) == ["category 11", "event-10", "event-11"]
    assert piece.events.category_texts == {texts["category 11"]: "category 11"}


def test_a_body_names_its_schema_by_the_hash_of_its_text():
    batch = decisions([1], 1)
    schema = codec.schema_of(batch)
    assert codec.head(codec.encode(batch)).schema == sha256(schema.text.encode()).hexdigest()
    assert [name for name, _ in json.loads(schema.text)["entities"]] == ["customer", "terminal"]


def test_a_body_without_its_schema_is_refused():
    with pytest.raises(ValueError, match="is not kept beside it"):
        codec.decode(codec.encode(decisions([1], 1)), codec.Schemas())


def test_a_schema_that_was_changed_is_refused():
    batch = decisions([1], 1)
    changed = codec.schema_of(batch).text.replace("action_0", "action_9")
    with pytest.raises(ValueError, match="was changed"):
        codec.decode(codec.encode(batch), codec.Schemas(ask=lambda digest: changed))


def test_names_that_do_not_fit_the_columns_are_refused():
    batch = decisions([1], 1, actions=3)
    with pytest.raises(ValueError, match="3 actions are named by 2, 1 and 2 names"):
        codec.encode(replace(batch, words=words_of(actions=2)))


def test_a_batch_that_nobody_named_comes_back_without_names():
    batch = replace(decisions([1, "two"], 1), words=NAMELESS)
    assert coded(batch).words == NAMELESS


def test_decisions_come_back_in_the_words_they_were_made_in():
    batch = decisions([1], 1)
    assert coded(batch).words == batch.words == words_of()


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_a_schema_with_a_member_of_another_kind_is_refused_or_read(member):
    whole = json.loads(codec.schema_of(decisions([1], 1)).text)
    for name in whole:
        try:
            read_schema(json.dumps({**whole, name: member}))
        except ValueError:
            pass
