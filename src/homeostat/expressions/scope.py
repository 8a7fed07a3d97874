"""The names that an expression may use, and the error of a wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from homeostat.errors import HomeostatError


class Type(StrEnum):
    """The type of an expression's value. TEXT is a literal that has not met a category or an entity yet; UNKNOWN is
    what has a fault of its own, so that what is made of it can't be judged."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    ENTITY = "entity"
    TIME = "time"
    TEXT = "text"
    UNKNOWN = "unknown"


class ExpressionError(HomeostatError, ValueError):
    """An expression has a fault.

    message : a sentence for the author of the expression.
    offset : the character at which it goes wrong, from 0.
    nearest : what was probably meant, if anything comes near.
    all : this and the expression's other faults, in their order.
    """

    why = "expressions are checked against the app's fields and features when it is loaded"
    remedy = "Correct the expression; docs/expressions.md lists the language"

    def __init__(self, message: str, offset: int = 0, nearest: str | None = None) -> None:
        self.message, self.offset, self.nearest = message, offset, nearest
        self.all: tuple[ExpressionError, ...] = (self,)
        hint = f" (did you mean {nearest}?)" if nearest else ""
        super().__init__(f"column {offset + 1}: {message}{hint}")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name's type and place.

    slot : the column of the frame (numbers, booleans, categories) or of the keys (entities); unused for time.
    """

    type: Type
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that an expression may use.

    lists : name -> (index in the `Membership`, the entity or category whose members it lists).
    """

    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    lists: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        columns: Iterable[tuple[str, Type]],
        entities: Sequence[str] = (),
        lists: Mapping[str, tuple[int, str]] | None = None,
        time: str | None = "time",
    ) -> Scope:
        """The scope of a frame with these columns in order, keys of these entities, and the event's time.

        >>> Scope.of([("amount", Type.NUMBER)], ["customer"]).symbols["customer"]
        Symbol(type=<Type.ENTITY: 'entity'>, slot=0)
        """
        symbols = {name: Symbol(Type.ENTITY, slot) for slot, name in enumerate(entities)}
        symbols |= {name: Symbol(kind, slot) for slot, (name, kind) in enumerate(columns)}
        if time is not None:
            symbols.setdefault(time, Symbol(Type.TIME))
        return cls(symbols, lists or {})


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that comes nearest to a misspelt one, if any comes near.

    >>> nearest_name("amuont", ["amount", "count"])
    'amount'
    """
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
