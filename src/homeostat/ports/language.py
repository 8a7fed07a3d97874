"""The port to language models: one question, one answer of a declared form, within a budget. Nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

A = TypeVar("A")


class Role(StrEnum):
    """The part of loop 2 that asks."""

    COORDINATOR = "coordinator"  # Words an incident for people.
    INVESTIGATOR = "investigator"  # Proposes hypotheses and nodes to look at.
    STRATEGIST = "strategist"  # Orders near-ties.


class Refusal(StrEnum):
    """The reason why there is no answer; also its metric label."""

    BUDGET = "budget"  # Tokens, calls, time or money of the day are used up.
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # Nobody answers, or with an error.
    TOO_LONG = "too_long"
    INVALID = "invalid"  # It is not of the declared form.


@dataclass(frozen=True, slots=True)
class Question(Generic[A]):
    """A question to a model.

    instruction : ours; facts : JSON, masked, sent as data
    form : the type of the answer, a dataclass
    check : brings an answer into what the grammar allows; raises ValueError for one that is outside of it
    """

    role: Role
    instruction: str
    facts: str
    form: type[A]
    check: Callable[[A], A]


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """The answer, or why there is none.

    model : the name that it was asked under
    tokens_in, tokens_out : as it counts them; cost : by the declared prices, 0 without
    asked, answered : SHA-256 of all that was sent, and of the text that came; empty where there was none
    """

    answer: A | None
    refusal: Refusal | None
    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    asked: str = ""
    answered: str = ""


class LanguageModel(Protocol):
    """A language model. It never raises for what a model or its server does."""

    def ask(self, question: Question[A]) -> Reply[A]:
        """Ask, and wait for the answer, at most for the declared time."""
        ...
