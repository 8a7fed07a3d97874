"""The lists of the processes that share logs, see `roster`: one on each server, signed with the exchanges."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from homeostat.adapters.redis.roster import EVERY_S, KEPT_US, Roster, name_on_roster
from homeostat.adapters.redis.wire import Call


class Signing:
    """All lists that one process signs.

    script : the digest of the script that signs
    process : this process's name, the same after a restart; empty for a random one
    every_s : seconds between two signs
    """

    def __init__(self, script: str, process: str = "", every_s: float = EVERY_S) -> None:
        self._script, self._name, self._every_s = script, name_on_roster(process), every_s
        self._rosters: dict[str, Roster] = {}
        self._lacking = False

    def due(self, places: Iterable[tuple[str, str]], state: str = "") -> tuple[list[Call], list[tuple[str, str]]]:
        """The calls that sign the lists that are due, and the keys and runs that they are of.

        places : the key of each list, and the server's process that has it
        state : what to sign, whether it is due or not; empty for what each list is to have
        """
        now_s, calls, signed = time.monotonic(), list[Call](), list[tuple[str, str]]()
        for key, run in places:
            roster = self._rosters.get(key)
            if roster is None:
                roster = self._rosters[key] = Roster(self._name, self._every_s)
                if self._lacking:
                    roster.lacks(now_s)
            if state or roster.due(now_s):
                words = (self._name, state or roster.state, run, str(KEPT_US))
                calls.append(Call(key, ("EVALSHA", self._script, "1", key, *words)))
                signed.append((key, run))
        return calls, signed

    def lacks(self) -> None:
        """This process has rows that the servers may lack."""
        self._lacking = True
        for roster in self._rosters.values():
            roster.lacks(time.monotonic())

    def whole(self) -> None:
        """The servers have all rows of this process."""
        self._lacking = False
        for roster in self._rosters.values():
            roster.whole()

    def read(self, signed: Sequence[tuple[str, str]], replies: Sequence[Any]) -> None:
        """Take note of what the servers answered to calls that were due."""
        for (key, run), (now_us, text) in zip(signed, replies, strict=True):
            self._rosters[key].read(int(now_us), text.decode("ascii", "replace"), run, time.monotonic())

    @property
    def awaited(self) -> int:
        """How many processes may have rows that one of the servers lacks."""
        return max((len(roster.awaited) for roster in self._rosters.values()), default=0)
