"""Lines that are broken in every way that writers know: each is a dead letter, and costs its neighbours nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.hosts import T0_NS, hosts_file

from homeostat.adapters.influx.line_protocol import LineProtocol
from homeostat.engine.assembly import open_engine

GOOD = b'mem,host=h%d,region=eu used_percent=%d,free=7i,note="a b" %d'
BREAKS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda line, rng: line.replace(b"mem", b"", 1),
    lambda line, rng: line.replace(b"used_percent=", b"used_percent==", 1),
    lambda line, rng: line.replace(b"used_percent=", b"used_percent=0x", 1),
    lambda line, rng: line.replace(b"used_percent=", b"used_percent=NaN", 1),
    lambda line, rng: line.replace(b"used_percent=", b"used_percent='", 1),
    lambda line, rng: line.replace(b"used_percent=", b"used_percent=1.2.", 1),
    lambda line, rng: line.replace(b"used_percent=", b"used_percent=" + b"9" * 400, 1),
    lambda line, rng: line.replace(b"7i", b"7.5i", 1),
    lambda line, rng: line.replace(b"7i", b"99999999999999999999i", 1),
    lambda line, rng: line.replace(b"7i", b"-1u", 1),
    lambda line, rng: line.replace(b',note="a b"', b',note="a b', 1),
    lambda line, rng: line.replace(b"region=eu", b"region=", 1),
    lambda line, rng: line.replace(b"region=eu", b"region", 1),
    lambda line, rng: line.replace(b"region=eu", b"region=\xff\xfe", 1),
    lambda line, rng: line.replace(b"region=eu", b"host=twice", 1),
    lambda line, rng: line.replace(b"region=eu", b"region=\x01", 1),
    lambda line, rng: line.split(b" ")[0],
    lambda line, rng: line + b" more",
    lambda line, rng: line + b"s",
    lambda line, rng: line + b"0" * 20,
    lambda line, rng: line.rpartition(b" ")[0] + b" 12-5",
    lambda line, rng: bytes(rng.randrange(128, 256) for _ in range(rng.randrange(1, 40))),
)


def taken(tmp_path: Path, count: int, at_once: int) -> None:
    """Take so many broken lines in, between as many good ones of hosts whose step is then decided."""
    rng, data = random.Random(15), tmp_path / "data"
    with open_engine(hosts_file(tmp_path), data=data) as engine:
        measuring, parser = engine.parts.measuring, LineProtocol()
        assert measuring is not None
        for first in range(0, count, at_once):
            lines = []
            for number in range(first, min(first + at_once, count)):
                good = GOOD % (number % 50, number % 100, T0_NS + number)
                lines += [good, BREAKS[number % len(BREAKS)](good, rng)]
            parsed = parser.parse(b"\n".join(lines))
            assert [one.number for one in parsed.bad] == list(range(2, len(lines) + 1, 2))
            measuring.take([*parsed.points, *parsed.bad])
        assert measuring.readings()["homeostat_metric_lines_total"] == {
            "used": count, "unused": 0, "late": 0, "bad": count,
        }  # fmt: skip
        assert engine.bad_events == count
    letters = [json.loads(line) for line in (data / "dead_letters.jsonl").read_text().splitlines()]
    assert len(letters) == count
    assert {letter["reason"] for letter in letters} == {"malformed"} and all(letter["detail"] for letter in letters)


def test_each_broken_line_is_a_dead_letter_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    taken(tmp_path, 1_000, 250)


@pytest.mark.weekly
def test_a_hundred_thousand_broken_lines_are_dead_letters(tmp_path: Path) -> None:
    taken(tmp_path, 100_000, 5_000)


@pytest.mark.parametrize("seed", range(3))
def test_lines_with_random_bytes_in_them_do_no_harm(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with open_engine(hosts_file(tmp_path)) as engine:
        measuring, parser = engine.parts.measuring, LineProtocol()
        assert measuring is not None
        text = bytearray(b"\n".join(GOOD % (n % 9, n % 100, T0_NS + n) for n in range(500)))
        for _ in range(300):
            text[rng.randrange(len(text))] = rng.randrange(256)
        parsed = parser.parse(bytes(text))
        items = [*parsed.points, *parsed.bad]
        assert len(measuring.take(items)) == len(items)
        lines = measuring.readings()["homeostat_metric_lines_total"]
        assert isinstance(lines, dict) and sum(lines.values()) == len(items) and lines["bad"] >= len(parsed.bad) > 0
