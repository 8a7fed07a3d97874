"""A model over a real local server: honest ones are heard, and whatever else one does is a refusal with its reason."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.support.model_server import DRIP, HANG, HUGE, ModelServer, Script, model_server

from homeostat.adapters.language.asking import OpenAIProtocolModel
from homeostat.adapters.process.clock import SystemClock
from homeostat.checks.language import LANGUAGE_CHECKS
from homeostat.config.language import LanguageBudget, LanguageModelSpec, read_models
from homeostat.maintain.advise.grammar import Words, checked_words
from homeostat.ports.language import Question, Refusal, Reply, Role

pytest.importorskip("pydantic_ai")
pytestmark = pytest.mark.long
QUESTION = Question(Role.COORDINATOR, "Say it in words.", '{"severity":"high"}', Words, checked_words)


def model(server: ModelServer, provider: Any = None, **fields: Any) -> OpenAIProtocolModel:
    spec = LanguageModelSpec(address=server.url, model="made-up", key_from="THE_KEY", **{"timeout": "2s", **fields})
    return OpenAIProtocolModel(read_models({"near": spec}, {"THE_KEY": "s3cret"})[0], SystemClock(), provider)


def reply_to(script: Script, **fields: Any) -> Reply[Words]:
    with model_server(script) as server:
        return model(server, **fields).ask(QUESTION)


def test_an_honest_answer_comes_with_its_figures_and_hashes() -> None:
    with model_server(lambda body: {"text": "The amounts are in cents."}) as server:
        found = model(server, price_in=2.0, price_out=10.0).ask(QUESTION)
    assert found.answer == Words("The amounts are in cents.") and found.refusal is None
    assert (found.tokens_in, found.tokens_out) == (100, 20) and found.cost == pytest.approx(0.0004)
    assert len(found.asked) == len(found.answered) == 64 and found.asked != found.answered
    assert server.keys == ["Bearer s3cret"] and len(server.requests) == 1
    assert "s3cret" not in str(found) and server.facts() == {"severity": "high"}


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ("I will not answer in JSON.", Refusal.INVALID),
        ({"words": "another form"}, Refusal.INVALID),
        ({"text": ["no", "text"]}, Refusal.INVALID),
        ({"text": "   "}, Refusal.INVALID),
        ('{"text": "cut off', Refusal.INVALID),
        (b"[" * 100_000, Refusal.INVALID),
        (b"no JSON at all", Refusal.INVALID),
        (b'{"choices": []}', Refusal.INVALID),
        (b"null", Refusal.INVALID),
        (500, Refusal.UNREACHABLE),
        (401, Refusal.UNREACHABLE),
        (302, Refusal.UNREACHABLE),
        (HUGE, Refusal.TOO_LONG),
        (HANG, Refusal.TIMEOUT),
        (DRIP, Refusal.TIMEOUT),
    ],
    ids=str,
)
def test_whatever_else_it_does_is_a_refusal(answer: Any, refusal: Refusal) -> None:
    found = reply_to(lambda body: answer)
    assert (found.answer, found.refusal) == (None, refusal)


def test_a_server_that_is_not_there_is_a_refusal() -> None:
    with model_server(lambda body: 500) as server:
        asking = model(server)
    assert asking.ask(QUESTION).refusal == Refusal.UNREACHABLE


@pytest.mark.parametrize(
    "budget",
    [{"calls": 1}, {"tokens": 120}, {"money": 0.0001}, {"time": "1ms"}, {"calls": 0}],
    ids=str,
)
def test_a_budget_that_is_used_up_asks_nobody(budget: dict[str, Any]) -> None:
    with model_server(lambda body: {"text": "yes"}) as server:
        asking = model(server, price_in=10.0, budget=LanguageBudget(**budget))
        found = [asking.ask(QUESTION).refusal for _ in range(3)]
    first = 0 if budget == {"calls": 0} else 1
    assert found == [None] * first + [Refusal.BUDGET] * (3 - first) and len(server.requests) == first


@pytest.mark.parametrize("check", LANGUAGE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("answer", [{"text": "yes"}, "no JSON", {}], ids=str)
def test_a_model_keeps_the_contract(check: Any, answer: Any) -> None:
    with model_server(lambda body: answer) as server:
        check(lambda: model(server))


def test_an_endless_answer_is_charged_no_more_than_was_asked_for() -> None:
    found = reply_to(lambda body: HUGE, answer_tokens=500)
    assert found.refusal == Refusal.TOO_LONG and found.tokens_out == 500


def test_failed_calls_count_for_the_budget() -> None:
    with model_server(lambda body: 500) as server:
        asking = model(server, budget=LanguageBudget(calls=2))
        found = [asking.ask(QUESTION).refusal for _ in range(3)]
    assert found == [Refusal.UNREACHABLE, Refusal.UNREACHABLE, Refusal.BUDGET]


@pytest.mark.parametrize("content", [False, True])
def test_each_call_is_a_span_by_the_conventions_for_generative_ai(content: bool) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = sdk.TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with model_server(lambda body: {"text": "The amounts are in cents."}) as server:
        model(server, provider, trace_content=content).ask(QUESTION)
    spans = [
        one for one in exporter.get_finished_spans() if (one.attributes or {}).get("gen_ai.operation.name") == "chat"
    ]
    assert len(spans) == 1
    attributes = dict(spans[0].attributes or {})
    assert attributes["gen_ai.request.model"] == "made-up" and attributes["gen_ai.usage.input_tokens"] == 100
    assert attributes["gen_ai.usage.output_tokens"] == 20 and attributes["gen_ai.provider.name"] == "openai"
    everything = str([dict(one.attributes or {}) for one in exporter.get_finished_spans()])
    assert ("in cents" in everything) is content and "s3cret" not in everything


def test_the_hashes_are_those_of_what_went_over_the_wire() -> None:
    from tests.support.model_server import completion

    with model_server(lambda body: {"text": "yes"}) as server:
        found = model(server).ask(QUESTION)
    assert found.answered == hashlib.sha256(completion({"text": "yes"})).hexdigest()
