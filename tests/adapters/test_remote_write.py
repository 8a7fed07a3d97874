"""Prometheus remote write: messages as the specification has them, mangled ones, and bodies that would grow."""

from __future__ import annotations

import math
import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.adapters.influx.line_protocol import Point, Series
from homeostat.adapters.prometheus import remote_write
from homeostat.adapters.prometheus.remote_write import NotRemoteWrite, points_of, unsupported

TIME_MS = 1_700_000_000_123
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def varint(n):
    out = b""
    while n > 0x7F:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def part(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def series(labels, samples=(), extra=b""):
    """A TimeSeries, written byte by byte from the wire format, so that no code of ours is on both sides."""
    body = b"".join(part(1, part(1, k.encode()) + part(2, v.encode())) for k, v in labels)
    for value, time in samples:
        body += part(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(time & 2**64 - 1))
    return part(1, body + extra)


def packed(message):
    return pa.Codec("snappy").compress(message, asbytes=True)


LABELS = [("__name__", "node_load1"), ("instance", "a:9100"), ("job", "node")]
GOOD = series(LABELS, [(1.5, TIME_MS), (2.5, TIME_MS + 1000)])


def test_a_sample_is_a_point_with_the_labels_as_tags():
    parsed = points_of(packed(GOOD))
    named = Series("node_load1", (("instance", "a:9100"), ("job", "node")))
    assert parsed.points == [
        Point(named, {"value": 1.5}, TIME_MS * 10**6), Point(named, {"value": 2.5}, (TIME_MS + 1000) * 10**6),
    ]  # fmt: skip
    assert not parsed.bad


def test_unknown_fields_metadata_and_exemplars_are_skipped():
    exemplar = part(3, part(1, part(1, b"trace_id") + part(2, b"x")) + b"\x11" + struct.pack("<d", 1.0))
    metadata = part(3, b"\x08\x01" + part(2, b"node_load1"))
    parsed = points_of(packed(series(LABELS, [(1.0, TIME_MS)], exemplar) + metadata + part(77, b"later")))
    assert len(parsed.points) == 1 and not parsed.bad


@pytest.mark.parametrize("value", [STALE, math.nan, math.inf, -math.inf], ids=["stale", "nan", "inf", "-inf"])
def test_a_value_that_is_no_number_is_missing(value):
    parsed = points_of(packed(series(LABELS, [(value, TIME_MS), (3.0, TIME_MS + 1)])))
    assert [p.fields for p in parsed.points] == [{"value": 3.0}] and not parsed.bad


def test_a_native_histogram_has_count_and_sum():
    histogram = b"\x08\x07" + b"\x19" + struct.pack("<d", 2.25) + b"\x78" + varint(TIME_MS)
    (point,) = points_of(packed(series(LABELS, extra=part(4, histogram)))).points
    assert point.fields == {"count": 7.0, "sum": 2.25} and point.time_ns == TIME_MS * 10**6


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (series(LABELS[1:], [(1.0, TIME_MS)]), "no label __name__"),
        (series([*LABELS, ("job", "other")], [(1.0, TIME_MS)]), "comes twice"),
        (series([*LABELS, ("", "x")], [(1.0, TIME_MS)]), "no name"),
        (series(LABELS, [(1.0, 2**62)]), "timestamp is out of range"),
        (series(LABELS + [(f"l{k}", "x") for k in range(1000)], [(1.0, TIME_MS)]), "more than 1,000 labels"),
    ],
)
def test_a_wrong_series_costs_only_itself(wrong, why):
    parsed = points_of(packed(wrong + GOOD))
    assert len(parsed.points) == 2
    assert [one.number for one in parsed.bad] == [1] and why in parsed.bad[0].why


def test_an_empty_label_is_one_that_is_not_there():
    (point,) = points_of(packed(series([*LABELS, ("zone", "")], [(1.0, TIME_MS)]))).points
    assert "zone" not in dict(point.series.tags)


def test_a_body_that_would_grow_beyond_the_bound_is_refused_before_it_is_unpacked():
    bomb = varint(2**32 - 1) + b"\x00a"
    with pytest.raises(NotRemoteWrite, match="at most 8,388,608 are read"):
        points_of(bomb)
    with pytest.raises(NotRemoteWrite, match="at most 100 are read"):
        points_of(packed(GOOD * 5), size_max=100)


@pytest.mark.parametrize("seed", [b"\x0a\x00", series(LABELS, [(1.0, 1)] * 100)], ids=["series", "samples"])
def test_millions_of_tiny_parts_in_a_small_body_are_refused(seed, monkeypatch):
    monkeypatch.setattr(remote_write, "COUNT_MAX", 1000)
    with pytest.raises(NotRemoteWrite, match="more than 1,000 series or samples"):
        points_of(packed(seed * 1001))


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xff\xff\xff\xff", b"\x05abc", packed(b"\xff\xff"), packed(series([("a", "b")])[:-1]), GOOD]
)
def test_a_body_that_is_no_message_is_refused(body):
    with pytest.raises(NotRemoteWrite):
        points_of(body)


@settings(max_examples=300)
@given(st.data())
def test_mangled_bytes_are_points_or_refused(data):
    message = bytearray(GOOD * 2)
    if data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 4))):
            message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
        body = packed(bytes(message))
    else:
        whole = bytearray(packed(bytes(message)))
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        body = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        parsed = points_of(body)
    except NotRemoteWrite:
        return
    for point in parsed.points:
        assert point.series.measurement and all(math.isfinite(value) for value in point.fields.values())
        assert point.time_ns is not None and -(2**63) <= point.time_ns < 2**63


def test_headers_say_what_can_be_read():
    assert unsupported("application/x-protobuf", "snappy") is None
    assert unsupported('application/x-protobuf; proto="prometheus.WriteRequest"', "Snappy") is None
    assert "2.0" in unsupported("application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy")
    assert "content type" in unsupported("text/plain", "snappy")
    assert "encoding" in unsupported("application/x-protobuf", "gzip")
