"""`homeostat memory`: past incidents as cases, and the notes of people, to list, to show and to search."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.version_stores import Config, Data, store_at

if TYPE_CHECKING:
    from homeostat.ports.memory import Memory
    from homeostat.records.past import Found, PastCase

memory = App(name="memory", help="List, show and search past incidents and notes", help_format="plaintext")
Limit = Annotated[int, Parameter(help="How many to show.", validator=validators.Number(gte=1, lte=10_000))]


def memory_of(data: Path | None, config: Path | None) -> AbstractContextManager[Memory]:
    """The memory that options name, closed at the end. Raises CommandError where neither is named, or both are."""

    def here(folder: Path) -> Memory:
        from homeostat.adapters.disk.sqlite.memory import SqliteMemory

        return SqliteMemory(folder)

    def there(url: str) -> Memory:
        from homeostat.adapters.opening import memory_opener

        return memory_opener(url)(url)

    return store_at(data, config, "cases and notes", here, there)


@memory.command(name="list")
def list_(*, limit: Limit = 50, data: Data = None, config: Config = None, json: Json = False) -> None:
    """List cases and notes, newest first."""
    from homeostat.records.past_text import shown_case
    from homeostat.records.times import time_text

    with memory_of(data, config) as store:
        cases, notes = store.cases(limit), store.notes(limit)
    if json:
        listed = [{"name": one.name, "at": time_text(one.at_ns), "characters": len(one.text)} for one in notes]
        print(dumps({"cases": [shown_case(one) for one in cases], "notes": listed}))
        return
    for case in cases:
        print(f"{case.id}  {time_text(case.opened_ns)}  {_in_short(case)}")
    for note in notes:
        print(f"{_plain(note.name)}  {time_text(note.at_ns)}  note, {len(note.text):,} characters")
    if not cases and not notes:
        print("nothing is remembered yet")


@memory.command
def show(id: str, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show one case, or one note.

    Parameters
    ----------
    id
        As `homeostat memory list` shows it: an incident's id, or a note's name.
    """
    from homeostat.ports.memory import NoSuchMemory
    from homeostat.records.past_text import shown_case, shown_note

    with memory_of(data, config) as store:
        try:
            case = store.case(id)
        except NoSuchMemory:
            note = store.note(id)
            print(dumps(shown_note(note)) if json else _plain(note.text))
            return
    if json:
        print(dumps(shown_case(case)))
        return
    print(f"case {case.id}: {_in_short(case)}")
    print(_plain(case.words))


@memory.command
def search(
    *words: str,
    meaning: Annotated[
        bool, Parameter(negative="", help="Find passages of like meaning; needs the extra train.")
    ] = False,
    limit: Limit = 10,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Find passages of cases and notes by words.

    Parameters
    ----------
    words
        Words to look for; a passage with more of them comes first.
    """
    from homeostat.records.past_text import shown_found

    text = " ".join(words)
    if not text.strip():
        raise CommandError("which words? For example: homeostat memory search unit amount --data DIR")
    with memory_of(data, config) as store:
        if meaning:
            from homeostat.adapters.memory.latent import by_meaning

            found = by_meaning(text, store.passages(), limit)
        else:
            found = list(store.search(text, limit))
    if json:
        print(dumps({"found": [shown_found(one) for one in found]}))
        return
    _print(found)


@memory.command
def similar(
    id: str, /, *, limit: Limit = 5, data: Data = None, config: Config = None, json: Json = False
) -> None:  # fmt: skip
    """Show past cases whose signals resemble those of an incident.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it, or the beginning of it.
    """
    from homeostat.cli.plan_stores import found_incident, incidents_of
    from homeostat.records.past import traits_of
    from homeostat.records.past_text import shown_case

    with incidents_of(data, config) as incidents:
        one = found_incident(incidents, id)
        traits = traits_of(incidents.signals_of(one.signals))
    with memory_of(data, config) as store:
        found = [each for each in store.like(traits, limit + 1) if each.case.id != one.id][:limit]
    if json:
        print(dumps({"similar": [{"likeness": each.likeness, "case": shown_case(each.case)} for each in found]}))
        return
    for each in found:
        print(f"{each.case.id}  {each.likeness:.0%} alike  {_in_short(each.case)}")
    if not found:
        print(f"no past case resembles incident {one.id}")


@memory.command
def add(*files: Path, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Add notes: Markdown or text files, or folders of them. The same name again replaces a note.

    Parameters
    ----------
    files
        Files and folders. Links are not followed.
    """
    from homeostat.adapters.memory.notes import read_folder, read_note

    if not files:
        raise CommandError("which files? For example: homeostat memory add runbooks/ --data DIR")
    added, same, refused = list[str](), list[str](), list[str]()
    for path in files:
        if path.is_dir() and not path.is_symlink():
            notes, left = read_folder(path)
            refused += left
        else:
            notes = [read_note(path)]
        with memory_of(data, config) as store:
            for note in notes:
                (added if store.add(note) else same).append(note.name)
    if json:
        print(dumps({"added": added, "unchanged": same, "refused": refused}))
        return
    for text in refused:
        print(_plain(text), file=sys.stderr)
    print(f"{len(added)} added, {len(same)} unchanged, {len(refused)} refused")


@memory.command
def forget(id: str, /, *, data: Data = None, config: Config = None) -> None:
    """Drop a case or a note.

    Parameters
    ----------
    id
        As `homeostat memory list` shows it.
    """
    with memory_of(data, config) as store:
        store.forget(id)
    print(f"{_plain(id)} is forgotten")


def _in_short(case: PastCase) -> str:
    """A case on one line."""
    causes = " and ".join(f"{one.kind} at {one.node}" for one in case.causes) or case.conclusion or "only watched"
    tried = ", ".join(f"{one.remedy} {one.verdict or 'without a verdict'}" for one in case.tried)
    return _plain(causes + (f"; {tried}" if tried else ""))


def _print(found: list[Found]) -> None:
    for one in found:
        print(f"{one.source} {_plain(one.id)}: {_plain(one.title)}")
        print("\n".join(f"    {line}" for line in _plain(one.text).splitlines()[:6]))
    if not found:
        print("nothing was found")


def _plain(text: str) -> str:
    from homeostat.adapters.memory.passages import shown

    return shown(text)
