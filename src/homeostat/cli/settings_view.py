"""Settings as tables and sentences, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from homeostat.adapters.process.printable import printable
from homeostat.records.change_rows import shown

if TYPE_CHECKING:
    from homeostat.records.changes import Change

_BODY_CHARS = 60
_WIDE_CHARS = 110  # A narrower terminal has no room for eight columns: value, author, reason and end share one.
_MAX = {"at": 10, "scope": 10}  # Characters of columns of a narrow table: day and time lie on two lines.


def settings_tables(found: Mapping[str, Any], out: TextIO) -> None:
    """The answer of `settings list`."""
    if not found["last"]:
        out.write("nothing was changed yet: the app file says all\n")
    else:
        changes_table(found["in_force"], out, "in force")
        changes_table(found["changes"], out, "changes, newest first")
    for process in found["processes"]:
        state = "gone" if process["gone"] else f"{process['seconds_ago']:.0f} s ago"
        trouble = f": {printable(process['trouble'])}" if process["trouble"] else ""
        out.write(f"{printable(process['process'])} has applied change {process['number']} ({state}){trouble}\n")


def changes_table(changes: Sequence[Mapping[str, Any]], out: TextIO, title: str) -> None:
    """Changes, one a row; nothing is cut off, however narrow the terminal is."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    if not changes:
        out.write(f"{title}: none\n")
        return
    console = Console(file=out)
    wide, ends = console.width >= _WIDE_CHARS, any(change["expires"] for change in changes)
    heads = ("value", "by", "why", *("ends",) * ends) if wide else ("value, by and why",)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("number", "at", "kind", "scope", *heads):
        table.add_column(
            name, overflow="fold", no_wrap=name in ("number", "kind"), max_width=None if wide else _MAX.get(name)
        )
    for change in changes:
        cells = (change["number"], _moment(change["at"]), change["kind"], change["scope"])
        table.add_row(*(printable(str(cell)) for cell in cells), *(_wide_cells if wide else _narrow_cell)(change, ends))
    console.print(table, markup=False)


def _wide_cells(change: Mapping[str, Any], ends: bool) -> tuple[str, ...]:
    cells = (_value(change["body"]), change["actor"], _why(change), *(_moment(change["expires"]),) * ends)
    return tuple(map(printable, cells))


def _narrow_cell(change: Mapping[str, Any], ends: bool) -> tuple[str, ...]:
    """The same in one cell, on lines of its own each."""
    lines = [_value(change["body"]), f"{change['actor']}: {_why(change)}"]
    if ends and change["expires"]:
        lines.append(f"ends {_moment(change['expires'])}")
    return ("\n".join(map(printable, lines)),)


def change_text(change: Change, last: Change, out: TextIO) -> None:
    """One change, a line for each thing that is known of it."""
    found = shown(change)
    standing = "the last change of its scope" if last.number == change.number else f"followed by change {last.number}"
    for name, value in {**found, "standing": standing}.items():
        if value is not None or name in ("body", "before"):
            text = _value(value, 1 << 30) if name in ("body", "before") else str(value)
            out.write(f"{name:<9} {printable(text)}\n")


def stored_text(change: Change, last: Change | None, preview: bool, out: TextIO) -> None:
    """The outcome of `settings apply` and `settings undo`."""
    before = "" if last is None else f" (change {last.number} by {printable(last.actor)})"
    ends = "" if change.expires_ns is None else f" until {_moment(shown(change)['expires'])} UTC"
    head = "would change" if preview else f"change {change.number}:"
    out.write(
        f"{head} {change.kind} {printable(change.scope)} from {printable(_value(change.before))}{before} "
        f"to {printable(_value(change.body))}{ends}\n"
    )


def _value(body: Mapping[str, Any] | None, most: int = _BODY_CHARS) -> str:
    if body is None:
        return "the app file's"
    text = json.dumps(body, ensure_ascii=False)
    return text if len(text) <= most else text[: most - 3] + "..."


def _why(change: Mapping[str, Any]) -> str:
    reason, undone = str(change["reason"]), change["reverts"]
    return reason if not undone or str(undone) in reason else f"{reason} (undoes change {undone})"


def _moment(text: str | None) -> str:
    return "" if text is None else f"{text[:10]} {text[11:16]}"
