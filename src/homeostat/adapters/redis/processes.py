"""Which process a Redis server is: one that was restarted, or that another took over from, may lack its last rows.

With `appendfsync everysec`, or a replica that takes over, a server answers before what it answers is safe. The marks in
the store show that only where the journal has moved on meanwhile. So each new connection asks for the server's run id.
"""

from __future__ import annotations

from typing import Any


class Processes:
    """The servers' processes as one client came to know them.

    changed : whether one of them may be another process than the one that was known, since `accept`
    """

    def __init__(self) -> None:
        self.changed = False
        self._runs: dict[str, str] = {}
        self._all_known = False

    def met(self, node: str, run: str) -> None:
        """Take note of a new connection to a node.

        run : the id of its process; empty where the server does not say, which is taken for another process
        """
        known = self._runs.get(node)
        if known is None:
            self.changed |= self._all_known  # A replica that has taken over has a name of its own.
        else:
            self.changed |= not run or run != known
        self._runs[node] = run

    def run(self, node: str) -> str | None:
        """The id of a node's process, empty where it does not say; None before the first connection."""
        return self._runs.get(node)

    def accept(self) -> None:
        """All nodes were asked what they have: go on with the processes that they are now."""
        self.changed, self._all_known = False, True


class Restarted(Exception):
    """A server is another process than it was; nothing was sent to it."""


def run_of(connection: Any) -> str:
    """The id of the process behind a new connection of the package redis; empty where a user may not ask for it.

    Raises the errors of the package redis that are of the way there.
    """
    from redis.exceptions import ResponseError

    connection.send_command("INFO", "server")
    try:
        answer = connection.read_response()
    except ResponseError:
        return ""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return next((line[7:].strip() for line in text.splitlines() if line.startswith("run_id:")), "")
