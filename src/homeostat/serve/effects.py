"""The effect of a version on the last hours' traffic, found by a command in a process of its own.

Deciding a hundred thousand events again takes seconds of a processor. In the server's process every decision would wait
for them, so a niced child does it: `homeostat models promote --preview`, which reads the journal and writes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from homeostat.adapters.process.beside import CommandFailed, answer_of

SECONDS_MAX = 60.0


class Busy(Exception):
    """Another effect is being found; there is one at a time."""


@dataclass(slots=True)
class Effects:
    """Finds one effect at a time.

    words : the options that name the app and its stores
    program : the command that is called; that of this installation when absent
    """

    words: Sequence[str]
    program: Sequence[str] | None = None
    _busy: bool = field(default=False, init=False)

    async def of(self, asked: Sequence[str], hours: float) -> tuple[dict[str, Any] | None, str | None]:
        """The effect, or why there is none.

        asked : `promote` and a version, or `rollback`, with its options
        Raises Busy.
        """
        if self._busy:
            raise Busy
        self._busy = True
        try:
            words = ["models", *asked, "--preview", "--json", f"--hours={hours!r}", *self.words]
            loop = asyncio.get_running_loop()
            text = await loop.run_in_executor(None, answer_of, words, SECONDS_MAX, self.program)
            return json.loads(text), None
        except (CommandFailed, ValueError) as error:
            return None, str(error)
        finally:
            self._busy = False
