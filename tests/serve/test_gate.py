"""The kill switch over HTTP: those who run the app stop loop 2, and those who approve plans let it go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from http_servers import Server, steady

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.engine.gate_record import GateRecord

pytestmark = pytest.mark.long


class Keyed:
    """A server with keys."""

    def __init__(self, folder: Path) -> None:
        self.folder, keys = folder, FileApiKeys(folder)
        self.secrets = {scope: keys.create(scope, [scope]) for scope in ("read", "operate", "approve")}
        self.server = Server(steady(folder), "--data", folder)

    def ask(self, path: str, body: object = None, who: str = "read", **more: str):
        return self.server.ask(path, body, authorization=f"Bearer {self.secrets[who]}", **more)

    @property
    def stopped(self) -> bool:
        """As any other process reads it."""
        with closing(SqliteStatements(self.folder)) as store:
            return GateRecord(store).stopped


@pytest.fixture(scope="module")
def keyed(tmp_path_factory) -> Iterator[Keyed]:
    found = Keyed(tmp_path_factory.mktemp("gate"))
    yield found
    if found.server.process.poll() is None:
        assert found.server.stop() == 0


def test_it_is_turned_on_and_off_and_every_process_sees_that(keyed: Keyed) -> None:
    status, _, off = keyed.ask("/v1/gate")
    assert status == 200 and off["stopped"] is False and not keyed.stopped
    status, head, on = keyed.ask("/v1/gate:stop", {"reason": "a migration", "actor": "ann"}, "operate")
    assert status == 200 and on["stopped"] is True and head["etag"] == f'"{on["number"]}"' and keyed.stopped
    assert on["actor"].startswith("ann (key ") and on["reason"] == "a migration"
    assert keyed.ask("/v1/gate")[2] == on
    assert keyed.ask("/v1/gate:resume", {"reason": "over"}, "operate")[0] == 403 and keyed.stopped
    status, _, off = keyed.ask("/v1/gate:resume", {"reason": "over"}, "approve")
    assert status == 200 and off["stopped"] is False and not keyed.stopped


def test_a_word_that_is_sent_twice_counts_once(keyed: Keyed) -> None:
    first, again = (
        keyed.ask("/v1/gate:stop", {"reason": "odd"}, "operate", idempotency_key="k1")[2]["number"] for _ in range(2)
    )
    assert first == again
    keyed.ask("/v1/gate:resume", {"reason": "fine"}, "approve")
    assert not keyed.stopped


def test_a_stop_whose_key_was_used_before_another_word_is_refused_and_never_pretends(keyed: Keyed) -> None:
    keyed.ask("/v1/gate:stop", {"reason": "odd"}, "operate", idempotency_key="k2")
    keyed.ask("/v1/gate:resume", {"reason": "fine"}, "approve")
    status, _, refused = keyed.ask("/v1/gate:stop", {"reason": "odd"}, "operate", idempotency_key="k2")
    assert status == 409 and "another key" in refused["fix"] and not keyed.stopped
    assert keyed.ask("/v1/gate:stop", {"reason": "odd"}, "operate", idempotency_key="k3")[0] == 200 and keyed.stopped
    keyed.ask("/v1/gate:resume", {"reason": "fine"}, "approve")


@pytest.mark.parametrize(
    ("path", "body", "who", "wanted"),
    [
        ("/v1/gate:stop", {"reason": "x"}, "read", 403), ("/v1/gate:stop", {"reason": " "}, "operate", 422),
        ("/v1/gate:stop", {"reason": "x", "stop": True}, "operate", 422), ("/v1/gate", {"reason": "x"}, "operate", 405),
        ("/v1/gate:stop", None, "read", 405), ("/v1/gate:go", {"reason": "x"}, "operate", 404),
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_refused_and_changes_nothing(
    keyed: Keyed, path: str, body: object, who: str, wanted: int
) -> None:
    before = keyed.ask("/v1/gate")[2]
    assert keyed.ask(path, body, who)[0] == wanted
    assert keyed.ask("/v1/gate")[2] == before
