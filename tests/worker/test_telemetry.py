"""The telemetry of a worker at work: counts that agree with what went in, and spans that belong together."""

from __future__ import annotations

import importlib.util
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.worker.worlds import FakeServers, access_events, until

from homeostat.adapters.process.tracing import Tracing, open_tracing, traceparent_for
from homeostat.engine.metrics import engine_registry
from homeostat.engine.shared.serving import engine_of
from homeostat.ports import Unavailable
from homeostat.worker.telemetry import Telemetry

_spec = importlib.util.spec_from_file_location("otlp", Path(__file__).parents[1] / "adapters" / "test_tracing.py")
otlp = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(otlp)


def shown(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, {"app": "access", **labels})


def test_counts_agree_with_what_went_in_and_came_out(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path)
    with servers.running() as (worker,):
        telemetry = Telemetry(worker, Tracing())
        servers.send([*access_events(30), {"event_id": "bad"}])
        until(lambda: len(servers.decisions) == 30 and len(servers.letters) == 1)
        servers.send([{"event_id": "e1", "label": 1}, {"event_id": "e2"}], "outcomes")
        until(lambda: shown(telemetry, "homeostat_outcomes_total", kind="received") == 2)
        assert shown(telemetry, "homeostat_events_total", kind="events") == 30
        assert shown(telemetry, "homeostat_bad_events_total", reason="missing") == 2
        assert shown(telemetry, "homeostat_messages_published_total", channel="decisions") == 30
        assert shown(telemetry, "homeostat_part_up", part="journal") == 1
        batches = shown(telemetry, "homeostat_batches_total")
        assert batches is not None and batches >= 1
        assert shown(telemetry, "homeostat_journal_seconds_count") >= batches
        telemetry.close()


def test_each_part_that_fails_is_counted_under_its_stage_and_reason(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path)
    with servers.running() as (worker,):
        telemetry = Telemetry(worker, Tracing())

        def failures(stage: str, part: str, reason: str) -> float:
            return shown(telemetry, "homeostat_errors_total", stage=stage, part=part, reason=reason) or 0

        def journal() -> float:
            return failures("journal", "journal", "journal_failed")

        servers.send(access_events(10))
        until(lambda: len(servers.decisions) == 10)
        assert journal() == 0
        servers.ledger.away = "PostgreSQL is away"
        servers.send(access_events(5, start=10))
        until(lambda: journal() > 1)  # It can't even say which events were decided.
        servers.ledger.away = ""
        until(lambda: len(servers.decisions) == 15)

        def full(body, places=None):
            raise Unavailable("the spool is full")

        worker.parts.journal.append, before = full, journal()
        servers.send(access_events(5, start=15))
        until(lambda: journal() > before)
        assert shown(telemetry, "homeostat_part_up", part="journal") == 0
        del worker.parts.journal.append
        servers.features.away = "Redis is away"
        until(lambda: len(servers.decisions) == 20)
        servers.send(access_events(5, start=20))
        until(lambda: len(servers.decisions) == 25)
        assert failures("windows", "features", "features_stale") >= 1
        servers.features.away = ""
        assert failures("stream", "stream", "stream_failed") == 0
        worker.stream.trouble = "Kafka is away"
        until(lambda: failures("stream", "stream", "stream_failed") > 1)
        assert shown(telemetry, "homeostat_part_up", part="stream") == 0
        telemetry.close()


def test_the_stages_before_and_after_deciding_are_timed(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path)
    worker = servers.worker()
    telemetry, append = Telemetry(worker, Tracing()), worker.parts.journal.append

    def slow(body, places=None):
        threading.Event().wait(0.03)
        return append(body, places)

    worker.parts.journal.append = slow
    deciding = threading.Thread(target=worker.run)
    deciding.start()
    servers.send(access_events(30))
    until(lambda: len(servers.decisions) == 30)
    worker.stop()
    deciding.join(60)
    stages = {
        name: shown(telemetry, "homeostat_stage_seconds_count", stage=name)
        for name in ("intake", "windows", "journal", "publish")
    }
    assert min(stages.values()) >= 1
    assert stages["journal"] == 2 * stages["windows"]  # A look-up and an append, whichever thread does it.
    assert shown(telemetry, "homeostat_stage_seconds_sum", stage="journal") >= 0.03 * stages["windows"]
    worker.close()


def test_an_events_decision_and_outcome_are_in_one_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = FakeServers(tmp_path)
    with otlp.receiver() as found:
        for name, value in found.environ(OTEL_TRACES_SAMPLER="always_on").items():
            monkeypatch.setenv(name, value)
        with servers.running() as (worker,):
            telemetry = Telemetry(worker, open_tracing(instance="worker-1"))
            servers.send(access_events(3))
            until(lambda: len(servers.decisions) == 3)
            servers.send([{"event_id": "e1", "label": 1}], "outcomes")
            until(lambda: shown(telemetry, "homeostat_outcomes_total", kind="received") == 1)
            telemetry.close()
    own = traceparent_for("e1")
    mine = [span for span in found.spans if span.trace_id.hex() == own[3:35]]
    assert sorted(span.name for span in mine) == ["decision", "outcome"]
    assert found.one("outcome").parent_span_id.hex() == own[36:52]
    assert {span.name for span in found.spans} == {"batch", "decide", "journal", "publish", "decision", "outcome"}


class Keeper:
    """Looks after a challenger, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def readings(self) -> dict[str, float]:
        self.asked += 1
        return {"homeostat_shadow_up": 1.0}

    def close(self) -> None:
        pass


def test_the_challenger_is_asked_once_a_scrape_by_workers_and_by_servers(tmp_path) -> None:
    with closing(FakeServers(tmp_path).worker()) as worker:
        worker.parts.shadow = keeper = Keeper()
        for registry in (Telemetry(worker, Tracing()).registry, engine_registry(engine_of(worker.parts))):
            asked = keeper.asked
            assert registry.get_sample_value("homeostat_shadow_up", {"app": "access"}) == 1
            assert keeper.asked == asked + 1
