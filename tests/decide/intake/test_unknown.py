"""Names that nobody declared are counted in each way in which events come, and nothing else is kept of them."""

from __future__ import annotations

import json
import pickle

import pyarrow as pa
import pytest

from homeostat.config.load import load_app
from homeostat.config.plans import event_schema
from homeostat.decide.intake.border import TextMessage
from homeostat.decide.intake.lines import FEW, parse_events, read_lines, read_texts
from homeostat.decide.intake.objects import read_objects
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.intake.unknown import EACH_NS, NAME_CHARS_MAX, NAMES_MAX, SOON_NS, UnknownNames
from homeostat.records.events import DeadLetter
from homeostat.records.identity import Coding
from homeostat.records.unknown import UnknownName, letter_of, name_in

NOW = 1_800_000_000 * 10**9


def schema() -> EventSchema:
    return event_schema(load_app("payments"), Coding.of_seed(0))


def events(n: int) -> list[dict[str, object]]:
    """Payments, of which each third has the amount under another name."""
    found: list[dict[str, object]] = []
    for k in range(n):
        one: dict[str, object] = {"event_id": k, "time": "2026-01-05T10:00:00Z", "customer": 1, "terminal": 2}
        found.append(one | {("amount_v2" if k % 3 == 0 else "amount"): 5.0})
    return found


@pytest.mark.parametrize("n", [3, 9, FEW])
@pytest.mark.parametrize("road", ["objects", "body", "lines", "texts"])
def test_each_road_counts_the_names_that_nobody_declared(road: str, n: int) -> None:
    read, sent = schema(), events(n)
    raw = [json.dumps(one).encode() for one in sent]
    if road == "objects":
        read_objects(sent, read, NOW)
    elif road == "body":
        parse_events(b"[" + b",".join(raw) + b"]", read, NOW)
    elif road == "lines":
        read_lines(raw, read, NOW)
    else:
        texts = [TextMessage(json.dumps({k: str(v) for k, v in one.items()}).encode()) for one in sent]
        read_texts(texts, read, NOW, range(n))
    assert read.unknown is not None and read.unknown.take(NOW) == [UnknownName("amount_v2", (n + 2) // 3, n, NOW)]


def test_of_many_lines_the_first_are_looked_at_and_of_one_event_it_is_looked_at_once() -> None:
    read = schema()
    assert read.unknown is not None
    read_lines([json.dumps(one).encode() for one in events(300)], read, NOW)
    (many,) = read.unknown.take(NOW)
    assert many.of >= FEW and abs(many.n / many.of - 1 / 3) < 0.7  # Lines that are read on their own count once more.
    parse_events(json.dumps(events(1)[0]).encode(), read, NOW)
    assert read.unknown.take(NOW) == [UnknownName("amount_v2", 1, 1, NOW)]


def test_columns_count_what_is_there() -> None:
    names = UnknownNames(("amount",))
    names.look_at_columns({"amount": pa.array([1.0, None, 2.0]), "amount_v2": pa.array([None, 5.0, None])}, 3)
    names.look_at_columns({"x": pa.nulls(2)}, 2)
    assert names.take(NOW) == [UnknownName("amount_v2", 1, 5, NOW)]


def test_hostile_names_are_few_short_and_plain_and_null_is_no_member() -> None:
    names = UnknownNames(("amount",))
    names.look({f"x{k}": 1 for k in range(10_000)})
    for k in range(1000):
        names.look({f"y{k}": 1, "amount": 2, "gone": None})
    names.look("no object")
    found = names.take(NOW)
    assert len(found) == NAMES_MAX and {one.of for one in found} == {1002}
    names.look({"a\n\u202e" + "b" * 999: {"deep": ["value"]}})
    (one,) = names.take(NOW)
    assert one.name == ("a??" + "b" * 999)[:NAME_CHARS_MAX] and "value" not in repr(one)


def test_names_are_handed_on_soon_where_one_is_new_and_else_each_hour() -> None:
    names = UnknownNames(())
    assert not names.due(NOW)
    names.look({"a": 1})
    assert names.due(NOW) and names.take(NOW)
    names.look({"a": 1})
    assert not names.due(NOW + SOON_NS) and names.due(NOW + EACH_NS)
    names.look({"b": 1})
    assert names.due(NOW + SOON_NS) and not names.due(NOW + SOON_NS - 1)
    other = pickle.loads(pickle.dumps(names))
    other.look({"c": 1})
    assert [one.name for one in other.take(NOW)] == ["c"]


def test_a_name_is_a_line_among_the_dead_letters_and_back() -> None:
    one = UnknownName("amount_v2", 3, 9, NOW)
    assert name_in(letter_of(one), NOW) == one
    assert name_in(DeadLetter(1, "amount", "", "missing"), NOW) is None
    assert name_in(DeadLetter(0, "x", "", "unknown_name", "in many"), NOW) is None
