"""Figures of the answers to a load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.adapters.http.open_loop import Answers, Load
from homeostat.records.arrays import Float

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
LATE_MS = 10.0  # Where this process sends later than this, it is its own bound, and not the service's.


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """The result of a load test.

    latency_ms : of all requests, from when they were due; one without an answer counts with the time of the wait
    by_second : a line a second of the schedule
    late_ms : the 99th percentile of how much later than due this process handed requests over
    """

    url: str
    sent: int
    ok: int
    failed: int
    seconds: float
    latency_ms: dict[str, float]
    statuses: dict[str, int]
    failures: dict[str, int]
    late_ms: float
    by_second: list[dict[str, float]]

    @property
    def warning(self) -> str:
        """Why the figures may not be those of the service; empty where they are."""
        if self.late_ms <= LATE_MS:
            return ""
        return (
            f"this process sent 1 request in 100 later than due by {self.late_ms:.0f} ms and more: "
            "its own processor time is the bound, so ask for a lower rate, or run several"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "url": self.url, "sent": self.sent, "ok": self.ok, "failed": self.failed,
            "seconds": round(self.seconds, 3), "rate": round(self.sent / self.seconds, 3) if self.seconds else 0.0,
            "latency_ms": self.latency_ms, "statuses": self.statuses, "failures": self.failures,
            "late_ms": self.late_ms, "warning": self.warning, "by_second": self.by_second,
        }  # fmt: skip


def figures_of(url: str, load: Load, answers: Answers) -> LoadFigures:
    """The figures of a load that has ended."""
    due, took, ok = np.array(answers.due_s), np.array(answers.took_s) * 1e3, np.array(answers.ok, np.bool_)
    seconds = np.minimum(due.astype(np.int64), int(np.ceil(load.seconds)) - 1)
    by_second = []
    for second in np.unique(seconds).tolist():
        rows = seconds == second
        by_second.append(
            {"second": second, "sent": int(rows.sum()), "failed": int((rows & ~ok).sum()), **_percentiles(took[rows])}
        )
    latency = _percentiles(took)
    latency |= {"mean": round(float(took.mean()), 3), "max": round(float(took.max()), 3)}
    late = round(float(np.quantile(np.array(answers.late_s) * 1e3, 0.99)), 3)
    return LoadFigures(
        url, len(due), int(ok.sum()), int((~ok).sum()), answers.seconds, latency,
        {str(one): count for one, count in sorted(answers.statuses.items())}, dict(answers.failures.most_common()),
        late, by_second,
    )  # fmt: skip


def _percentiles(took_ms: Float) -> dict[str, float]:
    return {name: round(float(np.quantile(took_ms, share)), 3) for name, share in QUANTILES.items()}
