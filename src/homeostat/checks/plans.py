"""The contract of every store of plans, whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place, with bounds::

    @pytest.mark.parametrize("check", PLAN_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check, tmp_path):
        check(lambda bounds=PlanBounds(): MyPlans(tmp_path, bounds=bounds))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from math import inf, nan
from typing import Protocol

from homeostat.errors import HomeostatError
from homeostat.ports.plans import NoResponse, PlanBounds, Plans, ResponseMoved
from homeostat.records.autonomy import Raised, Reach
from homeostat.records.changes import ChangeKind
from homeostat.records.edits import Edit
from homeostat.records.findings import Conclusion, Edge, Evidence, Finding, Findings
from homeostat.records.incidents import Phase
from homeostat.records.plans import (
    Alteration,
    Blast,
    Plan,
    Receipt,
    Rehearsed,
    Remedy,
    Ruling,
    Spoke,
    Step,
    Tier,
    Verified,
)
from homeostat.records.response_text import stored_text
from homeostat.records.responses import Answer, Approval, Line, Response
from homeostat.records.verdicts import Verdict

_ODD = "\u00fc\u6f22\0\u2028'\"; -- %s ?"


class OpensPlans(Protocol):
    """Opens the store."""

    def __call__(self, bounds: PlanBounds = ...) -> Plans: ...


def response(incident: str = "i1", revision: int = 1, phase: Phase = Phase.RULED, at_ns: int = 7) -> Response:
    """A response with all that one may hold."""
    finding = Finding(
        "field:amount", "unit", 0.9, 3, (Edge("a", "b", _ODD),), (Evidence("ratio", 100.0, "times", 3.5),),
        about={"factor": 100.0, "names": ["a", _ODD], "deep": {"n": 1, "none": None}},
    )  # fmt: skip
    findings = Findings(incident, 4, Conclusion.CAUSE, (finding,), (("field:amount", "unit", 0.9),), 5, ("labels",))
    alteration = Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.8, "odd": _ODD}, 99)
    step = Step(
        Remedy.CONVERT, "field:amount", (alteration,), ("train", {"app": "x"}), True, 1.5,
        Rehearsed(nan, -inf, 1e300, 9, "replay"), Blast(0.1, 0.2, 0.3), 10, {"mix": [0.5, 0.5]}, _ODD,
    )  # fmt: skip
    plan = Plan(incident, 5, 0.9, 3, (step,), (("retrain", "it is dearer"),))
    ruling = Ruling(plan.hash, at_ns, Tier.ESCALATE, (Spoke("figures", Tier.ESCALATE, 2.0, nan, _ODD),))
    receipt = Receipt(plan.hash, 0, "k", 8, "ann", (4, 5), "j1", remedy=Remedy.CONVERT, scope="x", cost=1.0)
    verified = Verified(0, 9, Verdict.FAIL, 0.1, nan, 0.0, 0.2, 50, "no effect", True, "k")
    return Response(
        incident, revision, phase, at_ns, at_ns, 2, 1, findings, plan, ruling,
        Approval(plan.hash, Answer.APPROVE, "ann", _ODD, 6), (receipt,), (verified,), True, True, (Line(1, _ODD),),
        (Edit(plan.hash, 0, "ann", _ODD, 5, remedy=Remedy.MASK), Edit("h", 1, "bob", "", 6, body={"at": 0.5}, key="k")),
    )  # fmt: skip


def an_empty_store_has_nothing(opened: OpensPlans) -> None:
    """There is nothing to list, and no response has the id of one."""
    with closing(opened()) as store:
        assert list(store.list()) == [] and list(store.ruled(0)) == [] and list(store.raised()) == []
        for id in ("i1", "", "a\0b"):
            assert isinstance(_raised(partial(store.get, id)), NoResponse)


def a_response_comes_back_as_it_was(opened: OpensPlans) -> None:
    """All that a response holds is the same again, in another process too; so is the hash of its plan."""
    one = response()
    with closing(opened()) as store:
        store.write(one)
    with closing(opened()) as store:
        found = store.get("i1")
        assert stored_text(found) == stored_text(one), "NaN is the same only as text"
        assert found.plan is not None and one.plan is not None and found.plan.hash == one.plan.hash
        assert found.phase is Phase.RULED and found.receipts == one.receipts and found.lines == one.lines
        assert found.findings == one.findings and found.approval == one.approval and found.edits == one.edits
        (ruled,) = store.ruled(0)
        assert stored_text(
            replace(found, plan=ruled.plan, findings=ruled.findings, ruling=ruled.ruling)
        ) == stored_text(one)


def the_same_again_is_stored_once(opened: OpensPlans) -> None:
    """A write whose answer was lost is made again, and stores nothing more."""
    with closing(opened()) as store:
        for _ in range(3):
            store.write(response())
        assert len(store.list()) == len(store.ruled(0)) == 1


def only_one_of_two_authors_moves_a_response(opened: OpensPlans) -> None:
    """A revision is the one after the stored one; the slower author gets the other's."""
    with closing(opened()) as store, closing(opened()) as other:
        store.write(response())
        store.write(replace(response(revision=2), handed=False))
        refused = _raised(lambda: other.write(replace(response(revision=2), extended=False)))
        assert isinstance(refused, ResponseMoved) and refused.found.revision == 2 and not refused.found.handed
        assert isinstance(_raised(lambda: other.write(response(revision=4))), ResponseMoved)
        assert isinstance(_raised(lambda: other.write(response(revision=1))), ResponseMoved)
        assert not other.get("i1").handed


def of_many_authors_at_once_each_revision_has_one(opened: OpensPlans) -> None:
    """As many writes succeed as there are revisions."""

    def author(name: int) -> int:
        won = 0
        with closing(opened()) as store:
            for _ in range(5):
                seen = store.get("i1")
                mine = replace(seen, revision=seen.revision + 1, rounds=name)
                won += _raised(partial(store.write, mine)) is None
        return won

    with closing(opened()) as store:
        store.write(response())
        with ThreadPoolExecutor(4) as pool:
            won = sum(pool.map(author, range(4)))
        assert store.get("i1").revision == 1 + won


def a_plan_keeps_its_last_ruling_and_earlier_plans_stay(opened: OpensPlans) -> None:
    """A plan is stored once, by its hash; another plan of the incident stands beside it."""
    first, again = response(at_ns=7), response(revision=2, at_ns=9)
    assert first.plan is not None and again.plan is not None
    other = replace(again, revision=3, plan=replace(again.plan, settings=4))
    with closing(opened()) as store:
        for one in (first, again, other):
            store.write(one)
        assert [(one.plan.settings, one.ruling.at_ns) for one in store.ruled(8)] == [(3, 9), (4, 9)]
        assert list(store.ruled(10)) == [] and len(store.ruled(0, 1)) == 1


def responses_are_listed_by_phase_the_newest_first(opened: OpensPlans) -> None:
    """Those of some phases alone, and as many as are wanted."""
    with closing(opened()) as store:
        for at, phase in enumerate((Phase.RULED, Phase.CLOSED, Phase.OPEN)):
            store.write(response(f"i{at}", phase=phase))
        assert [one.incident for one in store.list()] == ["i2", "i1", "i0"]
        assert [one.incident for one in store.list((Phase.RULED, Phase.OPEN), 1)] == ["i2"]


def the_words_of_owners_are_numbered(opened: OpensPlans) -> None:
    """Each word has the next number, in their order."""
    word = Raised(Remedy.CONVERT, Reach.SEGMENT, 5, "ann", "it is mended")
    with closing(opened()) as store:
        assert [store.raise_level(word).number for _ in range(2)] == [1, 2]
    with closing(opened()) as store:
        assert list(store.raised()) == [replace(word, number=1), replace(word, number=2)]


def beyond_the_bounds_the_oldest_go_and_open_ones_stay(opened: OpensPlans) -> None:
    """Closed responses and plans beyond a number are dropped."""
    with closing(opened(PlanBounds(responses=2, plans=3))) as store:
        store.write(response("open"))
        for at in range(5):
            store.write(response(f"i{at}", phase=Phase.CLOSED))
        assert [one.incident for one in store.list()] == ["i4", "i3", "open"]
        assert [one.plan.incident for one in store.ruled(0)] == ["i2", "i3", "i4"]


def a_lease_has_one_owner_until_it_ends(opened: OpensPlans) -> None:
    """Others get it when it was given back or is over, with a higher fence; its owner has it for longer."""
    with closing(opened()) as store, closing(opened()) as other:
        first = store.hold("act", "a", 3600.0)
        assert first is not None and store.hold("act", "a", 3600.0) == first
        assert other.hold("act", "b", 3600.0) is None
        elsewhere = other.hold("i1", "b", 3600.0)
        assert elsewhere is not None and elsewhere > first, "each lease has an end of its own"
        other.leave("act", "b")
        assert other.hold("act", "b", 3600.0) is None, "only its owner gives it back"
        store.leave("act", "a")
        second = other.hold("act", "b", 0.0)
        assert second is not None and second > elsewhere
        third = store.hold("act", "a", 3600.0)
        assert third is not None and third > second, "a lease of no time is over at once"


def of_many_processes_at_once_one_has_a_lease(opened: OpensPlans) -> None:
    """However many ask at the same moment."""

    def ask(name: int) -> bool:
        with closing(opened()) as store:
            return store.hold("act", f"p{name}", 3600.0) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1


PLAN_CHECKS: tuple[Callable[[OpensPlans], None], ...] = (
    an_empty_store_has_nothing,
    a_response_comes_back_as_it_was,
    the_same_again_is_stored_once,
    only_one_of_two_authors_moves_a_response,
    of_many_authors_at_once_each_revision_has_one,
    a_plan_keeps_its_last_ruling_and_earlier_plans_stay,
    responses_are_listed_by_phase_the_newest_first,
    the_words_of_owners_are_numbered,
    beyond_the_bounds_the_oldest_go_and_open_ones_stay,
    a_lease_has_one_owner_until_it_ends,
    of_many_processes_at_once_one_has_a_lease,
)


def _raised(act: Callable[[], object]) -> HomeostatError | None:
    try:
        act()
    except HomeostatError as error:
        return error
    return None
