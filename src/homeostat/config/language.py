"""The `maintain.models` section of the app file: language models that may be asked about incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from homeostat.config.faults import AppFileError, Fault
from homeostat.config.loopback import is_loopback
from homeostat.config.scalars import Duration, Node, duration_ns

RoleName = Literal["coordinator", "investigator", "strategist"]
ROLES: tuple[RoleName, ...] = ("coordinator", "investigator", "strategist")
ADDRESSES: Mapping[str, str] = {
    "ollama": "http://127.0.0.1:11434/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/openai/",
}
"""Where a model of a kind answers when nothing else is declared."""
_AT = "maintain.models"


class LanguageBudget(Node):
    """The most that a model may use in 24 hours, by one process. Beyond it, nobody asks it."""

    calls: int = Field(default=200, ge=0, le=10**6, description="calls in 24 hours")
    tokens: int = Field(default=200_000, ge=0, le=10**12, description="tokens in and out, in 24 hours")
    time: Duration = Field(default=duration_ns("20m"), description="time spent waiting, in 24 hours")
    money: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="what calls may cost in 24 hours, by the prices below; any when absent"
    )


class LanguageModelSpec(Node):
    """One language model, and who may ask it."""

    kind: Literal["openai", "ollama", "gemini", "agent"] = Field(
        default="openai",
        description="openai is any address of the OpenAI protocol (chat completions); agent is code of another package",
    )
    address: str | None = Field(
        default=None, max_length=500, description="its base, such as http://127.0.0.1:8000/v1; ollama and gemini have "
        "one of their own"
    )  # fmt: skip
    model: str = Field(
        min_length=1, max_length=200, description="the model's name there; of an agent, that of its entry point"
    )
    roles: tuple[RoleName, ...] = Field(
        default=ROLES, min_length=1, description="who asks it: the coordinator words incidents, the investigator "
        "proposes causes, the strategist orders near-ties"
    )  # fmt: skip
    key_from: str = Field(
        default="", max_length=200, pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="the environment variable with its key; no key when empty",
    )  # fmt: skip
    anywhere: bool = Field(default=False, description="whether masked facts may go to another machine")
    timeout: Duration = Field(default=duration_ns("20s"), description="how long one call may take")
    answer_tokens: int = Field(default=800, ge=16, le=100_000, description="the most tokens of one answer")
    price_in: float = Field(default=0.0, ge=0, description="the price of a million tokens that it reads")
    price_out: float = Field(default=0.0, ge=0, description="the price of a million tokens that it writes")
    budget: LanguageBudget = Field(default=LanguageBudget(), description="the most that it may use")
    trace_content: bool = Field(
        default=False, description="whether traces hold the masked facts and the answers, and not figures alone"
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LanguageModelSettings:
    """A model with its address and key. Its text shows no key."""

    name: str
    spec: LanguageModelSpec
    address: str
    key: str = field(default="", repr=False)

    @property
    def timeout_s(self) -> float:
        """How long one call may take, in seconds."""
        return self.spec.timeout / 1e9


def read_models(declared: Mapping[str, LanguageModelSpec], environ: Mapping[str, str]) -> list[LanguageModelSettings]:
    """The models with their keys. Raises AppFileError that names all that is missing, and no key.

    >>> spec = LanguageModelSpec(kind="ollama", model="m", key_from="KEY")
    >>> made = read_models({"near": spec}, {"KEY": "abc"})[0]
    >>> made.address, made.key, "abc" in repr(made)
    ('http://127.0.0.1:11434/v1', 'abc', False)
    """
    made, faults = [], []
    taken: dict[str, str] = {}
    for name, spec in declared.items():
        one = LanguageModelSettings(
            name, spec, (spec.address or ADDRESSES.get(spec.kind, "")).strip(), environ.get(spec.key_from, "")
        )
        made.append(one)
        found = _fault(one)
        for role in spec.roles:
            if role in taken and not found:
                found = f"the {role} asks {taken[role]} already: one model a role"
            taken.setdefault(role, name)
        if found:
            faults.append(Fault(_AT, 1, 1, f"{_AT}.{name}", found))
    if faults:
        raise AppFileError(faults)
    return made


def _fault(one: LanguageModelSettings) -> str:
    """A sentence about what is wrong with a model; empty where nothing is."""
    spec = one.spec
    if spec.kind == "agent":
        return _agent_fault(one)
    if not one.address:
        return "where does it answer? Give `address`, such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(one.address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"its address can't be read: {error}"
    if parts.scheme not in ("http", "https") or not host:
        return "its address begins with http:// or https:// and a host"
    if parts.username or parts.password or parts.query:
        return "a key stands in no address: put it into an environment variable, and name that in `key_from`"
    if not is_loopback(host) and not spec.anywhere:
        return f"{host} is another machine and would see masked facts: say `anywhere: true` if it may"
    if not is_loopback(host) and parts.scheme == "http":
        return f"facts and key would go to {host} in plain text: use https://"
    return _key_fault(one)


def _agent_fault(one: LanguageModelSettings) -> str:
    """The same of an agent, which may send facts where it likes."""
    if not one.spec.anywhere:
        return "an agent's code may send masked facts elsewhere: say `anywhere: true` if it may have them"
    return _key_fault(one)


def _key_fault(one: LanguageModelSettings) -> str:
    name = one.spec.key_from
    missing = bool(name) and not one.key
    return f"the environment has no {name}: put its key there, or leave `key_from` away" if missing else ""
