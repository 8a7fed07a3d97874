"""Agents of other packages: bounded, checked, and never the loop's trouble."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from homeostat.adapters.language.agents import GROUP, BoundedAgent, agent_of
from homeostat.adapters.process.clock import SystemClock
from homeostat.checks.language import LANGUAGE_CHECKS
from homeostat.config.language import LanguageBudget, LanguageModelSettings, LanguageModelSpec
from homeostat.decide.scorers.plugins import PluginError
from homeostat.maintain.advise.grammar import Ideas, Words, checked_words
from homeostat.ports.language import Question, Refusal, Reply, Role

QUESTION = Question(Role.COORDINATOR, "Say it.", "{}", Words, checked_words)
NEVER = threading.Event()


class Agent:
    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def ask(self, question: Any) -> Any:
        return self.act()


def settings(**fields: Any) -> LanguageModelSettings:
    spec = LanguageModelSpec(**{"kind": "agent", "model": "one", "anywhere": True, "timeout": "5s", **fields})
    return LanguageModelSettings("near", spec, "")


def bounded(act: Callable[[], Any], **fields: Any) -> BoundedAgent:
    return BoundedAgent(settings(**fields), Agent(act), SystemClock())


def broken() -> Any:
    raise KeyboardInterrupt


def sound(answer: Any = None, **fields: Any) -> Reply[Any]:
    return Reply(**{"answer": answer or Words("yes"), "refusal": None, "model": "x", **fields})


ODD: dict[str, Callable[[], Any]] = {
    "none": lambda: None, "text": lambda: "yes", "another form": lambda: sound(Ideas()),
    "no words": lambda: sound(Words("  ")), "negative tokens": lambda: sound(tokens_out=-5),
    "no cost": lambda: sound(cost=float("nan")), "raises": lambda: 1 / 0, "interrupts": broken,
    "odd refusal": lambda: Reply(None, "because", "x"), "neither": lambda: Reply(None, None, "x"),
}  # fmt: skip


def test_a_sound_answer_is_heard_under_the_declared_name() -> None:
    found = bounded(lambda: sound(tokens_in=3, tokens_out=4)).ask(QUESTION)
    assert (found.answer, found.model, found.tokens_in) == (Words("yes"), "near/one", 3)


@pytest.mark.parametrize("name", ODD)
def test_whatever_else_an_agent_does_is_a_refusal(name: str) -> None:
    found = bounded(ODD[name]).ask(QUESTION)
    assert (found.answer, found.refusal) == (None, Refusal.INVALID)


def test_one_that_hangs_is_left_alone() -> None:
    assert bounded(lambda: NEVER.wait(), timeout="50ms").ask(QUESTION).refusal == Refusal.TIMEOUT


def test_its_budget_holds() -> None:
    one = bounded(lambda: sound(tokens_in=60, tokens_out=60), budget=LanguageBudget(tokens=100))
    assert [one.ask(QUESTION).refusal for _ in range(2)] == [None, Refusal.BUDGET]


@pytest.mark.parametrize("check", LANGUAGE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [*ODD, "sound"])
def test_bounded_agents_keep_the_contract_whatever_is_inside(check: Any, name: str) -> None:
    check(lambda: bounded(ODD.get(name, sound)))


@pytest.mark.parametrize(
    ("points", "hint"),
    [((), "no plug-in offers it"), (("a:b", "c:d"), "twice"), (("no_such_package:make",), "ModuleNotFoundError"),
     (("builtins:repr",), "lacks ask")],
    ids=str,
)  # fmt: skip
def test_one_that_can_not_be_had_is_named(points: tuple[str, ...], hint: str) -> None:
    with pytest.raises(PluginError, match=hint):
        agent_of(settings(), SystemClock(), [EntryPoint("one", value, GROUP) for value in points])
