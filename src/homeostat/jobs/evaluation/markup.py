"""Parts of an HTML page. All text that comes in is escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from homeostat.charts.text import safe

_PERCENT = re.compile(r"(?<=\d) %")


def paragraphs(lines: Iterable[str]) -> str:
    """A paragraph for each line of text.

    >>> paragraphs(["a < b"])
    '<p>a &lt; b</p>'
    """
    return "".join(f"<p>{safe(line)}</p>" for line in lines)


def unbroken(text: str) -> str:
    """The same text, in which no line ends between a number and its percent sign.

    >>> unbroken("12 % (10 % to 14 %), as usual").count("\xa0")
    3
    """
    return _PERCENT.sub("\xa0%", text)


class Notes:
    """Reasons that many cells share: each is written once, below a table, and cells have its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """The number of a reason, as a cell shows it.

        >>> notes = Notes()
        >>> notes.mark("not enough data"), notes.mark("no costs"), notes.mark("not enough data")
        ('[1]', '[2]', '[1]')
        """
        return f"[{self._numbers.setdefault(reason, len(self._numbers) + 1)}]"

    def paragraphs(self) -> str:
        """The reasons with their numbers."""
        return paragraphs(f"[{number}] {reason}." for reason, number in self._numbers.items())


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names its rows; it scrolls by keyboard where it is too wide."""
    columns = "".join(f'<th scope="col">{safe(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{safe(row[0])}</th>'
        + "".join(f"<td>{safe(unbroken(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{safe(caption)}"><table><caption>{safe(caption)}'
        f"</caption><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )
