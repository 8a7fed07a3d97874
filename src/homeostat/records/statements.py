"""Statements: what people write about decisions and versions. A question, the answer to one, or feedback.

Their words are personal. They lie apart from all else, so that they can be forgotten. The row holds a hash of them,
whose salt is forgotten with them, and rows are chained by digests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from sys import float_info
from typing import Any, TypeAlias

from homeostat.records.times import time_text

COLUMNS = (
    "number", "at_ns", "kind", "subject", "about", "topic", "value", "source", "actor", "key", "refers", "text_hash",
)  # fmt: skip
START = bytes(32)  # The digest before the first statement.
SALT_BYTES = 16
TEXT_CHARS_MAX, NAME_CHARS_MAX, ABOUT_CHARS_MAX = 4000, 200, 1024
_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
Value: TypeAlias = float | str | bool | None
Row: TypeAlias = tuple[Any, ...]


class StatementKind(StrEnum):
    """The kinds of statements."""

    QUESTION = "question"  # Of a person, about a decision.
    ANSWER = "answer"  # Of the app's owner; its topic is the verdict.
    RETRAINING = "retraining"  # Of homeostat or a person, about a version: a step of its retraining, as its topic.
    FEEDBACK = "feedback"  # Of a person or a program, about a decision or a version; its topic is of what kind.
    APPROVAL = (
        "approval"  # Of a person, about a plan or a kind of action: approve, reject, edit, raise, void, as its topic.
    )
    ADVICE = "advice"  # Of a language model, about an incident: how a call ended, as its topic.
    SIZE = "size"  # Of a process, about itself: a size that it chose by the load, as its value.
    SWITCH = "switch"  # Of a person, about all acts without a person: stop or resume, as its topic.
    RESPONSE = "response"  # Of loop 2, about an incident: its phase as topic, digests of before and after as value.


DECISION, VERSION, PROCESS, PLAN, ACTION, INCIDENT = SUBJECTS = (
    "decision", "version", "process", "plan", "action", "incident",
)  # fmt: skip
VOID = "void"
"""The topic of a statement that an earlier word on a plan, whose topic is its source, came too late."""
UPHELD, CHANGED = VERDICTS = ("upheld", "changed")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    subject, about : "decision" and its event id, "version" and its name, "process" and its name, "plan" and its hash,
        "action" and its kind or "everything", or "incident" and its id
    topic : the verdict of an answer, the kind of feedback, the word of an approval; empty for a question
    value : of feedback: a number, a text, yes or no, or None; of an approval: the incident, or the reach of an action;
        of advice: the SHA-256 of all that was sent, a colon, and that of all that came
    source : who or which program feedback comes from; of advice: the role that asked
    actor : the key or person that sent it
    text, contact : personal; empty where there is none, or where they were forgotten
    key : the same key is the same statement, however often it is sent; empty for none
    refers : of an answer: the number of the question; 0 for others
    number : from 1 on, over all statements; 0 until it is stored
    at_ns : when it was stored
    """

    kind: StatementKind
    subject: str
    about: str
    topic: str = ""
    value: Value = None
    source: str = ""
    actor: str = ""
    text: str = ""
    contact: str = ""
    key: str = ""
    refers: int = 0
    number: int = 0
    at_ns: int = 0


def checked(one: Statement) -> Statement:
    """The statement as it will be read back. Raises ValueError for one that can't be stored, with the member.

    >>> checked(Statement(StatementKind.FEEDBACK, "decision", "e1", "Rating", 3.0, "app", "key 1")).topic
    Traceback (most recent call last):
    ...
    ValueError: kind is a word of lower-case letters, digits and _, 64 at most
    """
    if one.subject not in SUBJECTS:
        raise ValueError(f"subject is one of {', '.join(SUBJECTS)}")
    for name, least, most in (
        ("source", int(one.kind == StatementKind.FEEDBACK), NAME_CHARS_MAX),
        ("actor", 1, NAME_CHARS_MAX), ("contact", 0, NAME_CHARS_MAX), ("key", 0, NAME_CHARS_MAX),
    ):  # fmt: skip
        text = getattr(one, name)
        if not isinstance(text, str) or not least <= len(text) <= most or not text.isprintable():
            raise ValueError(f"{name} has {least} to {most} printable characters")
    if (
        not 1 <= len(one.about) <= ABOUT_CHARS_MAX
        or "\0" in one.about
        or any("\ud800" <= c <= "\udfff" for c in one.about)
    ):
        raise ValueError(f"{one.subject} is named by 1 to {ABOUT_CHARS_MAX} characters")  # An event id may be odd.
    _check_text(one.text, int(one.kind != StatementKind.FEEDBACK))
    if one.kind == StatementKind.ANSWER:
        if one.topic not in VERDICTS:
            raise ValueError(f"verdict is one of {', '.join(VERDICTS)}")
    elif one.kind != StatementKind.QUESTION and not _TOPIC.fullmatch(one.topic):
        raise ValueError("kind is a word of lower-case letters, digits and _, 64 at most")
    return replace(one, kind=StatementKind(one.kind), value=_value(one.value))


def void_of(word: Statement) -> Statement:
    """The statement that a word on a plan came too late, and counts for nothing."""
    return checked(replace(
        word, topic=VOID, source=word.topic, text="it came too late: another word was there first",
        key=f"void-{word.key}"[:NAME_CHARS_MAX],
    ))  # fmt: skip


def standing(words: Sequence[Statement]) -> list[Statement]:
    """The words on plans that hold, by number: without those that came too late, and without what says so.

    >>> one = Statement(StatementKind.APPROVAL, PLAN, "h", "approve", "i1", actor="ann", text="yes", number=1)
    >>> standing([one, replace(void_of(one), number=2)]), standing([one]) == [one]
    ([], True)
    """
    found: list[Statement] = []
    for one in sorted(words, key=lambda each: each.number):
        if one.kind == StatementKind.APPROVAL and one.topic == VOID:
            gone = (one.about, one.actor, one.source)
            found = [each for each in found if (each.about, each.actor, each.topic) != gone]
        else:
            found.append(one)
    return found


def _check_text(text: object, least: int) -> None:
    if not isinstance(text, str) or not least <= len(text.strip()) or len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"text has {least} to {TEXT_CHARS_MAX} characters")
    if any(not (letter.isprintable() or letter in "\n\r\t") for letter in text):
        raise ValueError("text has printable characters and line ends only")


def _value(value: Value) -> Value:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > NAME_CHARS_MAX or not value.isprintable():
            raise ValueError(f"value, as a text, has at most {NAME_CHARS_MAX} printable characters")
        return value
    if not isinstance(value, int | float) or not abs(value) <= float_info.max:  # A whole number may be larger.
        raise ValueError("value is a finite number, a text, true, false or null")
    return float(value)


def text_hash(one: Statement, salt: bytes) -> str:
    """The salted hash of the personal words; empty where there are none."""
    if not one.text and not one.contact:
        return ""
    return sha256(salt + json.dumps([one.text, one.contact]).encode()).hexdigest()


def as_row(one: Statement, hashed: str) -> Row:
    """A stored statement by `COLUMNS`; its words are not among them."""
    texts = {"kind": str(one.kind), "value": json.dumps(one.value), "text_hash": hashed}
    return tuple(texts[name] if name in texts else getattr(one, name) for name in COLUMNS)


def of_row(row: Sequence[Any], text: str | None, contact: str | None) -> Statement:
    """A statement from its row and its words. Raises ValueError, TypeError where the row is damaged."""
    values = dict(zip(COLUMNS, row, strict=True))
    del values["text_hash"]
    value = _value(json.loads(values["value"]))
    kind = StatementKind(values["kind"])
    return Statement(**{**values, "value": value, "kind": kind, "text": text or "", "contact": contact or ""})


def chained(previous: bytes, row: Row) -> bytes:
    """The digest of a row and of all before it; previous : of the one before, `START` before the first."""
    return sha256(previous + json.dumps(row, separators=(",", ":")).encode()).digest()


def same_wish(one: Statement, other: Statement) -> bool:
    """Whether two statements are the same, so that one key may stand for both; forgotten words don't count."""
    names = ["kind", "topic", "value", "source", "refers"]
    if one.kind != StatementKind.ANSWER:  # An answer has the decision of its question.
        names += ["subject", "about"]
    same = all(getattr(one, name) == getattr(other, name) for name in names)
    return same and (not one.text or not other.text or one.text == other.text)


def shown(one: Statement) -> dict[str, Any]:
    """A statement as a JSON object.

    >>> sorted(shown(Statement(StatementKind.QUESTION, "decision", "e1", actor="key 1", text="why?", number=3)))
    ['actor', 'at', 'contact', 'decision', 'number', 'text']
    """
    found: dict[str, Any] = {"number": one.number, "at": time_text(one.at_ns), one.subject: one.about}
    if one.kind == StatementKind.ANSWER:
        found |= {"question": one.refers, "verdict": one.topic}
    elif one.kind == StatementKind.FEEDBACK:
        found |= {"kind": one.topic, "value": one.value, "source": one.source}
    elif one.kind == StatementKind.RETRAINING:
        found |= {"round": one.source, "step": one.topic, "value": one.value}
    elif one.kind == StatementKind.APPROVAL:
        found |= {"word": one.topic, "of": one.value}
    elif one.kind == StatementKind.ADVICE:
        found |= {"role": one.source, "outcome": one.topic, "hashes": one.value}
    elif one.kind == StatementKind.SIZE:
        found |= {"size": one.topic, "value": one.value}
    elif one.kind == StatementKind.SWITCH:
        found |= {"word": one.topic}
    elif one.kind == StatementKind.RESPONSE:
        found |= {"phase": one.topic, "digests": one.value}
    if one.kind == StatementKind.QUESTION:
        found["contact"] = one.contact or None
    return found | {"actor": one.actor, "text": one.text}
