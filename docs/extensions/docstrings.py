"""A Griffe extension that prepares docstrings for Markdown: examples become code, each parameter a line of its own."""

from __future__ import annotations

import re

from griffe import Extension, Object

_PARAMETER = re.compile(r"^[\w*]+(, [\w*]+)* : ")
_SENTENCE = re.compile(r"^(Returns|Raises|Source)\b")


def markdown(docstring: str) -> str:
    """A docstring as Markdown.

    >>> markdown("One.\\n\\nx : a number\\ny : another\\n\\n>>> 1 + 1\\n2")
    'One.\\n\\n- `x` : a number\\n- `y` : another\\n\\n```pycon\\n>>> 1 + 1\\n2\\n```'
    """
    return "\n\n".join(_paragraph(text) for text in re.split(r"\n\s*\n", docstring))


def _paragraph(text: str) -> str:
    if text.startswith(">>> "):
        return f"```pycon\n{text}\n```"
    lines, listed = [], False
    for line in text.split("\n"):
        if _PARAMETER.match(line):
            name, rest = line.split(" : ", 1)
            line, begins = f"- `{name}` : {rest}", not listed
            listed = True
        else:
            begins = listed and bool(_SENTENCE.match(line))
            listed = listed and not begins
        lines += ["", line] if begins and lines else [line]
    return "\n".join(lines)


class Docstrings(Extension):
    """Rewrites the docstring of every object that is read."""

    def on_instance(self, *, obj: Object, **_: object) -> None:
        """Called once for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)
