"""The contract of every store of incidents, whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place, with bounds::

    @pytest.mark.parametrize("check", INCIDENT_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check, tmp_path):
        check(lambda bounds=Bounds(): MyIncidents(tmp_path, bounds=bounds))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import inf, nan
from typing import Protocol

from homeostat.errors import HomeostatError
from homeostat.ports.incidents import Bounds, IncidentMoved, Incidents, SilenceMoved, UnknownIncident
from homeostat.records.deliveries import Delivery, DeliveryState, News
from homeostat.records.incidents import Incident, Phase, Severity, Silence, Suspect
from homeostat.records.signals import Kind, Series, Signal

_HOUR_NS = 3600 * 10**9


class OpensIncidents(Protocol):
    """Opens the store."""

    def __call__(self, bounds: Bounds = ...) -> Incidents: ...


def signal(name: str = "a", at: int = 3, *, still: bool = True) -> Signal:
    """A signal at an hour."""
    series = Series("contract", "field:amount", Kind.UNIT, f"ratio {name} \u00fc\u6f22\0\u2028'\"; -- %s ?")
    return Signal(
        name, series, at * _HOUR_NS, _HOUR_NS, 0, 2 * _HOUR_NS, 1e9, 1e-9, 100.0, 1.0, 99.0, 98.5, inf, 300, "ratio",
        0, at * _HOUR_NS, decisions=0.25, cost_per_hour=nan, still=still, notes={"n": [1, 2], "unit": "cents"},
    )  # fmt: skip


def incident(id: str = "i1", revision: int = 1, phase: Phase = Phase.OPEN, hour: int = 3) -> Incident:
    """An incident of one signal."""
    return Incident(
        id, "payments", revision, 3 * _HOUR_NS, hour * _HOUR_NS, _HOUR_NS, Severity.HIGH, ("a",), (),
        (Suspect("field:amount", "unit", 0.75),), 120, 40, 7.5, phase=phase, notes={"impact": "measured"},
    )  # fmt: skip


def delivery(incident: str = "i1", revision: int = 1, channel: str = "desk", made_ns: int = 5) -> Delivery:
    """An announcement that waits."""
    return Delivery(f"{incident}-{revision}-{channel}", channel, incident, revision, News.OPENED, made_ns)


def silence(id: str = "s1", until: int = 9) -> Silence:
    """A silence that ends at an hour."""
    return Silence(id, "field:*", "*", 0, until * _HOUR_NS, "ann", "a migration of \u00fc")


def an_empty_store_has_nothing(opens: OpensIncidents) -> None:
    """Nothing is listed, found or due."""
    store = opens()
    assert [*store.list(), *store.signals(), *store.changes(0), *store.deliveries(), *store.silences()] == []
    assert store.signals_of(["a"]) == [] and store.planned() == 0 and list(store.claim(1 << 60, 1)) == []
    for act in (partial(store.get, "i1"), partial(store.history, "i1"), partial(store.get, "\0' OR 1=1")):
        _raises(UnknownIncident, act)
    store.write([], [])
    store.close()


def what_is_written_comes_back_as_it_was(opens: OpensIncidents) -> None:
    """Here, elsewhere, and after opening again: every field, odd characters, and figures that are not known."""
    store, other = opens(), opens()
    store.write([signal()], [incident()])
    store.close()
    again = opens()
    for each in (other, again):
        found = each.get("i1")
        assert str(found) == str(incident()) and found.phase is Phase.OPEN and found.severity is Severity.HIGH
        (one,) = each.signals_of(["a", "nothing"])
        assert str(replace(one, high=0.0)) == str(replace(signal(), high=0.0)) and one.high > 1e300
        assert [kept.incident.id for kept in each.list()] == ["i1"] and len(each.signals()) == 1
        each.close()


def the_same_again_is_stored_once(opens: OpensIncidents) -> None:
    """A loop that crashed writes its last ticks again; nothing is doubled, and later revisions stay."""
    store = opens()
    ticks = [
        ([signal("a", 3)], [incident()]),
        ([signal("b", 4)], [incident(revision=2, hour=4)]),
        ([signal("a", 5)], []),
    ]
    for signals, incidents in ticks:
        store.write(signals, incidents)
    before = (list(store.signals()), list(store.list()), list(store.changes(0)))
    for signals, incidents in ticks:
        store.write(signals, incidents)
    assert (list(store.signals()), list(store.list()), list(store.changes(0))) == before
    assert [one.incident.revision for one in store.history("i1")] == [1, 2] and store.get("i1").revision == 2
    store.close()


def news_of_a_signal_replaces_it(opens: OpensIncidents) -> None:
    """Its end is kept, and an earlier state never comes back; its place among the signals stays."""
    store = opens()
    store.write([signal("a", 3), signal("b", 3)], [])
    store.write([signal("a", 6, still=False)], [])
    store.write([signal("a", 5)], [])
    (one,) = store.signals_of(["a"])
    assert not one.still and one.at_ns == 6 * _HOUR_NS
    assert [kept.signal.id for kept in store.signals()] == ["b", "a"]
    store.close()


def only_one_of_two_authors_moves_an_incident(opens: OpensIncidents) -> None:
    """The other gets an error with the incident as it is, and nothing of their write is stored."""
    store, other = opens(), opens()
    store.write([], [incident()])
    closed = replace(incident(revision=2, phase=Phase.CLOSED, hour=5), reason="known")
    store.write([], [closed], "ann")
    error = _raises(IncidentMoved, lambda: other.write([signal("late")], [incident(revision=2, hour=6)]))
    assert isinstance(error, IncidentMoved) and error.found.reason == "known"
    assert other.signals_of(["late"]) == [] and [one.actor for one in store.history("i1")] == ["homeostat", "ann"]
    _raises(IncidentMoved, lambda: other.write([], [incident(revision=9)]))
    wins: list[str] = []

    def move(name: str) -> None:
        own = opens()
        try:
            own.write([], [replace(closed, revision=3, phase=Phase.OPEN, reason=name)], name)
            wins.append(name)
        except IncidentMoved:
            pass
        own.close()

    _together(move, 6)
    assert len(wins) == 1 and store.get("i1").reason == wins[0]
    for each in (store, other):
        each.close()


def incidents_and_signals_are_listed_in_pages(opens: OpensIncidents) -> None:
    """The newest first, each once, of the wanted phases."""
    store = opens()
    for number in range(7):
        phase = Phase.CLOSED if number % 2 else Phase.OPEN
        store.write([signal(f"s{number}")], [replace(incident(f"i{number}"), phase=phase)])
    pages, below = [], None
    while page := store.list(limit=3, below=below):
        pages += [one.incident.id for one in page]
        below = page[-1].number
    assert pages == [f"i{number}" for number in reversed(range(7))]
    assert [one.incident.id for one in store.list([Phase.CLOSED])] == ["i5", "i3", "i1"]
    assert [one.signal.id for one in store.signals(2, below=store.signals(2)[-1].number)] == ["s4", "s3"]
    store.close()


def changes_are_numbered_in_order_and_none_is_missed(opens: OpensIncidents) -> None:
    """Also where several authors write at once."""
    store = opens()

    def write(name: str) -> None:
        own = opens()
        for revision in range(1, 6):
            own.write([], [incident(name, revision)], name)
        own.close()

    _together(write, 4)
    seen, after = [], 0
    while page := store.changes(after, 3):
        assert [one.number for one in page] == sorted(one.number for one in page) and page[0].number > after
        seen += [(one.actor, one.incident.revision) for one in page]
        after = page[-1].number
    assert sorted(seen) == sorted((f"{k}", revision) for k in range(4) for revision in range(1, 6))
    assert all(one.actor == one.incident.id for one in store.changes(0))
    store.close()


def silences_end(opens: OpensIncidents) -> None:
    """Each is there until its time, and can be replaced by one that ends sooner."""
    store, other = opens(), opens()
    store.silence(silence("s1", 9))
    store.silence(silence("s2", 5))
    assert [one.id for one in other.silences()] == ["s2", "s1"] and other.silences()[1] == silence("s1", 9)
    assert [one.id for one in other.silences(6 * _HOUR_NS)] == ["s1"]
    store.silence(replace(silence("s1"), until_ns=2 * _HOUR_NS))
    assert list(other.silences(6 * _HOUR_NS)) == [] and len(other.silences()) == 2
    for each in (store, other):
        each.close()


def a_silence_is_changed_by_those_who_know_it(opens: OpensIncidents) -> None:
    """It names the revision that its author saw; the same key again changes nothing."""
    store, other = opens(Bounds()), opens(Bounds())
    made = store.silence(replace(silence(), key="k1"), expected=0)
    assert made.revision == 1 and list(other.silences()) == [made]
    assert other.silence(replace(silence(until=5), key="k1"), expected=0) == made
    error = _raises(SilenceMoved, lambda: other.silence(silence(until=5), expected=0))
    assert isinstance(error, SilenceMoved) and error.found == made
    error = _raises(SilenceMoved, lambda: other.silence(silence("s2"), expected=1))
    assert isinstance(error, SilenceMoved) and error.found is None
    assert other.silence(silence(until=5), expected=1).revision == 2
    assert store.silence(silence(until=3)).revision == 3 and len(other.silences()) == 1
    for each in (store, other):
        each.close()


def a_delivery_is_planned_once(opens: OpensIncidents) -> None:
    """However often its change is seen to; what has become of it stays, and the cursor never goes back."""
    store = opens()
    store.plan([delivery(), delivery(channel="mail")], 4)
    (first, second) = store.claim(10, 100)
    assert store.report(replace(first, state=DeliveryState.SENT, ended_ns=11))
    store.plan([delivery(), delivery(revision=2)], 3)
    assert store.planned() == 4
    states = {one.key: one.state for one in store.deliveries()}
    assert states == {"i1-1-desk": "sent", "i1-1-mail": "waiting", "i1-2-desk": "waiting"}
    assert second.attempts == 1 and [one.key for one in store.deliveries(1)] == ["i1-2-desk"]
    store.close()


def a_delivery_is_claimed_by_one_at_a_time(opens: OpensIncidents) -> None:
    """It comes back when its lease is over, and a late report of the attempt before is not taken."""
    store = opens()
    store.plan([delivery(str(k)) for k in range(8)], 1)
    taken: list[Delivery] = []

    def claim(name: str) -> None:
        own = opens()
        while found := own.claim(10, 100, 3):
            taken.extend(found)
        own.close()

    _together(claim, 4)
    assert sorted(one.incident for one in taken) == [str(k) for k in range(8)]
    (again, *_) = store.claim(110, 100)
    assert again.attempts == 2
    late = next(one for one in taken if one.key == again.key)
    assert not store.report(replace(late, state=DeliveryState.SENT, ended_ns=120))
    assert store.report(replace(again, next_ns=500, error="refused\0 \u00fc"))
    (kept,) = [one for one in store.deliveries() if one.key == again.key]
    assert kept.state is DeliveryState.WAITING and kept.next_ns == 500 and "refused" in kept.error
    assert store.report(replace(again, state=DeliveryState.FAILED, ended_ns=600))
    assert not store.report(replace(again, state=DeliveryState.SENT, ended_ns=700))
    store.close()


def only_so_much_is_kept(opens: OpensIncidents) -> None:
    """The oldest that are over go first; whatever is open, holds on or waits stays."""
    store = opens(Bounds(incidents=2, signals=3, deliveries=2, silences=2))
    store.write([signal("open")], [incident("open")])
    for number in range(6):
        id = f"i{number}"
        store.write([signal(id, still=False)], [replace(incident(id), phase=Phase.CLOSED)])
        store.plan([delivery(id)], number)
        (one,) = store.claim(1, 0)
        store.report(replace(one, state=DeliveryState.SENT))
        store.silence(silence(f"s{number}", number + 1))
    store.plan([delivery("waits")], 9)
    assert [one.incident.id for one in store.list()] == ["i5", "i4", "open"]
    assert [one.signal.id for one in store.signals()] == ["i5", "i4", "i3", "open"]
    assert [one.incident for one in store.deliveries()] == ["waits", "i5"] and len(store.silences()) == 2
    _raises(UnknownIncident, lambda: store.history("i0"))
    store.close()


def _raises(error: type[HomeostatError], act: Callable[[], object]) -> HomeostatError:
    try:
        act()
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} was expected")


def _together(act: Callable[[str], None], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for result in [pool.submit(act, str(number)) for number in range(threads)]:
            result.result()


INCIDENT_CHECKS = (
    an_empty_store_has_nothing,
    what_is_written_comes_back_as_it_was,
    the_same_again_is_stored_once,
    news_of_a_signal_replaces_it,
    only_one_of_two_authors_moves_an_incident,
    incidents_and_signals_are_listed_in_pages,
    changes_are_numbered_in_order_and_none_is_missed,
    silences_end,
    a_silence_is_changed_by_those_who_know_it,
    a_delivery_is_planned_once,
    a_delivery_is_claimed_by_one_at_a_time,
    only_so_much_is_kept,
)
"""Every part of the contract."""
