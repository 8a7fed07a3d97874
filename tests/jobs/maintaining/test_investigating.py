"""Open incidents are looked into once they have settled, each revision once, by compare and set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.checks.inquiries import HOUR, ONSET, signal
from homeostat.engine.assembly import prepare
from homeostat.jobs.maintaining.investigating import ACTOR, SETTLE_NS, Investigating
from homeostat.jobs.maintaining.source import Source
from homeostat.maintain.incident.keeping import together
from homeostat.ports import Entry
from homeostat.records.incidents import FINDINGS, Incident, Phase, Severity
from homeostat.records.signals import Kind, Signal

PREPARED = prepare("access")


class Empty:
    """A journal without entries."""

    last = 0

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Nothing."""
        return iter(())


def _source(store: SqliteIncidents) -> Source:
    journal: Any = Empty()
    return Source(PREPARED, journal, store, lambda entry: None)


def _incident() -> Incident:
    return Incident("i1", "access", 1, ONSET, ONSET, ONSET, Severity.LOW, (signal("source", Kind.VOLUME).id,))


def test_an_incident_is_looked_into_after_it_settled_and_once(tmp_path: Path) -> None:
    with closing(SqliteIncidents(tmp_path, app="access")) as store:
        store.write([signal("source", Kind.VOLUME)], [_incident()])
        said: list[str] = []
        investigating = Investigating(_source(store), said.append)
        assert investigating.step(ONSET + HOUR) == 0
        assert investigating.step(ONSET + SETTLE_NS) == 1
        found = store.get("i1")
        assert (found.phase, found.revision) == (Phase.INVESTIGATED, 2)
        assert found.notes[FINDINGS]["conclusion"] == "inconclusive" and "i1" in said[0]
        assert store.history("i1")[-1].actor == ACTOR
        assert investigating.step(ONSET + 9 * HOUR) == 0


def test_who_is_slower_than_a_person_stores_nothing(tmp_path: Path) -> None:
    with closing(SqliteIncidents(tmp_path, app="access")) as store:
        store.write([], [_incident()])

        def signals_of(ids: object) -> list[Signal]:
            store.write([], [_incident().closed("it is over", ONSET + 1)], "ann")
            return []

        stale = SimpleNamespace(list=store.list, signals_of=signals_of, write=store.write)
        assert Investigating(_source(stale), lambda text: None).step(ONSET + SETTLE_NS) == 1  # type: ignore[arg-type]
        assert store.get("i1").phase == Phase.CLOSED and FINDINGS not in store.get("i1").notes


def test_the_loop_keeps_findings_that_came_while_it_worked() -> None:
    theirs = _incident().investigated({"conclusion": "none"}, ONSET + HOUR)
    ours = Incident("i1", "access", 2, ONSET, ONSET + 2, ONSET, Severity.HIGH, ("a", "b"), notes={"impact": "measured"})
    both = together(ours, theirs)
    assert both is not None and both.phase == Phase.INVESTIGATED and both.severity == Severity.HIGH
    assert both.notes == {"impact": "measured", FINDINGS: {"conclusion": "none"}} and both.revision == 3
