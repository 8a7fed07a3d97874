"""Texts as passages that can be searched: cut at headings and by length, their words plain and bounded.

A text may hold anything: orders to machines, control characters, markup. It is data here. Its words are found by
equality with the words of a query, and it is shown with all control characters removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

PASSAGE_MAX = 2_000
WORDS_MAX = 50  # Of a query.
WORD_MAX = 60
_HEADING = re.compile(r"^#{1,6}[ \t]+(.{1,200})$")
_WORD = re.compile(r"[^\W_]+")


def passages(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Heading and text of each passage. Lines before the first heading stand under the name.

    >>> list(passages("a.md", "first\\n# Units\\ndivide by 100"))
    [('a.md', 'first'), ('Units', 'divide by 100')]
    """
    title, lines, length = name, list[str](), 0
    for line in text.splitlines():
        heading = _HEADING.match(line)
        if heading or length + len(line) > PASSAGE_MAX:
            if any(one.strip() for one in lines):
                yield title, "\n".join(lines)
            lines, length = [], 0
        if heading:
            title = heading.group(1).strip()
            continue
        for start in range(0, max(1, len(line)), PASSAGE_MAX):
            lines.append(line[start : start + PASSAGE_MAX])
            length += len(lines[-1]) + 1
            if length > PASSAGE_MAX and start + PASSAGE_MAX < len(line):
                yield title, "\n".join(lines)
                lines, length = [], 0
    if any(one.strip() for one in lines):
        yield title, "\n".join(lines)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without accents, in order.

    >>> words_of("field:Amount -- drop table;")
    ['field', 'amount', 'drop', 'table']
    """
    plain = "".join(one for one in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(one))
    return [one[:WORD_MAX] for one in _WORD.findall(plain)]


def query_of(text: str) -> list[str]:
    """The different words of a query, in order, so many at most."""
    return list(dict.fromkeys(words_of(text)))[:WORDS_MAX]


def shown(text: str) -> str:
    """A text as it can be stored and shown: without control characters but line ends and tabs, and valid Unicode.

    >>> shown("a\\x1b[31mred\\u202e\\n")
    'a[31mred\\n'
    """
    kept = "".join(one for one in text if one in "\n\t" or unicodedata.category(one) not in _HIDDEN)
    return kept.encode("utf-8", "replace").decode()


_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cn"})  # Control, format (directions of writing, too), private, unassigned.
