"""Text of others on its way to a terminal or a log: nothing in it moves the cursor, or passes for another line."""

from __future__ import annotations


def printable(text: str, lines: bool = False) -> str:
    r"""A text with everything escaped that is no printable character, such as line ends and what steers terminals.

    lines : leave line ends and tabs as they are

    >>> print(printable("a\nhomeostat: b\x1b[2J\u202ec"))
    a\nhomeostat: b\x1b[2J\u202ec
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(one if one.isprintable() or one in kept else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
