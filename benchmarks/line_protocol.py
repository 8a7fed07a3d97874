"""Lines of InfluxDB's protocol a second, beside a plain reader: `python -m benchmarks.line_protocol [--json]`.

The plain reader splits a line and converts its values, as a short program would. It knows no escapes, and refuses
nothing. Both run on one processor in the same process.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from typing import Any

from homeostat.adapters.influx.line_protocol import LineProtocol

T0_NS = 1_700_000_000_000_000_000
TARGETS = {"lines_per_second_1_fields": ">= 300000", "lines_per_second_3_fields": ">= 300000"}


def lines(count: int, fields: int, seed: int = 1) -> bytes:
    """Lines of a hundred hosts, as an agent sends them."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        values = [f"usage_{k}={rng.random() * 100:.6f}" for k in range(fields - 1)] + [f"n={number}i"]
        made.append(f"cpu,host=h{number % 100},cpu=cpu{number % 8} {','.join(values)} {T0_NS + number}")
    return "\n".join(made).encode()


def plain(text: bytes) -> list[tuple[str, dict[str, str], dict[str, float | int], int]]:
    """The same points by a plain reader."""
    points = []
    for line in text.decode().split("\n"):
        head, pairs, at = line.split(" ")
        measurement, *tags = head.split(",")
        fields: dict[str, float | int] = {}
        for pair in pairs.split(","):
            name, value = pair.split("=")
            fields[name] = int(value[:-1]) if value.endswith("i") else float(value)
        points.append((measurement, dict(tag.split("=") for tag in tags), fields, int(at)))
    return points


def rate(read: Callable[[bytes], Any], text: bytes, count: int, repeats: int) -> float:
    """Lines a second of processor time, the best of some runs after one that warms up."""
    best = float("inf")
    for _ in range(repeats + 1):
        begun = time.process_time()
        read(text)
        best = min(best, time.process_time() - begun)
    return count / best


def measured(count: int, repeats: int) -> dict[str, float]:
    """The rates of both readers, by the number of fields in a line."""
    found = {}
    for fields in (1, 3, 10):
        text, parser = lines(count, fields), LineProtocol()
        points = parser.parse(text).points
        assert [(one.series.measurement, dict(one.series.tags), one.fields, one.time_ns) for one in points] == plain(
            text
        )
        found[f"lines_per_second_{fields}_fields"] = rate(parser.parse, text, count, repeats)
        found[f"plain_lines_per_second_{fields}_fields"] = rate(plain, text, count, repeats)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(options.lines, options.repeats)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<40}{value:>12,.0f}")


if __name__ == "__main__":
    main()
