"""List files: a CSV of key[,since[,until]] beside the app file, read with the same kind of faults."""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath

from homeostat.config.faults import Fault, shortened
from homeostat.config.instants import instant_ns
from homeostat.config.nodes import YamlNode
from homeostat.config.tree import App, ListEntry, NamedList

BYTES_MAX = 64 << 20
_HEADER = ("key", "since", "until")
_FAULTS_MAX = 20  # Of one file; a file of the wrong kind would have one on every line.


def read_lists(app: App, root: YamlNode, folder: Path | None) -> tuple[App, list[Fault]]:
    """The app with the entries of its list files behind those it wrote itself, and what is wrong with the files."""
    faults: list[Fault] = []
    lists: dict[str, NamedList] = {}
    for name, members in app.guards.lists.items():
        lists[name] = members
        if members.file is None:
            continue
        node = root
        for step in ("guards", "lists", name, "file"):
            node = node.child(step) or node
        entries, found = _read(members.file, folder, node)
        faults += found
        lists[name] = members.model_copy(update={"entries": (*members.entries, *entries)})
    guards = app.guards.model_copy(update={"lists": lists})
    return app.model_copy(update={"guards": guards}), faults


def _read(name: str, folder: Path | None, node: YamlNode) -> tuple[list[str | ListEntry], list[Fault]]:
    parts = PurePosixPath(name)
    if not name or parts.is_absolute() or ".." in parts.parts or "\\" in name or "\0" in name:
        return [], [node.fault("a list file lies beside the app file: write its name, without .. or a leading /")]
    if folder is None:
        return [], [node.fault(f"{shortened(name)} can't be found: this text was not read from a file")]
    path = folder / name
    try:
        if path.stat().st_size > BYTES_MAX:
            return [], [node.fault(f"{shortened(name)} is larger than {BYTES_MAX >> 20} MiB")]
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return [], [node.fault(f"{shortened(str(path))} can't be read: {reason}")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return [], [Fault(str(path), line, 1, "", "this is not UTF-8 text")]
    return entries_of(text, str(path))


def entries_of(text: str, source: str) -> tuple[list[str | ListEntry], list[Fault]]:
    """The entries of a list file's text, and its faults.

    >>> entries_of("key,since\\n7,\\n8,2026-01-01\\n", "denied.csv")[0]
    ['7', ListEntry(key='8', since='2026-01-01', until=None)]
    """
    entries: list[str | ListEntry] = []
    faults: list[Fault] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            header = not entries and not faults and row[:1] == ["key"] and tuple(row) == _HEADER[: len(row)]
            if any(row) and not header:
                wrong = _wrong(row)
                if wrong is None:
                    entries.append(_entry(row))
                else:
                    faults.append(Fault(source, line, 1, "", wrong))
            if len(faults) >= _FAULTS_MAX:
                break
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append(Fault(source, line, 1, "", f"this is not CSV: {error}"))
    return entries, faults


def _entry(row: list[str]) -> str | ListEntry:
    since, until = (*(cell or None for cell in row[1:]), None, None)[:2]
    return row[0] if since is None and until is None else ListEntry(key=row[0], since=since, until=until)


def _wrong(row: list[str]) -> str | None:
    if len(row) > len(_HEADER):
        return f"{len(row)} columns, where key[,since[,until]] has at most 3"
    if not row[0]:
        return "the key is empty"
    try:
        instants = [instant_ns(cell) if cell else None for cell in row[1:]]
    except ValueError as error:
        return str(error)
    if len(instants) == 2 and None not in instants and instants[1] <= instants[0]:  # type: ignore[operator]
        return "until must be later than since"
    return None
