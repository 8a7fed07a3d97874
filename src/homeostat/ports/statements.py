"""Statements: the questions of people about decisions, the answers to them, and feedback. Append-only, and bounded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from homeostat.errors import Conflict, HomeostatError
from homeostat.records.statements import Row, Statement, StatementKind, as_row, chained, same_wish, text_hash


class UnknownStatement(HomeostatError, LookupError):
    """There is no such question or feedback."""

    why = "questions and feedback are named by their number"
    remedy = "homeostat questions list and homeostat feedback list show those there are"


class NoRoom(HomeostatError):
    """There are as many open questions, or as much feedback, as may be kept; nothing was stored."""

    why = "the store of statements has a bound, so that nobody fills the disk"
    remedy = "Answer open questions with homeostat questions answer; for feedback, begin a new store"


class AlreadyAnswered(Conflict):
    """The question was answered meanwhile by somebody else, or the key was used for another statement."""

    why = "each answer builds on the one that its author saw"
    remedy = "Look at the answer that is there; name its number with --expected to answer again"


class StatementsError(HomeostatError):
    """A store holds another app's statements, another version's form, or damaged ones; the text says which."""

    why = "statements are read by the app and a version that know their form, and only undamaged"
    remedy = "Name the right folder or database, or restore it from a backup"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many open questions, and how many statements in all, are kept at most."""

    open_questions: int = 10_000
    statements: int = 1_000_000


class Statements(Protocol):
    """The statements about one app's decisions. Safe for several threads and processes."""

    def append(self, one: Statement, expected: int | None = None) -> Statement:
        """Store a statement, and return it with its number and time.

        expected : of an answer: the number of the question's last answer as its author saw it, 0 for none; None does
            not compare
        A key that was used before returns the statement that it stored then.
        Raises ValueError for what can't be stored, UnknownStatement where an answer is to no question,
        AlreadyAnswered, NoRoom, Unavailable.
        """
        ...

    def get(self, number: int) -> Statement:
        """One statement. Raises UnknownStatement, Unavailable."""
        ...

    def list(
        self, kind: StatementKind, *, limit: int | None = None, below: int | None = None, from_ns: int | None = None,
        until_ns: int | None = None, is_open: bool | None = None,
    ) -> Sequence[Statement]:  # fmt: skip
        """Statements of a kind, newest first.

        below : with smaller numbers only; from_ns, until_ns : stored from then on, and before then
        is_open : questions without an answer, or with one; None for both
        Raises Unavailable.
        """
        ...

    def answers(self, questions: Collection[int]) -> dict[int, Statement]:
        """Question -> its last answer; a question without one is left out. Raises Unavailable."""
        ...

    def forget(self, number: int) -> None:
        """Delete a statement's personal words; all else stays. Raises UnknownStatement, Unavailable."""
        ...

    def head(self) -> tuple[int, str]:
        """The last number, and the digest of everything up to it as hexadecimal text. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def agreed(there: Statement, wish: Statement) -> Statement:
    """The statement that a key stored before. Raises AlreadyAnswered where the key is used for something else now."""
    if not same_wish(there, wish):
        raise AlreadyAnswered(
            f"the key {wish.key} was used for statement {there.number}, which is another", remedy="Use a new key"
        )
    return there


def unanswered(last: Statement | None, expected: int | None) -> None:
    """Raise AlreadyAnswered where a question's last answer is not the one that was expected."""
    found = 0 if last is None else last.number
    if expected is not None and found != expected:
        seen = "no answer" if last is None else f"answer {found} by {last.actor} ({last.topic})"
        raise AlreadyAnswered(f"the question has {seen} now")


def unknown(number: int, what: str = "statement") -> UnknownStatement:
    """The error for a number that nothing has."""
    return UnknownStatement(f"there is no {what} {number}")


def refuse_full(kind: StatementKind, is_open: int, total: int, bounds: Bounds) -> None:
    """Raise NoRoom where another statement would be too many. There is room for answers as long as anything fits."""
    if kind == StatementKind.QUESTION and is_open >= bounds.open_questions:
        raise NoRoom(f"{is_open:,} questions are open, which is as many as are kept")
    if kind != StatementKind.ANSWER and total >= bounds.statements:
        raise NoRoom(f"{total:,} statements are kept, which is the bound")


class Table(Protocol):
    """The table of a store, within one transaction that nobody else's comes between."""

    def by_key(self, key: str) -> Statement | None:
        """The statement that was stored under a key."""
        ...

    def question(self, number: int) -> Statement | None:
        """The question of a number."""
        ...

    def answer_to(self, number: int) -> Statement | None:
        """The last answer to a question."""
        ...

    def last(self) -> tuple[int, int, bytes]:
        """Number, time and digest of the last statement; `START` and zeros before the first."""
        ...

    def open_questions(self) -> int:
        """How many questions have no answer."""
        ...

    def add(self, row: Row, digest: bytes, words: tuple[bytes, str, str] | None) -> None:
        """Store a row; words : salt, text and contact, None where there are none."""
        ...


def append(table: Table, one: Statement, expected: int | None, bounds: Bounds, salt: bytes, now_ns: int) -> Statement:
    """Store a statement that was checked, as `Statements.append` does, in the table of a store.

    salt : of its words; now_ns : the clock of the store
    """
    if one.key and (there := table.by_key(one.key)):
        return agreed(there, one)
    if one.kind == StatementKind.ANSWER:
        question = table.question(one.refers)
        if question is None:
            raise unknown(one.refers, "question")
        one = replace(one, subject=question.subject, about=question.about)
        unanswered(table.answer_to(one.refers), expected)
    number, at_ns, digest = table.last()
    refuse_full(one.kind, table.open_questions() if one.kind == StatementKind.QUESTION else 0, number, bounds)
    one = replace(one, number=number + 1, at_ns=max(now_ns, at_ns + 1))
    row = as_row(one, text_hash(one, salt))
    table.add(row, chained(digest, row), (salt, one.text, one.contact) if one.text or one.contact else None)
    return one
