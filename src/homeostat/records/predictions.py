"""A decision as monitoring sees it: one prediction on one entity at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.records.times import time_text


@dataclass(frozen=True, slots=True)
class Prediction:
    """One decision.

    time_ns : of the event, nanoseconds since 1970 UTC
    entity : the event's keys, as (entity, key) pairs
    score : the risk, in [0, 1]
    flag : whether the action is one that counts as a flag
    latency_us : how long the batch took in which it was decided, microseconds
    contributions : what moved the risk's log-odds, by feature, and by scorer where that can't tell its features
    """

    app: str
    event_id: str
    time_ns: int
    entity: tuple[tuple[str, str], ...]
    score: float
    flag: bool
    action: str
    latency_us: float
    contributions: Mapping[str, float]
    version: str

    def as_json(self) -> dict[str, Any]:
        """For programs, as streams and webhooks carry it."""
        return {
            "app": self.app, "event_id": self.event_id, "time": time_text(self.time_ns), "entity": dict(self.entity),
            "score": self.score, "flag": self.flag, "action": self.action, "latency_us": self.latency_us,
            "contributions": dict(self.contributions), "version": self.version,
        }  # fmt: skip
