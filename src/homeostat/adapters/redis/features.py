"""The feature store on Redis 7, Valkey or a Redis Cluster.

Keys, of which those of one entity share a hash slot (if its id is an integer; the logs of others are named by a hash):

    log:<version>:{features:<entity>:<id>}   the entity's log, see `scripts`
    features:<entity>:<id>                   a hash with its current values, for people and other programs
    homeostat:{<version>}:through            which logs these are, and the journal entry up to which they are whole
    homeostat:{<version>:<k>}:through        the same on a cluster, so that each node has some
    homeostat:{<version>...}:workers         the processes that share these logs, beside each mark: see `roster`
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha1
from typing import Any

import numpy as np

from homeostat.adapters.redis.about import About, about
from homeostat.adapters.redis.processes import Restarted
from homeostat.adapters.redis.roster import EVERY_S, LEFT
from homeostat.adapters.redis.scripts import BEGIN, EXCHANGE, MARK, RELEASE, SHOW, SIGN, TAKE
from homeostat.adapters.redis.showing import Showing
from homeostat.adapters.redis.signing import Signing
from homeostat.adapters.redis.wire import POLICY, Call, NodeGone, RedisMissing, Wire, shown_url
from homeostat.adapters.servers.circuit import Pauses
from homeostat.ports import Unavailable
from homeostat.ports.shared import Asked, Logs, LogsLost, Shown

__all__ = ["RedisFeatures", "RedisMissing", "shown_url"]

_MARK = re.compile(rb"([0-9]{1,18}):([0-9]{1,18})")  # An epoch, and the last entry that all logs have.
_CHUNK = 256  # Entities that one call of a script handles: Redis answers nobody else meanwhile, about 1 ms.
_DAY_S = 86_400
_SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (EXCHANGE, SHOW, MARK, SIGN, BEGIN, TAKE, RELEASE)
}
_MARKS = 256  # On a cluster: so many that each of dozens of nodes has one.
_ATTEMPTS = POLICY.failures or 1


class RedisFeatures:
    """A `FeatureStore`; not for several threads at once, but any number of processes may share what it stores.

    url : redis://, rediss://, redis+cluster:// or rediss+cluster://[user:password@]host:port[/db]
    version : of the logs; stores of different versions don't see each other's logs
    show_every_s : how often what an entity shows is renewed at the most
    process : the name of this process among those that share the logs, the same after a restart
    sign_every_s : how often it lets the others know that it is there
    round_trips : how often the server, or the nodes of a cluster at the same time, were asked
    Raises RedisMissing.
    """

    def __init__(
        self, url: str, version: str, *, show_every_s: float = 1.0, process: str = "", sign_every_s: float = EVERY_S
    ) -> None:
        self.round_trips = 0
        self._version = version
        self._wire = Wire(url)
        self._showing = Showing(version, _SHA[SHOW], show_every_s, 1 if self._wire.cluster else _CHUNK)
        self._signing = Signing(_SHA[SIGN], process, sign_every_s)
        self._epoch = ""  # Of the logs as this worker came to know them; another one means that they were lost.
        self._marked: dict[str, int] = {}
        self._mark_of: dict[str, str] = {}

    def exchange(self, asked: Sequence[Asked], through: int | None = None) -> list[Logs]:
        """See `FeatureStore`: one round trip, to each node of a cluster that has one of the entities."""
        shown = self._showing.due(sum(len(one.ids) for one in asked))

        def calls(again: bool) -> list[Call]:
            exchanges = [call for one in asked for call in self._calls(one, again)]
            nodes = {""}
            if self._wire.cluster:
                nodes = {self._wire.node_of(call.key) for call in exchanges}
                nodes |= set() if through is None else {name for name, _ in self._wire.nodes()}
            marks = [self._mark(self._mark_at(node), through) for node in sorted(nodes)]
            marked[:] = [call.key for call in marks]
            signs, signed[:] = self._signing.due(self._lists(nodes))
            return [*marks, *exchanges, *shown, *signs]

        marked: list[str] = []
        signed: list[tuple[str, str]] = []
        replies = self._run(calls, same=True)
        if through is not None and self._epoch:
            self._marked.update((key, max(self._marked.get(key, 0), through)) for key in marked)
        if signed:
            self._signing.read(signed, replies[-len(signed) :])
        return self._read(asked, replies[len(marked) :])

    @property
    def awaited(self) -> int:
        """See `FeatureStore`."""
        return self._signing.awaited

    def lacks(self) -> None:
        """See `FeatureStore`."""
        self._signing.lacks()
        self._sign("")

    def whole(self) -> None:
        """See `FeatureStore`."""
        self._signing.whole()

    def _sign(self, state: str) -> None:
        signed: list[tuple[str, str]] = []

        def calls(again: bool) -> list[Call]:
            signs, signed[:] = self._signing.due(self._lists(self._nodes()), state)
            return signs

        self._signing.read(signed, self._run(calls))

    def _lists(self, nodes: Iterable[str]) -> list[tuple[str, str]]:
        """The lists of processes on these nodes, with the process that each node is."""
        runs = [(node, self._wire.processes.run(node)) for node in sorted(nodes)]
        return [(self._mark_at(node).replace(":through", ":workers"), run) for node, run in runs if run is not None]

    def _read(self, asked: Sequence[Asked], replies: list[Any]) -> list[Logs]:
        chunk = 1 if self._wire.cluster else _CHUNK
        found, at = [], 0
        for one in asked:
            start, unread = one.known, {}
            for first in range(0, len(one.ids), chunk):
                reply = replies[at]
                at += 1
                if not reply:
                    continue
                if start is one.known:
                    start = one.known.copy()
                for g, number, data in zip(reply[0::3], reply[1::3], reply[2::3], strict=True):
                    start[first + g] = number
                    if data:
                        unread[first + g] = data
            found.append(Logs(start, unread))
        return found

    def _calls(self, asked: Asked, again: bool) -> Iterator[Call]:
        ttl_s = expiry_s(asked.retained_ns)
        self._showing.ttl_s = max(self._showing.ttl_s, ttl_s)
        words, width = asked.rows.shape[1], asked.rows.shape[1] * 8
        mode = ("again" if again else "read") if asked.read else "write"
        head = (str(width), str(asked.retained_ns), str(ttl_s), mode)
        prefix, chunk = f"log:{self._version}:{{features:{asked.entity}:", 1 if self._wire.cluster else _CHUNK
        count = len(asked.ids)
        heads = np.empty((count, 3), np.int64)
        heads[:, 0], heads[:, 1] = asked.known, asked.oldest_ns
        heads[0, 2] = asked.ends[0]
        np.subtract(asked.ends[1:], asked.ends[:-1], out=heads[1:, 2])
        heads[:, 2] *= width
        sent, rows = heads.tobytes(), asked.rows.tobytes()
        assert len(rows) == len(asked.rows) * words * 8
        ends = [0, *(asked.ends * width).tolist()]
        for first in range(0, count, chunk):
            stop = min(first + chunk, count)
            keys = [f"{prefix}{one}}}" for one in asked.ids[first:stop]]
            given = (sent[24 * first : 24 * stop], rows[ends[first] : ends[stop]])
            yield Call(keys[0], ("EVALSHA", _SHA[EXCHANGE], str(stop - first), *keys, *head, *given))

    def show(self, shown: Sequence[Shown]) -> None:
        """See `FeatureStore`: the newest values of each entity wait until `show_every_s` has passed, and for a place
        among the next exchanges, of which showing takes a share."""
        self._showing.add(shown)

    def flush(self) -> None:
        """See `FeatureStore`."""
        calls = self._showing.everything()
        if calls:
            self._run(lambda again: calls)

    def _mark_at(self, node: str) -> str:
        """The mark that is looked at on a node."""
        if not self._wire.cluster:
            return self._key("through")
        found = self._mark_of.get(node)
        if found is None or self._wire.node_of(found) != node:
            there = (key for key in map(self._cluster_mark, range(_MARKS)) if self._wire.node_of(key) == node)
            found = self._mark_of[node] = next(there, self._cluster_mark(0))
        return found

    def _mark(self, key: str, through: int | None) -> Call:
        """The call that finds out whether the store still knows what it knew, and notes how far it is whole."""
        new = "" if through is None else str(through)
        return Call(key, ("EVALSHA", _SHA[MARK], "1", key, self._epoch, str(self._marked.get(key, 0)), new))

    def through(self) -> int | None:
        """See `FeatureStore`. On a cluster, the least that the marks of its nodes say: one may have lost what others
        have not."""
        keys: list[str] = []

        def calls(again: bool) -> list[Call]:
            keys[:] = [self._mark_at(node) for node in self._nodes()]
            return [Call(key, ("EVALSHA", _SHA[MARK], "1", key, "", "0", "")) for key in keys]

        found = self._run(calls)
        self._wire.processes.accept()
        marks = [mark for reply in found if (mark := _MARK.fullmatch(reply or b"")) is not None]
        if len(marks) < len(found) or len({mark[1] for mark in marks}) != 1:
            return None
        self._epoch = marks[0][1].decode("ascii")
        self._marked = {key: int(mark[2]) for key, mark in zip(keys, marks, strict=True)}
        return min(self._marked.values())

    def _nodes(self) -> list[str]:
        from redis.exceptions import RedisClusterException, RedisError

        try:
            return [name for name, _ in self._wire.nodes()]
        except (RedisError, RedisClusterException) as error:
            raise self._wire.unavailable(error) from error

    def begin(self, through: int) -> None:
        """See `FeatureStore`."""
        key, epochs = self._key("through"), self._key("epochs")
        (found,) = self._run(lambda again: [Call(key, ("EVALSHA", _SHA[BEGIN], "2", key, epochs, str(through)))])
        if self._wire.cluster:
            others = [self._cluster_mark(k) for k in range(_MARKS)]
            self._run(lambda again: [Call(other, ("SET", other, found)) for other in others])
        self._epoch = found.decode("ascii").partition(":")[0]
        self._marked = {}

    @contextmanager
    def alone(self, seconds: float) -> Iterator[bool]:
        """See `FeatureStore`."""
        key, token = self._key("rebuilding"), secrets.token_hex(8)
        taking = ("EVALSHA", _SHA[TAKE], "1", key, token, str(int(seconds * 1000)))
        (taken,) = self._run(lambda again: [Call(key, taking)])
        try:
            yield taken == 1
        finally:
            if taken == 1:
                with suppress(Unavailable):  # It lapses by itself.
                    self._run(lambda again: [Call(key, ("EVALSHA", _SHA[RELEASE], "1", key, token))])

    def about(self) -> About:
        """Facts about the server and its faults, for `homeostat doctor`. Raises Unavailable."""
        from redis.exceptions import RedisClusterException, RedisError

        try:
            return about(self._wire)
        except (RedisError, RedisClusterException) as error:
            raise self._wire.unavailable(error) from error

    def close(self) -> None:
        """Show what still waits, let the others know that this process ends, and let go of the connections."""
        with suppress(Unavailable):
            self.flush()
            self._sign(LEFT)
        self._wire.close()

    def _key(self, name: str) -> str:
        return f"homeostat:{{{self._version}}}:{name}"

    def _cluster_mark(self, k: int) -> str:
        return f"homeostat:{{{self._version}:{k}}}:through"

    def _run(self, calls: Any, same: bool = False) -> list[Any]:
        """Send `calls(again)` and return what they answer, in order. Raises Unavailable and LogsLost.

        same : whether a server that was restarted since `through` is to be LogsLost
        """
        from redis import exceptions

        again, pauses = False, Pauses(POLICY.backoff)
        for attempt in range(_ATTEMPTS):
            try:
                self.round_trips += 1
                replies = self._wire.run(calls(again), same)
                error = next((reply for reply in replies if isinstance(reply, Exception)), None)
                if error is None:
                    return replies
                said = [str(reply) for reply in replies if isinstance(reply, Exception)]
                if any(text.startswith("LOGBAD") for text in said):
                    self._distrust()
                    raise LogsLost(f"the feature store at {self._wire.where} held a log that is none: it is rebuilt")
                if any(text.startswith("LOGLOST") for text in said):
                    raise LogsLost(f"the feature store at {self._wire.where} has lost rows of its logs")
                if not isinstance(error, exceptions.NoScriptError):
                    raise error
                self._load()
            except Restarted:
                where = self._wire.where
                raise LogsLost(f"the feature store at {where} was restarted: its last rows may be missing") from None
            except exceptions.AuthenticationError as error:
                raise self._wire.unavailable(error) from error
            except (exceptions.ConnectionError, exceptions.ClusterDownError, NodeGone) as error:
                if attempt + 1 == _ATTEMPTS or isinstance(error, exceptions.BusyLoadingError):
                    raise self._wire.unavailable(error) from error
                time.sleep(pauses.next_s())  # Others have lost their connections at the same moment.
                self._wire.refresh()
            except (exceptions.RedisError, exceptions.RedisClusterException, OSError) as error:
                raise self._wire.unavailable(error) from error
            again = True
        raise Unavailable(f"the feature store at {self._wire.where} forgets its scripts")

    def _distrust(self) -> None:
        """Take the marks away: every process learns that the logs are to be written again, from the journal."""
        keys = [self._key("through"), *(map(self._cluster_mark, range(_MARKS)) if self._wire.cluster else ())]
        self._wire.run([Call(key, ("DEL", key)) for key in keys])

    def _load(self) -> None:
        """Let the server, or each of a cluster's, know the scripts: a new one knows none."""
        for _, client in self._wire.nodes():
            for script in _SHA:
                client.script_load(script)


def expiry_s(retained_ns: int) -> int:
    """Seconds of silence after which a log may go: what windows look at, and a day to a week for a stream that stands
    still."""
    retained_s = retained_ns // 10**9
    return int(retained_s + max(_DAY_S, min(retained_s, 7 * _DAY_S)))
