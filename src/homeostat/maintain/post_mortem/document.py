"""A document of plain blocks, and the two forms in which it is written. All text in it may come from data.

So both forms escape every text: no name of a field, no reason and no value of an event becomes markup, a link or a
script. A page asks nothing from the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!~&$])")
_LINKS = re.compile(r"(://|\bwww\.)", re.IGNORECASE)  # Many readers of Markdown make links of bare addresses.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}"
    "table{border-collapse:collapse;margin:.5em 0}td,th{padding:.2em .9em .2em 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid color-mix(in srgb,currentcolor 20%,transparent);overflow-wrap:anywhere}"
    "@media print{:root{color-scheme:light}}"
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading. level : 1 for the title"""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under names of columns; each row has as many cells."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]


Block: TypeAlias = Heading | Paragraph | Table


def markdown(blocks: Sequence[Block]) -> str:
    """The document as Markdown with tables, as GitHub has them.

    >>> print(markdown([Heading(1, "It | fell"), Table(["at"], [["<b>"]])]), end="")
    # It \\| fell
    <BLANKLINE>
    | at |
    | --- |
    | \\<b\\> |
    """
    return "\n\n".join(_in_markdown(one) for one in blocks) + "\n"


def page(blocks: Sequence[Block]) -> str:
    """The document as one HTML page.

    >>> "<h1>a &amp; b</h1>" in page([Heading(1, "a & b")])
    True
    """
    title = next((one.text for one in blocks if isinstance(one, Heading)), "")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{_in_page(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(_as_html(one) for one in blocks)
        + "\n</body></html>\n"
    )


def _in_markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_marked(block.text)}"
    if isinstance(block, Paragraph):
        return re.sub(r"^(\s*(?:\d+[.)]|[-+=]))", r"\\\1", _marked(block.text))  # No list, no rule.
    rows = [block.names, ["---"] * len(block.names)]
    lines = [*rows[:1], *[list(map(_marked, row)) for row in block.rows]]
    head, *body = ["| " + " | ".join(row) + " |" for row in lines]
    return "\n".join([head, "| " + " | ".join(rows[1]) + " |", *body])


def _as_html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_in_page(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{_in_page(block.text)}</p>"
    head = "".join(f"<th>{_in_page(name)}</th>" for name in block.names)
    rows = "".join("<tr>" + "".join(f"<td>{_in_page(cell)}</td>" for cell in row) + "</tr>\n" for row in block.rows)
    return f"<table><tr>{head}</tr>\n{rows}</table>"


def _marked(text: str) -> str:
    """A text of which nothing is markup, on one line."""
    plain = _MARKUP.sub(r"\\\1", _line(text))
    return _LINKS.sub(lambda found: found[0].replace("/", "\\/", 1).replace(".", "\\."), plain)


def _in_page(text: str) -> str:
    return escape(_line(text))


def _line(text: str) -> str:
    """A text on one line, without control characters and what turns text around."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
