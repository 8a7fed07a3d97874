"""The names that a decision was made in: what its columns and numbers stand for."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names in the order of the columns and numbers that they stand for. Compared by content, hashed once.

    entities : the columns of `EventBatch.keys`, each with the two entities that it is a pair of, or none
    fields : the columns of `EventBatch.numbers`, each with its type
    actions : what `Proposal.action`, `Ruling.action` and the columns of `Proposal.propensity` stand for
    rules : name and reason of each guard rule: what `Ruling.rule` and the bits of `Ruling.hits` stand for
    software : the program that decided
    """

    entities: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    actions: tuple[str, ...] = ()
    rules: tuple[tuple[str, str | None], ...] = ()
    software: str = ""
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        # A decision looks its schema up by this many times a second: hashing all the texts each time would be felt.
        value = hash((self.entities, self.fields, self.actions, self.rules, self.software))
        object.__setattr__(self, "_hash", value)

    def __hash__(self) -> int:
        return self._hash

    @property
    def nameless(self) -> bool:
        """Whether nothing is named at all."""
        return not (self.entities or self.fields or self.actions or self.rules)

    def fits(self, entities: int, fields: int, actions: int) -> bool:
        """Whether a batch with so many columns can have been made in these names."""
        return (len(self.entities), len(self.fields), len(self.actions)) == (entities, fields, actions)

    def action(self, number: int) -> str:
        """An action's name; its number where it has none.

        >>> Vocabulary(actions=("allow",)).action(0), Vocabulary().action(2)
        ('allow', '#2')
        """
        return self.actions[number] if 0 <= number < len(self.actions) else f"#{number}"

    def rule(self, number: int) -> str:
        """A rule's name; its number where it has none."""
        return self.rules[number][0] if 0 <= number < len(self.rules) else f"#{number}"


NAMELESS = Vocabulary()
"""Of batches that nobody named: made by hand, or written before format 2."""


def numbered(entities: int, fields: int, actions: int) -> Vocabulary:
    """A vocabulary of so many columns that knows no names but their numbers.

    >>> numbered(1, 0, 2).actions
    ('#0', '#1')
    """
    return Vocabulary(
        tuple((f"#{k}", ()) for k in range(entities)), tuple((f"#{k}", "number") for k in range(fields)),
        tuple(f"#{k}" for k in range(actions)),
    )  # fmt: skip
