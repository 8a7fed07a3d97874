"""A feature store whose server is killed before its last rows are safe, and begins again with those before."""

from __future__ import annotations

from copy import deepcopy

from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.ports.shared import LogsLost


class RestartingFeatures(MemoryFeatures):
    """Stores beside each other have one server. Each is given LogsLost after a restart, until it asks for `through`."""

    def __init__(self, beside: RestartingFeatures | None = None) -> None:
        super().__init__(beside)
        self._server = {"run": 0} if beside is None else beside._server
        self._run = self._server["run"]

    def save(self) -> None:
        """All that was written so far is safe."""
        memory = self._memory
        self._server["kept"] = deepcopy((memory.logs, memory.begun, memory.mark))

    def restart(self) -> None:
        """The server has what is safe, and nothing else."""
        memory = self._memory
        memory.logs, memory.begun, memory.mark = deepcopy(self._server["kept"])
        self._server["run"] += 1

    def exchange(self, asked, through=None):
        if self._run != self._server["run"]:
            raise LogsLost("the server was restarted")
        return super().exchange(asked, through)

    def through(self):
        self._run = self._server["run"]
        return super().through()
