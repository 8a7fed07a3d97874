"""The metrics and traces of a worker: its loop's counts, its parts' figures, and traces of its decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry

from homeostat.adapters.process.tracing import Stretch, Traced, Tracing
from homeostat.decide.intake.border import value_of
from homeostat.decide.intake.objects import outcomes_of_events
from homeostat.engine.metrics import registry_of
from homeostat.engine.readings import Durations, Readings, Value
from homeostat.engine.shared.serving import readings_of
from homeostat.ports.streams import Outgoing, Pulled
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Fallback
from homeostat.worker.publishing import Work
from homeostat.worker.worker import Worker


class Telemetry:
    """The metrics and traces of one worker, which it calls for each batch that is out.

    registry : to be served at /metrics
    """

    def __init__(self, worker: Worker, tracing: Tracing) -> None:
        self._worker, self._tracing = worker, tracing
        app = worker.parts.app
        self._publish = Durations(app.app, "homeostat_publish_seconds")
        self._journal = Durations(app.app, "homeostat_journal_seconds")
        self._whole = Durations(app.app, "homeostat_end_to_end_seconds")
        self._decisions = self._batches = 0
        self.registry: CollectorRegistry = registry_of(
            worker.parts.loop, app, Readings(app.app, self._read), self._publish, self._journal, self._whole
        )
        worker.on_published = self.published

    def published(self, work: Work, decisions: int, now_ns: int) -> None:
        """Count a batch that is out; called by the thread that published it."""
        self._batches += len(work.batch) > 0
        self._decisions += decisions
        loop = self._worker.parts.loop
        loop.counts["outcomes"] += len(work.outcomes)  # A worker journals them itself, so that the loop sees none.
        loop.meters.buried([letter for _, letter in work.batch.letters] + [_read_back(one) for one in work.letters])
        produced = np.array([ns for ns in work.batch.pulled.produced_ns if ns > 0], np.int64)
        if len(produced):
            self._whole.observe_all((now_ns - produced) / 1e9)
        for stage, began_ns, ended_ns in work.stretches:
            if stage == "publish":
                loop.meters.spent_aside(stage, ended_ns - began_ns)
            if stage in ("journal", "publish"):
                (self._journal if stage == "journal" else self._publish).observe((ended_ns - began_ns) / 1e9)
        if self._tracing.enabled:
            self._trace(work)
            self._trace_outcomes(work.outcomes, now_ns)

    def close(self) -> None:
        """Send what has not been sent."""
        self._tracing.close()

    def _trace(self, work: Work) -> None:
        fresh = work.fresh
        if fresh is None or not len(fresh) or not work.stretches:
            return
        pulled, actions = work.batch.pulled, self._worker.parts.app.actions
        ids = [fresh.events.id_text(row) for row in range(len(fresh))]
        incoming = [pulled.traceparent[at] if at >= 0 else None for at in work.fresh_at.tolist()]
        began_ns, ended_ns = work.stretches[0][1], work.stretches[-1][2]
        spans = []
        for row in self._tracing.recorded(ids, incoming):
            attributes: dict[str, str | float | bool] = {
                "action": actions[int(fresh.ruling.action[row])], "risk": float(fresh.fused.risk[row]),
                "version": fresh.made_by(row),
            }  # fmt: skip
            if fresh.fallback[row]:
                attributes["fallback"] = Fallback.text(int(fresh.fallback[row]))
            spans.append(Traced(ids[row], incoming[row], began_ns, ended_ns, attributes))
        self._tracing.decided(spans, [Stretch(*stretch) for stretch in work.stretches])

    def _trace_outcomes(self, outcomes: Pulled, now_ns: int) -> None:
        """Outcomes under their events' decisions. Those that were no JSON have no event that they could be of."""
        names = outcomes_of_events(self._worker.parts.prepared.schema).id
        ids = [_event_id(value, names) for value in outcomes.values]
        for row in self._tracing.recorded([name or "" for name in ids], outcomes.traceparent):
            name = ids[row]
            if name:
                began_ns = outcomes.produced_ns[row] or now_ns
                self._tracing.learned([Traced(name, outcomes.traceparent[row], began_ns, now_ns)])

    def _read(self) -> Mapping[str, Value]:
        worker = self._worker
        counts, refused, shadow = worker.counts, worker.outbox.trouble, worker.parts.shadow
        return {
            "homeostat_stream_lag_messages": worker.lag,
            "homeostat_stream_lanes": len(worker.lag),
            "homeostat_messages_pulled_total": {"events": counts.pulled, "outcomes": counts.outcomes},
            "homeostat_messages_published_total": {"decisions": counts.published, "dead_letters": counts.dead_letters},
            "homeostat_rebalances_total": worker.stream.generation,
            "homeostat_fenced_total": worker.outbox.fenced,
            "homeostat_batches_total": self._batches,
            "homeostat_batch_rows_bound": worker.sizer.rows,
            "homeostat_ready": worker.ready,
            "homeostat_draining": worker.draining,
            **readings_of(worker.parts, worker.rejoiner.rejoined, refused, stream=not worker.stream.trouble),
            **({} if shadow is None else shadow.readings()),
        }


def _read_back(letter: Outgoing) -> DeadLetter:
    """An outcome's dead letter, which is encoded already when its message's turn comes."""
    members = msgspec.json.decode(letter.value)
    return DeadLetter(0, members["field"], members["value"], members["reason"], members.get("detail", ""))


def _event_id(value: bytes, names: Sequence[str]) -> str | None:
    """Which event an outcome's message is of; None where it does not say."""
    members = value_of(value)
    found = [members[name] for name in names if name in members] if isinstance(members, dict) else []
    return str(found[0]) if found and isinstance(found[0], str | int) else None
