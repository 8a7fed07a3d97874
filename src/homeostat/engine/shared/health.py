"""How an app's servers are: each is asked at the same time, for some seconds at the most.

Nothing is changed, and no password is shown. The findings are for people and programs: `homeostat doctor` prints them.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.logs import redacted
from homeostat.adapters.servers.encryption import plain_connections
from homeostat.config.learners import learners_of
from homeostat.config.servers import Servers
from homeostat.decide.intake.times import span_text
from homeostat.errors import MissingExtra, install, needs
from homeostat.ports import Unavailable
from homeostat.ports.learning import LearnerStanding
from homeostat.ports.settings import Settings

if TYPE_CHECKING:
    from homeostat.adapters.postgres.schema import Standing
    from homeostat.adapters.streams.addresses import Addresses
    from homeostat.engine.assembly import Prepared

Health = Literal["ok", "warning", "broken"]
DEADLINE_S = 15.0  # For all together; each server is given up after about 4 s without an answer.
SKEW_S_MAX = 1.0
CONNECTIONS = 14
"""The most that one process makes to PostgreSQL: 4 each for journal and settings, 2 each for versions, learning and
challengers."""
POSTGRES_MIN = 14
LAG_MAX = 100_000
_CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was examined, its state, and how to mend it if it is not well."""

    what: str
    health: Health
    seen: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """The app and servers that are examined.

    prepared : the app, to hold a sample of its messages against its schema; None leaves that out
    name : the app's, which is the group's as well; empty where unknown
    """

    servers: Servers
    prepared: Prepared | None
    name: str


def examine(servers: Servers, prepared: Prepared | None = None, name: str = "") -> list[Diagnosis]:
    """Everything about the named servers, in the order of the settings. Raises nothing: a failure is a diagnosis.

    name : the app's, where there is no `prepared`
    """
    subject = Subject(servers, prepared, prepared.app.app if prepared is not None else name)
    if not subject.name and servers.journal is not None:
        subject = replace(subject, name=_owner(servers.journal))
    checks: list[tuple[str, Callable[[Subject], Iterator[Diagnosis]]]] = []
    if servers.events is not None or servers.decisions is not None:
        checks.append(("events", _streams))
    if servers.features is not None:
        checks.append(("features", _features))
    if servers.journal is not None:
        checks += [("journal", _journal), ("settings", _settings), ("learning", _learning), ("spool", _spool)]
    found: list[list[Diagnosis] | None] = [None] * len(checks)

    def run(at: int) -> None:
        found[at] = _guarded(*checks[at], subject)

    threads = [threading.Thread(target=run, args=(at,), daemon=True) for at in range(len(checks))]
    for thread in threads:
        thread.start()
    clock = SystemClock()
    until_ns = clock.monotonic_ns() + int(DEADLINE_S * 1e9)
    for thread in threads:
        thread.join(max(0.0, (until_ns - clock.monotonic_ns()) / 1e9))
    hangs = "its server hangs, or the network does: try again, and see its log"
    diagnoses: list[Diagnosis] = []
    for (what, _), diagnosed in zip(checks, found):
        diagnoses += (
            [Diagnosis(what, "broken", f"no answer within {DEADLINE_S:g} s", hangs)] if diagnosed is None else diagnosed
        )
    for plain in plain_connections(servers):
        health: Health = "broken" if plain.secret_sent else "warning"
        diagnoses.append(Diagnosis(f"{plain.what} encryption", health, plain.seen, plain.mend))
    return [replace(one, seen=redacted(one.seen), mend=redacted(one.mend)) for one in diagnoses]


def _settings(subject: Subject) -> Iterator[Diagnosis]:
    from homeostat.adapters.opening import incidents_opener, settings_opener, shadow_opener, statements_opener
    from homeostat.adapters.postgres.connections import Connections
    from homeostat.adapters.postgres.schema import standing
    from homeostat.engine.shared.maintenance_health import of_maintenance
    from homeostat.engine.shared.shadow_health import of_shadow
    from homeostat.engine.shared.size_health import of_sizes

    journal = subject.servers.journal
    assert journal is not None, "settings are beside a journal"
    with suppress(Unavailable):  # Of a journal that is away, the journal's own examination tells.
        with Connections(journal, most=1, deadline_s=_CONNECT_S, connect_s=_CONNECT_S) as connections:
            found = standing(connections, 0)
        if not found.current or found.missing:
            return  # To open the settings would be to make their tables, and nothing is changed here.
        with closing(settings_opener(journal)(journal, app=subject.name)) as settings:
            yield from of_settings(settings, SystemClock().now_ns())
            with closing(shadow_opener(journal)(journal, app=subject.name)) as store:
                yield from of_shadow(settings, store, SystemClock().now_ns())
            with closing(statements_opener(journal)(journal, app=subject.name)) as statements:
                yield from of_sizes(subject.servers, settings, statements, SystemClock().now_ns())
        with closing(incidents_opener(journal)(journal, app=subject.name)) as incidents:
            yield from of_maintenance(incidents, SystemClock().now_ns())


def _learning(subject: Subject) -> Iterator[Diagnosis]:
    """Whether somebody learns for the processes of an app that learns online. Says nothing of another app."""
    from homeostat.adapters.opening import learning_opener
    from homeostat.adapters.postgres.connections import Connections
    from homeostat.adapters.postgres.schema import standing

    journal = subject.servers.journal
    assert journal is not None, "learning is beside a journal"
    if subject.prepared is None or not learners_of(subject.prepared.app):
        return
    with suppress(Unavailable):
        with Connections(journal, most=1, deadline_s=_CONNECT_S, connect_s=_CONNECT_S) as connections:
            found = standing(connections, 0)
        if not found.current or found.missing:
            return
        with closing(learning_opener(journal)(journal, app=subject.name)) as store:
            yield of_learning(store.standing(), subject.servers.learning_stale)


def of_learning(found: LearnerStanding, stale_max_ns: int) -> Diagnosis:
    """How a learner stands, by the bound of staleness that was declared."""
    mend = "Start one: homeostat learn, with the servers of the workers. Decisions go on with the last state."
    if not found.owner:
        return Diagnosis("learning", "warning", "nobody has learned as yet", mend)
    if found.trouble:
        return Diagnosis("learning", "warning", f"{found.owner}: {found.trouble}", "Mend what it says.")
    at = f"{found.owner} has learned up to entry {found.position:,} of the journal, {found.behind:,} are left"
    if found.stale_s is None:
        return Diagnosis("learning", "warning" if not found.leads else "ok", f"{at}; it has never caught up", mend)
    seen = f"{at}; all of {found.stale_s:.0f} s ago is in it"
    if found.stale_s * 1e9 > stale_max_ns:
        return Diagnosis("learning", "warning", f"{seen}, more than the {stale_max_ns / 1e9:g} s declared", mend)
    return Diagnosis("learning", "ok", seen)


def of_settings(settings: Settings, now_ns: int) -> Iterator[Diagnosis]:
    """How far each process has come with the settings, and which can't go on. Raises Unavailable, SettingsError."""
    last = settings.last
    alive = [one for one in settings.processes() if not one.gone(now_ns)]
    behind = [one for one in alive if one.number < last or one.trouble]
    seen = f"{last} changes, all in force in {len(alive)} processes"
    if not behind:
        yield Diagnosis("settings", "ok", seen)
    for one in behind:
        why = f": {one.trouble}" if one.trouble else ""
        mend = "Undo the change (homeostat settings undo), or mend what the process says and it goes on by itself."
        yield Diagnosis("settings", "warning", f"{one.process} decides under change {one.number} of {last}{why}", mend)


def _guarded(what: str, check: Callable[[Subject], Iterator[Diagnosis]], subject: Subject) -> list[Diagnosis]:
    diagnoses: list[Diagnosis] = []
    try:
        diagnoses.extend(check(subject))
    except Unavailable as error:
        mend = "Start the server, or correct its address in `servers`; homeostat decides without it as declared."
        diagnoses.append(Diagnosis(what, "broken", str(error), mend))
    except MissingExtra as error:
        diagnoses.append(Diagnosis(what, "broken", "a package is missing", install(error.extra)))
    except Exception as error:  # Any error of a client library is a finding.
        mend = "Correct the address and settings in `servers`; nothing else is known about this."
        diagnoses.append(Diagnosis(what, "broken", f"{type(error).__name__}: {error}", mend))
    return diagnoses


def _owner(journal: str) -> str:
    """Whose journal it is; empty where that is not known."""
    try:
        from homeostat.adapters.postgres.connections import Connections
        from homeostat.adapters.postgres.schema import standing

        with Connections(journal, most=1, deadline_s=_CONNECT_S, connect_s=_CONNECT_S) as connections:
            return standing(connections, 0).app or ""
    except (ImportError, Unavailable, ValueError):
        return ""


def _streams(subject: Subject) -> Iterator[Diagnosis]:
    from homeostat.adapters.streams.addresses import read_addresses

    try:
        addresses = read_addresses(subject.servers)
    except ValueError as error:
        yield Diagnosis("events", "broken", str(error), "Correct the addresses in `servers`.")
        return
    group = subject.servers.group or subject.name
    if addresses.events.scheme == "kafka":
        yield from _kafka(subject, addresses, group)
    else:
        yield from _redis_streams(subject, addresses, group)


def _kafka(subject: Subject, addresses: Addresses, group: str) -> Iterator[Diagnosis]:
    with needs("kafka", "a stream on Kafka"):
        from homeostat.adapters.kafka.about import about

    try:
        found = about(addresses, subject.servers.kafka, group)
    except ValueError as error:
        yield Diagnosis("kafka", "broken", str(error), "Correct servers.kafka.")
        return
    version = f"version {found.version}" if found.version else "a version that it does not tell"
    yield Diagnosis("kafka", "ok", f"{addresses.events.hosts} answers, brokers: {found.brokers}, {version}")
    for name, count in found.partitions.items():
        yield Diagnosis(f"topic {name}", "ok", f"{count} partitions")
    creates = "The first worker creates it, with servers.partitions; or create it yourself."
    for name in found.missing:
        yield Diagnosis(f"topic {name}", "warning", "is not there yet", creates)
    if found.refused:
        mend = "Allow the user of servers.kafka what is listed, with your Kafka's tool for access rules."
        yield Diagnosis("kafka permissions", "broken", f"may not: {'; '.join(found.refused)}", mend)
    else:
        yield Diagnosis("kafka permissions", "ok", "read, write" + (", create" if found.missing else ""))
    if found.transactions:
        mend = "Allow transactions (write and describe on transactional ids that begin with the group's name), or wait "
        mend += "until the brokers have made their own topics."
        yield Diagnosis("kafka transactions", "broken", f"none can be begun: {found.transactions}", mend)
    else:
        yield Diagnosis("kafka transactions", "ok", "can be begun")
    partitions = found.partitions.get(addresses.events.name, 0)
    differ = found.outcome_workers is not None and found.outcome_workers != found.workers
    also = f", {found.outcome_workers} in the group {group}.outcomes" if differ else ""
    yield from _readers(group, found.workers, partitions, found.lag, also)
    yield from _ahead(found.newest_ns)
    yield from sampled_findings(subject, addresses, found.sample)


def _readers(group: str, workers: int, partitions: int, lag: dict[str, int], also: str = "") -> Iterator[Diagnosis]:
    """The readers, and how far behind they are; `also` says of another group what differs."""
    if not group:
        yield Diagnosis("workers", "warning", "the group's name is not known", "Name the app, or say servers.group.")
        return
    seen = f"{workers} in the group {group}"
    if partitions and workers > partitions:
        mend = f"Give the topic of events more partitions, or start {workers - partitions} fewer workers."
        yield Diagnosis("workers", "warning", f"{seen}, of which {workers - partitions} have no partition{also}", mend)
    else:
        yield Diagnosis("workers", "ok", seen + also)
    if not lag:
        return
    total = sum(lag.values())
    seen = f"{total:,} messages" + "".join(f", {lane}: {count:,}" for lane, count in sorted(lag.items()) if count)
    if total and not workers:
        yield Diagnosis("lag", "warning", seen, "Nobody reads: start a worker (homeostat worker, or homeostat up).")
    elif total > LAG_MAX:
        yield Diagnosis("lag", "warning", seen, "If it grows, start more workers, up to one for each partition.")
    else:
        yield Diagnosis("lag", "ok", seen)


def _ahead(newest_ns: int) -> Iterator[Diagnosis]:
    """Brokers don't tell the time; what producers wrote tells theirs."""
    if not newest_ns:
        return
    ahead_s = (newest_ns - SystemClock().now_ns()) / 1e9
    if ahead_s > SKEW_S_MAX:
        mend = "Let the machines that produce, and this one, follow the same time server."
        yield Diagnosis("kafka clock", "warning", f"a message was produced {ahead_s:.1f} s ahead of this machine", mend)
    else:
        yield Diagnosis("kafka clock", "ok", f"the newest message of the sample is {-ahead_s:,.0f} s old")


def newest_event(ahead_ns: int, skew_ns: int) -> Diagnosis:
    """Whether the newest event is further ahead of the clock than clocks differ."""
    if ahead_ns <= skew_ns:
        return Diagnosis("newest event", "ok", "is not ahead of the clock")
    mend = "Correct the clock and time zone of who sends it, or this machine's: see docs/events.md, `ahead_max`."
    return Diagnosis("newest event", "warning", f"the newest event is {span_text(ahead_ns)} ahead of the clock", mend)


def sampled_findings(subject: Subject, addresses: Addresses, sample: dict[str, list[bytes]]) -> Iterator[Diagnosis]:
    """How many of the last messages can be read as the app declares them."""
    from homeostat.engine.shared.samples import sampled  # Brings all that decides.

    for what, address in (("events", addresses.events), ("outcomes", addresses.outcomes)):
        messages = sample.get(address.name) if address is not None else None
        if messages is None:
            continue
        if not messages:
            yield Diagnosis(f"{what} schema", "ok", "there is no message to look at yet")
            continue
        if subject.prepared is None:
            mend = f"Name the app, to hold them against its schema: homeostat doctor {subject.name or 'APP'} ..."
            yield Diagnosis(f"{what} schema", "ok", f"not looked at ({len(messages)} messages are there)", mend)
            continue
        now_ns = SystemClock().now_ns()
        why, ahead_ns = sampled(messages, subject.prepared, what == "outcomes", now_ns)
        if what == "events":
            yield newest_event(ahead_ns, subject.prepared.schema.skew_ns)
        bad = sum(why.values())
        seen = f"{len(messages) - bad} of the last {len(messages)} messages can be read"
        if not bad:
            yield Diagnosis(f"{what} schema", "ok", seen)
            continue
        listed = ", ".join(f"{reason} ({count})" for reason, count in why.most_common(3))
        mend = "Mend the producer, or declare the field as it comes (aliases, type, required) in the app file."
        yield Diagnosis(
            f"{what} schema", "broken" if bad == len(messages) else "warning", f"{seen}; the others are {listed}", mend
        )


def _redis_streams(subject: Subject, addresses: Addresses, group: str) -> Iterator[Diagnosis]:
    with needs("redis", "a stream on Redis"):
        from homeostat.adapters.redis.stream_about import VERSION_MIN, about

    found = about(addresses, group)
    kept = "append-only file" if found.kept else "no append-only file"
    seen = f"{found.kind} {found.version} at {addresses.events.hosts}, {kept}"
    if _version_of(found.version) < VERSION_MIN:
        yield Diagnosis("redis streams", "broken", seen, "Update it to 7.0 or later.")
    elif not found.kept:
        mend = "Set appendonly yes: a restart would lose events that nobody has read yet."
        yield Diagnosis("redis streams", "warning", seen, mend)
    else:
        yield Diagnosis("redis streams", "ok", seen)
    if found.eviction not in ("", "noeviction"):
        mend = "Set maxmemory-policy noeviction: it then refuses instead of dropping events."
        yield Diagnosis("redis streams memory", "warning", f"drops keys when full ({found.eviction})", mend)
    if found.refused:
        mend = "Allow the user of the address scripts, and all commands on the streams that `servers` names."
        yield Diagnosis("redis streams permissions", "broken", "; ".join(found.refused), mend)
    yield _clock("redis streams clock", found.skew_s)
    for name, length in found.lengths.items():
        yield Diagnosis(f"stream {name}", "ok", f"{length:,} entries, {found.pending[name]:,} pending")
    for name in found.missing:
        yield Diagnosis(f"stream {name}", "warning", "is not there yet", "The first worker creates it.")
    yield from _readers(group, found.workers, 0, found.lag)
    yield from sampled_findings(subject, addresses, found.sample)


def _features(subject: Subject) -> Iterator[Diagnosis]:
    from homeostat.adapters.redis.about import Broken, about
    from homeostat.adapters.redis.wire import Wire, said

    assert subject.servers.features is not None
    try:
        wire = Wire(subject.servers.features)
    except MissingExtra as error:
        yield Diagnosis("redis", "broken", "a package is missing", install(error.extra))
        return
    try:
        found = about(wire)
    except Exception as error:
        raise Unavailable(f"Redis at {wire.where} doesn't answer: {said(error)}") from None
    finally:
        wire.close()
    memory = f"{found.memory_bytes / 1e6:,.0f} MB"
    memory += f" of {found.memory_max_bytes / 1e6:,.0f} MB ({found.eviction})" if found.memory_max_bytes else " used"
    whole = f", cluster of {found.nodes} masters, {found.cluster}" if found.cluster else ""
    seen = f"{found.kind} {found.version} at {wire.where}, {found.persistence}, {memory}{whole}"
    yield Diagnosis("redis", "ok", seen)
    for text in found.findings:
        first, _, last = text.rpartition(". " if ". " in text else ": ")
        yield Diagnosis(
            "redis", "broken" if isinstance(text, Broken) else "warning", first or text, last if first else ""
        )
    if abs(found.skew_s) <= SKEW_S_MAX:  # Farther off, it is among the diagnoses.
        yield _clock("redis clock", found.skew_s)


def _journal(subject: Subject) -> Iterator[Diagnosis]:
    from homeostat.adapters.postgres.connections import Connections
    from homeostat.adapters.postgres.schema import connections_left, standing

    assert subject.servers.journal is not None
    try:
        connections = Connections(subject.servers.journal, most=1, deadline_s=_CONNECT_S, connect_s=_CONNECT_S)
    except ValueError as error:
        yield Diagnosis("postgres", "broken", str(error), "Correct servers.journal.")
        return
    with connections:
        found = standing(connections, SystemClock().now_ns())
        left, most = connections_left(connections)
    seen = f"{connections.where} answers, version {found.server}"
    if _version_of(found.server)[:1] < (POSTGRES_MIN,):
        yield Diagnosis("postgres", "broken", seen, f"Update it to {POSTGRES_MIN} or later.")
    elif found.read_only:
        yield Diagnosis(
            "postgres", "broken", f"{seen}, read-only", "It is a standby: name the primary in servers.journal."
        )
    else:
        yield Diagnosis("postgres", "ok", seen)
    if connections.pooled:
        seen = "a pooler is in between, which may be one that gives each transaction another connection: nothing is "
        seen += "prepared there, and nothing set"
        mend = "Let the role bound its statements itself: ALTER ROLE ... SET statement_timeout = '10s'."
        yield Diagnosis("postgres pooler", "ok", seen, mend)
    if found.missing:
        yield Diagnosis("postgres privileges", "broken", "some are missing", "; ".join(found.missing))
    else:
        yield Diagnosis("postgres privileges", "ok", "all that are needed")
    yield _tables(found)
    if found.app and subject.name and found.app != subject.name:
        mend = "Give each app a database of its own, or a schema (?options=-csearch_path%3DNAME)."
        yield Diagnosis("journal", "broken", f"it is that of the app {found.app}, not of {subject.name}", mend)
    seen = f"{left} of {most} connections are left"
    if left < CONNECTIONS:
        mend = f"Raise max_connections, or stop other clients: each process takes up to {CONNECTIONS}."
        yield Diagnosis("postgres connections", "broken" if left < 1 else "warning", seen, mend)
    else:
        yield Diagnosis("postgres connections", "ok", seen)
    yield _clock("postgres clock", found.skew_s)


def _tables(found: Standing) -> Diagnosis:
    """Whether the tables are there, and at the newest step."""
    from homeostat.adapters.postgres.schema import HEAD, TABLES, unversioned

    version, absent = found.version, [table for table in TABLES if table not in found.tables]
    if version is None and not found.tables:
        return Diagnosis("postgres schema", "ok", "there are no tables yet: the first worker makes them")
    if version is None and not found.readable:
        mend = "Grant what is listed as missing, and look again."
        return Diagnosis("postgres schema", "broken", "at which step the tables are can't be read", mend)
    if version is None:
        mend = f"Restore the table homeostat_version from a backup; this version's tables are at {HEAD}."
        return Diagnosis("postgres schema", "broken", unversioned(found.tables), mend)
    if version > HEAD:
        mend = f"Update homeostat here: it knows {HEAD}."
        return Diagnosis("postgres schema", "broken", f"at step {version}, of a newer version", mend)
    if version < HEAD:
        mend = "The next worker that starts brings it up to date."
        return Diagnosis("postgres schema", "warning", f"at step {version}, this version has {HEAD}", mend)
    if absent:
        mend = "Restore them from a backup: no worker makes them again, since the step says that they are there."
        return Diagnosis("postgres schema", "broken", f"at step {HEAD}, but without {', '.join(absent)}", mend)
    return Diagnosis("postgres schema", "ok", f"at step {HEAD}, the newest")


def _spool(subject: Subject) -> Iterator[Diagnosis]:
    """The entries that wait on this machine for PostgreSQL, of processes that live and of those that died."""
    folder = Path(subject.servers.spool)
    files = sorted((folder / subject.name if subject.name else folder).rglob("*.spool"))
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < subject.servers.spool_max_mb << 20:
        seen = (
            f"{free / 1e9:,.1f} GB are free at {there}, less than may wait there ({subject.servers.spool_max_mb:,} MB)"
        )
        yield Diagnosis("spool disk", "warning", seen, "Free some space, or lower servers.spool_max_mb.")
    if not files:
        yield Diagnosis("spool", "ok", f"nothing waits in {folder}")
        return
    size = sum(file.stat().st_size for file in files)
    mend = "It drains while a worker or server runs on this folder and PostgreSQL answers: start one, if none does."
    yield Diagnosis("spool", "warning", f"{size / 1e6:,.1f} MB wait for PostgreSQL in {folder}", mend)


def _clock(what: str, skew_s: float) -> Diagnosis:
    if abs(skew_s) <= SKEW_S_MAX:
        return Diagnosis(what, "ok", f"{skew_s:+.3f} s off this machine's")
    mend = "Let both machines follow the same time server."
    return Diagnosis(what, "warning", f"{skew_s:+.1f} s off this machine's", mend)


def _version_of(text: str) -> tuple[int, ...]:
    """Its numbers.

    >>> _version_of("15.17 (Debian 15.17-1)")
    (15, 17)
    """
    return tuple(int(part) for part in text.split(" ")[0].split(".") if part.isdigit())


def is_broken(diagnoses: Sequence[Diagnosis]) -> bool:
    """Whether one of them is."""
    return any(diagnosis.health == "broken" for diagnosis in diagnoses)
