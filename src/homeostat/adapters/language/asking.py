"""Asks a language model over the OpenAI protocol, by pydantic-ai (the extra `llm`): Ollama, Gemini, any such address.

One question is one request: no retries, no tools, no redirects, no proxies, and a bound on time and on bytes. Each
request is a span with the attributes of OpenTelemetry's conventions for generative AI (gen_ai.*).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from homeostat.adapters.language.agents import agent_of
from homeostat.adapters.language.budget import Spending, Used
from homeostat.config.language import LanguageModelSettings, LanguageModelSpec, read_models
from homeostat.errors import needs
from homeostat.ports import Clock
from homeostat.ports.language import LanguageModel, Question, Refusal, Reply, Role

if TYPE_CHECKING:
    import httpx2
    from opentelemetry.sdk.trace import TracerProvider

A = TypeVar("A")

BYTES_MAX = 1 << 20  # Of one answer; the largest that is asked for takes a few thousand.


class OpenAIProtocolModel:
    """See the module; a `LanguageModel`. For one thread at a time.

    provider : where spans go; nowhere when None
    Raises MissingExtra without pydantic-ai.
    """

    def __init__(self, settings: LanguageModelSettings, clock: Clock, provider: TracerProvider | None = None) -> None:
        with needs("llm", "asking a language model"):
            import httpx2  # noqa: F401
            import pydantic_ai.models.openai
            import pydantic_ai.providers.openai_compatible  # noqa: F401
        self._settings, self._clock, self._provider = settings, clock, provider
        self._spending = Spending(settings.spec.budget)

    def ask(self, question: Question[A]) -> Reply[A]:
        """See `LanguageModel`."""
        name = f"{self._settings.name}/{self._settings.spec.model}"
        began = self._clock.monotonic_ns()
        if self._spending.refuses(began):
            return Reply(None, Refusal.BUDGET, name)
        wire = _Wire()
        usage = _Usage()
        answer: A | None = None
        refusal: Refusal | None = None
        try:
            answer = question.check(asyncio.run(self._answered(question, wire, usage)))
        except Exception as error:  # Models and their servers may fail in any way; none of it may reach the loop.
            refusal = _refusal(error, wire)
        # Where the server does not count, bytes are counted: about four make a token. No more is charged than was asked
        # for, so that one endless answer does not use up the day's budget.
        spec = self._settings.spec
        tokens_in = usage.tokens_in or wire.sent // 4
        tokens_out = usage.tokens_out or min(wire.bytes // 4, spec.answer_tokens)
        cost = (tokens_in * spec.price_in + tokens_out * spec.price_out) / 1e6
        took = self._clock.monotonic_ns() - began
        self._spending.take(Used(began, tokens_in + tokens_out, took, cost))
        return Reply(answer, refusal, name, tokens_in, tokens_out, cost, wire.asked, wire.answered)

    async def _answered(self, question: Question[A], wire: _Wire, usage: _Usage) -> A:
        """The answer of one request, of its form. Raises what goes wrong."""
        import httpx2
        from openai import AsyncOpenAI
        from pydantic_ai import Agent, PromptedOutput
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        settings, spec = self._settings, self._settings.spec
        async with asyncio.timeout(settings.timeout_s):
            transport = _bounded(httpx2.AsyncHTTPTransport(retries=0), wire)
            async with httpx2.AsyncClient(
                transport=transport, trust_env=False, follow_redirects=False, timeout=settings.timeout_s
            ) as http:
                client = AsyncOpenAI(
                    base_url=settings.address, api_key=settings.key or "none", http_client=http, max_retries=0
                )
                wanted: Any = {"max_tokens": spec.answer_tokens, "temperature": 0.0, "timeout": settings.timeout_s}
                if spec.kind == "ollama":  # It knows the bound by its former name only.
                    wanted["extra_body"] = {"max_tokens": spec.answer_tokens}
                provider = OpenAICompatibleProvider(spec.kind, openai_client=client)
                model = OpenAIChatModel(spec.model, provider=provider, settings=wanted)
                agent: Any = Agent(
                    model, output_type=PromptedOutput(question.form), instructions=question.instruction, retries=0,
                    name=str(question.role), capabilities=self._traced(),
                )  # fmt: skip
                result = await agent.run(f"<facts>\n{question.facts}\n</facts>")
        counted = result.usage
        usage.tokens_in = max(0, int(counted.input_tokens or 0))
        usage.tokens_out = max(0, int(counted.output_tokens or 0))
        found: A = result.output
        return found

    def _traced(self) -> list[Any]:
        """The part that makes spans of a request, where they go anywhere."""
        if self._provider is None:
            return []
        from pydantic_ai.capabilities import Instrumentation
        from pydantic_ai.models.instrumented import InstrumentationSettings

        return [
            Instrumentation(
                settings=InstrumentationSettings(
                    tracer_provider=self._provider, include_content=self._settings.spec.trace_content
                )
            )
        ]


class _Wire:
    """All that went over the wire in one request: its hashes and sizes, and whether it was cut off."""

    def __init__(self) -> None:
        self.sent = self.bytes = 0
        self.asked, self._hash = "", sha256()
        self.cut = False
        self.status: int | None = None

    @property
    def answered(self) -> str:
        """The hash of the answer's bytes; empty where none came."""
        return self._hash.hexdigest() if self.bytes else ""

    def asks(self, body: bytes) -> None:
        """The request goes out."""
        self.sent, self.asked = len(body), sha256(body).hexdigest()

    def takes(self, part: bytes) -> None:
        """A part of the answer comes in. Raises ValueError where it is too long."""
        self.bytes += len(part)
        self._hash.update(part)
        if self.bytes > BYTES_MAX:
            self.cut = True
            raise ValueError("the answer is too long")


class _Usage:
    """The tokens of a request as the server counts them; 0 where it does not."""

    tokens_in = tokens_out = 0


def _bounded(inner: httpx2.AsyncHTTPTransport, wire: _Wire) -> httpx2.AsyncBaseTransport:
    """A transport that notes what passes, and stops an answer that is too long."""
    import httpx2

    class Stream(httpx2.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for part in self._stream:
                wire.takes(part)
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    class Bounded(httpx2.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            # Compressed answers could be small on the wire and huge in memory.
            request.headers["accept-encoding"] = "identity"
            wire.asks(await request.aread())
            response = await inner.handle_async_request(request)
            wire.status = response.status_code
            if response.headers.get("content-encoding", "identity") != "identity":
                await response.aclose()
                raise ValueError("the answer is compressed, and nobody asked for that")
            return httpx2.Response(
                response.status_code, headers=response.headers, stream=Stream(response.stream),
                extensions=response.extensions,
            )  # fmt: skip

        async def aclose(self) -> None:
            await inner.aclose()

    return Bounded()


def _refusal(error: BaseException, wire: _Wire) -> Refusal:
    """The reason in a failure of any kind."""
    if wire.cut:
        return Refusal.TOO_LONG
    causes: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and len(causes) < 10:
        causes.append(one)
        one = one.__cause__ or one.__context__
    if any(isinstance(each, TimeoutError) or "Timeout" in type(each).__name__ for each in causes):
        return Refusal.TIMEOUT
    if wire.status is None or wire.status >= 300:
        return Refusal.UNREACHABLE
    return Refusal.INVALID


def open_models(
    declared: Mapping[str, LanguageModelSpec], clock: Clock, provider: TracerProvider | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[Role, LanguageModel]:  # fmt: skip
    """The models of an app file's `maintain.models` by the role that asks them, with their keys from the environment.

    Raises AppFileError for what is wrong with one, MissingExtra, PluginError.
    """
    made: dict[Role, LanguageModel] = {}
    for one in read_models(declared, environ):
        model = agent_of(one, clock) if one.spec.kind == "agent" else OpenAIProtocolModel(one, clock, provider)
        made |= {Role(role): model for role in one.spec.roles}
    return made
