"""An app file drafted from a file of events: what its columns seem to be, with windows and rules to begin with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from homeostat.adapters.disk.event_lines import EventFileError
from homeostat.adapters.disk.event_samples import sample_events
from homeostat.jobs.drafting_outcomes import Reported, reported, seconds_of
from homeostat.jobs.profiles import Profile, Role, profile

ROWS_MAX = 200_000  # Rows that are looked at.
_LENGTHS = (("1m", 60), ("10m", 600), ("1h", 3_600), ("1d", 86_400), ("7d", 604_800), ("30d", 2_592_000))
_FIELDS = {Role.NUMBER: "number", Role.INTEGER: "integer", Role.BOOLEAN: "boolean", Role.CATEGORY: "category"}
_NAME = re.compile(r"[^a-z0-9]+")
_RESERVED = frozenset({"time", "risk", "true", "false", "none", "and", "or", "not", "in", "if", "else"})


@dataclass(frozen=True, slots=True)
class Draft:
    """An app file, and what was made of each column of the events.

    text : the file's content
    columns : every column of the events, in their order
    labelled : whether the events, or a file of outcomes, say how events turned out
    """

    text: str
    columns: tuple[Profile, ...]
    labelled: bool


def draft(path: Path, app: str, outcomes: Path | None = None) -> Draft:
    """An app file for the events of a file, that loads and decides as it is.

    outcomes : a file of them, from which the draft takes how long they take, and whether good ones are reported too
    Raises EventFileError where a file can't be read, has nothing that could be an id, a time or an entity, or where
    outcomes do not fit the events.
    """
    table = sample_events(path, ROWS_MAX)
    if not len(table):
        raise EventFileError(f"{path} has no rows to draft an app from")
    columns = tuple(profile(table))
    writer = _Writer(path, app, columns, table)
    if outcomes is not None:
        ids, event_s = table[writer.id.name], seconds_of(table[writer.time.name])
        writer.reported = reported(outcomes, writer.id.name, writer.time.name, ids, event_s)
    labelled = writer.label is not None or outcomes is not None
    return Draft("\n".join(writer.lines()) + "\n", columns, labelled)


class _Writer:
    def __init__(self, path: Path, app: str, columns: Sequence[Profile], table: pa.Table) -> None:
        self.path, self.app, self.columns = path, app, columns
        self.id, self.time = self._needed(Role.ID), self._needed(Role.TIME)
        self.entities = [one for one in columns if one.role is Role.ENTITY]
        if not self.entities:
            raise EventFileError(
                f"{path} has no column whose keys come again, so nothing has a past to look at: name the columns "
                f"yourself in the file that `homeostat init` writes. {_seen(columns)}"
            )
        self.fields = [one for one in columns if one.role in _FIELDS]
        self.label = next((one for one in columns if one.role is Role.LABEL), None)
        self.names = _names([self.id, self.time, *self.entities, *self.fields, *([self.label] if self.label else [])])
        self.lengths = {one.name: _lengths(table, self.time, one) for one in self.entities}
        self.reported: Reported | None = None

    def _needed(self, role: Role) -> Profile:
        found = next((one for one in self.columns if one.role is role), None)
        if found is None:
            raise EventFileError(
                f"{self.path} has no column that looks like the {role.value} of an event: add one, or name it "
                f"yourself in the file that `homeostat init` writes. {_seen(self.columns)}"
            )
        return found

    def lines(self) -> Iterator[str]:
        yield f"# Drafted from {_scalar(self.path.name)}: read it through: a draft guesses what columns mean."
        yield "homeostat: 1"
        yield f"app: {self.app}"
        yield ""
        yield from self._events()
        yield from self._features()
        yield from self._scorers()
        yield from self._guards()

    def _column(self, one: Profile, more: str = "", named: bool = False) -> str:
        """A flow mapping with the column's name in the file, where ours differs.

        named : whether the mapping also holds our name, which stands before it elsewhere
        """
        name = f"name: {self.names[one.name]}" if named else ""
        alias = "" if self.names[one.name] == one.name else f"aliases: [{_scalar(one.name)}]"
        return "{" + ", ".join(part for part in (name, alias, more) if part) + "}"

    def _events(self) -> Iterator[str]:
        yield "events:"
        yield f"  id: {self._column(self.id, named=True)}  # {self.id.why}"
        yield f"  time: {self._column(self.time, named=True)}  # {self.time.why}, UTC where no zone is given"
        yield "  entities:  # Who or what has a past."
        for one in self.entities:
            more = "required: false" if one.nulls else ""
            yield f"    {self.names[one.name]}: {self._column(one, more)}  # {one.why}"
        if self.fields:
            yield "  fields:"
        for one in self.fields:
            more = f"type: {_FIELDS[one.role]}" + (", required: false" if one.nulls else "")
            yield f"    {self.names[one.name]}: {self._column(one, more)}  # {one.why}"
        if self.label is not None:
            yield f"  label: {self._column(self.label, named=True)}  # {self.label.why}"
        yield "  lateness: 10s  # Events may arrive this much out of order and still count in their place."
        for one in self.columns:
            if one.role is Role.UNUSED:
                yield f"  # {_scalar(one.name)} is not used: {one.why}"
        yield ""

    def _features(self) -> Iterator[str]:
        yield "features:"
        yield "  windows:  # Exact aggregates over (t - length, t], the event itself included."
        amounts = [one for one in self.fields if one.role in (Role.NUMBER, Role.INTEGER)][:3]
        kinds = [one for one in self.fields if one.role is Role.CATEGORY][:2]
        for entity in self.entities:
            name = self.names[entity.name]
            yield f"    - entity: {name}"
            yield f"      lengths: [{', '.join(self.lengths[entity.name])}]"
            yield "      compute:"
            yield f"        {name}_count_{{length}}: count"
            for one in amounts:
                field = self.names[one.name]
                yield f"        {name}_mean_{field}_{{length}}: mean({field})"
            for one in kinds:
                field = self.names[one.name]
                yield f"        {name}_{field}s_{{length}}: distinct({field})"
            yield f"    - entity: {name}"
            yield f"      lengths: [{self.lengths[entity.name][-1]}]"
            yield "      past: true  # Without the event itself."
            yield "      compute:"
            yield f"        {name}_since_last: since_last"
        yield "  derived:"
        yield "    night: hour(time) < 6"
        entity, longest = self.entities[0], self.lengths[self.entities[0].name][-1]
        for one in amounts[:1]:
            name, field = self.names[entity.name], self.names[one.name]
            usual = f"{name}_mean_{field}_{longest}"
            yield f"    {field}_ratio: {field} / max(1, abs(default({usual}, {field})))"
        yield ""

    def _scorers(self) -> Iterator[str]:
        entity = self.entities[0]
        first = f"{self.names[entity.name]}_count_{self.lengths[entity.name][0]}"
        yield "scorers:"
        yield "  rules:"
        yield "    kind: rules"
        yield "    rules:  # Put in numbers of your own."
        yield f"      - {{name: burst, when: {first} >= 20, score: 0.6}}"
        yield "# Models learn from outcomes: take the # away, then use `homeostat train` or `replay --train-until`."
        yield "#  forest: {kind: isolation_forest}"
        yield "#  trees: {kind: boosted_trees}"
        yield ""
        yield "fusion: {kind: weighted}  # `learned` once there are models."
        yield "actions: [allow, review, block]  # From the mildest to the harshest."
        yield "costs:  # What each action costs by outcome, in your currency. Put in numbers of your own."
        yield "  allow: {positive: 100, negative: 0}"
        yield "  review: {positive: 5, negative: 5}"
        yield "  block: {positive: 0, negative: 20}"
        yield "policy: {kind: thresholds}"
        yield ""

    def _guards(self) -> Iterator[str]:
        name = self.names[self.entities[0].name]
        yield "guards:  # The deterministic last word: no model overrides a rule."
        yield "  lists:"
        yield f"    denied: {{of: {name}, entries: []}}"
        yield "  rules:"
        yield f"    - {{name: denied, when: {name} in denied, action: block, priority: 100}}"
        yield "  breakers:"
        yield "    - {action: block, share_max: 0.1, over: 1h, events_min: 200, instead: review}"
        yield "  fallback: {scorers_absent: allow, policy: thresholds, deadline: allow}"
        yield ""
        yield "outcomes:"
        label = self.names[self.label.name] if self.label else "bad"
        if self.reported is not None and self.label is None and self.reported.label != "label":
            label = self.reported.label
        yield f"  label: {label}  # What a positive outcome is called."
        if self.reported is not None:
            yield from self.reported.lines()
        else:
            if self.label is not None:
                yield "  # delay: 7d  # How long after its event that column is known; without it, at once."
            yield "  horizon: 30d  # Outcomes come within this time. Put in what is true for yours."
            yield "  unknown: negative  # No report within the horizon means that all was well."
        yield "  censoring: [block]  # Nobody learns what a blocked event would have become."


def _names(columns: Sequence[Profile]) -> dict[str, str]:
    """A name of the language for each column, each of its own."""
    names: dict[str, str] = {}
    for one in columns:
        plain = _NAME.sub("_", one.name.lower()).strip("_") or "column"
        plain = re.sub(r"^(\d)", r"c\1", plain)
        if one.role is Role.ENTITY:
            plain = plain.removesuffix("_id") or plain
        if plain in _RESERVED and one.role not in (Role.ID, Role.TIME):
            plain += "_value"
        if f"{plain}_".startswith("score_") and one.role not in (Role.ID, Role.TIME):
            plain = f"own_{plain}"  # Features are named after their columns, and score_... are the scorers'.
        name, number = plain, 2
        while name in names.values():
            name, number = f"{plain}_{number}", number + 1
        names[one.name] = name
    return names


def _scalar(text: str) -> str:
    """A text as YAML would write it within a line, plain where that reads as the same text."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) and yaml.safe_load(text) == text:
        return text
    return str(yaml.safe_dump(text, default_style='"', width=10**6)).strip()


def _lengths(table: pa.Table, time: Profile, entity: Profile) -> list[str]:
    """Three window lengths: the shortest that holds a second event of a usual key, and longer ones within the data."""
    when = seconds_of(table[time.name])
    known = ~np.isnan(when)
    if not known.any():
        return ["1h", "1d", "7d"]
    span = float(np.nanmax(when) - np.nanmin(when))
    events = (entity.rows - entity.nulls) / max(1, entity.distinct)
    gap = span / max(1.0, events)
    fitting = [name for name, seconds in _LENGTHS if seconds >= gap / 30 and seconds <= max(span, 3_600)]
    return fitting[:3] or ["1h", "1d", "7d"]


def _seen(columns: Sequence[Profile]) -> str:
    return "Its columns: " + ", ".join(f"{one.name} ({one.role.value})" for one in columns)
