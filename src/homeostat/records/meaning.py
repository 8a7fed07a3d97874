"""The meaning of what a part of the loop remembers: whether a state that it saved still means the same to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Meaning:
    """One part's.

    digest : the same where a state may be taken over as it is
    terms : for people, name -> definition
    """

    digest: str
    terms: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"digest": self.digest, "terms": dict(self.terms)}

    @classmethod
    def of_json(cls, value: Any) -> Meaning:
        """The value that `as_json` gave. Raises ValueError where it is something else."""
        try:
            terms = {str(name): str(text) for name, text in value["terms"].items()}
            return cls(str(value["digest"]), terms)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("what the state means can't be read") from error

    def differences(self, was: Meaning) -> list[str]:
        """How this differs from what it was, in words.

        >>> Meaning("b", {"n": "count over 2h"}).differences(Meaning("a", {"n": "count over 1h", "m": "sum"}))
        ['n is now "count over 2h", and was "count over 1h"', 'm is no more']
        """
        found = []
        for name, text in self.terms.items():
            if name not in was.terms:
                found.append(f"{name} is new")
            elif was.terms[name] != text:
                found.append(f'{name} is now "{text}", and was "{was.terms[name]}"')
        found += [f"{name} is no more" for name in was.terms if name not in self.terms]
        return found or ["its order is another"]


def follows(part: str, is_now: Meaning, was: Meaning | None) -> bool:
    """Whether a part's state may be taken over.

    >>> follows("policy", Meaning("a"), Meaning("a")), follows("policy", Meaning("a"), Meaning("b"))
    (True, False)
    """
    if was is None:
        return False
    if part == "guards":  # Each breaker's counts are its own.
        return is_now.terms.keys() <= was.terms.keys()
    return is_now.digest == was.digest
