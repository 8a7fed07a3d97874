"""Connections shared evenly among the processes of one listening socket.

Whichever process wakes first takes all connections that wait, and keeps them: of 32 that came together, one of two
processes took 31. So each process writes down how many it has, in memory that all of them see, and leaves a
connection to others for a moment while one of them has fewer. (SO_REUSEPORT deals them out by chance, and loses those
that wait at a process that dies.)
"""

from __future__ import annotations

import asyncio
import mmap
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress

_SLOT = struct.Struct("<q")
GONE = 2**62  # Stands for a process that takes no connections.
_LEFT_S = 0.003  # For others to take a connection; then a process that has more takes it after all.
_FULL_S = 0.1  # Before trying again where the process may open no more files.
_AT_ONCE = 16
_HANDSHAKE_S_MAX = 10.0


class Counts:
    """How many connections each process has: one number for each, in shared memory."""

    def __init__(self, handle: int, count: int, number: int = 0) -> None:
        """Open the memory behind a file descriptor of `count` numbers, as process `number`."""
        self._memory = mmap.mmap(handle, count * _SLOT.size)
        self._count, self._number = count, number

    def put(self, connections: int, number: int | None = None) -> None:
        """Say how many this process has, or another."""
        at = self._number if number is None else number
        _SLOT.pack_into(self._memory, at * _SLOT.size, connections)

    def others_have_fewer(self, connections: int) -> bool:
        """Whether a process that takes connections has fewer than so many."""
        return any(
            _SLOT.unpack_from(self._memory, at * _SLOT.size)[0] < connections
            for at in range(self._count)
            if at != self._number
        )

    @staticmethod
    def size(count: int) -> int:
        """Bytes that `count` numbers take."""
        return count * _SLOT.size


class Acceptor:
    """Takes connections from a listening socket, as evenly as `Counts` allows.

    connections : how many this process has now
    """

    def __init__(
        self,
        sock: socket.socket,
        counts: Counts,
        connections: Callable[[], int],
        protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._sock, self._counts, self._connections = sock, counts, connections
        self._protocol, self._tls = protocol, tls
        self._loop = asyncio.get_running_loop()
        self._adopting: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._left = False
        sock.setblocking(False)

    def start(self) -> None:
        """Take connections from now on."""
        self._later = None
        self._loop.add_reader(self._sock, self._ready)

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._sock)
        if self._later is not None:
            self._later.cancel()
        self._sock.close()

    def _ready(self) -> None:
        for _ in range(_AT_ONCE):
            mine = self._connections() + len(self._adopting)
            if self._counts.others_have_fewer(mine) and not self._left:
                self._left = True
                self._pause(_LEFT_S)
                return
            self._left = False
            try:
                taken, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._pause(_FULL_S)
                return
            taken.setblocking(False)
            self._counts.put(mine + 1)
            task = self._loop.create_task(self._adopt(taken))
            self._adopting.add(task)
            task.add_done_callback(self._adopted)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._later = self._loop.call_later(seconds, self.start)

    async def _adopt(self, taken: socket.socket) -> None:
        within = None if self._tls is None else _HANDSHAKE_S_MAX
        with suppress(OSError, ssl.SSLError, asyncio.TimeoutError):  # A client that goes, or does not speak TLS.
            with suppress(OSError):
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, taken, ssl=self._tls, ssl_handshake_timeout=within)

    def _adopted(self, task: asyncio.Task[None]) -> None:
        self._adopting.discard(task)
        self._counts.put(self._connections() + len(self._adopting))
