"""The answers that a language model may give, and the checks that bring them into what there is.

Kinds and nodes are those that exist; an order is one of the names that were given. All else is no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from homeostat.records.advice import WORDS_MAX

CAUSES_MAX, LOOKS_MAX, WHY_MAX = 5, 5, 200


@dataclass(frozen=True, slots=True)
class Words:
    """A few plain sentences for people. text : at most five sentences, about the facts and nothing else"""

    text: str


@dataclass(frozen=True, slots=True)
class ProposedCause:
    """A cause that is worth a test. kind, node : of the lists in the facts; why : one sentence"""

    kind: str
    node: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ideas:
    """Hypotheses to be tested, and nodes to be measured. causes : best first; look_at : nodes of the list"""

    causes: list[ProposedCause] = field(default_factory=list)
    look_at: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Order:
    """Near-ties, best first. causes, remedies : names of the two lists in the facts, each of them once"""

    causes: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)


def checked_words(words: Words) -> Words:
    r"""Words that a terminal and a page can show. Raises ValueError where nothing is left.

    >>> checked_words(Words("fine\x1b[2J")).text
    'fine[2J'
    """
    kept = "".join(c for c in words.text[: 4 * WORDS_MAX] if c == "\n" or c.isprintable()).strip()[:WORDS_MAX]
    if not kept:
        raise ValueError("there are no words")
    return Words(kept)


def checked_ideas(
    kinds: Collection[str], back: Callable[[str], str | None], known: Collection[tuple[str, str]]
) -> Callable[[Ideas], Ideas]:
    """A check of ideas: those of kinds and nodes that there are, and that were not looked into yet, by real names.

    back : the node that a model means; None for none
    known : places that were looked into, as (kind, node)
    It raises ValueError where a kind or node does not exist: then nothing of the answer counts.
    """

    def check(ideas: Ideas) -> Ideas:
        causes: dict[tuple[str, str], ProposedCause] = {}
        for one in ideas.causes[:CAUSES_MAX]:
            node = back(one.node)
            if one.kind not in kinds or node is None:
                raise ValueError("it names a kind or a node that there is not")
            if (one.kind, node) not in known:
                causes.setdefault((one.kind, node), replace(one, node=node, why=_line(one.why)))
        looks = [back(one) for one in ideas.look_at[:LOOKS_MAX]]
        if None in looks:
            raise ValueError("it looks at a node that there is not")
        return Ideas(list(causes.values()), [one for one in dict.fromkeys(looks) if one is not None])

    return check


def checked_order(causes: Sequence[str], remedies: Sequence[str]) -> Callable[[Order], Order]:
    """A check of an order: it has to be one of the given names, each once.

    >>> checked_order(["a", "b"], [])(Order(["b", "a"], [])).causes
    ['b', 'a']
    """

    def check(order: Order) -> Order:
        for given, wanted in ((order.causes, causes), (order.remedies, remedies)):
            if given and sorted(given) != sorted(wanted):
                raise ValueError("it is no order of the names that were given")
        if not order.causes and not order.remedies:
            raise ValueError("it orders nothing")
        return order

    return check


def _line(text: str) -> str:
    return "".join(c for c in text[: 4 * WHY_MAX] if c.isprintable())[:WHY_MAX].strip()
