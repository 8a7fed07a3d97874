"""Checks a run of workers from outside: reads topics, tables and the shared logs, and recomputes the windows naively.

Nothing here uses the kernels that decide. A window is recomputed from the app file's own words and the list of an
entity's events, each time from the beginning.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
import redis

from benchmarks.fleet import Fleet, Sent
from homeostat.adapters.postgres import PostgresJournal
from homeostat.config.load import load_app
from homeostat.config.tree import App, duration_ns
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.identity import Coding

_SECOND = 10**9
_TOLERANCE = 1e-9
ROUTINE = 0  # Kind of a log's row that is an event.


@dataclass(slots=True)
class Found:
    """The findings of the checker.

    lost, double : event ids without a decision in the topic, and with more than one
    repeated_away : event ids whose copy was decided again by a worker that could not ask PostgreSQL; see `excuse`
    rows_wrong : event ids whose row in the table is missing, is not the only one, or says something else than the topic
    windows, windows_wrong : decisions whose windows were recomputed, and which of them were wrong
    windows_moved : decisions that Redis had answered and lost when it was killed, see `Loss`: the journal's order is
        another than that of the log that they saw
    windows_trimmed : decisions whose windows reach back to what the logs have dropped since, and can't be recomputed
    """

    events: int = 0
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    repeated_away: list[str] = field(default_factory=list)
    rows_wrong: list[str] = field(default_factory=list)
    letters_wrong: int = 0
    outcomes_lost: int = 0
    windows: int = 0
    windows_wrong: list[str] = field(default_factory=list)
    windows_moved: list[str] = field(default_factory=list)
    windows_trimmed: int = 0
    flagged: Counter[str] = field(default_factory=Counter)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        bad = (self.lost, self.double, self.rows_wrong, self.windows_wrong)
        return not any(bad) and self.letters_wrong == self.outcomes_lost == 0


def delivered(fleet: Fleet, sent: Sent, topic: Iterable[Mapping[str, Any]], letters: list[dict[str, Any]]) -> Found:
    """Whether each event id is in the decisions topic exactly once, and in the table, and both agree."""
    found = Found(len(sent.events))
    said: dict[str, Mapping[str, Any]] = {}
    counts: Counter[str] = Counter()
    for decision in topic:
        said[decision["event_id"]] = decision
        counts[decision["event_id"]] += 1
        for cause in (decision["fallback"] or "").split("+"):
            found.flagged[cause] += bool(cause)
    found.lost = [one for one in sent.events if one not in counts]
    found.double = [one for one, count in counts.items() if count > 1 or one not in sent.events]
    with psycopg.connect(fleet.journal_url) as connection:
        rows = connection.execute("SELECT event_id, action, risk, fallback FROM decisions").fetchall()
        in_journal = {one for (one,) in connection.execute("SELECT event_id FROM outcomes").fetchall()}
    table = Counter(row[0] for row in rows)
    wrong = {one for one, count in table.items() if count != 1 or one not in said} | (said.keys() - table.keys())
    for event_id, action, risk, fallback in rows:
        decision = said.get(event_id)
        if decision is not None and (action, risk, fallback) != (
            decision["action"], decision["risk"], decision["fallback"] or ""
        ):  # fmt: skip
            wrong.add(event_id)
    found.rows_wrong = sorted(wrong)
    unknown = {letter["value"] for letter in letters if letter["reason"] == "unknown_event"}
    found.outcomes_lost = sum(one not in in_journal and one not in unknown for one in sent.outcomes)
    places = Counter(
        (letter["lane"], letter["position"]) for letter in letters if letter["lane"].startswith(fleet.topic("events"))
    )
    found.letters_wrong = abs(len(places) - sent.bad) + sum(count - 1 for count in places.values())
    return found


Answer = tuple[str, float, str]  # Action, risk and fallback, as topic and table say them.


@dataclass(frozen=True, slots=True)
class Outage:
    """When workers could not ask PostgreSQL, milliseconds since 1970: until each of them has found that it is back."""

    since_ms: float
    until_ms: float


UNSAFE_MS = 3000  # A Redis that syncs each second answers for two seconds before it waits for a slow disk.


@dataclass(frozen=True, slots=True)
class Loss:
    """When Redis was killed and started again, milliseconds since 1970.

    A decision without a flag that was written before the start saw the log before the kill. If that was moments before,
    its row may be lost, and is written again in the journal's order.
    """

    killed_ms: float
    started_ms: float

    def may_hold(self, written_ms: float) -> bool:
        """Whether the row of a decision without a flag may have been lost."""
        return self.killed_ms - UNSAFE_MS <= written_ms <= self.started_ms


def excuse(
    found: Found, again: Mapping[str, int], topic: Sequence[Mapping[str, Any]], written_ms: Sequence[int],
    table: Mapping[str, Sequence[Answer]], outages: Sequence[Outage],
) -> None:  # fmt: skip
    """Take out what workers do not promise: a copy that comes to another worker while PostgreSQL is away.

    The first worker's decision waits on its own disk, where the second can't look, so the second decides again. Nothing
    else is taken out: the producer sent the id more than once, there are no more decisions than messages, all but the
    first were written during an outage, and the table's only row is one of them. Each is listed in `repeated_away`.

    again : copies by event id
    topic, written_ms : the decisions, and when each was written
    table : the rows by event id
    """
    made: dict[str, list[tuple[int, Answer]]] = {}
    for decision, moment in zip(topic, written_ms, strict=True):
        answer = (decision["action"], decision["risk"], decision["fallback"] or "")
        made.setdefault(decision["event_id"], []).append((moment, answer))
    for event_id in list(found.double):
        decided, rows = sorted(made.get(event_id, [])), table.get(event_id, [])
        if (
            1 < len(decided) <= 1 + again.get(event_id, 0)
            and all(any(one.since_ms <= ms <= one.until_ms for one in outages) for ms, _ in decided[1:])
            and len(rows) == 1 and rows[0] in [answer for _, answer in decided]
        ):  # fmt: skip
            found.double.remove(event_id)
            found.repeated_away.append(event_id)
            if event_id in found.rows_wrong:
                found.rows_wrong.remove(event_id)


def answers_in(url: str, event_ids: Iterable[str]) -> dict[str, list[Answer]]:
    """The rows of these ids in PostgreSQL's table of decisions."""
    sql = "SELECT event_id, action, risk, fallback FROM decisions WHERE event_id = ANY(%s)"
    rows: dict[str, list[Answer]] = {}
    with psycopg.connect(url) as connection:
        for event_id, *answer in connection.execute(sql, (list(event_ids),)).fetchall():
            rows.setdefault(event_id, []).append((answer[0], answer[1], answer[2]))
    return rows


# Windows, recomputed.


@dataclass(frozen=True, slots=True)
class Feature:
    """One window feature in the app file's words."""

    name: str
    entity: int
    length_ns: int
    delay_ns: int
    past: bool
    where: str
    compute: str


def window_features(app: App) -> list[Feature]:
    """The window features that an app declares."""
    entities = list(app.events.entities)
    return [
        Feature(
            name.replace("{length}", text), entities.index(group.entity), int(duration_ns(text)), group.delay or 0,
            group.past, group.where or "", compute,
        )
        for group in app.features.windows for text in group.lengths for name, compute in group.compute.items()
    ]  # fmt: skip


@dataclass(slots=True)
class Past:
    """An entity's events in the order of its log.

    at : (n,) place in the log; time_ns, amount : (n,)
    label_at, label : (n,) where in the log the event's label came, far off where it never did, and what it was
    """

    at: np.ndarray
    time_ns: np.ndarray
    amount: np.ndarray
    label_at: np.ndarray
    label: np.ndarray
    place: dict[int, int]


def past_of(rows: Iterable[tuple[int, int, int, float]], amounts: Mapping[int, float]) -> Past:
    """An entity's past from its log's rows: time, id code, kind, label."""
    at, time_ns, amount, label_at, label = [], [], [], [], []
    place: dict[int, int] = {}
    for k, (moment, code, kind, in_journal) in enumerate(rows):
        if kind == ROUTINE:
            place.setdefault(code, len(at))
            at.append(k), time_ns.append(moment), amount.append(amounts[code])
            label_at.append(2**62), label.append(math.nan)
        elif code in place:  # An outcome of an event that is not there counts for nothing.
            if label_at[place[code]] == 2**62:
                label_at[place[code]] = k
            label[place[code]] = in_journal
    return Past(np.array(at), np.array(time_ns), np.array(amount), np.array(label_at), np.array(label), place)


def recomputed(feature: Feature, past: Past, time_ns: int, amount: float, before: int) -> float:
    """A feature of an event, from what lies in its entity's log before a place."""
    stop = time_ns - feature.delay_ns
    held = (past.at < before) & (past.time_ns > stop - feature.length_ns) & (past.time_ns <= stop)
    times, amounts = past.time_ns[held], past.amount[held]
    labels = np.where(past.label_at[held] < before, past.label[held], np.nan)
    for condition in filter(None, feature.where.split(" and ")):
        kept = {
            "fraud == 1": labels == 1, "fraud == 0": labels == 0, "amount <= 220": amounts <= 220,
        }[condition]  # fmt: skip
        times, amounts, labels = times[kept], amounts[kept], labels[kept]
    if feature.delay_ns == 0 and not feature.past and not feature.where:
        amounts = np.append(amounts, amount)
    kind, argument = re.fullmatch(r"(\w+)(?:\((.*)\))?", feature.compute).groups()
    if kind == "since_last":
        return (time_ns - int(times.max())) / 1e9 if len(times) else math.nan
    if kind == "since_first":
        return (time_ns - int(times.min())) / 1e9 if len(times) else math.nan
    x = {None: amounts, "amount": amounts, "amount ** 2": amounts**2, "fraud": np.nan_to_num(labels)}[argument]
    if kind == "count":
        return float(len(x))
    if kind == "sum":
        return math.fsum(x)
    if kind == "max":
        return float(x.max()) if len(x) else math.nan
    assert kind == "mean"
    return math.fsum(x) / len(x) if len(x) else math.nan


def equal(found: float, expected: float) -> bool:
    """Whether two values of a feature are the same but for rounding."""
    if math.isnan(found) or math.isnan(expected):
        return math.isnan(found) and math.isnan(expected)
    return abs(found - expected) <= _TOLERANCE * max(1.0, abs(expected))


def logs_of(fleet: Fleet) -> dict[tuple[str, int], list[tuple[int, int, int, float]]]:
    """Every entity's log in Redis: rows of time, id code, kind and label, by kind of entity and key."""
    found: dict[tuple[str, int], list[tuple[int, int, int, float]]] = {}
    with redis.Redis.from_url(fleet.redis_url) as client:
        keys = list(client.scan_iter("log:*", count=5000))
        for first in range(0, len(keys), 1000):
            some = keys[first : first + 1000]
            for key, data in zip(some, client.mget(some), strict=True):
                if data is None:
                    continue
                _, entity, one = key.decode().rpartition("{")[2].rstrip("}").split(":")
                width = 8 * ROW_WORDS[entity]
                rows = [struct.unpack_from("<qqqd", data, at) for at in range(16, len(data), width)]
                assert (len(data) - 16) % width == 0
                found[entity, int(one)] = rows
    return found


ROW_WORDS = {"customer": 6, "terminal": 5}  # Set again by `widths`.


def widths(app: App) -> None:
    """How wide the rows of each entity's log are: what the store's version says, asked of the plan."""
    from homeostat.decide.windows.followed import FollowedWindows
    from homeostat.engine.assembly import prepare

    windows = FollowedWindows(prepare(app).features.windows)
    for entity, layout in zip(app.events.entities, windows.layouts, strict=True):
        if layout is not None:
            assert layout.label, "the checker reads the label of each row"
            ROW_WORDS[entity] = layout.words


@dataclass(slots=True)
class Recorded:
    """One journalled decision.

    tag : 64 bits of its event's identity, by which the shared logs name it; see `EventBatch.tag`
    """

    tag: int
    time_ns: int
    keys: tuple[int, ...]
    features: np.ndarray
    freshness: np.ndarray
    risk: float
    action: int
    proposed: int
    rule: int
    fallback: int
    late: bool
    scores: np.ndarray


def journalled(url: str) -> tuple[dict[str, Recorded], tuple[str, ...]]:
    """Every decision in PostgreSQL's journal by event id, and the features' names."""
    found: dict[str, Recorded] = {}
    names: tuple[str, ...] = ()
    with PostgresJournal(url) as journal:
        for entry in journal.read():
            if isinstance(entry.body, DecisionBatch):
                names = entry.body.features.names
                for event_id, one in recorded(entry.body):
                    assert event_id not in found, "journalled twice"
                    found[event_id] = one
    return found, names


def coding_of(url: str) -> Coding:
    """The coding of PostgreSQL's journal: what its ids and keys are hashed with."""
    with PostgresJournal(url) as journal:
        return journal.coding


def tag_of(coding: Coding, event_id: int | str) -> int:
    """The tag of an event: the shared logs mark its rows with these 64 bits of its identity."""
    code, check = coding.identify(event_id)
    return code ^ check


def recorded(body: DecisionBatch) -> Iterable[tuple[str, Recorded]]:
    """The decisions of a batch, one by one."""
    events = body.events
    tags = events.tag
    for row in range(len(body)):
        yield events.id_text(row), Recorded(
            int(tags[row]), int(events.time_ns[row]), tuple(events.keys[row].tolist()),
            body.features.values[row].copy(), body.features.freshness[row].copy(), float(body.fused.risk[row]),
            int(body.ruling.action[row]), int(body.proposal.action[row]), int(body.ruling.rule[row]),
            int(body.fallback[row]), int(events.kind[row]) == Row.LATE_EVENT, body.scores.values[row].copy(),
        )  # fmt: skip


class Windows:
    """The windows of a run, recomputed from the shared logs and from what was sent.

    reach_ns : how far back the windows of each kind of entity look; logs may drop what is older than that
    """

    def __init__(self, fleet: Fleet, sent: Sent, journal: Mapping[str, Recorded]) -> None:
        self.app = load_app(fleet.app)
        widths(self.app)
        self.features = window_features(self.app)
        self.entities = list(self.app.events.entities)
        coding = coding_of(fleet.journal_url)
        self.events = {tag_of(coding, event["event_id"]): event for event in sent.events.values()}
        self.amounts = {code: float(event["amount"]) for code, event in self.events.items()}
        self.rows = logs_of(fleet)
        self.pasts = {place: past_of(rows, self.amounts) for place, rows in self.rows.items()}
        self.reach_ns = [
            max(
                (feature.length_ns + feature.delay_ns for feature in self.features if feature.entity == entity),
                default=0,
            )
            for entity in range(len(self.entities))
        ]
        self._journal, self._skew_ns = journal, fleet.addresses.skew
        self._dropped_ns: dict[tuple[int, int], int] = {}  # By entity: the newest event that its log lacks.
        for one in journal.values():
            for entity, key in enumerate(one.keys):
                past = self.pasts.get((self.entities[entity], key))
                if not one.late and (past is None or one.tag not in past.place):
                    dropped = self._dropped_ns.get((entity, key), -(2**62))
                    self._dropped_ns[entity, key] = max(dropped, one.time_ns)

    def settle(self, event_ids: Iterable[str]) -> None:
        """Take events that two workers decided for late only where no log has them: the two may differ in that."""
        for one in map(self._journal.__getitem__, event_ids):
            pasts = [self.pasts.get((self.entities[entity], key)) for entity, key in enumerate(one.keys)]
            one.late = not any(past is not None and one.tag in past.place for past in pasts)

    def trimmed(self, one: Recorded) -> bool:
        """Whether a window of the decision reaches back to an event that its log has dropped since."""
        return any(
            one.time_ns - self._dropped_ns.get((entity, key), -(2**62)) <= self.reach_ns[entity]
            for entity, key in enumerate(one.keys)
        )

    def wrong(self, one: Recorded, names: tuple[str, ...]) -> list[str]:
        """The window features of a decision that are not what its entities' logs say; not for what was trimmed."""
        column = {name: k for k, name in enumerate(names)}
        found = []
        for feature in self.features:
            past = self.pasts.get((self.entities[feature.entity], one.keys[feature.entity]))
            if past is None or one.tag not in past.place:
                found.append(f"{feature.name}: the event is not in its log")
                continue
            own = past.place[one.tag]
            expected = recomputed(feature, past, one.time_ns, self.amounts[one.tag], int(past.at[own]))
            value = float(one.features[column[feature.name]])
            if not equal(value, expected):
                found.append(f"{feature.name}: {value!r}, not {expected!r}")
        return found

    def twice(self) -> list[str]:
        """Id codes of events that are in a log more than once."""
        events = (Counter(code for _, code, kind, _ in rows if kind == ROUTINE) for rows in self.rows.values())
        return [f"{code} twice" for counts in events for code, count in counts.items() if count > 1]

    def unlogged(self) -> list[str]:
        """Event ids that are not in their entities' logs as they should be.

        An event that no window can look at any more may have been dropped; a late one must not be there.
        """
        found = self.twice()
        for event_id, one in self._journal.items():
            for entity, key in enumerate(one.keys):
                past = self.pasts.get((self.entities[entity], key))
                there = past is not None and one.tag in past.place
                wrong = there == one.late
                if wrong and not one.late and past is not None:
                    oldest, newest = int(past.time_ns.min()), int(past.time_ns.max())
                    wrong = one.time_ns >= min(newest - self.reach_ns[entity] - self._skew_ns, oldest + self._skew_ns)
                if wrong:
                    found.append(event_id)
                    break
        return found
