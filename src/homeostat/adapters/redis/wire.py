"""Commands on their way to a Redis server or the nodes of a cluster: packed, sent all at once, answers read in order.

The client's own pipelines take several times as much of the interpreter's time, and ask a cluster's nodes one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from homeostat.adapters.redis.processes import Processes, Restarted, run_of
from homeostat.adapters.servers.circuit import Backoff, RetryPolicy
from homeostat.errors import MissingExtra, needs
from homeostat.ports import Unavailable

CONNECT_S = 0.5
POLICY = RetryPolicy(
    deadline_s=2.0, failures=3, backoff=Backoff(0.005, 0.05),
    falls_back="decisions see what this process remembers of their entities, or nothing, and are flagged",
)  # fmt: skip
_REDIRECTS_MAX = 8


RedisMissing = MissingExtra


@dataclass(frozen=True, slots=True)
class Call:
    """A command.

    key : which says, on a cluster, where to
    """

    key: str
    command: tuple[Any, ...]


class Wire:
    """Connections to one server, or to the nodes of a cluster; not for several threads at once.

    url : redis://, rediss://, redis+cluster:// or rediss+cluster://[user:password@]host:port[/db]
    where : the address without the password
    cluster : whether it is one
    processes : that the servers are, see `Processes`
    """

    def __init__(self, url: str) -> None:
        self.processes = Processes()
        self.cluster = "+cluster" in urlsplit(url).scheme
        self.where = shown_url(url)
        self._url = url
        self._pack = _packer()
        self._client: Any = None
        self._connections: dict[str, Any] = {}
        self._met: set[str] = set()  # Nodes whose connection was made, and not broken off since.
        if not self.cluster:
            self._client = self._opened()  # Which connects to nothing yet, and finds what is wrong with the address.

    def _opened(self) -> Any:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        settings: dict[str, Any] = {"socket_connect_timeout": CONNECT_S, "socket_timeout": POLICY.deadline_s}
        if not self.cluster:
            return redis.Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), **settings)
        from redis.cluster import RedisCluster

        return RedisCluster.from_url(
            self._url.replace("+cluster", "", 1),
            retry=Retry(NoBackoff(), 0),
            **settings,
        )

    @property
    def client(self) -> Any:
        """The client of the package redis, for rare commands. Raises its errors."""
        if self._client is None:
            self._client = self._opened()
        return self._client

    def node_of(self, key: str) -> str:
        """The node that has a key; "" where there is but one server."""
        return str(self.client.get_node_from_key(key).name) if self.cluster else ""

    def nodes(self) -> list[tuple[str, Any]]:
        """The name and a client of each master."""
        if not self.cluster:
            return [("", self.client)]
        return [(node.name, self.client.get_redis_connection(node)) for node in self.client.get_primaries()]

    def refresh(self) -> None:
        """Learn again which node has which slots."""
        if self.cluster:
            self.break_off()
            self._connections = {}
            with suppress(Exception):
                self.client.nodes_manager.initialize()

    def run(self, calls: Sequence[Call], same: bool = False) -> list[Any]:
        """Send commands, to all nodes at the same time; returns what each answers, errors among them, in order.

        same : send them to the processes that were known only
        Raises the errors of the package redis that are of the way there; which commands were carried out is unknown.
        Raises Restarted where they are not the same.
        """
        replies: list[Any] = [None] * len(calls)
        by_node: dict[str, list[int]] = {"": list(range(len(calls)))}
        if self.cluster:
            by_node = {}
            for number, call in enumerate(calls):
                by_node.setdefault(self.node_of(call.key), []).append(number)
        self._ask(by_node, calls, replies, same)
        if self.cluster:
            self._redirect(calls, replies, same)
        return replies

    def _ask(
        self, by_node: dict[str, list[int]], calls: Sequence[Call], replies: list[Any], same: bool,
        asking: bool = False,
    ) -> None:  # fmt: skip
        from redis.exceptions import ResponseError

        before = self._pack(("ASKING",)) if asking else b""
        asked = {name: self._connection(name) for name in by_node}
        if same and self.processes.changed:
            raise Restarted
        try:
            for name, numbers in by_node.items():
                packed = [before + self._pack(calls[number].command) for number in numbers]
                asked[name].send_packed_command([b"".join(packed)], check_health=False)
            for name, numbers in by_node.items():
                for number in numbers:
                    for _ in range(1 + asking):
                        try:
                            replies[number] = asked[name].read_response()
                        except ResponseError as error:
                            replies[number] = error
        except BaseException:  # Answers that nobody has read would be taken for those to the next commands.
            for name, connection in asked.items():
                connection.disconnect()
                self._met.discard(name)
            raise

    def _redirect(self, calls: Sequence[Call], replies: list[Any], same: bool) -> None:
        """Ask again where slots have moved, or are moving."""
        from redis.exceptions import AskError, MovedError, TryAgainError

        for _ in range(_REDIRECTS_MAX):
            moved: dict[str, list[int]] = {}
            going: dict[str, list[int]] = {}
            for number, reply in enumerate(replies):
                if isinstance(reply, AskError):
                    going.setdefault(f"{reply.host}:{reply.port}", []).append(number)
                elif isinstance(reply, MovedError):
                    moved.setdefault(f"{reply.host}:{reply.port}", []).append(number)
                elif isinstance(reply, TryAgainError):
                    moved.setdefault(self.node_of(calls[number].key), []).append(number)
            if not moved and not going:
                return
            if moved:
                with suppress(Exception):
                    self.client.nodes_manager.initialize()
            if moved:
                self._ask(moved, calls, replies, same)
            if going:
                self._ask(going, calls, replies, same, asking=True)

    def _connection(self, name: str) -> Any:
        connection = self._connections.get(name)
        if connection is None:
            client = self.client
            if self.cluster:
                node = client.get_node(node_name=name)
                if node is None:
                    client.nodes_manager.initialize()
                    node = client.get_node(node_name=name)
                if node is None:
                    raise NodeGone(f"the cluster has no node {name}")
                client = client.get_redis_connection(node)
            connection = self._connections[name] = client.connection_pool.get_connection()
        if name not in self._met:
            try:
                connection.connect()
                self.processes.met(name, run_of(connection))
            except BaseException:
                connection.disconnect()
                raise
            self._met.add(name)
        return connection

    def break_off(self) -> None:
        """Let go of the connections that commands went over: the next command makes new ones."""
        for connection in self._connections.values():
            with suppress(Exception):
                connection.disconnect()
        self._met = set()

    def close(self) -> None:
        """Let go of all connections."""
        self.break_off()
        if self._client is not None:
            self._client.close()

    def unavailable(self, error: Exception) -> Unavailable:
        """The error to raise for an error of the package redis."""
        return Unavailable(f"the feature store at {self.where} fails: {said(error)}")


class NodeGone(Exception):
    """A node is not where it was."""


def _packer() -> Callable[[tuple[Any, ...]], bytes]:
    with needs("redis", "a feature store on Redis"):
        import redis  # noqa: F401
    try:
        from hiredis import pack_command
    except ImportError:
        return packed
    made: Callable[[tuple[Any, ...]], bytes] = pack_command
    return made


def packed(command: Iterable[Any]) -> bytes:
    """A command as the protocol writes it.

    >>> packed(("GET", "a"))
    b'*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n'
    """
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    body = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%b" % (len(parts), body)


def said(error: Exception) -> str:
    """An error in one line."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def shown_url(url: str) -> str:
    """An address without the password in it.

    >>> shown_url("redis://user:secret@127.0.0.1:6379/0")
    'redis://user@127.0.0.1:6379/0'
    >>> shown_url("redis://127.0.0.1:6379/0?password=secret")
    'redis://127.0.0.1:6379/0'
    """
    parts = urlsplit(url)._replace(query="", fragment="")
    if parts.password is None:
        return urlunsplit(parts)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}" if parts.username else host))
