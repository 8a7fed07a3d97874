"""Investigated and closed incidents become past cases, each state once, and a memory that fails is waited for."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.answering import NoEntries

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.memory import SqliteMemory
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.checks.inquiries import HOUR, ONSET, signal
from homeostat.checks.plans import response
from homeostat.engine.assembly import prepare
from homeostat.errors import Unavailable
from homeostat.jobs.maintaining.remembering import EACH_NS, Remembering
from homeostat.jobs.maintaining.source import Source
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.findings_text import findings_dict
from homeostat.records.incidents import Incident, Phase, Severity
from homeostat.records.past import Named, Tried
from homeostat.records.signals import Kind

PREPARED = prepare("access")
SIGNAL = signal("field:amount", Kind.UNIT)
OPEN = Incident("i1", "access", 1, ONSET, ONSET, ONSET, Severity.LOW, (SIGNAL.id,))
FOUND = Findings("i1", ONSET, Conclusion.CAUSE, (Finding("field:amount", "unit", 0.9, ONSET),), (), 7)


def _source(store: SqliteIncidents, memory: Any, plans: SqlitePlans | None = None) -> Source:
    journal: Any = NoEntries()
    return Source(PREPARED, journal, store, lambda entry: None, memory=memory, plans=plans)


def test_an_investigated_incident_and_the_answer_to_it_become_a_case(tmp_path: Path) -> None:
    with (
        closing(SqliteIncidents(tmp_path)) as store, closing(SqliteMemory(tmp_path)) as memory,
        closing(SqlitePlans(tmp_path)) as plans,
    ):  # fmt: skip
        remembering = Remembering(_source(store, memory, plans), lambda text: None)
        store.write([SIGNAL], [OPEN])
        assert remembering.step(ONSET) == 0, "nothing can be learned of it as yet"
        store.write([], [OPEN.investigated(findings_dict(FOUND), ONSET)])
        assert remembering.step(ONSET + HOUR // 2) == 0, "it is not time"
        assert [remembering.step(ONSET + k * EACH_NS) for k in (1, 2)] == [1, 0]
        (case,) = memory.cases()
        assert case.causes == (Named("field:amount", "unit", 0.9),) and case.steps == 7 and case.tried == ()
        assert [(one.node, one.kind, one.up) for one in case.traits] == [("field:amount", "unit", True)]
        plans.write(replace(response(phase=Phase.CLOSED), findings=FOUND))
        assert remembering.step(ONSET + 3 * EACH_NS) == 1
        (case,) = memory.cases()
        assert case.tried == (Tried("convert", "x", "FAIL", False),) and case.refuted
        assert memory.search("convert")[0].id == "i1"


def test_a_closed_incident_without_findings_was_only_watched(tmp_path: Path) -> None:
    with closing(SqliteIncidents(tmp_path)) as store, closing(SqliteMemory(tmp_path)) as memory:
        store.write([SIGNAL], [OPEN])
        store.write([], [OPEN.closed("the signals have ended", ONSET + HOUR)])
        assert Remembering(_source(store, memory), lambda text: None).step(ONSET) == 1
        assert memory.case("i1").watched


def test_a_memory_that_fails_is_said_once_and_tried_again(tmp_path: Path) -> None:
    class Away:
        def keep(self, case: object) -> bool:
            raise Unavailable("the memory is away")

    said: list[str] = []
    with closing(SqliteIncidents(tmp_path)) as store:
        store.write([SIGNAL], [OPEN])
        store.write([], [OPEN.closed("over", ONSET + HOUR)])
        remembering = Remembering(_source(store, Away()), said.append)
        assert [remembering.step(ONSET + k * EACH_NS) for k in range(3)] == [0, 0, 0]
        assert said == ["incidents are not remembered as yet: the memory is away"]
        with closing(SqliteMemory(tmp_path)) as memory:
            remembering.source = _source(store, memory)
            assert remembering.step(ONSET + 3 * EACH_NS) == 1


def test_repeats_of_watched_incidents_open_one_incident_a_week(tmp_path: Path) -> None:
    day = 24 * HOUR
    with closing(SqliteIncidents(tmp_path)) as store, closing(SqliteMemory(tmp_path)) as memory:
        for k in range(3):
            at = ONSET + k * 3 * day
            one = replace(SIGNAL, id=f"s{k}", since_ns=at)
            watched = Incident(f"i{k}", "access", 1, at, at, at, Severity.LOW, (one.id,))
            store.write([one], [watched])
            store.write([], [watched.closed("the signals have ended", at + HOUR)])
        said: list[str] = []
        remembering = Remembering(_source(store, memory), said.append)
        remembering.step(ONSET + 10 * day)
        (opened,) = [one.incident for one in store.list([Phase.OPEN])]
        assert opened.notes["repeats"] == ["i0", "i1", "i2"] and list(opened.signals) == ["s0", "s1", "s2"]
        assert store.history(opened.id)[-1].actor == "memory" and "3 incidents" in said[0]
        Remembering(_source(store, memory), said.append).step(ONSET + 11 * day)
        remembering.step(ONSET + 30 * day)
        assert len(store.list([Phase.OPEN])) == 1, "each case counts once, in another process too"


def test_the_declared_folder_is_taken_in_and_what_is_left_out_is_said_once(tmp_path: Path) -> None:
    books, said = tmp_path / "books", list[str]()
    with closing(SqliteIncidents(tmp_path)) as store, closing(SqliteMemory(tmp_path)) as memory:
        remembering = Remembering(_source(store, memory), said.append, books)
        remembering.step(ONSET)
        assert said == [f"runbooks: {books} is no folder"]
        books.mkdir()
        (books / "units.md").write_text("# Units\ndivide by 100")
        (books / "link.md").symlink_to(tmp_path / "incidents.db")
        for k in (1, 2):
            remembering.step(ONSET + k * EACH_NS)
        assert said[1:] == ["runbooks: link.md is a link, and is not followed"]
        assert [one.name for one in memory.notes()] == ["units.md"]
        (books / "units.md").write_text("# Units\nmultiply by 100")
        remembering.step(ONSET + 3 * EACH_NS)
        assert "multiply" in memory.note("units.md").text
