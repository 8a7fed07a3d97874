"""How well a law of outcomes keeps its promises: its estimates against the mature outcomes that come later.

Of each chunk of outcomes, every figure has a gap, realised less estimated, and the variance of that gap by chance. The
mean square of the gaps beyond that chance is the excess: it widens the bands. Gaps are looked at over the last 1, 2, 4
and 8 chunks. The excess is not taken to average out over chunks, since days that follow each other are alike.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import Float
from homeostat.stats.label_free.bands import CHUNKS_MIN, SIZE_MIN, Contradiction, Excess, excess_of, student_quantile

PAST = 16  # Chunks whose gaps are usual.
WINDOWS = (1, 2, 4, 8)
CHANCE = 0.01  # That a law which holds is called broken in `LOOKS` looks, by Bonferroni's inequality.
LOOKS = 28
COST_MIN = 0.05  # A smaller share of the estimated cost is of no consequence; others have `SIZE_MIN`.


class Promises:
    """See the module.

    figures : by name; the share of positives comes on top
    memory : `usual` gaps and variances of the past chunks that kept the law, `lately` those of the last ones; `counts`
        of both, of the rows of the last chunk, and the day since when the law is broken, -1 where it holds; `broken`:
        by figure, the gap in deviations where it is beyond chance, else 0; `cost` as last estimated
    """

    def __init__(self, figures: tuple[str, ...]) -> None:
        self.names = (*figures, "share")
        k = len(self.names)
        self.memory: Memory = {
            "usual": np.full((2, PAST, k), np.nan), "lately": np.full((2, max(WINDOWS), k), np.nan),
            "counts": np.array([0, 0, 0, -1]), "broken": np.zeros(k), "cost": np.full(1, np.nan),
        }  # fmt: skip

    @property
    def held(self) -> int:
        """How many chunks of outcomes the law has been held against."""
        return int(self.memory["counts"][0])

    @property
    def ready(self) -> bool:
        """Whether the usual distance of outcomes and law is known."""
        return bool(self.memory["counts"][0] >= CHUNKS_MIN)

    @property
    def rows(self) -> int:
        """Outcomes of the last chunk."""
        return int(self.memory["counts"][2])

    @property
    def contradicted(self) -> float:
        """The largest gap beyond chance, in its deviations; 0 where the law holds."""
        return float(self.memory["broken"].max())

    @property
    def broken_since(self) -> int | None:
        """The day since when outcomes contradict the law; None where they don't."""
        day = int(self.memory["counts"][3])
        return None if day < 0 else day

    @property
    def excess(self) -> Excess:
        """The variance of figures around their estimates, beyond the chance of labels."""
        gaps, variances = self.memory["usual"]
        n = min(int(self.memory["counts"][0]), PAST)
        columns = range(len(self.names))
        return excess_of(
            {self.names[k]: gaps[:n, k].tolist() for k in columns},
            {self.names[k]: variances[:n, k].tolist() for k in columns},
        )

    def hold(self, found: Contradiction, rows: int, day: int, cost: float = float("nan")) -> None:
        """Hold the law against a chunk.

        found : its gaps, and their deviations by chance alone
        cost : of a decision, as estimated
        """
        memory, counts = self.memory, self.memory["counts"]
        gaps = np.array([found.gaps[name] for name in self.names])
        variances = np.array([found.deviations[name] ** 2 for name in self.names])
        memory["lately"][:, int(counts[1]) % max(WINDOWS)] = gaps, variances
        counts[1] += 1
        counts[2], memory["cost"][0] = rows, cost
        memory["broken"][...] = self._beyond_chance() if self.ready else 0.0
        if memory["broken"].any():
            counts[3] = day if counts[3] < 0 else counts[3]
            return
        counts[3] = -1
        memory["usual"][:, int(counts[0]) % PAST] = gaps, variances
        counts[0] += 1

    def renew(self) -> None:
        """A new law has been learned: the last gaps are not its own, but their usual size is as before."""
        memory = self.memory
        memory["lately"][...], memory["broken"][...] = np.nan, 0.0
        memory["counts"][1], memory["counts"][3] = 0, -1

    def _beyond_chance(self) -> Float:
        """By figure, the largest gap of any window in deviations, where it is beyond chance and of a size."""
        excess = self.excess
        extra = np.array([excess.variance.get(name, 0.0) for name in self.names])
        tests = len(WINDOWS) * len(self.names) * LOOKS
        wider = excess.width / student_quantile(10**6)
        bound = NormalDist().inv_cdf(1.0 - CHANCE / (2.0 * tests)) * wider
        came = int(self.memory["counts"][1])
        found = np.zeros(len(self.names))
        for window in WINDOWS:
            if window > came:
                break
            at = (came - 1 - np.arange(window)) % max(WINDOWS)
            gaps, variances = self.memory["lately"][:, at]
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.abs(gaps.mean(axis=0))
                size = mean / np.sqrt(variances.sum(axis=0) / window**2 + extra)
                certain = (size > bound) & (mean > self._sizes()) & (np.abs(gaps[0]) > self._sizes())
            found = np.maximum(found, np.where(certain, size, 0.0))
        return found

    def _sizes(self) -> Float:
        """The gaps by figure that are of consequence."""
        found = np.full(len(self.names), SIZE_MIN)
        if "cost" in self.names:
            found[self.names.index("cost")] = COST_MIN * abs(float(self.memory["cost"][0]))
        return found

    def wording(self) -> str:
        """The figures that outcomes contradict, with the last gap of each."""
        lately, came = self.memory["lately"][0], int(self.memory["counts"][1])
        last = lately[(came - 1) % max(WINDOWS)]
        return ", ".join(
            f"{name.replace('_', ' ')} {last[k]:+.3g}" for k, name in enumerate(self.names) if self.memory["broken"][k]
        )
