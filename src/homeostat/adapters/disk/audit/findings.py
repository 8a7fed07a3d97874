"""Faults that a verification finds, and the verdict that they make together."""

from __future__ import annotations

from dataclasses import dataclass

FAULTS_MAX = 20  # Faults that are described; the others are counted.
_SHOWN_MAX = 60  # Characters of a value that are shown.


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written.

    where : the table or file
    row : which row or line of it; empty where it is not about one
    column : which column; empty where it is not about one
    why : the whole of it in a sentence
    """

    where: str
    row: str
    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdict, and what it rests on.

    ok : nothing was found
    entries : lines of the trail that are whole, from the first on
    head : the hash of the last of them
    first_bad_line : the number of the first line that is not, from 1; None if there is none
    why : the first fault in a sentence; empty when all is well
    anchored : an anchor was compared, so lines cut off at the end would have been noticed
    faults : at most FAULTS_MAX of them
    fault_count : how many there are
    decisions, outcomes, changes : rows that were compared with the trail
    unaudited : entries of the journal beyond the last that the trail names
    checked : what was compared
    notes : what the reader should know beside the verdict
    """

    ok: bool
    entries: int
    head: str
    first_bad_line: int | None = None
    why: str = ""
    anchored: bool = False
    faults: tuple[Fault, ...] = ()
    fault_count: int = 0
    decisions: int = 0
    outcomes: int = 0
    unaudited: int = 0
    checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    changes: int = 0


class Faults:
    """Gathers what is found while files and tables are read."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.count = 0
        self.decisions = self.outcomes = self.changes = self.unaudited = 0
        self.checked: list[str] = []
        self.notes: list[str] = []

    def add(self, where: str, row: str, why: str, column: str = "") -> None:
        """One more. `why` goes on from where and row: "is missing"."""
        self.count += 1
        if len(self.found) < FAULTS_MAX:
            place = ": ".join(part for part in (", ".join(part for part in (where, row) if part), why) if part)
            self.found.append(Fault(where, row, column, place))

    def differs(self, where: str, row: str, column: str, found: object, expected: object, by: str) -> None:
        """A column does not hold what something else says that it must.

        by : what says so, as in "instead of 5, as `by`"
        """
        self.add(where, row, f"{column} is {shown(found)} instead of {shown(expected)}, {by}", column)

    def verdict(self, entries: int, head: str, first_bad_line: int | None, anchored: bool) -> Verification:
        """All of it together."""
        return Verification(
            not self.count, entries, head, first_bad_line, self.found[0].why if self.found else "", anchored,
            tuple(self.found), self.count, self.decisions, self.outcomes, self.unaudited, tuple(self.checked),
            tuple(self.notes), self.changes,
        )  # fmt: skip


def shown(value: object) -> str:
    """A value in a message: short, on one line.

    >>> shown(b"\\0\\1"), shown("a"), shown(5), shown(None)
    ("x'0001'", "'a'", '5', 'NULL')
    """
    if value is None:
        return "NULL"
    if isinstance(value, (bytes, memoryview)):
        data = bytes(value)
        return f"x'{data[:16].hex()}'" + (f" and {len(data) - 16} bytes more" if len(data) > 16 else "")
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."
