"""The other users of the logs of one Redis server, and whether all of them have written again what it may have lost.

A server that was killed, or was away, lacks rows that each process knows of its own only: those that it decided
meanwhile, and those that were on their way to the journal. So each process signs a list on the server: that the server
has all of its rows, or that it has rows to write. The list travels with the exchanges, once a second. A process that
comes back waits until the others have signed.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from hashlib import sha256

EVERY_S = 1.0
PATIENCE_S = 10.0
"""For so long without a sign a process is waited for, and no longer: as for its partitions."""
KEPT_US = 600_000_000
WHOLE, LACKS, LEFT = "whole", "lacks", "left"

_SIGN = re.compile(r"([0-9a-f]+):(whole|lacks|left):(\w*):([0-9]+)")


def name_on_roster(process: str = "") -> str:
    """A process's name as the list has it: the same for the same text, and a random one for none."""
    return sha256(process.encode()).hexdigest()[:16] if process else secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Sign:
    """A process's line on the list.

    state : that the server has all of its rows, that it lacks some, or that the process has ended
    run : the server's process that it knows
    at_us : microseconds since 1970 by the server's clock
    """

    state: str
    run: str
    at_us: int


class Roster:
    """The list of one server, as one process knows it.

    name : of this process, see `name_on_roster`
    every_s : seconds between two signs
    state : what this process signs next
    awaited : the processes of which rows may be missing, as the last answer found it
    """

    def __init__(self, name: str, every_s: float = EVERY_S) -> None:
        self.name, self._every_s = name, every_s
        self.state, self.awaited = WHOLE, list[str]()
        self._others: dict[str, Sign] = {}
        self._expected: set[str] = set()  # Each has to sign, see `_is_heard`.
        self._back_us = 0  # When the server was back, by its clock; -1 for its next answer.
        self._restarted = False
        self._run, self._own_us = "", 0
        self._since_s = self._signed_s = float("-inf")
        self._signed = ""

    def due(self, now_s: float) -> bool:
        """Whether it is time to sign: a second has passed, the state is another one, or others are waited for.

        now_s : by a clock that never goes back
        """
        return now_s - self._signed_s >= self._every_s or self.state != self._signed or bool(self.awaited)

    def lacks(self, now_s: float) -> None:
        """This process has rows that the server may lack; so may all those that have signed lately."""
        if self.state != LACKS:
            self._since_s, self._restarted = now_s, False
            self._expected = set(self._lately())
        self.state, self._back_us = LACKS, -1

    def whole(self) -> None:
        """The server has all rows of this process."""
        self.state = WHOLE

    def read(self, now_us: int, text: str, run: str, now_s: float) -> None:
        """Take note of the server's answer to a sign.

        now_us : the server's time
        text : the list
        run : the server's process
        """
        found = {name: Sign(state, its, int(at)) for name, state, its, at in _SIGN.findall(text) if name != self.name}
        kept = {one: sign for one, sign in self._others.items() if sign.at_us >= now_us - KEPT_US}
        self._others = kept | found
        if self._back_us < 0:
            self._back_us = now_us
            self._restarted |= run != self._run
            self._expected |= set(self._lately())
        elif not self._own_us:  # New here. Where the server is new as well, others' signs are of an earlier process.
            self._back_us, self._since_s, self._restarted = now_us, now_s, True
            self._expected = {one for one in self._lately() if self._others[one].run != run}
        self._run, self._own_us = run, now_us
        self._signed, self._signed_s = self.state, now_s
        patient = now_s - self._since_s < PATIENCE_S
        self.awaited = [one for one, sign in self._others.items() if self._is_awaited(one, sign, patient)]

    def _is_awaited(self, name: str, sign: Sign, patient: bool) -> bool:
        if sign.state == LACKS and self._own_us - sign.at_us < PATIENCE_S * 1e6:
            return True
        return patient and sign.state == WHOLE and name in self._expected and not self._is_heard(sign)

    def _is_heard(self, sign: Sign) -> bool:
        """Whether a sign is of the time since the server was back."""
        return sign.at_us >= self._back_us or (self._restarted and sign.run == self._run)

    def _lately(self) -> list[str]:
        """The processes that were alive when the server was last in use."""
        there = {one: sign for one, sign in self._others.items() if sign.state != LEFT}
        newest_us = max([self._own_us, *(sign.at_us for sign in there.values())])
        return [one for one, sign in there.items() if newest_us - sign.at_us < PATIENCE_S * 1e6]
