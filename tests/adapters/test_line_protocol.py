"""The line protocol: cases of the format, the corpus of its reference decoder, mangled lines, and the way back."""

from __future__ import annotations

import base64
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.adapters.influx.line_protocol import NANOSECONDS, LineProtocol, Point, Series, lines_of

DATA = Path(os.environ.get("HOMEOSTAT_DATA", "absent")) / "telegraf"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="HOMEOSTAT_DATA names no folder with telegraf/")
NOW = 1_000_000_000_000_000_000
KINDS = {"float": float, "int": int, "uint": int, "string": str, "bool": bool}


def plain(parsed):
    """Points with the type of each value, tags as a dictionary."""
    return [
        (p.series.measurement, dict(p.series.tags), {k: (type(v), v) for k, v in p.fields.items()}, p.time_ns)
        for p in parsed.points
    ]


def typed(value):
    """The type and value of one {kind: value} of the folder."""
    ((kind, content),) = value.items()
    return KINDS[kind], KINDS[kind](content)


@needs_data
@pytest.mark.parametrize("twice", [False, True], ids=["grammar", "short way"])
def test_every_case_of_the_format_is_read_as_the_reference_does(twice):
    cases = json.loads((DATA / "cases.json").read_text(encoding="utf-8"))
    cases = cases if isinstance(cases, list) else cases["cases"]
    assert len(cases) == 50
    for case in cases:
        parser, text = LineProtocol(), case["text"].encode()
        if twice:
            parser.parse(text, case["precision"])  # Now the series and names are known.
        parsed = parser.parse(text, case["precision"])
        expected = [
            (p["measurement"], p["tags"], {k: typed(v) for k, v in p["fields"].items()}, p["time"])
            for p in case["points"]
        ]
        assert plain(parsed) == expected, case["id"]
        assert len(parsed.bad) == case.get("errors", 0), case["id"]


@needs_data
@pytest.mark.parametrize("twice", [False, True], ids=["grammar", "short way"])
def test_the_corpus_of_the_reference_decoder_is_read_alike(twice):
    wrong = []
    for line in (DATA / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        text = base64.b64decode(case["text_base64"]) if "text_base64" in case else case["text"].encode()
        parser, precision = LineProtocol(), case["precision"].removeprefix("1")
        if twice:
            parser.parse(text, precision)
        parsed = parser.parse(text, precision)
        if "error" in case:
            good = bool(parsed.bad)
        else:
            default = case["default_time"] // NANOSECONDS[precision] * NANOSECONDS[precision]
            found = [(m, t, f, default if time is None else time) for m, t, f, time in plain(parsed)]
            good = not parsed.bad and found == [
                (
                    p["measurement"],
                    {t["key"]: t["value"] for t in p["tags"]},
                    {f["key"]: typed(f["value"]) for f in p["fields"]},
                    p["time"],
                )
                for p in case["points"]
            ]
        if not good:
            wrong.append((case["key"], text[:80], parsed.bad[:1]))
    assert wrong == []


@needs_data
def test_real_output_of_telegraf_is_read_and_written_back():
    text = (DATA / "sample_outputs.lp").read_bytes()
    parser = LineProtocol()
    parsed = parser.parse(text)
    assert len(parsed.points) == 1159
    assert parsed.bad == []
    assert parser.parse(text) == parsed  # By the short way, where it applies.
    assert LineProtocol().parse(b"\n".join(lines_of(parsed.points))).points == parsed.points


MANGLES = (
    lambda line, at, rng: line[:at] + line[at + 1 :],
    lambda line, at, rng: line[:at] + bytes([rng.randrange(256)]) + line[at:],
    lambda line, at, rng: line[:at] + rng.choice([b",", b"=", b" ", b'"', b"\\", b"i", b"\x00", b"\xff"]) + line[at:],
    lambda line, at, rng: line[:at],
)


def test_a_mangled_line_is_a_point_or_a_bad_line_and_never_costs_its_neighbours():
    rng, parser = random.Random(1), LineProtocol()
    good = b'cpu,host=a,cpu=cpu0 idle=98.5,n=3i,up=true,s="x y" 1556813561098000000'
    bad = 0
    for _ in range(20_000):
        line = rng.choice(MANGLES)(good, rng.randrange(len(good)), rng).replace(b"\n", b"")
        parsed = parser.parse(b"first v=1 1\n%b\nlast v=2 2\n" % line)
        assert parsed.points[0].series.measurement == "first"
        swallowed = line.count(b'"') % 2 == 1 and not parsed.bad
        assert swallowed or parsed.points[-1].series.measurement == "last"
        assert swallowed or len(parsed.points) + len(parsed.bad) == (3 if line.strip(b" \r") else 2)
        assert all(b.number == 2 and b.text == line for b in parsed.bad)
        bad += len(parsed.bad)
    assert bad > 5_000


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\\", exclude_categories=["Cc", "Cs"]), min_size=1)
NAMES = WORDS.filter(lambda name: name[0] not in "#")
VALUES = st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(
    NAMES,
    st.dictionaries(WORDS, WORDS, max_size=3),
    st.dictionaries(WORDS, VALUES, min_size=1, max_size=4),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)
def test_a_point_that_is_written_is_read_back_by_both_ways(name, tags, fields, time_ns):
    point = Point(Series(name, tuple(sorted(tags.items()))), fields, time_ns)
    text, parser = b"\n".join(lines_of([point])), LineProtocol()
    assert parser.parse(text).points == [point]
    assert parser.parse(text).points == [point]


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match="precision 'days' is unknown"):
        LineProtocol().parse(b"m v=1", "days")


def test_an_open_quote_costs_one_line_only():
    parsed = LineProtocol().parse(b'm s="open 1\nm v=1 2\n')
    assert [p.time_ns for p in parsed.points] == [2]
    assert [(b.number, b.text) for b in parsed.bad] == [(1, b'm s="open 1')]


@pytest.mark.parametrize(
    "fields",
    ["a=1=b=2", "a,1,b,2", "a=1,b,2", "a=1=b,2", "a,1=b=2", "a=1,b=2,", "a=1,,b=2", "a=,b=2", "a=1,b=", "a=1_0,b=2",
     "a=+1,b=2", "a=1,b=0x2", "a=nan,b=2", "a=inf,b=2", "a=1_0i,b=2", "a=+1i,b=2", "a=i,b=2", "a=-i,b=2", "a=1.5i,b=2",
     "a=1i2,b=2", "a=9223372036854775808i,b=2", "a=99999999999999999999i,b=2", "a=1-2,b=2", "a=.,b=2", "a=-,b=2",
     "a=1e999,b=2", f"a={'9' * 400},b=2", "a=1u,b=-2u"],
)  # fmt: skip
def test_fields_that_look_like_known_ones_are_read_as_strictly(fields):
    parser = LineProtocol()
    learnt = parser.parse(b"m,t=x a=1,b=2 1\nm,t=x a=1i,b=2 2")
    assert len(learnt.points) == 2 and not learnt.bad
    line = f"m,t=x {fields} 3".encode()
    assert parser.parse(line).points == LineProtocol().parse(line).points == []
    assert len(parser.parse(line + b"\nm,t=x a=3,b=4 5").bad) == 1


@pytest.mark.parametrize(
    ("fields", "values"),
    [("a=1e5,b=-.5", (1e5, -0.5)), ("a=1e+5,b=5.", (1e5, 5.0)), ("a=-7i,b=t", (-7, True)),
     ("a=9223372036854775807i,b=18446744073709551615u", (2**63 - 1, 2**64 - 1)), ("a=00,b=-0", (0.0, -0.0))],
)  # fmt: skip
def test_known_fields_of_every_kind_are_read_alike_by_both_ways(fields, values):
    parser = LineProtocol()
    parser.parse(b"m,t=x a=1,b=2 1")
    line = f"m,t=x {fields} 3".encode()
    found = [one.parse(line).points for one in (parser, LineProtocol())]
    assert found[0] == found[1] and tuple(found[0][0].fields.values()) == values
    assert [type(value) for value in found[0][0].fields.values()] == [type(value) for value in values]
