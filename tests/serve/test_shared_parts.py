"""Servers on shared parts of which some are away: what they show to those who watch them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from http_servers import EVENT, Server
from prometheus_client.parser import text_string_to_metric_families
from test_processes import begun

from homeostat.checks.servers.machine import free_port


class Watched:
    """A server with the address of its metrics."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.server: Server = begun(folder, count=1, factory="process_engines:shared", metrics_port=self.port)
        self.sent = 0

    def decide(self) -> int:
        """The status of one more event."""
        self.sent += 1
        event = {**EVENT, "event_id": f"e{self.sent}", "timestamp": 1_769_774_400 + self.sent}
        return int(self.server.ask("/v1/decide", event)[0])

    def ready(self) -> str:
        """The reasons in /readyz that keep it from being ready; empty where it is."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=240) as response:
                assert response.read() == b"ready\n"
                return ""
        except HTTPError as error:
            with error:
                return error.read().decode().strip() if error.code == 503 else f"status {error.code}"

    def shown(self, name: str, **labels: str) -> float | None:
        """A sample of the metrics; None where there is none with these labels."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=240) as response:
            text = response.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == {"app": "access", **labels}:
                    return float(sample.value)
        return None


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    assert watched.server.stop() == 0


def until(condition) -> None:
    """Wait until something holds, which must happen."""
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@pytest.mark.long
def test_a_server_shows_its_parts_and_says_that_it_is_not_ready_without_them(watched: Watched) -> None:
    up = lambda part: watched.shown("homeostat_part_up", part=part)  # noqa: E731
    failed = lambda **of: watched.shown("homeostat_errors_total", **of)  # noqa: E731
    assert watched.decide() == 200 and watched.ready() == ""
    assert (up("journal"), up("features")) == (1, 1)
    assert watched.shown("homeostat_journal_spooled_rows") == watched.shown("homeostat_feature_rejoins_total") == 0
    assert watched.shown("homeostat_journal_spool_bytes_max") > 0
    assert watched.shown("homeostat_batch_rows_bound") == 1000
    assert watched.shown("homeostat_stage_seconds_count", stage="intake") == 1

    (watched.folder / "features").touch()
    assert watched.decide() == 200 and watched.ready() == "the server of features is away"
    assert up("features") == 0 and watched.shown("homeostat_circuit_open", part="features") == 1
    assert failed(stage="windows", part="features", reason="features_stale") == 1
    (watched.folder / "features").unlink()
    until(lambda: watched.ready() == "")
    assert up("features") == 1 and watched.shown("homeostat_feature_rejoins_total") == 1

    (watched.folder / "journal").touch()
    assert watched.decide() == 200 and watched.ready() == ""  # It is in the spool.
    assert up("journal") == 0 and watched.shown("homeostat_circuit_open", part="journal") == 1
    assert watched.shown("homeostat_journal_spooled_rows") == 1
    assert watched.shown("homeostat_journal_spooled_bytes") > 0
    assert failed(stage="journal", part="journal", reason="journal_failed") == 0
    until(lambda: watched.decide() == 503)  # The spool is full.
    assert "spool" in watched.ready() and failed(stage="journal", part="journal", reason="journal_failed") >= 1
    (watched.folder / "journal").unlink()
    until(lambda: watched.ready() == "")  # Though nobody asks it to decide any more.
    until(lambda: up("journal") == 1 and watched.shown("homeostat_journal_spooled_rows") == 0)
    assert watched.decide() == 200
