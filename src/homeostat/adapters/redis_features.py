"""The feature store on Redis 7, Valkey or a Redis Cluster.

Keys, of which those of one entity share a hash slot:

    log:<version>:{features:<entity>:<id>}   the entity's log, see `redis_scripts`
    features:<entity>:<id>                   a hash with its current values, for people and other programs
    homeostat:{<version>}:through            which logs these are, and the journal entry up to which they are whole
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha1
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from homeostat.adapters.redis_scripts import BEGIN, EXCHANGE, MARK, RELEASE, SHOW
from homeostat.ports import Unavailable
from homeostat.ports.shared import Asked, Logs, LogsLost, Shown
from homeostat.records.features import Freshness

CONNECT_S, ANSWER_S = 0.5, 2.0
_CHUNK = 256  # Entities that one call of a script handles: Redis answers nobody else meanwhile, about 1 ms.
_SHOWN_MAX = 2000  # Entities shown with one exchange.
_TTL_MS_MIN = 86_400_000
_FRESHNESS = [one.name.lower() for one in Freshness]
_SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (EXCHANGE, SHOW, MARK, BEGIN, RELEASE)
}
_AGAIN = 3  # Attempts at an exchange whose connection broke: asking again is safe.


class RedisMissing(Exception):
    """The package that speaks to Redis is not installed."""


class RedisFeatures:
    """A `FeatureStore`; not for several threads at once, but any number of processes may share what it stores.

    url : redis://, rediss://, redis+cluster:// or rediss+cluster://[user:password@]host:port[/db]
    version : of the logs; stores of different versions don't see each other's logs
    show_every_s : how often what an entity shows is renewed at the most
    """

    def __init__(self, url: str, version: str, *, show_every_s: float = 1.0) -> None:
        self.round_trips = 0
        self._version = version
        self._show_every_s = show_every_s
        self._cluster = "+cluster" in urlsplit(url).scheme
        self._where = shown_url(url)
        self._client: Any = _client(url, self._cluster)
        self._pending: dict[str, tuple[Shown, int]] = {}
        self._shown_at = time.monotonic()
        self._ttl_ms = _TTL_MS_MIN
        self._epoch = ""  # Of the logs as this worker came to know them; another one means that they were lost.
        self._marked = 0

    def exchange(self, asked: Sequence[Asked], through: int | None = None) -> list[Logs]:
        """See `FeatureStore`: one round trip, to each node of a cluster that has one of the entities."""
        calls: list[tuple[str, tuple[Any, ...]]] = []
        for one in asked:
            calls += self._calls(one)
        mark = self._mark(through)
        replies = self._run([mark, *calls, *self._due()])
        if through is not None and self._epoch:
            self._marked = max(self._marked, through)
        found: list[Logs] = []
        at = 1
        for one in asked:
            logs = Logs([], [])
            for _ in range(self._count(len(one.ids))):
                reply = replies[at]
                logs.start.extend(reply[0::2])
                logs.data.extend(reply[1::2])
                at += 1
            found.append(logs)
        return found

    def _mark(self, through: int | None) -> tuple[str, tuple[Any, ...]]:
        """The call that finds out whether the store still knows what it knew, and notes how far it is whole."""
        key = self._key("through")
        new = "" if through is None else through
        return key, ("EVALSHA", _SHA[MARK], 1, key, self._epoch, self._marked, new)

    def _count(self, entities: int) -> int:
        return entities if self._cluster else -(-entities // _CHUNK)

    def _calls(self, asked: Asked) -> list[tuple[str, tuple[Any, ...]]]:
        ttl_ms = max(asked.retained_ns // 1_000_000, _TTL_MS_MIN)
        self._ttl_ms = max(self._ttl_ms, ttl_ms)
        head = (asked.width, asked.retained_ns, ttl_ms, int(asked.read))
        prefix, chunk = f"log:{self._version}:{{features:{asked.entity}:", 1 if self._cluster else _CHUNK
        calls = []
        for start in range(0, len(asked.ids), chunk):
            at = slice(start, start + chunk)
            keys = [f"{prefix}{one}}}" for one in asked.ids[at]]
            values: list[Any] = [None] * (3 * len(keys))
            values[0::3], values[1::3], values[2::3] = asked.known[at], asked.newest_ns[at], asked.data[at]
            calls.append((keys[0], ("EVALSHA", _SHA[EXCHANGE], len(keys), *keys, *head, *values)))
        return calls

    def show(self, shown: Sequence[Shown]) -> None:
        """See `FeatureStore`: the newest values of each entity wait until `show_every_s` has passed."""
        for one in shown:
            prefix = f"features:{one.entity}:"
            self._pending.update((prefix + name, (one, g)) for g, name in enumerate(one.ids))

    def _due(self, everything: bool = False) -> list[tuple[str, tuple[Any, ...]]]:
        """Calls that show what has waited long enough."""
        now = time.monotonic()
        if not self._pending or not (everything or now - self._shown_at >= self._show_every_s):
            return []
        taken = list(self._pending.items())[: None if everything else _SHOWN_MAX]
        if len(taken) == len(self._pending):
            self._shown_at = now
            self._pending = {}
        else:
            for key, _ in taken:
                del self._pending[key]
        alike: dict[tuple[str, ...], list[tuple[str, tuple[Shown, int]]]] = {}
        for key, one in taken:
            alike.setdefault(one[0].names, []).append((key, one))
        chunk = 1 if self._cluster else _CHUNK
        return [
            self._shown(names, those[start : start + chunk])
            for names, those in alike.items() for start in range(0, len(those), chunk)
        ]  # fmt: skip

    def _shown(self, names: tuple[str, ...], those: list[tuple[str, tuple[Shown, int]]]) -> tuple[str, tuple[Any, ...]]:
        values: list[Any] = []
        for _, (shown, g) in those:
            watermark = str(_instant(shown.watermark_ns[g]))
            numbers = [repr(value).removesuffix(".0") for value in shown.values[g].tolist()]
            values += (shown.rows[g], watermark, _FRESHNESS[shown.freshness[g]], *numbers)
        keys = [key for key, _ in those]
        head = (self._ttl_ms, self._version, len(names), *names)
        return keys[0], ("EVALSHA", _SHA[SHOW], len(keys), *keys, *head, *values)

    def flush(self) -> None:
        """See `FeatureStore`."""
        calls = self._due(everything=True)
        if calls:
            self._run(calls)

    def through(self) -> int | None:
        """See `FeatureStore`."""
        key = self._key("through")
        (found,) = self._run([(key, ("GET", key))])
        return None if found is None else self._adopt(found)

    def begin(self, through: int) -> None:
        """See `FeatureStore`."""
        key, epochs = self._key("through"), self._key("epochs")
        (found,) = self._run([(key, ("EVALSHA", _SHA[BEGIN], 2, key, epochs, through))])
        self._adopt(found)

    def _adopt(self, mark: bytes) -> int:
        """From now on, the store must not know less than this mark says."""
        self._epoch, _, entry = mark.decode("ascii").partition(":")
        self._marked = int(entry)
        return self._marked

    @contextmanager
    def alone(self, seconds: float) -> Iterator[bool]:
        """See `FeatureStore`."""
        key, token = self._key("rebuilding"), secrets.token_hex(8)
        (taken,) = self._run([(key, ("SET", key, token, "NX", "PX", int(seconds * 1000)))])
        try:
            yield taken is not None
        finally:
            if taken is not None:
                with suppress(Unavailable):  # It lapses by itself.
                    self._run([(key, ("EVALSHA", _SHA[RELEASE], 1, key, token))])

    def close(self) -> None:
        """Show what still waits, and let go of the connections."""
        with suppress(Unavailable):
            self.flush()
        self._client.close()

    def _key(self, name: str) -> str:
        return f"homeostat:{{{self._version}}}:{name}"

    # Commands on their way.

    def _run(self, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """Send commands, each with a key that says where to, and return what they answer, in order."""
        from redis.exceptions import NoScriptError, RedisError

        for attempt in range(_AGAIN):
            try:
                self.round_trips += 1
                return self._cluster_run(calls) if self._cluster else self._node_run(self._client, calls)
            except NoScriptError:
                self._load()
            except RedisError as error:
                if str(error).startswith("LOGLOST"):
                    raise LogsLost("the feature store has lost rows of its logs") from error
                if attempt + 1 == _AGAIN or not _broken(error):
                    raise Unavailable(f"the feature store at {self._where} fails: {_said(error)}") from error
        raise Unavailable(f"the feature store at {self._where} forgets its scripts")

    def _load(self) -> None:
        """Let the server, or each of a cluster's, know the scripts: a new one knows none."""
        from redis.exceptions import RedisError

        try:
            nodes = self._client.get_primaries() if self._cluster else [None]
            for node in nodes:
                client = self._client if node is None else self._client.get_redis_connection(node)
                for script in _SHA:
                    client.script_load(script)
        except RedisError as error:
            raise Unavailable(f"the feature store at {self._where} fails: {_said(error)}") from error

    @staticmethod
    def _node_run(client: Any, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        pipe = client.pipeline(transaction=False)
        for _, command in calls:
            pipe.execute_command(*command)
        return list(pipe.execute())

    def _cluster_run(self, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        by_node: dict[str, list[int]] = {}
        nodes = {}
        for number, (key, _) in enumerate(calls):
            node = self._client.get_node_from_key(key)
            nodes[node.name] = node
            by_node.setdefault(node.name, []).append(number)
        replies: list[Any] = [None] * len(calls)
        try:
            for name, numbers in by_node.items():
                client = self._client.get_redis_connection(nodes[name])
                for number, reply in zip(numbers, self._node_run(client, [calls[k] for k in numbers]), strict=True):
                    replies[number] = reply
        except Exception:
            with suppress(Exception):  # Slots may have moved: the next attempt asks where to.
                self._client.nodes_manager.initialize()
            raise
        return replies


def _client(url: str, cluster: bool) -> Any:
    try:
        import redis
    except ImportError as error:
        raise RedisMissing("features on Redis need a package: pip install 'homeostat[redis]'") from error
    settings = {"socket_connect_timeout": CONNECT_S, "socket_timeout": ANSWER_S, "health_check_interval": 30}
    if not cluster:
        return redis.Redis.from_url(url, **settings)
    from redis.cluster import RedisCluster

    try:
        return RedisCluster.from_url(url.replace("+cluster", "", 1), **settings)
    except redis.RedisError as error:
        raise Unavailable(f"the feature store at {shown_url(url)} can't be reached: {_said(error)}") from error


def _broken(error: Exception) -> bool:
    """Whether an error is one of the way there, or of a slot that has moved, rather than of the command."""
    from redis import exceptions

    return isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | exceptions.MovedError
                      | exceptions.AskError | exceptions.ClusterDownError | exceptions.TryAgainError)  # fmt: skip


def _said(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def shown_url(url: str) -> str:
    """An address without the password in it.

    >>> shown_url("redis://user:secret@127.0.0.1:6379/0")
    'redis://user@127.0.0.1:6379/0'
    """
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}" if parts.username else host))


def _instant(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else text + "Z"
