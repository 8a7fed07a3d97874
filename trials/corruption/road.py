"""The code that all roads share: what a case is, and how an error must read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from trials.corruption.noise import Chance

APPS = Path(str(__import__("homeostat.apps", fromlist=["x"]).__path__[0]))


class Road(Protocol):
    """Where corrupted things come from. `case` says in a word how it ended."""

    def case(self, number: int, chance: Chance) -> str: ...


def sentence(error: Exception) -> None:
    """Check that a message can be read: it is a sentence, without the lines of a traceback."""
    text = str(error)
    assert text.strip() and "Traceback" not in text and "object at 0x" not in text, text
    json.dumps(text)
    text.encode()
