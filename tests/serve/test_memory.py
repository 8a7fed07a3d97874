"""`/v1/memory`: cases and notes are listed in pages, shown and searched over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from http_servers import Server, steady

from homeostat.adapters.disk.sqlite.memory import SqliteMemory
from homeostat.records.past import Note, PastCase

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("memory")
    with closing(SqliteMemory(folder)) as store:
        for k in range(5):
            store.keep(PastCase(f"i{k}", 1, 10 + k, 0, (), words=f"amount in cents, number {k}"))
        store.add(Note("desk.md", "# Desk\n\nCall the desk about turbines.", 7))
    found = Server(steady(folder), "--data", folder)
    yield found
    if found.process.poll() is None:
        assert found.stop() == 0


def test_cases_come_in_pages_the_newest_first(server: Server) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        status, _, page = server.ask(f"/v1/memory?limit=2{cursor and f'&cursor={cursor}'}")
        assert status == 200
        seen += [one["id"] for one in page["cases"]]
        cursor = page["next"]
    assert seen == ["i4", "i3", "i2", "i1", "i0"]


def test_a_note_is_listed_without_its_text_shown_with_it_and_found_by_its_words(server: Server) -> None:
    (listed,) = server.ask("/v1/memory?of=notes")[2]["notes"]
    assert listed["name"] == "desk.md" and "text" not in listed
    assert "turbines" in server.ask("/v1/memory/desk.md")[2]["note"]["text"]
    (found,) = server.ask("/v1/memory:search?words=turbines")[2]["found"]
    assert found["id"] == "desk.md"
    assert server.ask("/v1/memory/i3")[2]["case"]["id"] == "i3"
    assert server.ask("/v1/memory:search?words=zeppelin")[2]["found"] == []


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v1/memory/nothing", 404), ("/v1/memory?of=songs", 422), ("/v1/memory?limit=0", 422),
        ("/v1/memory?cursor=x", 422), ("/v1/memory:search", 422), ("/v1/memory:search?words=%20", 422),
    ],
)  # fmt: skip
def test_what_is_not_there_or_can_not_be_read_is_refused(server: Server, path: str, wanted: int) -> None:
    assert server.ask(path)[0] == wanted
