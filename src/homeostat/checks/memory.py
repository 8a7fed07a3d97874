"""The contract of every memory of past incidents, whatever it is built on.

A plug-in's author calls each function with a way to open the memory on one and the same, empty place, with bounds::

    @pytest.mark.parametrize("check", MEMORY_CHECKS, ids=lambda check: check.__name__)
    def test_my_memory(check, tmp_path):
        check(lambda bounds=MemoryBounds(): MyMemory(tmp_path, bounds=bounds))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Protocol

from homeostat.errors import HomeostatError
from homeostat.ports.memory import Memory, MemoryBounds, NoSuchMemory
from homeostat.records.past import Named, Note, PastCase, Trait, Tried

_ODD = "\u00fc\u6f22\u2028'\"; -- %s ? % NEAR(a b) col:word a* (OR AND"


class OpensMemory(Protocol):
    """Opens the memory."""

    def __call__(self, bounds: MemoryBounds = ...) -> Memory: ...


def trait(node: str = "field:amount", kind: str = "unit", up: bool = True, size: float = 4.6) -> Trait:
    """A signal of a figure of this kind."""
    return Trait("contract", node, kind, "median ratio", up, size)


def past(
    id: str = "i1", opened_ns: int = 5, traits: tuple[Trait, ...] = (trait(),), words: str = "cents for euros"
) -> PastCase:  # fmt: skip
    """A case with all that one may hold."""
    return PastCase(
        id, 3, opened_ns, 9, traits, "cause", (Named("field:amount", "unit", 0.9),),
        (Tried("convert", "field:amount", "PASS", False),), 24, words,
    )  # fmt: skip


def an_empty_memory_has_nothing(opened: OpensMemory) -> None:
    """There is nothing to list, to recall or to find, and nothing has a name."""
    with closing(opened()) as memory:
        assert not [*memory.cases(), *memory.notes(), *memory.search("amount"), *memory.like([trait()], 5)]
        for act in (memory.case, memory.note, memory.forget):
            for id in ("i1", "", "a\0b"):
                assert isinstance(_raised(partial(act, id)), NoSuchMemory)


def a_case_comes_back_as_it_was(opened: OpensMemory) -> None:
    """All that a case holds is the same again, for another process too."""
    one = past(words=_ODD)
    with closing(opened()) as memory:
        assert memory.keep(one)
    with closing(opened()) as memory:
        assert memory.case("i1") == one
        assert list(memory.cases()) == [one]


def a_later_state_takes_the_place_of_an_earlier_one(opened: OpensMemory) -> None:
    """The same again stores nothing; an earlier state than the stored one is left out, and its words are not found."""
    later = replace(past(words="rolled back"), revision=4)
    with closing(opened()) as memory:
        assert [memory.keep(one) for one in (past(), past(), later, past())] == [True, False, True, False]
        assert memory.case("i1") == later and len(memory.cases()) == 1
        assert not memory.search("euros") and len(memory.search("rolled")) == 1


def cases_are_recalled_by_their_signals(opened: OpensMemory) -> None:
    """The same node before another of its role, the newest of equals first; cases that share nothing are left out."""
    cases = [
        past("same", 1), past("newer", 2), past("role", 3, (trait("field:duration"),)),
        past("down", 4, (trait(up=False),)), past("other", 5, (trait("labels", "delay"),)), past("none", 6, ()),
    ]  # fmt: skip
    with closing(opened()) as memory:
        for one in cases:
            memory.keep(one)
        found = memory.like([trait()], 10)
        assert [one.case.id for one in found] == ["newer", "same", "role", "down"]
        assert found[0].likeness == 1.0 and all(0 < one.likeness < 1 for one in found[2:])
        assert [one.case.id for one in memory.like([trait()], 1)] == ["newer"] and not memory.like([], 10)


def words_are_found_by_their_stems_and_never_as_operators(opened: OpensMemory) -> None:
    """A passage with more of the words comes first. No text of a query is a statement or an operator."""
    with closing(opened()) as memory:
        memory.add(Note("units.md", "intro\n# Converting units\nDivide amounts by 100.\n# Clocks\nShift the time.", 1))
        memory.keep(past(words="convert at field:amount: it passed"))
        first = memory.search("converting units")[0]
        assert (first.source, first.id, first.title) == ("note", "units.md", "Converting units")
        assert first.text == "Divide amounts by 100."
        assert {one.source for one in memory.search("amount")} == {"case", "note"}
        assert len(memory.search("converted unit amounts", 1)) == 1
        for odd in (_ODD, "\0", "", '"', "* ^ NOT", "units'); DROP TABLE notes; --", "word " * 500):
            memory.search(odd)
        assert not memory.search("zebra") and memory.note("units.md").at_ns == 1


def a_note_is_replaced_by_its_name(opened: OpensMemory) -> None:
    """The same again stores nothing; another text takes the place of the first, and its words too."""
    with closing(opened()) as memory:
        assert [memory.add(Note("a.md", text, at)) for at, text in enumerate(("zebra", "zebra", "giraffe"))] == [
            True, False, True,
        ]  # fmt: skip
        assert list(memory.notes()) == [Note("a.md", "giraffe", 2)]
        assert not memory.search("zebra") and len(memory.search("giraffe")) == 1


def control_characters_are_left_out(opened: OpensMemory) -> None:
    """A text is stored without what a terminal would obey, or a database refuse."""
    with closing(opened()) as memory:
        memory.add(Note("a\x1b[2J.md", "\x1b[31mred\0\u202e\ud800\tend\n", 1))
        (note,) = memory.notes()
        assert note.text == "[31mred?\tend\n" and note.name == "a[2J.md"


def forgotten_ones_are_gone(opened: OpensMemory) -> None:
    """A case or a note that is forgotten is neither listed nor found."""
    with closing(opened()) as memory:
        memory.keep(past())
        memory.add(Note("a.md", "zebra", 1))
        for id in ("i1", "a.md"):
            memory.forget(id)
        assert not [*memory.cases(), *memory.notes(), *memory.search("zebra cents"), *memory.like([trait()], 5)]


def beyond_the_bounds_the_oldest_go(opened: OpensMemory) -> None:
    """Cases by when they were opened, notes by when they were added; their words go with them."""
    with closing(opened(MemoryBounds(cases=2, notes=2))) as memory:
        for at in range(4):
            memory.keep(past(f"i{at}", at, words=f"case{at}"))
            memory.add(Note(f"n{at}.md", f"note{at}", at))
        assert [one.id for one in memory.cases()] == ["i3", "i2"]
        assert [one.name for one in memory.notes()] == ["n3.md", "n2.md"]
        assert not memory.search("case0 note0") and len(memory.search("case3 note3")) == 2


def many_authors_at_once_lose_nothing(opened: OpensMemory) -> None:
    """Each process's cases are there at the end."""

    def author(name: int) -> None:
        with closing(opened()) as memory:
            for at in range(5):
                memory.keep(past(f"{name}-{at}", at))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(author, range(4)))
    with closing(opened()) as memory:
        assert len(memory.cases()) == 20


MEMORY_CHECKS: tuple[Callable[[OpensMemory], None], ...] = (
    an_empty_memory_has_nothing,
    a_case_comes_back_as_it_was,
    a_later_state_takes_the_place_of_an_earlier_one,
    cases_are_recalled_by_their_signals,
    words_are_found_by_their_stems_and_never_as_operators,
    a_note_is_replaced_by_its_name,
    control_characters_are_left_out,
    forgotten_ones_are_gone,
    beyond_the_bounds_the_oldest_go,
    many_authors_at_once_lose_nothing,
)


def _raised(act: Callable[[], object]) -> HomeostatError | None:
    try:
        act()
    except HomeostatError as error:
        return error
    return None
