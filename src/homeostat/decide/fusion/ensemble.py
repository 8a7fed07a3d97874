"""A fusion that combines several fusions: the mean of their log-odds, by shares that were fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.evidence import Table
from homeostat.decide.fusion.fixed import FixedFusion
from homeostat.records.arrays import Float, State
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Experience, Fused, Scores
from homeostat.records.parts import Part, PartError
from homeostat.stats.elementary import TINY, log, sigmoid

KIND = "ensemble_fusion"
MEMBERS = ("weighted", "learned", "adaptive")
_MEMBERS_MAX = len(MEMBERS)


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained ensemble.

    kinds, tables : of its members
    shares : (members,) at least 0, together 1
    """

    kinds: tuple[str, ...]
    tables: tuple[Table, ...]
    shares: Float

    @classmethod
    def of(cls, part: Part) -> Trained:
        """The ensemble in a part of a bundle. Raises PartError where it is none."""
        kinds = part.settings.get("members")
        if not isinstance(kinds, list | tuple) or not 0 < len(kinds) <= _MEMBERS_MAX or not set(kinds) <= set(MEMBERS):
            raise PartError(f"an ensemble has 1 to {_MEMBERS_MAX} members of the kinds {', '.join(MEMBERS)}")
        tables = tuple(Table.of(member(part, kind)) for kind in kinds)
        shares = part.arrays.get("shares")
        if shares is None or shares.dtype != np.float64 or shares.shape != (len(kinds),):
            raise PartError(f"an ensemble of {len(kinds)} members needs as many float64 shares")
        whole: Float = np.ascontiguousarray(shares, np.float64)
        if not (whole >= 0).all() or abs(float(whole.sum()) - 1.0) > 1e-9:
            raise PartError("the shares of an ensemble are at least 0 and sum to 1")
        if len({table.base for table in tables}) > 1:
            raise PartError("the members of an ensemble have one base rate")
        return cls(tuple(kinds), tables, whole)


def member(part: Part, kind: str) -> Part:
    """A member of an ensemble's part, as a fusion's part of its own."""
    settings = part.settings.get(kind)
    arrays = {
        name: part.arrays[f"{kind}_{name}"] for name in ("weights", "reference") if f"{kind}_{name}" in part.arrays
    }
    return Part(f"{kind}_fusion", part.features, arrays, {}, settings if isinstance(settings, dict) else {})


class EnsembleFusion:
    """The weighted mean of its members' log-odds: a geometric pool of their risks.

    Each member does what it does where scorers are missing, and learns if it is one that does. The members have one
    base rate and the shares sum to 1, so the means of their contributions sum to the log-odds of the risk less the
    base rate's. How rows are cut into batches makes no difference.
    Source: Genest, Zidek (1986), Combining probability distributions, Statistical Science 1, for the logarithmic pool.
    """

    def __init__(self, trained: Trained, names: tuple[str, ...], rate: float = 0.05, bound: float = 3.0) -> None:
        """`names` are the scorers of the app in the order of `Scores`; rate and bound are an adaptive member's."""
        self.kinds, self._shares, self._base = trained.kinds, trained.shares, trained.tables[0].base
        self._members: list[FixedFusion | AdaptiveFusion] = [
            AdaptiveFusion(table, names, rate, bound) if kind == "adaptive" else FixedFusion(table, names)
            for kind, table in zip(trained.kinds, trained.tables, strict=True)
        ]

    def fuse(self, scores: Scores) -> Fused:
        """(n,) risks; (n, scorers) contributions, which sum to the log-odds less the base rate's and the shift."""
        found = [one.fuse(scores) for one in self._members]
        risks, parts = np.stack([one.risk for one in found]), np.stack([one.contributions for one in found])
        risk, contributions = np.empty(len(scores.values)), np.zeros(scores.values.shape)
        _pool(risks, parts, self._shares, self._base, risk, contributions)
        return Fused(risk, contributions)

    def learn(self, experience: Experience) -> None:
        """Each member learns what it would alone."""
        for one in self._members:
            one.learn(experience)

    def weights(self) -> dict[str, float]:
        """Each scorer's weight where all of them answer, as it stands now."""
        found = [one.weights() for one in self._members]
        return {
            name: float(sum(share * one[name] for share, one in zip(self._shares.tolist(), found, strict=True)))
            for name in found[0]
        }

    def state(self) -> State:
        """The members' states, each array under the name of its member."""
        return {
            f"{kind}_{name}": array
            for kind, one in zip(self.kinds, self._members, strict=True)
            for name, array in one.state().items()
        }

    def restore(self, state: State) -> None:
        """Continue from an earlier `state()`; raises ValueError where it is of other members."""
        wanted = set(self.state())
        if set(state) != wanted:
            raise ValueError("the ensemble's state is of other members")
        for kind, one in zip(self.kinds, self._members, strict=True):
            one.restore({name: state[f"{kind}_{name}"] for name in one.state()})


def serve_fusion(
    part: Part, names: tuple[str, ...], kind: str = "", **adaptive: Any
) -> FixedFusion | AdaptiveFusion | EnsembleFusion:
    """The fusion of a bundle's part.

    kind : `adaptive` lets a table move with outcomes
    adaptive : rate and bound of what does
    Raises PartError.
    """
    if part.kind == KIND:
        return EnsembleFusion(Trained.of(part), names, **adaptive)
    table = Table.of(part)
    return AdaptiveFusion(table, names, **adaptive) if kind == "adaptive" else FixedFusion(table, names)


def fusion_part(parts: Mapping[str, Part], kind: str, named: bool) -> Part | None:
    """The part of a bundle that makes a fusion of a kind, or of another name; None where none was trained.

    named : the settings ask for it, and not the app file, whose own fusion is the bundle's whatever table it is
    A learned fusion and the start of an adaptive one are the same table.
    """
    main = parts.get("fusion")
    if not named and main is not None and (main.kind == KIND) == (kind == "ensemble"):
        return main
    same = {"learned": ("learned", "adaptive"), "adaptive": ("adaptive", "learned")}.get(kind, (kind,))
    found = [parts.get(f"fusion.{one}") for one in same]
    if main is not None and main.kind in [f"{one}_fusion" for one in same]:
        found.insert(1, main)
    return next((part for part in found if part is not None), None)


def trained_fusions(parts: Mapping[str, Part]) -> tuple[str, ...]:
    """The names of the fusions that a bundle's parts hold.

    >>> trained_fusions({"fusion": Part("learned_fusion", ("a",)), "fusion.own": Part("learned_fusion", ("a",))})
    ('learned', 'own')
    """
    main = [parts["fusion"].kind.removesuffix("_fusion")] if "fusion" in parts else []
    beside = [name.removeprefix("fusion.") for name in parts if name.startswith("fusion.")]
    return tuple(dict.fromkeys([*main, *sorted(beside)]))


@compiled
def _pool(risks: Float, parts: Float, shares: Float, base: float, risk: Float, contributions: Float) -> None:
    for row in range(risks.shape[1]):
        total = 0.0
        for k in range(len(shares)):
            p, margin = risks[k, row], base
            for j in range(parts.shape[2]):
                part = parts[k, row, j]
                margin += part
                contributions[row, j] += shares[k] * part
            if TINY < p < 1.0 - TINY:  # It holds the shift of a member that moved; beyond, rounding hides all.
                margin = log(p) - log(1.0 - p)
            total += shares[k] * margin
        risk[row] = sigmoid(total)
