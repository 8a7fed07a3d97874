"""Bodies of format 1, whose texts were coded without a secret and without checks, in the words of a keyed coding.

Their bytes stay as they are, since an audit trail holds their digests. Their contents are translated by the texts that
they carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import Coding, Identity, IdTexts, is_hashed

Body = TypeVar("Body", bound=DecisionBatch | OutcomeBatch)

Entities = tuple[tuple[str, tuple[str, ...]], ...]
Pairs = Sequence[tuple[int, tuple[int, int]]]
"""For each entity that is a pair of two others: its column, and theirs."""


def pairs_of(entities: Entities) -> Pairs:
    """The pairs among entities."""
    place = {name: column for column, (name, _) in enumerate(entities)}
    return [
        (column, (place[of[0]], place[of[1]]))
        for column, (_, of) in enumerate(entities)
        if len(of) == 2 and set(of) <= place.keys()
    ]


def rekeyed(body: Body, coding: Coding) -> Body:
    """A body as it was decoded (each hashed code with the check 0, its text under both) with identities of a coding.

    A pair is computed of the entities that its names say; one without names keeps its old code. Outcomes that do not
    carry the texts of their events' entities no longer say of whom the events were: whoever needs that finds it by the
    events' ids.
    """
    batch = body.events if isinstance(body, DecisionBatch) else body
    pairs = pairs_of(body.words.entities if isinstance(body, DecisionBatch) else body.entities)
    known = {code: coding.identify(text) for (code, _), text in batch.texts.items()}
    texts: IdTexts = {known[code]: text for (code, _), text in batch.texts.items()}
    id_code, id_check = _translated(batch.id_code, known)
    if isinstance(body, DecisionBatch):
        keys, checks = _translated(body.events.keys, known)
        fill_old_pairs(keys, checks, coding, pairs)
        events = replace(body.events, id_code=id_code, id_check=id_check, keys=keys, key_checks=checks, texts=texts)
        return replace(body, events=events)
    recoded = replace(body, id_code=id_code, id_check=id_check, texts=texts)
    if body.keys is None or body.time_ns is None:
        return recoded
    keys, checks = _translated(body.keys, known)
    fill_old_pairs(keys, checks, coding, pairs)
    if (is_old(keys, checks)).any():
        return replace(recoded, time_ns=None, keys=None, key_checks=None)
    return replace(recoded, keys=keys, key_checks=checks)


def is_old(keys: Int, checks: Int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which codes are hashes of the old coding."""
    found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (keys >= 1 << 62) & (checks == 0)
    return found


def fill_old_pairs(keys: Int, checks: Int, coding: Coding, pairs: Pairs) -> None:
    """Compute the pairs among these keys and checks, (n, entities), where one is of the old coding."""
    for column, of in pairs:
        if is_old(keys[:, column], checks[:, column]).any():
            coding.fill_pair(keys, checks, of, column)


def _translated(codes: Int, known: dict[int, Identity]) -> tuple[Int, Int]:
    """Codes and checks, of arrays of one shape; what is not known keeps its code, with a check of 0."""
    new, checks = np.array(codes, np.int64, order="C"), np.zeros(codes.shape, np.int64)
    flat, its = new.reshape(-1), checks.reshape(-1)
    for at in np.flatnonzero(flat >= 1 << 62).tolist():
        found = known.get(flat.item(at))
        if found is not None:
            assert is_hashed(found[0]), "what was hashed is hashed"
            flat[at], its[at] = found
    return new, checks
