"""Agents of other packages, by entry point: they answer the questions of a role instead of a language model of ours.

    [project.entry-points."homeostat.agents"]
    template = "their_package:make_agent"

The factory takes (the declared settings of the model, its key included) and returns a `ports.language.LanguageModel`.
`homeostat.checks.language` holds the checks that it has to pass. An agent has the same budget, time and checks as a
model, and no more say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, TimeoutError
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from threading import Thread
from typing import Any, TypeVar

from homeostat.adapters.language.budget import Spending, Used
from homeostat.config.language import LanguageModelSettings
from homeostat.decide.scorers.plugins import PluginError
from homeostat.ports import Clock
from homeostat.ports.language import LanguageModel, Question, Refusal, Reply

A = TypeVar("A")

GROUP = "homeostat.agents"
Factory = Callable[[LanguageModelSettings], LanguageModel]


class BoundedAgent:
    """An agent within its budget and its time; a `LanguageModel` that never raises."""

    def __init__(self, settings: LanguageModelSettings, inner: LanguageModel, clock: Clock) -> None:
        self._settings, self._inner, self._clock = settings, inner, clock
        self._spending = Spending(settings.spec.budget)

    def ask(self, question: Question[A]) -> Reply[A]:
        """See `LanguageModel`."""
        name = f"{self._settings.name}/{self._settings.spec.model}"
        began = self._clock.monotonic_ns()
        if self._spending.refuses(began):
            return Reply(None, Refusal.BUDGET, name)
        future: Future[Any] = Future()

        def ask() -> None:
            try:
                future.set_result(self._inner.ask(question))
            except BaseException as error:  # It would end the thread that waits, were it handed on as it is.
                future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

        Thread(target=ask, name=f"agent {self._settings.name}", daemon=True).start()
        try:
            found = _sound(question, future.result(self._settings.timeout_s))
        except TimeoutError:
            found = Reply(None, Refusal.TIMEOUT, name)
        except Exception:  # Anybody's code.
            found = Reply(None, Refusal.INVALID, name)
        took = self._clock.monotonic_ns() - began
        self._spending.take(Used(began, found.tokens_in + found.tokens_out, took, found.cost))
        return replace(found, model=name)


def _sound(question: Question[A], found: Any) -> Reply[A]:
    """A reply whose answer is of the form and inside of the grammar. Raises what is wrong with it."""
    if not isinstance(found, Reply):
        raise TypeError("an agent answers with a reply")
    figures = (int(found.tokens_in), int(found.tokens_out), float(found.cost))
    if min(figures) < 0 or figures[2] != figures[2]:
        raise ValueError("its figures are none")
    if found.refusal is not None:
        return replace(found, answer=None, refusal=Refusal(found.refusal))
    if not isinstance(found.answer, question.form):
        raise TypeError("the answer is of another form")
    return replace(found, answer=question.check(found.answer))


def agent_of(settings: LanguageModelSettings, clock: Clock, found: Sequence[EntryPoint] | None = None) -> BoundedAgent:
    """The agent that an app declares by the name of its entry point.

    found : the entry points that there are, as installed when None
    Raises PluginError where it is not offered, or can't be made.
    """
    name = settings.spec.model
    offered = entry_points(group=GROUP) if found is None else found
    fitting = [point for point in offered if point.name == name]
    if len({point.value for point in fitting}) != 1:
        why = "no plug-in offers it; install the package that brings it" if not fitting else "it is offered twice"
        raise PluginError(f"agent {name!r}: {why}")
    try:
        factory: Factory = fitting[0].load()
        inner = factory(settings)
    except Exception as error:
        raise PluginError(f"agent {name!r}: {fitting[0].value} failed with {type(error).__name__}: {error}") from error
    if not callable(getattr(inner, "ask", None)):
        raise PluginError(f"agent {name!r}: {fitting[0].value} lacks ask")
    return BoundedAgent(settings, inner, clock)
