"""Jobs on the processes of a Ray cluster: one that is started here for as long as it is needed, or one that runs.

Processes exchange text and NumPy arrays, which Ray puts into shared memory without copying them once more; a process
that dies is replaced, and its job done again.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from homeostat.errors import needs
from homeostat.ports import Unavailable

RETRIES = 3
LOCAL = "local"
_ANSWER_S = 5.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Nothing is reported to anybody.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Graphics cards stay visible to whoever uses them beside us.
}


class RayCluster:
    """Runs one function on many arguments; a context manager. One at a time in a process, as Ray has it.

    work : an importable function of a text and of what was kept; a job is its text and what it asks for
    address : `local` to start a cluster in this machine's memory, or that of a running one, as `ray start` prints it
        (host:port), which must have the same version of homeostat installed
    processes : of a local cluster; all that the machine has when None
    memory_bytes : shared memory of a local cluster; Ray's choice when None. Objects that do not fit go to the disk.
    Raises MissingExtra without Ray, and Unavailable where the cluster does not answer.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        address: str = LOCAL,
        processes: int | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self._ray = _ray(address)
        self._start(address, processes, memory_bytes)
        self._work = self._ray.remote(max_retries=RETRIES)(work)
        self.processes = processes or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def keep(self, piece: Any) -> Any:
        """Put arrays into shared memory; returns a reference to them."""
        return self._ray.put(piece)

    def run(self, jobs: Sequence[tuple[str, tuple[Any, ...]]]) -> Iterator[tuple[int, Any]]:
        """Each job's number and result, as they are done. Raises what a job raised; Unavailable where one was lost."""
        ray = self._ray
        pending = {self._work.remote(text, *pieces): number for number, (text, pieces) in enumerate(jobs)}
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1)
            number = pending.pop(done[0])
            try:
                result = ray.get(done[0])
            except ray.exceptions.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, Exception) else error) from None
            except ray.exceptions.RayError as error:
                said = str(error).strip().splitlines()
                raise Unavailable(f"Ray lost a job {RETRIES + 1} times: {said[0] if said else type(error)}") from None
            yield number, result

    def close(self) -> None:
        """Let go of the cluster; a local one ends."""
        self._ray.shutdown()

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, address: str, processes: int | None, memory_bytes: int | None) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        running = self._ray.is_initialized()  # Another's, which is to be left alone.
        try:
            if address == LOCAL:
                self._ray.init(
                    LOCAL, num_cpus=processes, include_dashboard=False, object_store_memory=memory_bytes,
                    _node_ip_address="127.0.0.1", **quiet,
                )  # fmt: skip
            else:
                _answers(address)
                self._ray.init(address, **quiet)
        except Exception as error:  # Ray raises plain exceptions too, as when a busy machine starts it too slowly.
            if not running:
                with suppress(Exception):
                    self._ray.shutdown()
            said = str(error).strip().splitlines()
            raise Unavailable(f"no Ray cluster at {address}: {said[0] if said else type(error).__name__}") from None


def _answers(address: str) -> None:
    """Raises OSError where nothing listens: Ray itself would try for ever."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname is not None and place.port is not None:
        socket.create_connection((place.hostname, place.port), _ANSWER_S).close()


def _ray(address: str) -> Any:
    """The library, set beforehand to report to nobody, and to let nobody in without a token."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address == LOCAL and "RAY_AUTH_MODE" not in os.environ:
        # Its ports are open to the network, whatever address it is given; a token of one run keeps others out.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with needs("scale", "training on several processes"):
        import ray
    return ray
