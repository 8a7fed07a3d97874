"""The library: versions of an app's models that are kept, each of which could decide in the champion's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """One version.

    version : its name; empty for the one that decides where none is deployed
    made_ns : from when on it could decide, in event time; 0 for a version from before all that is remembered
    taught_ns : it has learned from events up to this time; 0 where nobody knows
    held_out : the share of the first entity's keys from whose events it has not learned, see `stats.held_out`
    """

    version: str
    made_ns: int = 0
    taught_ns: int = 0
    held_out: float = 0.0


@dataclass(frozen=True, slots=True)
class Library:
    """The versions of an app at a moment.

    champion : the one that decides; empty as in `KeptVersion`
    now_ns : event time
    """

    versions: Sequence[KeptVersion] = ()
    champion: str = ""
    now_ns: int = 0

    def others(self) -> list[KeptVersion]:
        """Those that do not decide now, the newest first.

        >>> made = [KeptVersion(""), KeptVersion("a1", 5), KeptVersion("b2", 9)]
        >>> [one.version for one in Library(made, champion="a1").others()]
        ['b2', '']
        """
        found = [one for one in self.versions if one.version != self.champion]
        return sorted(found, key=lambda one: one.made_ns, reverse=True)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a training.

    version : that it made; empty where it failed
    why : in a sentence
    """

    version: str
    why: str
