"""Chunks of the analysis -> estimates, alerts and contradictions, then one verdict on both tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homeostat.jobs.table_monitor.chunking import Outputs
from homeostat.jobs.table_monitor.estimator import Estimator
from homeostat.jobs.table_monitor.options import Options
from homeostat.jobs.table_monitor.result import Band, Chunk, Column
from homeostat.stats.label_free.bands import Contradiction, broken, contradiction, estimate
from homeostat.stats.label_free.estimates import FIGURES, ranked, realised

ALERTS = ("auc", "accuracy", "f1")
_NAN = float("nan")
_LABELS_MIN = 30  # Fewer labels of a chunk contradict nothing.


class Judging:
    """Takes chunks one after the other. The estimates never look at a label of the analysis."""

    def __init__(self, estimator: Estimator, options: Options) -> None:
        self._estimator = estimator
        self._ranks = options.probability is not None
        self._chunks: list[Chunk] = []
        self._gaps: list[Contradiction | None] = []

    def add(self, value: str | None, chunk: Outputs) -> None:
        """Judge one chunk."""
        estimator, rows = self._estimator, chunk.at(~np.isnan(chunk.score))
        order = ranked(rows.score, rows.decided, ranks=self._ranks)
        estimated, alert = dict.fromkeys(FIGURES, Band(_NAN, _NAN, _NAN)), dict.fromkeys(ALERTS, False)
        if estimator.law is not None and len(rows):
            found = estimate(order, np.asarray(rows.q, np.float64), estimator.excess)
            estimated = {name: Band(one.value, one.low, one.high) for name, one in found.items()}
            for name in ALERTS:
                bound = estimator.thresholds.get(name)
                alert[name] = bound is not None and bound.alarms(estimated[name].value, len(rows))
        known = rows.at(~np.isnan(rows.label))
        outside = float(rows.outside.mean()) if len(rows) else 0.0
        self._chunks.append(Chunk(
            int(chunk.row[0]), int(chunk.row[-1]) + 1, len(chunk), value, estimated, self._realised(known), alert,
            False, len(known), outside, outside > estimator.usual_outside,
        ))  # fmt: skip
        self._gaps.append(self._gap(known))

    def _realised(self, known: Outputs) -> dict[str, float] | None:
        if not len(known):
            return None
        return realised(ranked(known.score, known.decided, ranks=self._ranks), np.asarray(known.label, np.float64))

    def _gap(self, known: Outputs) -> Contradiction | None:
        if len(known) < _LABELS_MIN or self._estimator.law is None:
            return None
        order = ranked(known.score, known.decided, ranks=self._ranks)
        label, q = np.asarray(known.label, np.float64), np.asarray(known.q, np.float64)
        return contradiction(order, label, q, self._estimator.excess)

    def chunks(self) -> list[Chunk]:
        """All chunks, with those whose labels contradict their estimates marked."""
        return [replace(chunk, assumption_broken=flag)
                for chunk, flag in zip(self._chunks, broken(self._gaps), strict=True)]  # fmt: skip


def overall(columns: Sequence[Column], chunks: Sequence[Chunk]) -> tuple[str, str]:
    """The verdict on both tables, and its sentence."""
    drifting = sorted((one for one in columns if one.verdict == "drift"), key=lambda one: -one.drift)
    unclear = [one for one in columns if one.verdict == "not enough data"]
    alarmed = [chunk for chunk in chunks if any(chunk.alert.values())]
    void = [chunk for chunk in chunks if chunk.assumption_broken]
    said = [_on_chunks(chunks, alarmed, void)] if chunks else []
    if drifting:
        first = ", ".join(f"{one.name} ({one.drift:.0%})" for one in drifting[:3])
        said.append(f"{len(drifting)} of {_many(len(columns), 'column')} drifted, most {first}")
    elif len(unclear) == len(columns):
        said.append("there are too few rows to say whether any column drifts")
    else:
        said.append(f"none of {_many(len(columns), 'column')} drifted")
    if unclear and len(unclear) < len(columns):
        said.append(f"no verdict on {_many(len(unclear), 'column')} with too few values")
    verdict = "drift" if drifting else "not enough data" if len(unclear) == len(columns) else "no drift"
    return "alarm" if alarmed or void else verdict, _sentence(said)


def _on_chunks(chunks: Sequence[Chunk], alarmed: Sequence[Chunk], void: Sequence[Chunk]) -> str:
    if all(np.isnan(band.value) for chunk in chunks for band in chunk.estimated.values()):
        return "quality can't be estimated"
    text = (
        f"the estimated quality of {len(alarmed)} of {_many(len(chunks), 'chunk')} lies outside the reference's range"
    )
    if not alarmed:
        text = f"the estimated quality of {_many(len(chunks), 'chunk')} lies within the reference's range"
    if void:
        text += f", and labels contradict the estimates of {len(void)}"
    beyond = sum(chunk.extrapolates for chunk in chunks)
    return text + (f"; values that the reference never has are in {_many(beyond, 'chunk')}" if beyond else "")


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "."
