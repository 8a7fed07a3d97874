"""The statements of a memory, which SQLite and PostgreSQL have in common; each has its own way to find words.

Places of values are written `?`. The caller runs each function within a transaction that no other writer comes between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from homeostat.adapters.incidents.rows import Run
from homeostat.adapters.memory.passages import passages, query_of, shown
from homeostat.ports.memory import MemoryBounds, MemoryFault, NoSuchMemory
from homeostat.records.past import Found, Note, PastCase, Recalled, Trait
from homeostat.records.past_text import case_text, read_case
from homeostat.stats.likeness import most_alike

CASE, NOTE = "case", "note"
_SOME = 200


class Words(Protocol):
    """Finds passages by words, in the database's own index."""

    def put(self, run: Run, number: int, text: str) -> None:
        """Index a passage."""
        ...

    def drop(self, run: Run, number: int) -> None:
        """Take a passage out."""
        ...

    def find(self, run: Run, words: Sequence[str], limit: int) -> Sequence[tuple[int, float]]:
        """Numbers and scores of the passages with any of these words, the best first."""
        ...


def keep(run: Run, words: Words, case: PastCase, bounds: MemoryBounds) -> bool:
    """See `Memory.keep`."""
    case = replace(case, words=shown(case.words))
    there = run("SELECT revision, text FROM past_cases WHERE id = ?", (case.id,))
    text = case_text(case)
    if there and (there[0][0] > case.revision or there[0][1] == text):
        return False
    if there:
        sql = "UPDATE past_cases SET revision = ?, opened_ns = ?, text = ? WHERE id = ?"
        run(sql, (case.revision, case.opened_ns, text, case.id))
    else:
        sql = "INSERT INTO past_cases (id, revision, opened_ns, text) VALUES (?, ?, ?, ?)"
        run(sql, (case.id, case.revision, case.opened_ns, text))
    _index(run, words, CASE, case.id, case.id, case.words)
    over = f"SELECT id FROM past_cases ORDER BY opened_ns DESC, number DESC LIMIT {_SOME} OFFSET ?"  # noqa: S608
    for (id,) in run(over, (bounds.cases,)):
        _drop(run, words, CASE, id)
    return True


def case(run: Run, id: str) -> PastCase:
    """See `Memory.case`. Raises NoSuchMemory."""
    found = run("SELECT text FROM past_cases WHERE id = ?", (id,))
    if not found:
        raise no_such(id)
    return _read(found[0][0])


def cases(run: Run, limit: int) -> list[PastCase]:
    """See `Memory.cases`."""
    sql = "SELECT text FROM past_cases ORDER BY opened_ns DESC, number DESC LIMIT ?"
    return [_read(text) for (text,) in run(sql, (limit,))]


def like(run: Run, traits: Sequence[Trait], limit: int, bounds: MemoryBounds) -> list[Recalled]:
    """See `Memory.like`: an exact search over all cases."""
    return most_alike(traits, cases(run, bounds.cases), limit)


def add(run: Run, words: Words, note: Note, bounds: MemoryBounds) -> bool:
    """See `Memory.add`."""
    text, name = shown(note.text), shown(note.name)
    there = run("SELECT text FROM notes WHERE name = ?", (name,))
    if there and there[0][0] == text:
        return False
    if there:
        run("UPDATE notes SET at_ns = ?, text = ? WHERE name = ?", (note.at_ns, text, name))
    else:
        run("INSERT INTO notes (name, at_ns, text) VALUES (?, ?, ?)", (name, note.at_ns, text))
    _index(run, words, NOTE, name, name, text)
    over = f"SELECT name FROM notes ORDER BY at_ns DESC, number DESC LIMIT {_SOME} OFFSET ?"  # noqa: S608
    for (old,) in run(over, (bounds.notes,)):
        _drop(run, words, NOTE, old)
    return True


def note(run: Run, name: str) -> Note:
    """See `Memory.note`. Raises NoSuchMemory."""
    found = run("SELECT name, text, at_ns FROM notes WHERE name = ?", (name,))
    if not found:
        raise no_such(name)
    return Note(*found[0])


def notes(run: Run, limit: int) -> list[Note]:
    """See `Memory.notes`."""
    sql = "SELECT name, text, at_ns FROM notes ORDER BY at_ns DESC, number DESC LIMIT ?"
    return [Note(*row) for row in run(sql, (limit,))]


def forget(run: Run, words: Words, id: str) -> None:
    """See `Memory.forget`. Raises NoSuchMemory."""
    if run("SELECT 1 FROM past_cases WHERE id = ?", (id,)):
        _drop(run, words, CASE, id)
    elif run("SELECT 1 FROM notes WHERE name = ?", (id,)):
        _drop(run, words, NOTE, id)
    else:
        raise no_such(id)


def search(run: Run, words: Words, text: str, limit: int) -> list[Found]:
    """See `Memory.search`."""
    wanted = query_of(text)
    found = []
    for number, score in words.find(run, wanted, limit) if wanted else ():
        rows = run("SELECT source, owner, title, text FROM passages WHERE number = ?", (number,))
        found += [Found(str(a), str(b), str(c), str(d), round(float(score), 6)) for a, b, c, d in rows]
    return found


def everything(run: Run) -> list[Found]:
    """All passages, in the order in which they were stored."""
    rows = run("SELECT source, owner, title, text FROM passages ORDER BY number")
    return [Found(str(a), str(b), str(c), str(d), 0.0) for a, b, c, d in rows]


def no_such(id: str) -> NoSuchMemory:
    """The error that there is no such case and no such note.

    >>> str(no_such("abc"))
    "no case and no note is called 'abc'"
    """
    return NoSuchMemory(f"no case and no note is called {id!r}")


def _index(run: Run, words: Words, source: str, owner: str, name: str, text: str) -> None:
    """The passages of a text, in place of the earlier ones of its owner."""
    _unindex(run, words, source, owner)
    for title, passage in passages(name, shown(text)):
        sql = "INSERT INTO passages (source, owner, title, text) VALUES (?, ?, ?, ?) RETURNING number"
        ((number,),) = run(sql, (source, owner, title, passage))
        words.put(run, int(number), f"{title}\n{passage}")


def _unindex(run: Run, words: Words, source: str, owner: str) -> None:
    for (number,) in run("SELECT number FROM passages WHERE source = ? AND owner = ?", (source, owner)):
        words.drop(run, int(number))
    run("DELETE FROM passages WHERE source = ? AND owner = ?", (source, owner))


def _drop(run: Run, words: Words, source: str, id: str) -> None:
    _unindex(run, words, source, id)
    sql = "DELETE FROM past_cases WHERE id = ?" if source == CASE else "DELETE FROM notes WHERE name = ?"
    run(sql, (id,))


def _read(text: str) -> PastCase:
    try:
        return read_case(text)
    except ValueError as error:
        raise MemoryFault(f"a case is damaged or of a newer version ({error})") from error
