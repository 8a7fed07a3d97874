"""Facts about a Redis server, and its faults as a feature store, worded so that they can be mended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from homeostat.adapters.redis.wire import Wire, said

VERSION_MIN = (7, 0)
SKEW_S_MAX = 1.0
_COMMANDS = ("EVALSHA", "SCRIPT|LOAD", "STRLEN", "GETRANGE", "APPEND", "SET", "GET", "SETRANGE", "EXPIRE", "HGET",
             "HSET", "DEL", "INCR", "TIME")  # fmt: skip


class Broken(str):
    """A finding that keeps workers from working."""

    __slots__ = ()


@dataclass(slots=True)
class About:
    """One server, or the nodes of a cluster.

    kind : redis or valkey
    version : of the first node, as it says it
    persistence : `append-only file`, or `none or snapshots`, of the first node
    memory_bytes, memory_max_bytes : of all nodes; 0 for no limit
    eviction : the policy when memory is full
    cluster : its state, empty where it is none
    nodes : masters
    skew_s : how far the server's clock is ahead of this machine's, the farthest of all nodes
    findings : what is wrong and how to mend it, one sentence or two each, `Broken` where nothing works with it; none if
        nothing is
    """

    kind: str = ""
    version: str = ""
    persistence: str = ""
    memory_bytes: int = 0
    memory_max_bytes: int = 0
    eviction: str = ""
    cluster: str = ""
    nodes: int = 0
    skew_s: float = 0.0
    findings: list[str] = field(default_factory=list)


def about(wire: Wire) -> About:
    """Ask each node. Raises the errors of the package redis where one can't be reached."""
    found = About()
    for name, client in wire.nodes():
        _look_at(client, f" on {name}" if name else "", found)
    found.findings = list(dict.fromkeys(found.findings))
    return found


def _look_at(client: Any, place: str, found: About) -> None:
    before = time.time()
    info = client.info("everything")
    skew_s = info["server_time_usec"] / 1e6 - (before + time.time()) / 2 if "server_time_usec" in info else 0.0
    findings = found.findings
    version = str(info.get("valkey_version", info.get("redis_version", "")))
    if not found.nodes:
        found.kind = "valkey" if "valkey_version" in info or info.get("server_name") == "valkey" else "redis"
        found.version, found.persistence = version, _persistence(info)
        found.eviction = str(info.get("maxmemory_policy", ""))
    found.nodes += 1
    found.memory_bytes += int(info.get("used_memory", 0))
    found.memory_max_bytes += int(info.get("maxmemory", 0))
    if abs(skew_s) > abs(found.skew_s):
        found.skew_s = skew_s
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < VERSION_MIN:
        findings.append(Broken(f"Redis {version}{place} is older than 7.0, with which this was tested: update it."))
    if _persistence(info) != "append-only file":
        findings.append(
            f"The feature store{place} has no append-only file: what it knew is lost when it restarts, and has to be "
            "written again from the journal. Set appendonly yes."
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        findings.append(Broken(f"Redis{place} can't write its append-only file: see to its disk."))
    _look_at_memory(info, place, findings)
    if info.get("role") != "master":
        findings.append(
            Broken(f"The feature store{place} is a replica, which can't be written to: give its master's address.")
        )
    if abs(skew_s) > SKEW_S_MAX:
        findings.append(
            f"The clock{place} is {skew_s:+.1f} s off this machine's: let both follow the same time server."
        )
    _look_at_cluster(client, info, place, found)
    _look_at_permissions(client, place, findings)


def _persistence(info: dict[str, Any]) -> str:
    if info.get("aof_enabled"):
        return "append-only file"
    return "none or snapshots"


def _look_at_memory(info: dict[str, Any], place: str, findings: list[str]) -> None:
    policy, limit = str(info.get("maxmemory_policy", "")), int(info.get("maxmemory", 0))
    if limit and policy != "noeviction":
        findings.append(
            f"When its memory is full, Redis{place} drops keys (maxmemory-policy {policy}), pasts among them, "
            "and features are wrong without a sign. Set maxmemory-policy noeviction: it then refuses instead."
        )
    if limit and int(info.get("used_memory", 0)) > 0.8 * limit:
        share = info["used_memory"] / limit
        findings.append(f"The memory of Redis{place} is {share:.0%} full: raise maxmemory before it refuses writes.")
    if int(info.get("evicted_keys", 0)):
        findings.append(
            f"Redis{place} has dropped {info['evicted_keys']} keys for want of memory: features were wrong."
        )


def _look_at_cluster(client: Any, info: dict[str, Any], place: str, found: About) -> None:
    if not info.get("cluster_enabled"):
        return
    answer = client.execute_command("CLUSTER INFO")
    text = answer.decode() if isinstance(answer, bytes) else answer
    members = text if isinstance(text, dict) else dict(line.split(":", 1) for line in text.split() if ":" in line)
    state = str(members.get("cluster_state", "unknown"))
    if not found.cluster or state != "ok":
        found.cluster = state
    if state != "ok":
        slots = members.get("cluster_slots_ok")
        found.findings.append(
            Broken(f"The cluster is not whole as seen{place or ' from here'}: {slots} of 16384 slots have a master.")
        )


def _look_at_permissions(client: Any, place: str, findings: list[str]) -> None:
    from redis.exceptions import NoPermissionError, ResponseError

    try:
        user = client.execute_command("ACL WHOAMI")
        name = user.decode() if isinstance(user, bytes) else str(user)
        refused = []
        for command in _COMMANDS:
            words = command.split("|")
            given = {"EVALSHA": ["x", "0"], "SET": ["log:x", "x"]}.get(command, [])
            answer = client.execute_command("ACL", "DRYRUN", name, *words, *(given or ["log:x"] * _arity(command)))
            if answer not in (b"OK", "OK"):
                refused.append(command.replace("|", " ").lower())
        if refused:
            lacking = f"The user {name}{place} may not: {', '.join(refused)}."
            findings.append(Broken(f"{lacking} Allow these on log:*, features:* and homeostat:*."))
    except (NoPermissionError, ResponseError):
        _try_script(client, place, findings)


def _arity(command: str) -> int:
    return {
        "GETRANGE": 3,
        "SETRANGE": 3,
        "APPEND": 2,
        "EXPIRE": 2,
        "HGET": 2,
        "HSET": 3,
        "SCRIPT|LOAD": 1,
        "TIME": 0,
    }.get(command, 1)


def _try_script(client: Any, place: str, findings: list[str]) -> None:
    """Not everyone may ask what they may do."""
    from redis.exceptions import RedisError

    try:
        client.eval("return redis.call('TIME')", 0)
    except RedisError as error:
        findings.append(
            Broken(f"Scripts may not be run{place} ({said(error)}): allow EVALSHA, SCRIPT LOAD and what they call.")
        )
