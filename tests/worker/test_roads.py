"""One table of values over all roads in: each gives the same event, or refuses it for the same reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat.adapters.disk.event_files import read_events
from homeostat.adapters.redis.stream import message_of
from homeostat.checks.bad_events import NOW_NS, SCHEMA
from homeostat.decide.intake.border import body_of, items_of
from homeostat.decide.intake.lines import FEW, read_lines
from homeostat.decide.intake.objects import read_objects
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.worker.encodings import JSON

Outcome = tuple[Any, ...]
SOUND = {"event_id": "1", "time": "2026-01-01", "customer": "7", "amount": "1", "channel": '"web"'}
QUOTED = {"event_id", "time", "customer"}
LONG, DEEP = '"' + "x" * 300 + '"', "[" * 70 + "]" * 70
AMOUNTS = {  # As written: the value, or the reason.
    "0.99999999999999999": 1.0,
    "99.999999999999999999": 100.0,
    "1234567.89012345678901234567": 1234567.8901234568,
    "9007199254740993": "out_of_range",
    "0.1": 0.1,
    "5": 5.0,
    "5.0": 5.0,
    "5e0": 5.0,
    "-0.0": 0.0,
    "1E-9999999999999999999": 0.0,
    "5e-324": 5e-324,
    "1e999": "out_of_range",
    "9" * 5000: "out_of_range",
    "9" * 400 + ".5": "out_of_range",
    "-1": "out_of_range",
    "1e8": "out_of_range",
    "much": "wrong_type",
    "true": "wrong_type",
    "": "missing",
}
TIMES = {
    "2026-01-01T00:00:00.999999999Z": 1_767_225_600_999_999_999,
    "2016-12-31T23:59:60Z": 1_483_228_799_000_000_000,
    "1900-01-01": -2_208_988_800_000_000_000,
    "1899-12-31": "bad_time",
    "1750-01-01": "bad_time",
    "2026-02-30": "bad_time",
    "2026-01-01T23:58:60Z": "bad_time",
    "2200-01-01": "too_early",
    "": "missing",
}
SECONDS = {
    "1767225600": 1_767_225_600_000_000_000,
    "1767225600.25": 1_767_225_600_250_000_000,
    "1767225599.99999999999999999": 1_767_225_600_000_000_000,
    "1767225600000": "bad_time",
    "9" * 5000: "bad_time",
    "-9e9": "bad_time",
}
IDS = {
    "1": "1",
    "0123": "0123",
    str(2**63): str(2**63),
    "é": "é",
    "x" * 256: "x" * 256,
    "x" * 257: "out_of_range",
    "9" * 5000: "out_of_range",
    "": "missing",
}
CHANNELS = {"web": 0.0, "12": "out_of_range", "5411": "out_of_range", "x" * 300: "out_of_range"}


def outcome(batch: EventBatch, letters: list[DeadLetter]) -> Outcome:
    if letters:
        assert len(batch) == 0
        assert len({(letter.field, letter.reason) for letter in letters}) == 1
        return letters[0].field, letters[0].reason
    amount = 0.0 if batch.numbers[0, 0] == 0 else float(batch.numbers[0, 0])
    return batch.id_text(0), int(batch.time_ns[0]), batch.keys[0, 0].item(), amount, float(batch.numbers[0, 3])


def as_json(row: dict[str, str], bare: frozenset[str]) -> bytes:
    """The row as JSON: numbers, and texts marked as bare, without quotes."""
    parts = []
    for name, text in row.items():
        if name == "channel":
            text = text.strip('"')
        plain = (name == "amount" and text not in ("much", "")) or name in bare
        parts.append(f"{json.dumps(name)}: {text if plain else json.dumps(text)}")
    return ("{" + ", ".join(parts) + "}").encode()


def _file(path: Path, data: bytes) -> tuple[EventBatch, list[DeadLetter]]:
    path.write_bytes(data)
    found = list(read_events(path, SCHEMA, NOW_NS))
    letters = [letter for _, bad in found for letter in bad]
    return next((batch for batch, _ in found if len(batch)), found[0][0]), letters


def roads(row: dict[str, str], bare: frozenset[str], folder: Path) -> dict[str, tuple[EventBatch, list[DeadLetter]]]:
    """The result of each road for one row."""
    raw = as_json(row, bare)

    def one(item: object) -> tuple[EventBatch, list[DeadLetter]]:
        return read_objects([item], SCHEMA, NOW_NS)[:2]

    fields = message_of({name.encode(): text.strip('"').encode() for name, text in row.items()})
    cells = [text if name == "channel" else f'"{text}"' for name, text in row.items()]
    record = ",".join(row).encode() + b"\n" + ",".join(cells).encode()
    return {
        "body": one(body_of(raw)),
        "array": one(items_of(b"[%b]" % raw)[0]),
        "line": read_lines([raw], SCHEMA, NOW_NS),
        "lines": read_lines([raw] * (FEW + 1), SCHEMA, NOW_NS),
        "file": _file(folder / "e.jsonl", raw),
        "stream": JSON.events([raw], SCHEMA, NOW_NS),
        "stream of many": JSON.events([raw] * (FEW + 1), SCHEMA, NOW_NS),
        "fields": JSON.events([fields], SCHEMA, NOW_NS),
        "fields of many": JSON.events([fields] * (FEW + 1), SCHEMA, NOW_NS),
        "csv": _file(folder / "e.csv", record),
        "csv of many": _file(folder / "m.csv", record + (b"\n" + record.partition(b"\n")[2]) * FEW),
    }


TABLE = [
    *(("amount", text, frozenset[str](), expected) for text, expected in AMOUNTS.items()),
    *(("time", text, frozenset[str](), expected) for text, expected in TIMES.items()),
    *(("time", text, frozenset({"time"}), expected) for text, expected in SECONDS.items()),
    *(("event_id", text, frozenset[str](), expected) for text, expected in IDS.items()),
    *(("customer", text, frozenset[str](), expected) for text, expected in IDS.items()),
    *(("channel", text, frozenset[str](), expected) for text, expected in CHANNELS.items()),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "text", "bare", "expected"), TABLE, ids=[f"{name}-{text[:32]}" for name, text, _, _ in TABLE]
)
def test_every_road_gives_the_same_event_or_the_same_reason(
    name: str, text: str, bare: frozenset[str], expected: object, tmp_path: Path
) -> None:
    row = {**SOUND, name: text if name != "channel" else f'"{text}"'}
    if name == "amount" and text == "true":
        bare = frozenset({"amount"})
    found = {road: outcome(*read) for road, read in roads(row, bare, tmp_path).items()}
    assert len(set(found.values())) == 1, found
    made = found["body"]
    if isinstance(expected, str) and len(made) == 2:
        assert made == (name, expected)
    elif name != "channel":
        assert made[{"event_id": 0, "time": 1, "amount": 3}.get(name, 2)] == expected or name == "customer"


@pytest.mark.parametrize("name", sorted(QUOTED - {"time"}))
@pytest.mark.parametrize("text", ["5.0", "5e0", "true"])
def test_an_id_that_is_no_integer_of_json_is_a_text_where_all_is_text(name: str, text: str, tmp_path: Path) -> None:
    found = roads({**SOUND, name: text}, frozenset({name}), tmp_path)
    for road, read in found.items():
        if "csv" in road or "fields" in road:
            assert outcome(*read)[0 if name == "event_id" else 3] == (text if name == "event_id" else 1.0)
        else:
            assert outcome(*read) == (name, "wrong_type"), road
