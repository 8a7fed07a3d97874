"""Reads this machine: processor, memory, swap, disk and network."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

import psutil

_MB = 1e6
_PERIOD_MIN_S = 1e-3


class MachineSampler:
    """This machine's metrics; rates are of the time since the sample before."""

    metrics = ("cpu", "memory", "swap", "disk", "disk_io", "network")

    def __init__(self) -> None:
        self.name = socket.gethostname() or "this machine"
        psutil.cpu_percent(None)  # The first call only starts the count.
        self._processes: dict[int, Any] = {}
        self._at, self._bytes = time.monotonic(), _bytes()

    def sample(self) -> dict[str, float]:
        """One value a metric: percent, and MB/s for disk_io and network. A metric that can't be read is absent."""
        now, counted = time.monotonic(), _bytes()
        period = max(now - self._at, _PERIOD_MIN_S)
        found = {"cpu": psutil.cpu_percent(None), "memory": psutil.virtual_memory().percent}
        with suppress(OSError, RuntimeError):
            found["swap"] = psutil.swap_memory().percent
        with suppress(OSError):
            found["disk"] = psutil.disk_usage("/").percent
        for name, count in counted.items():
            if name in self._bytes:
                found[name] = max(0.0, (count - self._bytes[name]) / period / _MB)
        self._at, self._bytes = now, counted
        return found

    def culprit(self, metric: str) -> str | None:
        """The process that uses most of the processor or of the memory; None for other metrics.

        Of the processor, a process is measured since it was asked for before.
        """
        if metric not in ("cpu", "memory"):
            return None
        best, most = None, 0.0
        alive = {process.pid: process for process in psutil.process_iter(["name"])}
        self._processes = {pid: self._processes.get(pid, process) for pid, process in alive.items()}
        for process in self._processes.values():
            with suppress(psutil.Error):
                used = process.cpu_percent(None) if metric == "cpu" else process.memory_percent()
                if used > most:
                    best, most = f"{process.name()} ({process.pid})", used
        return best


def _bytes() -> dict[str, float]:
    """Bytes that disks and network have moved since the start; what this system does not count is absent."""
    found = {}
    with suppress(OSError, RuntimeError):
        disk = psutil.disk_io_counters()
        if disk is not None:
            found["disk_io"] = float(disk.read_bytes + disk.write_bytes)
    with suppress(OSError):
        network = psutil.net_io_counters()
        if network is not None:
            found["network"] = float(network.bytes_sent + network.bytes_recv)
    return found
