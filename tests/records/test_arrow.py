import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from homeostat.records.arrow import of_members, of_numbers, of_texts, to_numpy


@settings(deadline=None)
@given(st.sampled_from(["int16", "int64", "float64", "bool"]).flatmap(lambda kind: arrays(kind, st.integers(0, 40))))
def test_numbers_become_the_column_that_pyarrow_makes(values):
    ours, theirs = of_numbers(values), pa.array(values)
    ours.validate(full=True)
    assert ours.type == theirs.type
    assert repr(ours.to_pylist()) == repr(theirs.to_pylist())  # As text, since nan is no equal of itself.


@settings(deadline=None)
@given(
    st.sampled_from(["int16", "int64", "float64", "bool"]).flatmap(lambda kind: arrays(kind, st.integers(0, 40))),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_a_part_of_a_column_reads_as_the_numbers_that_it_was_made_of(values, start, length):
    part, wanted = pa.array(values).slice(start, length), values[start : start + length]
    for column in (part, pa.chunked_array([part]), pa.chunked_array([part, part[:0], part])):
        read = to_numpy(column)
        assert read.dtype == values.dtype
        times = column.num_chunks - 1 if isinstance(column, pa.ChunkedArray) and column.num_chunks > 1 else 1
        np.testing.assert_array_equal(read, np.concatenate([wanted] * times))
    np.testing.assert_array_equal(to_numpy(pa.chunked_array([], part.type)), values[:0])


def test_a_column_with_nulls_is_not_read_as_numbers():
    with pytest.raises(AssertionError):
        to_numpy(pa.array([1, None]))


def test_every_other_number_becomes_a_column_too():
    assert of_numbers(np.arange(10)[::2]).to_pylist() == [0, 2, 4, 6, 8]
    assert of_numbers(np.array([True, False, True])[::2]).to_pylist() == [True, True]


@settings(deadline=None)
@given(st.lists(st.none() | st.text(), max_size=40))
def test_texts_become_the_column_that_pyarrow_makes(values):
    ours = of_texts(values)
    ours.validate(full=True)
    assert ours.equals(pa.array(values, pa.string()))


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-(1 << 63), (1 << 63) - 1), max_size=40))
def test_integers_with_nulls_become_the_column_that_pyarrow_makes(values):
    ours = of_members(values, np.int64)
    ours.validate(full=True)
    assert ours.equals(pa.array(values, pa.int64()))


@settings(deadline=None)
@given(st.lists(st.none() | st.booleans(), max_size=40))
def test_booleans_with_nulls_become_the_column_that_pyarrow_makes(values):
    ours = of_members(values, np.bool_)
    ours.validate(full=True)
    assert ours.equals(pa.array(values, pa.bool_()))


def test_an_integer_of_more_than_64_bits_is_refused():
    with pytest.raises(OverflowError):
        of_members([1, 1 << 63], np.int64)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(UnicodeEncodeError):
        of_texts(["\ud800"])


def test_columns_are_made_without_pandas():
    text = (
        "import sys, numpy as np\n"
        "from homeostat.records.arrow import of_members, of_numbers, of_texts, to_numpy\n"
        "of_texts(['a', None]).dictionary_encode(), of_numbers(np.arange(3)).cast('string'), of_members([1], float)\n"
        "to_numpy(of_numbers(np.arange(3)).cast('float64')), to_numpy(of_members([True], bool))\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", text], check=True, timeout=300)
