"""The schemas of bodies: which columns a body has, in which order, and the names that they stand for.

A schema is a JSON text, named by its SHA-256. A body holds that hash only; who keeps bodies keeps each schema once
beside them (`Schemas`). The text of decisions::

    {"actions":[...],"columns":[["events.id_code","<i8",""],["events.keys","<i8","entities"],...],"entities":[["customer",
     []],...],"features":[...],"fields":[["amount","number"],...],"kind":"decisions","rules":[["name","reason"],...],
     "scorers":[...],"software":"homeostat 0.1.0"}

A column names its type, and the list whose names its parts stand for; a column without one has one value a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from homeostat.records.identity import Coding
from homeostat.records.vocabulary import NAMELESS, Vocabulary, numbered

DECISIONS, OUTCOMES, CHANGES = 1, 2, 3
KINDS = {DECISIONS: "decisions", OUTCOMES: "outcomes", CHANGES: "changes"}
DIGEST_BYTES = 32
_F8, _I8, _U8, _I2, _U1 = "<f8", "<i8", "<u8", "<i2", "|u1"

Columns = tuple[tuple[str, str, str], ...]

# Name, type, and the list whose names the parts of a wide column stand for. Those of 8 bytes a value come first:
# nothing needs to follow them to keep the next column aligned.
DECISION_COLUMNS: Columns = (
    ("events.id_code", _I8, ""), ("events.time_ns", _I8, ""), ("events.keys", _I8, "entities"),
    ("events.numbers", _F8, "fields"), ("events.label", _F8, ""), ("features.values", _F8, "features"),
    ("scores.values", _F8, "scorers"), ("scores.confidence", _F8, "scorers"), ("fused.risk", _F8, ""),
    ("fused.contributions", _F8, "scorers"), ("proposal.propensity", _F8, "actions"), ("ruling.hits", _U8, ""),
    ("events.id_check", _I8, ""), ("events.key_checks", _I8, "entities"),
    ("proposal.action", _I2, ""), ("ruling.action", _I2, ""), ("ruling.rule", _I2, ""), ("events.kind", _U1, ""),
    ("features.freshness", _U1, "features"), ("scores.fallback", _U1, ""), ("proposal.explored", _U1, ""),
    ("proposal.fallback", _U1, ""), ("fallback", _U1, ""),
)  # fmt: skip
# How far decided events reach; there where that is not the time of each.
REACH_COLUMNS: Columns = (("events.reach_ns", _I8, ""),)
# Events as they came, and which are copies; there where a repair altered any.
CAME_COLUMNS: Columns = (("came.time_ns", _I8, ""), ("came.numbers", _F8, "fields"), ("came.copy", _U1, ""))
# Which decisions a canary made; there while one decides.
CANARY_COLUMNS: Columns = (("arm", _U1, ""),)
OUTCOME_COLUMNS: Columns = (
    ("id_code", _I8, ""), ("label", _F8, ""), ("known_ns", _I8, ""), ("amount", _F8, ""),
    ("id_check", _I8, ""),
)  # fmt: skip
# The columns of outcomes that say when and of whom their events were; each is there or not.
LOCATED_COLUMNS: Columns = (("time_ns", _I8, ""), ("keys", _I8, "entities"), ("key_checks", _I8, "entities"))
# The columns of changes; all else that a change says is JSON beside them.
CHANGE_COLUMNS: Columns = (("change.number", _I8, ""), ("change.at_ns", _I8, ""))


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema. Equal where its text is.

    widths : (columns) how many values a row has in each, 0 for a column that is not wide
    narrow : the places of columns whose values have fewer than 8 bytes
    one_row : the columns' shapes in a batch of one row
    """

    text: str
    digest: bytes
    kind: int
    columns: Columns
    words: Vocabulary
    features: tuple[str, ...]
    scorers: tuple[str, ...]
    dtypes: tuple[np.dtype[Any], ...] = field(repr=False)
    widths: tuple[int, ...] = field(repr=False)
    narrow: tuple[int, ...] = field(init=False, repr=False)
    one_row: tuple[tuple[int, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        one_row = tuple((1, width) if of else (1,) for (_, _, of), width in zip(self.columns, self.widths))
        object.__setattr__(self, "one_row", one_row)
        narrow = tuple(at for at, dtype in enumerate(self.dtypes) if dtype.itemsize < 8)
        object.__setattr__(self, "narrow", narrow)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=256)
def decision_schema(
    words: Vocabulary,
    features: tuple[str, ...],
    scorers: tuple[str, ...],
    entities: int,
    fields: int,
    actions: int,
    reach: bool = False,
    canary: bool = False,
    came: bool = False,
) -> Schema:
    """The schema of decisions with so many entities, fields and actions.

    reach : whether they say how far their events reach
    canary : whether they say which of them a canary made
    came : whether they say how their events came
    Raises ValueError where the words name another number of them.
    """
    if words.nameless:
        named = numbered(entities, fields, actions)
        words = Vocabulary(named.entities, named.fields, named.actions, (), words.software)
    elif not words.fits(entities, fields, actions):
        raise ValueError(
            f"decisions with {entities} entities, {fields} fields and {actions} actions are named by "
            f"{len(words.entities)}, {len(words.fields)} and {len(words.actions)} names"
        )
    columns = DECISION_COLUMNS + REACH_COLUMNS * reach + CAME_COLUMNS * came + CANARY_COLUMNS * canary
    return _made(DECISIONS, columns, words, features, scorers)


@lru_cache(maxsize=64)
def outcome_schema(entities: tuple[tuple[str, tuple[str, ...]], ...], timed: bool, width: int | None) -> Schema:
    """The schema of outcomes.

    entities : what the columns of their keys stand for
    timed : whether they say when their events were
    width : how many keys they have, None where they say none
    """
    columns = OUTCOME_COLUMNS + LOCATED_COLUMNS[:1] * timed + LOCATED_COLUMNS[1:] * (width is not None)
    if width is None:
        entities = ()
    elif not entities:
        entities = numbered(width, 0, 0).entities
    elif len(entities) != width:
        raise ValueError(f"outcomes with keys of {width} entities are named by {len(entities)} names")
    return _made(OUTCOMES, columns, Vocabulary(entities), (), ())


@lru_cache(maxsize=1)
def change_schema() -> Schema:
    """The schema of changes, which is the same for every app."""
    return _made(CHANGES, CHANGE_COLUMNS, NAMELESS, (), ())


def _made(
    kind: int, columns: Columns, words: Vocabulary, features: tuple[str, ...], scorers: tuple[str, ...]
) -> Schema:
    return read_schema(json.dumps({
        "actions": words.actions, "columns": columns, "entities": words.entities, "features": features,
        "fields": words.fields, "kind": KINDS[kind], "rules": words.rules, "scorers": scorers,
        "software": words.software,
    }, separators=(",", ":"), sort_keys=True))  # fmt: skip


def read_schema(text: str) -> Schema:
    """The schema of a text. Raises ValueError where it is none that this version can read."""
    try:
        data = json.loads(text)
        kind = {name: number for number, name in KINDS.items()}[data["kind"]]
        columns = tuple((str(name), str(code), str(of)) for name, code, of in data["columns"])
        features, scorers = tuple(map(str, data["features"])), tuple(map(str, data["scorers"]))
        words = _words(data)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("the schema cannot be read") from error
    every = (
        *DECISION_COLUMNS, *REACH_COLUMNS, *CAME_COLUMNS, *CANARY_COLUMNS, *OUTCOME_COLUMNS, *LOCATED_COLUMNS,
        *CHANGE_COLUMNS,
    )  # fmt: skip
    known = {name: (code, of) for name, code, of in every}
    for name, code, of in columns:
        if known.get(name) != (code, of):
            raise ValueError(
                f"the schema has a column {name} of type {code} by {of or 'row'}: a newer version wrote it"
            )
    sizes = {
        "": 0, "entities": len(words.entities), "fields": len(words.fields), "actions": len(words.actions),
        "features": len(features), "scorers": len(scorers),
    }  # fmt: skip
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    return Schema(
        text, digest, kind, columns, words, features, scorers,
        tuple(np.dtype(code) for _, code, _ in columns), tuple(sizes[of] for _, _, of in columns),
    )  # fmt: skip


def words_text(words: Vocabulary) -> str:
    """A vocabulary as JSON, for a keeper of bodies of format 1."""
    return json.dumps({
        "actions": words.actions, "entities": words.entities, "fields": words.fields, "rules": words.rules,
        "software": words.software,
    }, separators=(",", ":"), sort_keys=True)  # fmt: skip


def read_words(text: str) -> Vocabulary:
    """The vocabulary of such a text. Raises ValueError where it is none."""
    try:
        return _words(json.loads(text))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("the names cannot be read") from error


def _words(data: dict[str, Any]) -> Vocabulary:
    return Vocabulary(
        tuple((str(name), tuple(map(str, pair))) for name, pair in data["entities"]),
        tuple((str(name), str(kind)) for name, kind in data["fields"]),
        tuple(map(str, data["actions"])),
        tuple((str(name), None if why is None else str(why)) for name, why in data["rules"]),
        str(data["software"]),
    )


def spoken(words: Vocabulary) -> Vocabulary:
    """The vocabulary that a batch had when it was written: none, where its columns were numbered for want of names."""
    named = numbered(len(words.entities), len(words.fields), len(words.actions))
    if words.rules or (words.entities, words.fields, words.actions) != (named.entities, named.fields, named.actions):
        return words
    return NAMELESS if not words.software else Vocabulary(software=words.software)


class Schemas:
    """The schemas that some keeper of bodies knows, by hash.

    legacy : the names of bodies of format 1, which hold none; nothing where that is not known
    coding : by which the ids and keys of bodies of format 1 are named once read; None leaves them as they were
    ask : the text of a schema by its hash, for one that others have kept meanwhile; None where it is not there
    """

    def __init__(
        self,
        texts: Iterable[str] = (),
        legacy: Vocabulary = NAMELESS,
        ask: Callable[[bytes], str | None] | None = None,
        coding: Coding | None = None,
    ) -> None:
        self.legacy, self.coding = legacy, coding
        self._ask = ask
        self._known: dict[bytes, Schema] = {}
        for text in texts:
            self.add(read_schema(text))

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def __iter__(self) -> Iterator[Schema]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def add(self, schema: Schema) -> None:
        """Know a schema from now on."""
        self._known[schema.digest] = schema

    def find(self, digest: bytes) -> Schema:
        """Raises ValueError where a body's schema is not known."""
        found = self._known.get(digest)
        if found is not None:
            return found
        text = None if self._ask is None else self._ask(digest)
        if text is None:
            raise ValueError(f"the schema {digest.hex()[:16]} that the body names is not kept beside it")
        schema = read_schema(text)
        if schema.digest != digest:
            raise ValueError(f"the schema {digest.hex()[:16]} that the body names was changed")
        self.add(schema)
        return schema
