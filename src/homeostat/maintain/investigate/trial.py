"""The result of tests of causes that somebody proposes: made as in an investigation, and kept out of findings."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.records.findings import Evidence, Finding


@dataclass(frozen=True, slots=True)
class Tried:
    """One proposed cause after its tests.

    finding : as an investigation would have it, were it the only cause; None where no test showed it
    """

    node: str
    kind: str
    evidence: tuple[Evidence, ...]
    finding: Finding | None

    @property
    def probability(self) -> float:
        """Of the cause alone, calibrated; 0 where no test showed it."""
        return 0.0 if self.finding is None else self.finding.probability


@dataclass(frozen=True, slots=True)
class Trial:
    """All that was tried. looked : node -> the sentence by which it moved, empty where it did not"""

    tried: tuple[Tried, ...] = ()
    looked: tuple[tuple[str, str], ...] = ()
    steps: int = 0
