"""A Redis Cluster of masters, on loopback."""

from __future__ import annotations

import socket
import time
from types import TracebackType

from homeostat.checks.servers import machine
from homeostat.checks.servers.redis import recipe
from homeostat.checks.servers.server import Server, StartFailed, entered

SLOTS = 16_384
_READY_S_MAX = 30.0


class RedisCluster:
    """Several Redis servers that share the slots. A node is killed and started again through `nodes`."""

    def __init__(self, nodes: int) -> None:
        """Raises CantBeHad."""
        if recipe(()).image is not None:  # A container's address isn't the one that clients would be sent to.
            raise machine.CantBeHad("no Redis Cluster: it needs an installed redis-server or valkey-server")
        self._buses = [machine.free_port() for _ in range(nodes)]
        self.nodes = [Server(recipe(_options(bus), "redis-cluster")) for bus in self._buses]
        self._met = False
        self.what = f"{self.nodes[0].what}, cluster of {nodes}"

    @property
    def url(self) -> str:
        """The first node; a client learns of the others from it."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    @property
    def address(self) -> str:
        """Where the first node answers, as host:port."""
        return self.nodes[0].address

    @property
    def port(self) -> int:
        """The first node's."""
        return self.nodes[0].port

    @property
    def pid(self) -> int:
        """The first node's."""
        return self.nodes[0].pid

    def start(self) -> None:
        """Start all nodes, and wait until each says that every slot is served. Raises StartFailed."""
        for node in self.nodes:
            node.start()
        if not self._met:
            self._meet()
        deadline = time.monotonic() + _READY_S_MAX
        while not all(
            "cluster_state:ok" in _ask(node.port, "CLUSTER INFO") and self._knows(node) for node in self.nodes
        ):
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.what} wasn't ready after {_READY_S_MAX:.0f} s")
            time.sleep(0.05)
        self._met = True

    def stop(self) -> None:
        """Stop all nodes gracefully."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """End all nodes at once."""
        for node in self.nodes:
            node.kill()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End all nodes and remove their folders."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> RedisCluster:
        return entered(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _meet(self) -> None:
        edges = [SLOTS * k // len(self.nodes) for k in range(len(self.nodes) + 1)]
        for node, first, end in zip(self.nodes, edges, edges[1:], strict=False):
            _ask(node.port, f"CLUSTER ADDSLOTSRANGE {first} {end - 1}")
        for node, bus in zip(self.nodes[1:], self._buses[1:], strict=True):
            _ask(self.port, f"CLUSTER MEET 127.0.0.1 {node.port} {bus}")

    def _knows(self, node: Server) -> bool:
        return f"cluster_known_nodes:{len(self.nodes)}" in _ask(node.port, "CLUSTER INFO")


def redis_cluster(nodes: int = 3) -> RedisCluster:
    """A Redis Cluster of so many masters that isn't running yet. Raises CantBeHad."""
    return RedisCluster(nodes)


def _options(bus: int) -> list[str]:
    persistence = ["--appendonly", "yes", "--appendfsync", "everysec"]
    return [
        "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-config-file", "nodes.conf",
        "--cluster-node-timeout", "2000", *persistence,
    ]  # fmt: skip


def _ask(port: int, command: str) -> str:
    """One command's answer, as the protocol writes it; an error raises StartFailed."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, connection.makefile("rb") as answer:
        connection.sendall(f"{command}\r\n".encode())
        head = answer.readline().decode()
        if head.startswith("-"):
            raise StartFailed(f"{command}: {head[1:].strip()}")
        return answer.read(int(head[1:])).decode() if head.startswith("$") else head
