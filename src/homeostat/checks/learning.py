"""The contract of every store of a learner, whatever it is built on.

A plug-in's author calls each function with empty settings and a way to open the store beside them::

    @pytest.mark.parametrize("check", LEARNING_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        check(settings, lambda: MyStore(place))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from homeostat.errors import HomeostatError
from homeostat.ports.learning import Asked, Deposed, Lead, LearnedStates, Learnt, Publication, UnknownState
from homeostat.ports.settings import Changed, Settings
from homeostat.records.changes import Change, ChangeKind, Scope

OpensLearning = Callable[[], LearnedStates]
_POLICY = Scope(ChangeKind.STATE, "policy")
_LONG_NS = 10**15
_PART = 4 << 20  # A size at which a store may cut what is saved.


def publication(content: bytes, position: int = 1, expected: int = 0, scope: str = "policy") -> Publication:
    """A state that consists of these bytes."""
    body = {"position": position, "sha256": sha256(content).hexdigest()}
    change = Change(ChangeKind.STATE, scope, body, "learner one", "learned", f"learner:{scope}:{position}")
    return Publication(change, content, expected)


def _refused(kind: type[HomeostatError], call: Callable[[], object]) -> str:
    """The text of the error with which a call is refused."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


def _lead(store: LearnedStates, owner: str = "one", lease_s: float = 60.0) -> Lead:
    lead = store.lead(owner, lease_s)
    assert lead is not None, "the lead is not free"
    return lead


def one_leads_until_it_resigns_or_its_lease_is_over(settings: Settings, open_store: OpensLearning) -> None:
    """Nobody leads beside it, and one that leads no more has nothing to give up."""
    one, other = open_store(), open_store()
    lead = _lead(one)
    assert other.lead("other") is None
    one.resign(lead)
    later = _lead(other, "other")
    assert later.epoch > lead.epoch and one.lead("one") is None
    one.resign(lead)
    assert one.lead("one") is None
    other.note(later, Learnt(0, 0, 0, None), lease_s=0.0)
    assert one.lead("one") is not None


def many_that_want_to_lead_at_once_get_one_leader(settings: Settings, open_store: OpensLearning) -> None:
    """The order of their requests does not matter."""
    stores, got = [open_store() for _ in range(6)], []
    threads = [
        threading.Thread(target=lambda store=store, k=k: got.append(store.lead(f"learner {k}")))
        for k, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6 and sum(lead is not None for lead in got) == 1


def a_state_and_its_change_are_stored_together_or_not_at_all(settings: Settings, open_store: OpensLearning) -> None:
    """Also where its author did not know the last change, or its key is used again."""
    store = open_store()
    lead = _lead(store)
    (stored,) = store.publish(lead, [publication(b"first")])
    assert stored.body is not None
    assert settings.last_of(_POLICY) == stored and store.state(stored.body["sha256"]) == b"first"
    second = publication(b"second", 2)
    _refused(Changed, lambda: store.publish(lead, [second]))
    _refused(UnknownState, lambda: store.state(sha256(b"second").hexdigest()))
    assert settings.last == 1
    assert store.publish(lead, [publication(b"first")]) == [stored]  # The answer was lost, say.
    assert settings.last == 1


def states_that_are_published_together_are_stored_together_or_not_at_all(
    settings: Settings, open_store: OpensLearning
) -> None:
    """Where one of them is refused, none is stored."""
    store = open_store()
    lead = _lead(store)
    store.publish(lead, [publication(b"before", 0)])
    fusion, policy = publication(b"fusion", scope="fusion"), publication(b"policy")
    _refused(Changed, lambda: store.publish(lead, [fusion, policy]))
    assert settings.last == 1
    made = store.publish(lead, [fusion, replace(policy, expected=1)])
    assert [(one.number, one.scope) for one in made] == [(2, "fusion"), (3, "policy")]


def one_that_does_not_lead_stores_nothing(settings: Settings, open_store: OpensLearning) -> None:
    """However late it wakes up."""
    store = open_store()
    former = _lead(store, "former", 0.0)
    _lead(store, "present")
    for call in (
        lambda: store.publish(former, [publication(b"late")]), lambda: store.save(former, b"late"),
        lambda: store.note(former, Learnt(9, 9, 9, 0.0)),
    ):  # fmt: skip
        assert "leads" in _refused(Deposed, call)
    assert settings.last == 0 and store.saved() is None and store.standing().position == 0


def content_that_was_saved_is_read_back_whole(settings: Settings, open_store: OpensLearning) -> None:
    """It replaces what was there, whatever the sizes."""
    store = open_store()
    lead = _lead(store)
    for size in (2 * _PART + 1, 0, 1, _PART, _PART + 1):
        content = (bytes(range(256)) * (size // 256 + 1))[:size]
        store.save(lead, content)
        assert (open_store().saved() or b"") == content


def its_standing_counts_from_when_all_was_learned(settings: Settings, open_store: OpensLearning) -> None:
    """A note of a learner that is behind leaves that moment where it was."""
    store = open_store()
    assert (store.standing().owner, store.standing().stale_s) == ("", None)
    lead = _lead(store)
    store.note(lead, Learnt(5, 7, 11, None))
    found = store.standing()
    assert (found.owner, found.leads, found.position, found.behind, found.moment_ns) == ("one", True, 5, 7, 11)
    assert found.stale_s is None and found.silent_s is not None and 0 <= found.silent_s < 30
    store.note(lead, Learnt(12, 0, 20, 100.0))
    store.note(lead, Learnt(13, 4, 20, None, "it hangs"))
    found = store.standing()
    assert found.stale_s is not None and 100 <= found.stale_s < 130 and found.trouble == "it hangs"


def states_that_no_kept_decision_was_made_under_are_dropped(settings: Settings, open_store: OpensLearning) -> None:
    """The one that was in force at the time stays, and so does the one that is."""
    store = open_store()
    lead, made = _lead(store), list[Change]()
    for k in range(4):
        expected = made[-1].number if made else 0
        made += store.publish(lead, [publication(b"state %d" % k, k, expected)])
    digests = [sha256(b"state %d" % k).hexdigest() for k in range(4)]
    assert store.drop(made[2].at_ns) in (1, 2)
    _refused(UnknownState, lambda: store.state(digests[0]))
    assert [store.state(digest) for digest in digests[2:]] == [b"state 2", b"state 3"]
    assert store.drop(made[3].at_ns + _LONG_NS) >= 1
    assert store.state(digests[3]) == b"state 3"


def the_latest_moment_that_was_asked_for_stands(settings: Settings, open_store: OpensLearning) -> None:
    """An earlier one is answered by the later one."""
    one, other = open_store(), open_store()
    assert one.asked() == Asked()
    one.ask(Asked(20, 7))
    other.ask(Asked(10, 9))
    assert one.asked() == other.asked() == Asked(20, 7)
    lead = _lead(one)
    one.note(lead, Learnt(7, 0, 20, 0.0, number=3))
    assert other.standing().number == 3


def a_budget_is_never_exceeded_whoever_asks(settings: Settings, open_store: OpensLearning) -> None:
    """Each period has its own, and what is given back can be taken again."""
    stores, got = [open_store() for _ in range(4)], list[float]()

    def take(store: LearnedStates) -> None:
        for _ in range(20):
            got.append(store.grant(3, 0.75, 10.0))

    threads = [threading.Thread(target=take, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 10.0 and min(got) == 0.0  # Quarters add up exactly.
    store = stores[0]
    assert store.grant(4, 20.0, 10.0) == 10.0
    assert store.grant(4, -3.0, 10.0) == -3.0 and store.granted(4) == 7.0
    assert store.grant(4, 5.0, 10.0) == 3.0 and store.granted(5) == 0.0


LEARNING_CHECKS: tuple[Callable[[Settings, OpensLearning], None], ...] = (
    one_leads_until_it_resigns_or_its_lease_is_over, many_that_want_to_lead_at_once_get_one_leader,
    a_state_and_its_change_are_stored_together_or_not_at_all,
    states_that_are_published_together_are_stored_together_or_not_at_all, one_that_does_not_lead_stores_nothing,
    content_that_was_saved_is_read_back_whole, its_standing_counts_from_when_all_was_learned,
    states_that_no_kept_decision_was_made_under_are_dropped, the_latest_moment_that_was_asked_for_stands,
    a_budget_is_never_exceeded_whoever_asks,
)  # fmt: skip
