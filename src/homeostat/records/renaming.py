"""Records made under one app's names, in the columns and numbers of another: by name, never by position."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float, Int
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.identity import ABSENT, Coding
from homeostat.records.vocabulary import Vocabulary

Entities = tuple[tuple[str, tuple[str, ...]], ...]
UNNAMED = -1  # A number that stands for nothing in the other names.
_ALIKE = frozenset({"number", "integer", "boolean"})  # Numbers all of them, whatever their declared type.


class Unnamed(HomeostatError, ValueError):
    """The record has no names, and its columns are not as many as the app has."""

    why = "an old record holds numbered columns, which fit only an app with as many"
    remedy = "Use the app file that wrote it"


def is_same_field(one: str, other: str) -> bool:
    """Whether a field of one type, declared again as another, still holds the same values.

    >>> is_same_field("integer", "number"), is_same_field("category", "number")
    (True, False)
    """
    return one == other or (one in _ALIKE and other in _ALIKE)


def keys_as(keys: Int, checks: Int, was: Entities, now: Entities, coding: Coding) -> tuple[Int, Int]:
    """(n, entities) keys and their checks in the columns of `now`; ABSENT where there was no such entity.

    A pair is computed of its entities where there was none of the same two.
    Raises Unnamed.
    """
    if was == now or not now:
        return keys, checks
    if not was or was[0][0].startswith("#"):
        if keys.shape[1] != len(now):
            raise Unnamed(f"keys of {keys.shape[1]} entities have no names, and the app has {len(now)} entities")
        return keys, checks
    at = {entity: column for column, entity in enumerate(was)}
    out, out_checks = np.full((len(keys), len(now)), ABSENT, np.int64), np.zeros((len(keys), len(now)), np.int64)
    for column, entity in enumerate(now):
        if entity in at:
            out[:, column], out_checks[:, column] = keys[:, at[entity]], checks[:, at[entity]]
    place = {name: column for column, (name, _) in enumerate(now)}
    for column, entity in enumerate(now):
        if entity[1] and entity not in at:
            first, second = (place[name] for name in entity[1])
            coding.fill_pair(out, out_checks, (first, second), column)
    return out, out_checks


def numbers_as(numbers: Float, was: tuple[tuple[str, str], ...], now: tuple[tuple[str, str], ...]) -> Float:
    """(n, fields) values in the columns of `now`; NaN where there was no such field, or one of another kind.

    Raises Unnamed.
    """
    if was == now:
        return numbers
    if not was and numbers.shape[1]:
        if numbers.shape[1] != len(now):
            raise Unnamed(f"values of {numbers.shape[1]} fields have no names, and the app has {len(now)} fields")
        return numbers
    at = {name: (column, kind) for column, (name, kind) in enumerate(was)}
    out = np.full((len(numbers), len(now)), np.nan)
    for column, (name, kind) in enumerate(now):
        found = at.get(name)
        if found is not None and is_same_field(found[1], kind):
            out[:, column] = numbers[:, found[0]]
    return out


def events_as(events: EventBatch, was: Vocabulary, now: Vocabulary, coding: Coding) -> EventBatch:
    """Recorded events in the columns of another app. Raises Unnamed."""
    if now.nameless:
        return events
    keys, checks = keys_as(events.keys, events.key_checks, was.entities, now.entities, coding)
    numbers = numbers_as(events.numbers, was.fields, now.fields)
    if keys is events.keys and numbers is events.numbers:
        return events
    came = events.came
    if came is not None:
        came = replace(came, numbers=numbers_as(came.numbers, was.fields, now.fields))
    return replace(events, keys=keys, key_checks=checks, numbers=numbers, came=came)


def outcomes_as(outcomes: OutcomeBatch, now: Entities, coding: Coding) -> OutcomeBatch:
    """Recorded outcomes in the columns of another app. Raises Unnamed."""
    if outcomes.keys is None or outcomes.key_checks is None or outcomes.entities == now:
        return outcomes
    keys, checks = keys_as(outcomes.keys, outcomes.key_checks, outcomes.entities, now, coding)
    return replace(outcomes, keys=keys, key_checks=checks, entities=now)


@lru_cache(maxsize=64)
def _numbers_of(was: tuple[str, ...], now: tuple[str, ...]) -> Int:
    """For each name of `was` its number in `now`, UNNAMED where it has none; then for numbers without a name."""
    place = {name: number for number, name in enumerate(now)}
    found = np.array([place.get(name, UNNAMED) for name in was] + [UNNAMED], np.int64)
    found.flags.writeable = False
    return found


def _renumbered(numbers: Int, was: tuple[str, ...], now: tuple[str, ...]) -> Int:
    """Numbers of names in the numbers of others; negative ones mean the same everywhere."""
    table = _numbers_of(was, now)
    inside = np.minimum(numbers, len(was))
    return np.where(numbers < 0, numbers, table[np.maximum(inside, 0)])


def decisions_as(was: DecisionBatch, now: Vocabulary, scorers: tuple[str, ...], coding: Coding) -> DecisionBatch:
    """Recorded decisions in the columns and numbers of another app; features stay as they were served.

    An action that is no more has the number UNNAMED, a rule that is no more one above all others; a scorer that is new
    is missing.
    Raises Unnamed.
    """
    events = events_as(was.events, was.words, now, coding)
    if (was.words == now or now.nameless) and was.scores.names == scorers:
        return was if events is was.events else replace(was, events=events)
    n = len(was)
    if not was.words.actions and was.proposal.propensity.shape[1] != len(now.actions):
        raise Unnamed(f"decisions among {was.proposal.propensity.shape[1]} actions have no names, the app has others")
    actions = was.words.actions or now.actions
    rules = tuple(name for name, _ in was.words.rules or now.rules)
    propensity = np.zeros((n, len(now.actions)))
    for number, place in enumerate(_numbers_of(actions, now.actions)[:-1].tolist()):
        if place >= 0:
            propensity[:, place] = was.proposal.propensity[:, number]
    proposed = _renumbered(was.proposal.action.astype(np.int64), actions, now.actions).astype(np.int16)
    taken = _renumbered(was.ruling.action.astype(np.int64), actions, now.actions).astype(np.int16)
    here = tuple(name for name, _ in now.rules)
    decided = was.ruling.rule.astype(np.int64)
    renumbered = _renumbered(decided, rules, here)
    # A rule that is no more still is the reason: it must not look as if the policy alone had decided.
    rule = np.where((decided >= 0) & (renumbered == UNNAMED), len(here), renumbered).astype(np.int16)
    hits = np.zeros(n, np.uint64)
    for number, place in enumerate(_numbers_of(rules, here)[:-1].tolist()):
        if place >= 0:
            hits |= (was.ruling.hits >> np.uint64(number) & np.uint64(1)) << np.uint64(place)
    scores, contributions = _scores_as(was, scorers)
    return replace(
        was, events=events, scores=scores, fused=Fused(was.fused.risk, contributions),
        proposal=Proposal(proposed, propensity, was.proposal.explored, was.proposal.fallback),
        ruling=Ruling(taken, rule, hits), words=now,
    )  # fmt: skip


def _scores_as(was: DecisionBatch, scorers: tuple[str, ...]) -> tuple[Scores, Float]:
    old, n = was.scores, len(was)
    if old.names == scorers:
        return old, was.fused.contributions
    values, confidence, contributions = np.full((n, len(scorers)), np.nan), np.zeros((n, len(scorers))), np.zeros(
        (n, len(scorers))
    )  # fmt: skip
    at = {name: column for column, name in enumerate(old.names)}
    for column, name in enumerate(scorers):
        if name in at:
            values[:, column], confidence[:, column] = old.values[:, at[name]], old.confidence[:, at[name]]
            contributions[:, column] = was.fused.contributions[:, at[name]]
    return Scores(scorers, values, confidence, old.fallback), contributions
