"""Versions and deployments for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from homeostat.adapters.process.printable import printable

_SECONDS = 19  # Characters of a time up to its seconds.
_SHOWN_MAX = 60
_WIDE_CHARS = 110  # A narrower terminal shows day and time on two lines, so that room is left for reasons.
_DAY_CHARS = 10


def versions_table(versions: Sequence[Mapping[str, Any]], out: TextIO) -> None:
    """A line for each version."""
    if not versions:
        print("no version is kept yet: homeostat train --register and homeostat models import keep one", file=out)
        return
    rows = [
        (str(one["number"]), one["version"], _when(one["created_at"]), _size(one["size"]),
         "deleted" if one["deleted_at"] else ", ".join(one["roles"]))
        for one in versions
    ]  # fmt: skip
    _print(("number", "version", "created", "size", "roles"), rows, out)


def periods_table(periods: Sequence[Mapping[str, Any]], out: TextIO) -> None:
    """A line for each deployment."""
    if not periods:
        print("no version was promoted to this role yet", file=out)
        return
    rows = [
        ("-" if one["number"] is None else str(one["number"]), one["version"] or "(start's)",
         _when(one["from"]), _when(one["to"]), one["actor"], _undone(one) + one["why"])
        for one in periods
    ]  # fmt: skip
    _print(("number", "version", "from", "to", "by", "why"), rows, out)


def version_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """A version as lines of `name: value`."""
    from homeostat.models.lineage import flat

    created = _when(facts["created_at"])
    yield f"version {facts['number']} ({facts['version']}), {_size(facts['size'])}, created {created}"
    if facts["deleted_at"]:
        by, why = printable(facts["deleted_by"]), printable(facts["deleted_why"])
        yield f"deleted {_when(facts['deleted_at'])} by {by}: {why}"
    if facts["roles"]:
        yield f"roles: {', '.join(facts['roles'])}"
    for name, value in flat(facts["lineage"]).items():
        if value not in ("", None, []):
            yield f"{name}: {printable(_value(value))}"
    if facts["shadow"] is not None:
        found = facts["shadow"]
        yield f"in shadow: {found['events']:,} events, {found['differing']:,} of them decided otherwise"
    for one in facts["champion"]:
        yield f"champion from {_when(one['from'])} to {_when(one['to'])}: {printable(one['why'])}"


def difference_tables(facts: Mapping[str, Any], out: TextIO) -> None:
    """The differences between two versions, a table for each kind."""
    heads = [f"version {number}" for number in facts["numbers"]]
    for kind in ("lineage", "settings", "features", "metrics"):
        if kind not in facts:
            print(f"{kind}: not compared, since the files of a version were deleted", file=out)
        elif facts[kind]:
            rows = [(name, *(_value(value) for value in pair)) for name, pair in facts[kind].items()]
            _print((kind, *heads), rows, out)
        else:
            print(f"{kind}: the same", file=out)


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    """A table whose last column takes what room is left."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console(file=out, markup=False, highlight=False)
    narrow = _DAY_CHARS if console.width < _WIDE_CHARS else None
    table = Table(box=SIMPLE, pad_edge=False)
    for head in heads[:-1]:
        if head in ("from", "to", "by"):
            table.add_column(head, overflow="fold", max_width=narrow)
        else:
            table.add_column(head, no_wrap=True)
    table.add_column(heads[-1], overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    console.print(table)


def _undone(one: Mapping[str, Any]) -> str:
    return f"(undoes change {one['reverts']}) " if one["reverts"] else ""


def _when(text: str | None) -> str:
    return "-" if text is None else f"{text[:_SECONDS]}Z"


def _size(size: int) -> str:
    """Bytes for people.

    >>> _size(900), _size(5_400_000)
    ('1 kB', '5,400 kB')
    """
    return f"{max(1, round(size / 1000)):,} kB"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def shadow_lines(challenger: str | None, found: list[dict[str, Any]]) -> list[str]:
    """How challengers in shadow fare, for people.

    >>> shadow_lines(None, [])
    ['no version is the challenger, and none was ever decided in shadow']
    """
    if not found:
        return [
            "no version is the challenger, and none was ever decided in shadow"
            if challenger is None
            else f"version {challenger} is the challenger, and no process decides for it"
        ]
    lines = []
    for one in found:
        role = ", the challenger" if one["challenger"] else ""
        runs = "decides in shadow" if one["running"] else "is not decided in shadow now"
        lines.append(f"version {one['version']}{role}: {runs}")
        lines.append(
            f"  {one['events']:,} events, {one['differing']:,} decided otherwise, {one['failed']:,} without a part; "
            f"{max(0, one['last'] - one['entry']):,} journal entries and {one['behind_s']:,.0f} s behind"
        )
        lines += [f"  {one['trouble']}"] if one["trouble"] else []
    return lines
