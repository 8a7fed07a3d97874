"""The `maintain` section of the app file: how the app is watched, and how often it may be called for nothing."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from homeostat.config.announce import Channel
from homeostat.config.budgets import Budget
from homeostat.config.gate import GateSpec
from homeostat.config.language import LanguageModelSpec
from homeostat.config.scalars import Duration, Name, Node, Setting, duration_ns

OURS = (
    "contract", "transport", "serving", "models", "behaviour", "distribution", "quality", "early",
    "segments", "labels", "label_free", "fairness",
)  # fmt: skip
"""The monitors that homeostat brings along."""


def _tick(span_ns: int) -> int:
    if not duration_ns("1m") <= span_ns <= duration_ns("1d"):
        raise ValueError("a tick is 1m to 1d long")
    return span_ns


def _instant(text: str) -> str:
    _instant_ns(text)
    return text


def _instant_ns(text: str) -> int:
    from homeostat.config.instants import instant_ns  # It loads NumPy, which `homeostat schema` does without.

    return instant_ns(text)


def _beside(text: str) -> str:
    path = PurePosixPath(text)
    if text and (path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text):
        raise ValueError("a folder of runbooks lies beside the app file: write its name, without .. or a leading /")
    return text


Beside = Annotated[str, AfterValidator(_beside)]
TickSpan = Annotated[Duration, AfterValidator(_tick)]
Instant = Annotated[str, AfterValidator(_instant)]


class Campaign(Node):
    """A time in which more or other people come, and nothing is wrong with that."""

    name: str = Field(min_length=1, max_length=200, description="what people call it")
    since: Instant = Field(description="its first instant, ISO 8601")
    until: Instant = Field(description="the first instant after it, ISO 8601")

    @property
    def span_ns(self) -> tuple[int, int]:
        """Its start and end."""
        return _instant_ns(self.since), _instant_ns(self.until)


class Maintain(Node):
    """How the app is watched."""

    tick: TickSpan = Field(
        default=duration_ns("1h"), description="the span of event time of which figures are taken, from 1m to 1d"
    )  # fmt: skip
    false_alarms_max: Budget = Field(
        default="1 per 30d", description="how many false alarms the app's owner bears, of all monitors together"
    )
    calendar: tuple[Campaign, ...] = Field(
        default=(), max_length=1000, description="campaigns and seasons that are known beforehand: in these, alarms on "
        "the number and the kind of people are silent, and nothing is learned from them"
    )  # fmt: skip
    off: tuple[Name, ...] = Field(
        default=(), description=f"monitors that are not wanted: {', '.join(OURS)}, or a plug-in"
    )
    plugins: dict[Name, dict[str, Setting]] = Field(
        default={}, description="monitors of other packages, by the name of their entry point, with their settings"
    )
    gate: GateSpec = Field(default=GateSpec(), description="what may be done without a person: see gate.md")
    runbooks: Beside = Field(
        default="", max_length=200, description="a folder of Markdown beside the app file, taken in as notes for "
        "people: see memory.md"
    )  # fmt: skip
    announce: dict[Name, Channel] = Field(
        default={}, max_length=20, description="where incidents are announced, by name: see incidents.md"
    )
    models: dict[Name, LanguageModelSpec] = Field(
        default={}, max_length=3, description="language models that may be asked about incidents, by name; nobody is "
        "asked without: see language-models.md"
    )  # fmt: skip
    remembers: Annotated[int, Field(ge=1000, le=10**8)] = Field(
        default=200_000, description="so many decisions are remembered until their outcomes can come no more; of more, "
        "a share by a hash of their ids"
    )  # fmt: skip
    start: bool = Field(
        default=False, description="whether a server with a data folder watches itself, in a process beside; "
        "homeostat up always does, and homeostat maintain does it by hand"
    )  # fmt: skip
    memory_mb: int = Field(
        default=1024, ge=256, le=1 << 20, description="the most memory that the process may have; beyond it, it is "
        "started again"
    )  # fmt: skip
    rows_max: Annotated[int, Field(ge=100, le=10**8)] = Field(
        default=100_000, description="so many events of a tick are looked at; of more, a share by a hash of their ids"
    )
