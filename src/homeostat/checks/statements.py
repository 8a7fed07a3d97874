"""The contract of every store of statements (questions, answers, feedback), whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place, with bounds::

    @pytest.mark.parametrize("check", STATEMENT_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        check(lambda bounds=Bounds(): MyStatements("...", bounds=bounds))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

from homeostat.ports.statements import AlreadyAnswered, Bounds, NoRoom, Statements, UnknownStatement
from homeostat.records.statements import Statement, StatementKind

QUESTION, ANSWER, FEEDBACK = StatementKind.QUESTION, StatementKind.ANSWER, StatementKind.FEEDBACK


class OpensStatements(Protocol):
    """Opens the store."""

    def __call__(self, bounds: Bounds = ...) -> Statements: ...


def question(number: int = 1, **named: Any) -> Statement:
    """A question about a decision."""
    text = f"why {number}? \u00fc\u6f22\U0001f600\nReally."
    return replace(
        Statement(QUESTION, "decision", f"e{number}", actor="key 1", text=text, contact="a@b.example"), **named
    )


def answer(refers: int, **named: Any) -> Statement:
    """An answer to a question."""
    return replace(Statement(ANSWER, "decision", "-", "upheld", actor="ann", text="as it was", refers=refers), **named)


def feedback(number: int = 1, **named: Any) -> Statement:
    """Feedback about a decision."""
    return replace(Statement(FEEDBACK, "decision", f"e{number}", "label", True, "call centre", "key 2"), **named)


def an_empty_store_has_nothing(opens: OpensStatements) -> None:
    """Nothing is listed, and every number is unknown."""
    store = opens()
    assert [list(store.list(kind)) for kind in StatementKind] == [[] for _ in StatementKind]
    assert store.head()[0] == 0 and store.answers([1, 2]) == {}
    for number in (-1, 0, 1, 1 << 70):
        _refused(UnknownStatement, partial(store.get, number))
    store.close()


def a_statement_comes_back_as_it_was_stored(opens: OpensStatements) -> None:
    """Whole, here and elsewhere, with the next number and a later time."""
    store, other = opens(), opens()
    values = (None, True, False, 0.0, -1.5e300, 3.0, "", "t\u00e4xt")
    stored = [store.append(question())] + [store.append(feedback(value=value)) for value in values]
    assert [one.number for one in stored] == list(range(1, len(values) + 2))
    assert all(a.at_ns < b.at_ns for a, b in pairwise(stored))
    assert stored[0] == replace(question(), number=1, at_ns=stored[0].at_ns)
    for one in stored:
        assert other.get(one.number) == store.get(one.number) == one
    assert [type(one.value) for one in stored[1:]] == [type(value) for value in values]
    assert other.head() == store.head() and store.head()[0] == len(stored)
    store.close()
    other.close()


def statements_are_listed_newest_first_by_kind_and_time(opens: OpensStatements) -> None:
    """In pages, by times, and questions by whether they are open."""
    store = opens()
    made = [store.append(question(k) if k % 2 else feedback(k)) for k in range(6)]
    asked = [one for one in made if one.kind == QUESTION][::-1]
    assert list(store.list(QUESTION)) == asked
    assert list(store.list(QUESTION, limit=2)) == asked[:2]
    assert list(store.list(QUESTION, limit=2, below=asked[1].number)) == asked[2:]
    assert list(store.list(FEEDBACK, from_ns=made[2].at_ns, until_ns=made[4].at_ns)) == [made[2]]
    given = store.append(answer(asked[0].number))
    assert list(store.list(QUESTION, is_open=True)) == asked[1:]
    assert list(store.list(QUESTION, is_open=False)) == asked[:1]
    assert store.answers([one.number for one in asked]) == {asked[0].number: given}
    store.close()


def an_answer_takes_its_decision_from_the_question(opens: OpensStatements) -> None:
    """And there is none to what is no question."""
    store = opens()
    store.append(feedback())
    asked = store.append(question(7))
    assert store.append(answer(asked.number)).about == "e7"
    for refers in (1, 99, 0):
        _refused(UnknownStatement, partial(store.append, answer(refers)))
    assert store.head()[0] == 3
    store.close()


def of_two_who_answer_at_once_one_is_first(opens: OpensStatements) -> None:
    """The other sees that the question was answered; who has seen that may answer again."""
    stores = [opens(), opens()]
    number = stores[0].append(question()).number

    def give(k: int) -> str:
        try:
            stores[k % 2].append(answer(number, actor=f"person {k}"), expected=0)
        except AlreadyAnswered:
            return "late"
        return "first"

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(give, range(8))) == ["first", *["late"] * 7]
    first = stores[0].answers([number])[number]
    again = stores[1].append(answer(number, topic="changed"), expected=first.number)
    assert stores[0].answers([number])[number] == again
    for store in stores:
        store.close()


def a_key_is_one_statement(opens: OpensStatements) -> None:
    """However often it is sent, by whomever at once; for another statement it is refused."""
    stores = [opens(), opens()]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda k: stores[k % 2].append(question(key="k1")), range(8)))
    assert {one.number for one in made} == {1} and len(stores[0].list(QUESTION)) == 1
    _refused(AlreadyAnswered, lambda: stores[0].append(question(2, key="k1")))
    given = stores[0].append(answer(1, key="k2"), expected=0)
    assert stores[1].append(answer(1, key="k2"), expected=0) == given
    for store in stores:
        store.close()


def what_cannot_be_stored_is_refused(opens: OpensStatements) -> None:
    """With the member, and nothing is stored."""
    store = opens()
    bad = (
        question(text=""), question(text="x" * 4001), question(text="a\0b"), question(about=""),
        question(about="e" * 1025),
        question(contact="a\nb"), question(text="\udc80"), question(actor=""), feedback(topic="Label"),
        feedback(source=""), feedback(value=float("nan")), feedback(value="x" * 201), feedback(subject="person"),
        answer(1, topic="maybe"),
    )  # fmt: skip
    for one in bad:
        _refused(ValueError, partial(store.append, one))
    assert store.head()[0] == 0
    store.close()


def a_full_store_refuses(opens: OpensStatements) -> None:
    """Open questions have a bound, which an answer makes room in; all statements have another."""
    store = opens(Bounds(open_questions=2, statements=6))
    first, _ = store.append(question(1)), store.append(question(2))
    _refused(NoRoom, lambda: store.append(question(3)))
    store.append(answer(first.number))
    store.append(question(3))
    store.append(feedback())
    store.append(feedback())
    _refused(NoRoom, lambda: store.append(feedback()))
    assert store.append(answer(2)).number == 7  # Answers have room beyond the bound.
    store.close()


def words_can_be_forgotten_and_the_rest_stays(opens: OpensStatements) -> None:
    """For good, and for everybody."""
    store, other = opens(), opens()
    made = store.append(question(key="k"))
    head = store.head()
    other.forget(made.number)
    assert store.get(1) == replace(made, text="", contact="") and store.head() == head
    assert store.append(question(key="k")).number == 1
    _refused(UnknownStatement, lambda: store.forget(2))
    store.close()
    other.close()


def numbers_have_no_gaps_however_many_write(opens: OpensStatements) -> None:
    """And each digest follows from the one before."""
    stores = [opens(), opens()]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda k: stores[k % 2].append(feedback(k)), range(24)))
    assert sorted(one.number for one in made) == list(range(1, 25))
    assert stores[0].head() == stores[1].head()
    for store in stores:
        store.close()


def _refused(kind: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


STATEMENT_CHECKS: tuple[Callable[[OpensStatements], None], ...] = (
    an_empty_store_has_nothing,
    a_statement_comes_back_as_it_was_stored,
    statements_are_listed_newest_first_by_kind_and_time,
    an_answer_takes_its_decision_from_the_question,
    of_two_who_answer_at_once_one_is_first,
    a_key_is_one_statement,
    what_cannot_be_stored_is_refused,
    a_full_store_refuses,
    words_can_be_forgotten_and_the_rest_stays,
    numbers_have_no_gaps_however_many_write,
)
