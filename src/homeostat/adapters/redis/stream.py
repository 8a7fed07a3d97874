"""Streams on Redis 5 or later, or Valkey: a consumer group in, one script out.

Entries are given to workers one by one, not by lanes; a stream is one lane, whose order holds for one worker only.
A message stays pending with its worker until that publishes for it; then one script sees that all of it is still the
worker's, adds decisions and dead letters, and acknowledges, or does nothing. Messages that are pending with a worker
that shows no sign of life for `idle_s` are claimed by another.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from homeostat.adapters.redis.stream_scripts import OWNED, PUBLISH, SET_IDLE
from homeostat.adapters.servers.circuit import Backoff, Pauses, RetryPolicy
from homeostat.adapters.streams.addresses import Address, Addresses
from homeostat.decide.intake.border import TextMessage
from homeostat.ports import Unavailable
from homeostat.ports.streams import Fenced, Outgoing, Pulled

IDLE_S = 30.0  # A worker without a sign of life for so long has its entries claimed by others.
KEPT_MAX = 1_000_000  # About so many decisions, and dead letters, stay in their streams.
_SLICE_MS = 200  # How long one wait for entries keeps `stop` waiting.
_ASK_S = 1.0  # How often lag and abandoned entries are asked for at the most.
_LET_GO_MS = 10**9
_CONNECT_S = 2.0
POLICY = RetryPolicy(
    deadline_s=5.0, failures=None, backoff=Backoff(0.05, 2.0),
    falls_back="nothing is pulled; what was decided is journalled and waits to be published, and no event is lost",
)  # fmt: skip
_BESIDE = frozenset((b"value", b"key", b"traceparent"))  # Of an entry whose `value` is the message.
_Entries = list[tuple[bytes, dict[bytes, bytes] | None]]


class RedisStream:
    """A `Stream`.

    group : name that workers share the entries under
    client_id : of this worker, no other's. One that is the same after a restart continues at once
    idle_s, alive_every_s : see `IDLE_S`; how often a worker shows that it lives
    """

    def __init__(
        self,
        addresses: Addresses,
        group: str,
        client_id: str,
        *,
        idle_s: float = IDLE_S,
        alive_every_s: float | None = None,
    ) -> None:
        """Asks no server yet."""
        self._group, self._name = group, client_id
        self._inputs = [address.name for address in (addresses.events, addresses.outcomes) if address is not None]
        letters = addresses.dead_letters
        self._outputs = addresses.decisions.name, None if letters is None else letters.name
        self._where = addresses.events.hosts
        self._idle_ms = int(idle_s * 1000)
        self._alive_every_s = idle_s / 4 if alive_every_s is None else alive_every_s
        self._client: Any = connect(addresses.events)
        self._publish = self._client.register_script(PUBLISH)
        self._owned = self._client.register_script(OWNED)
        self._set_idle = self._client.register_script(SET_IDLE)
        self._pauses = Pauses(POLICY.backoff)  # Of pulling.
        self._pull_at = 0.0  # On time.monotonic's scale: not before.
        self._stopped = threading.Event()
        self._held: dict[str, dict[str, int]] = {key: {} for key in self._inputs}  # Epochs of what is not published.
        self._own = dict.fromkeys(self._inputs, "0")  # Up to where own pending entries were read again; "" when all.
        self._joined = False
        self._generation = 0
        self._pulls = 0
        self._lag = dict.fromkeys(self._inputs, 0)
        self._claimed_at = self._alive_at = -1e9
        self._lag_at = -1e9
        self._troubles = {"pull": "", "publish": ""}

    def __repr__(self) -> str:
        return f"RedisStream({self._where}, {', '.join(self._inputs)})"

    @property
    def generation(self) -> int:
        """See `Stream`."""
        return self._generation

    @property
    def trouble(self) -> str:
        """See `Stream`."""
        return self._troubles["pull"] or self._troubles["publish"]

    def pull(self, limit: int, wait_s: float) -> tuple[Pulled, Pulled]:
        """See `Stream`. With a limit of 0 nothing is pulled, and what is pending is kept from others."""
        found = {key: Pulled() for key in self._inputs}
        self._pulls += 1
        left_s = self._pull_at - time.monotonic()
        if left_s > 0:
            self._stopped.wait(min(wait_s, left_s))  # No longer, since the caller has other things to do.
        elif not self._stopped.is_set():
            try:
                self._join()
                self._show_life()
                if limit > 0 and not self._old(limit, found):
                    self._new(limit, wait_s, found)
                self._troubles["pull"] = ""
                self._pauses.over()
            except redis.RedisError as error:
                self._failed("pull", error)
                self._pull_at = time.monotonic() + self._pauses.next_s()
        if limit <= 0:
            self._stopped.wait(wait_s)
        return found[self._inputs[0]], found[self._inputs[1]] if len(self._inputs) > 1 else Pulled()

    def owned(self, pulled: Pulled) -> list[bool]:
        """See `Stream`. Asks the server; while it is away, what was owned is taken to be so."""
        mine = [
            self._held[lane].get(position) == epoch
            for lane, position, epoch in zip(pulled.lane, pulled.position, pulled.epoch, strict=True)
        ]
        for lane in set(pulled.lane):
            asked = sorted({p for p, of in zip(pulled.position, pulled.lane, strict=True) if of == lane}, key=_order)
            try:
                said = self._owned(keys=[lane], args=[self._group, self._name, *asked])
            except redis.RedisError:
                continue
            others = {position for position, one in zip(asked, said, strict=True) if not one}
            for position in others:
                self._held[lane].pop(position, None)
            for row, (of, position) in enumerate(zip(pulled.lane, pulled.position, strict=True)):
                mine[row] = mine[row] and not (of == lane and position in others)
        return mine

    def publish(self, done: Sequence[Pulled], decisions: Sequence[Outgoing], dead_letters: Sequence[Outgoing]) -> None:
        """See `Stream`. Messages may be done in any order."""
        if not any(map(len, done)) and not decisions and not dead_letters:
            return
        ids: dict[str, list[str]] = {}
        for pulled in done:
            for lane, position, epoch in zip(pulled.lane, pulled.position, pulled.epoch, strict=True):
                if self._held[lane].get(position) != epoch:
                    raise Fenced("entries went to another worker since they were pulled")
                ids.setdefault(lane, []).append(position)
        answered, letters = self._outputs
        dead_letters = dead_letters if letters is not None else ()
        arguments: list[Any] = [self._group, self._name, KEPT_MAX, len(decisions), len(dead_letters)]
        for positions in ids.values():
            arguments += [len(positions), *sorted(positions, key=_order)]
        for message in (*decisions, *dead_letters):
            arguments += [message.value, message.key or b"", message.traceparent or b""]
        if not self._patiently([answered, letters or answered, *ids], arguments):
            raise Fenced("entries went to another worker since they were pulled")
        for lane, positions in ids.items():
            for position in positions:
                self._held[lane].pop(position, None)

    def lag(self) -> dict[str, int]:
        """See `Stream`. From the server's answer to a pull, once a second; no question is asked."""
        return dict(self._lag)

    def stop(self) -> None:
        """See `Stream`."""
        self._stopped.set()

    def close(self) -> None:
        """See `Stream`. Pending messages may be claimed by others at once."""
        self._stopped.set()
        with suppress(redis.RedisError):
            for key in self._inputs if self._joined else ():
                if self._set_idle(keys=[key], args=[self._group, self._name, _LET_GO_MS]) == 0:
                    self._client.xgroup_delconsumer(key, self._group, self._name)
        self._joined = False
        self._held = {key: {} for key in self._inputs}
        self._client.close()

    # Pulling.

    def _join(self) -> None:
        if not self._joined:
            for key in self._inputs:
                create_group(self._client, key, self._group)
            self._joined = True
            self._generation += 1

    def _show_life(self) -> None:
        now = time.monotonic()
        if now - self._alive_at >= self._alive_every_s:
            self._alive_at = now
            for key in self._inputs:
                if self._held[key]:
                    self._set_idle(keys=[key], args=[self._group, self._name, 0])
        if now - self._lag_at >= _ASK_S:
            self._lag_at = now
            for key in self._inputs:
                groups = self._client.xinfo_groups(key)
                own: dict[str, Any] = next((one for one in groups if one["name"] == self._group.encode()), {})
                self._lag[key] = int(own.get("lag") or 0)

    def _old(self, limit: int, found: dict[str, Pulled]) -> int:
        """Messages pending with this worker's name since before it started, and those that others have abandoned."""
        count = 0
        for key in self._inputs:
            if self._own[key]:
                said = self._client.xreadgroup(self._group, self._name, {key: self._own[key]}, count=limit)
                entries: _Entries = next(iter(_streams(said)), (b"", []))[1]
                self._own[key] = entries[-1][0].decode() if entries else ""
                count += self._take(key, entries, found[key])
        now = time.monotonic()
        if count == 0 and now - self._claimed_at >= min(_ASK_S, self._idle_ms / 2000):
            for key in self._inputs:
                start = "0-0"
                while count < limit:
                    start, entries, *_ = self._client.xautoclaim(
                        key, self._group, self._name, self._idle_ms, start, count=limit
                    )
                    count += self._take(key, entries, found[key])
                    if start in (b"0-0", "0-0"):
                        break
            if count == 0:
                self._claimed_at = now
        self._generation += count > 0
        return count

    def _new(self, limit: int, wait_s: float, found: dict[str, Pulled]) -> None:
        until = time.monotonic() + wait_s
        streams = dict.fromkeys(self._inputs, ">")
        while not self._stopped.is_set():
            left_ms = int((until - time.monotonic()) * 1000)
            block = min(left_ms, _SLICE_MS) if left_ms > 0 else None
            said = self._client.xreadgroup(self._group, self._name, streams, count=limit, block=block)
            for name, entries in _streams(said):
                key = name.decode()
                count = self._take(key, entries, found[key])
                self._lag[key] = max(self._lag[key] - count, 0) if count == limit else 0
            if said or left_ms <= 0:
                return

    def _take(self, key: str, entries: Iterable[Any], pulled: Pulled) -> int:
        held, count = self._held[key], 0
        for given, fields in entries:
            position = given.decode()
            if position in held:
                continue  # Claimed by oneself: it is being worked on.
            if not fields:  # The stream was trimmed meanwhile.
                self._client.xack(key, self._group, position)
                continue
            held[position] = self._pulls
            message = message_of(fields)
            pulled.values.append(message)
            pulled.lane.append(key)
            pulled.position.append(position)
            trace = fields.get(b"traceparent")
            pulled.traceparent.append(None if trace is None else trace.decode("ascii", "replace"))
            pulled.produced_ns.append(_order(position)[0] * 1_000_000)
            pulled.epoch.append(self._pulls)
            pulled.key.append(fields.get(b"key") if type(message) is bytes else None)
            count += 1
        return count

    # Publishing.

    def _patiently(self, keys: list[str], arguments: list[Any]) -> bool:
        """Run the script until it answers. One that ran unseen finds its entries gone, and says that they are."""
        pauses = Pauses(POLICY.backoff)
        while True:
            try:
                done = bool(self._publish(keys=keys, args=arguments))
                self._troubles["publish"] = ""
                return done
            except redis.RedisError as error:
                self._failed("publish", error)
            if self._stopped.wait(pauses.next_s()):
                raise Unavailable(f"stopped while publishing: {self.trouble}")

    def _failed(self, which: str, error: redis.RedisError) -> None:
        self._troubles[which] = f"Redis at {self._where}: {error}"
        if "NOGROUP" in str(error):  # The server has lost its memory, and the groups with it.
            self._joined = False


def create_groups(addresses: Addresses, group: str) -> list[str]:
    """Create the streams that are read from, with their groups; returns the names of new ones. Raises Unavailable."""
    client = connect(addresses.events)
    try:
        made = [one.name for one in (addresses.events, addresses.outcomes) if one is not None]
        return [name for name in made if create_group(client, name, group)]
    except redis.RedisError as error:
        raise Unavailable(f"Redis at {addresses.events.hosts}: {error}") from None
    finally:
        client.close()


def create_group(client: Any, key: str, group: str) -> bool:
    """Create a stream's group, and the stream; False when it is there."""
    try:
        client.xgroup_create(key, group, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
        return False
    return True


def connect(address: Address) -> Any:
    """A client of the server that an address names. Over TLS the server's certificate is checked, its name too."""
    host, port = address.servers[0]
    tls: dict[str, Any] = {"ssl": True, **dict(address.tls_files)} if address.tls else {}
    return redis.Redis(
        host, port, address.database, address.password, username=address.username, socket_connect_timeout=_CONNECT_S,
        socket_timeout=POLICY.deadline_s, health_check_interval=10, retry=Retry(NoBackoff(), 0), **tls,
    )  # fmt: skip


def _streams(said: Any) -> list[tuple[bytes, _Entries]]:
    """The streams of an answer to XREADGROUP, in the old protocol's form or the new one's."""
    if isinstance(said, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in said.items()]
    return [(name, entries) for name, entries in said or ()]


def message_of(fields: dict[bytes, bytes]) -> bytes:
    r"""An entry's message: its field `value` where that is all of it, or else its fields as an object of texts.

    >>> message_of({b"value": b"{}", b"key": b"1"}), message_of({b"value": b"10", b"id": b"\xff"})
    (b'{}', b'{"value": "10", "id": "\\udcff"}')
    """
    value = fields.get(b"value")
    if value is not None and _BESIDE.issuperset(fields):
        return value
    # A byte that is no UTF-8 becomes half a surrogate pair, so that it is refused and not mistaken for another.
    texts = {_text(name): _text(given) for name, given in fields.items() if name != b"traceparent"}
    return TextMessage(json.dumps(texts).encode())


def _text(given: bytes) -> str:
    return given.decode("utf-8", "surrogateescape")


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)
