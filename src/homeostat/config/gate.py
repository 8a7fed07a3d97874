"""The `maintain.gate` section of the app file: the limits of acts without a person. Without it, nothing is done."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from homeostat.config.budgets import Budget
from homeostat.config.scalars import Duration, Expression, Name, Node, Share, duration_ns

LevelName = Literal["assisted", "supervised", "full"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_HOURS = re.compile(r"^([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00))$")
_DATES = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:\.\.[0-9]{4}-[0-9]{2}-[0-9]{2})?$")


def minutes_of(text: str) -> tuple[int, int]:
    """The first minute of a span of the day, and the first after it. Raises ValueError with a sentence.

    >>> minutes_of("22:00-06:30"), minutes_of("00:00-24:00")
    ((1320, 390), (0, 1440))
    """
    match = _HOURS.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no span of the day: write two times, as in 09:00-17:30 or 22:00-06:00")
    first, *rest = (
        60 * int(hour) + int(minute) for hour, minute in zip(match.groups()[::2], match.groups()[1::2]) if hour
    )
    if first == rest[0]:
        raise ValueError(f"{text!r} is no time at all; the whole day is 00:00-24:00")
    return first, rest[0]


def days_of(text: str) -> tuple[date, date]:
    """The first and the last day of a date, or of two. Raises ValueError with a sentence.

    >>> [one.day for one in days_of("2026-12-24..2026-12-26")]
    [24, 26]
    """
    first, _, last = text.partition("..")
    try:
        found = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise ValueError(f"{text!r} is no date: write 2026-12-24, or 2026-12-24..2026-12-26") from None
    if found[1] < found[0] or not _DATES.match(text):
        raise ValueError(f"{text!r} is no span of days: the first of two dates is the earlier one")
    return found


def _hours(text: str) -> str:
    minutes_of(text)
    return text


def _dates(text: str) -> str:
    days_of(text)
    return text


class Levels(Node):
    """The level of autonomy of a kind of action, by how far it reaches."""

    app: LevelName = Field(default="assisted", description="where it reaches the whole app")
    segment: LevelName = Field(default="assisted", description="where it reaches a segment only")


class Blackout(Node):
    """A time in which nothing is done without a person. All that it names has to hold."""

    name: str = Field(min_length=1, max_length=200, description="what people call it")
    days: tuple[Day, ...] = Field(default=(), description="days of the week on which it begins; all when empty")
    hours: Annotated[str, AfterValidator(_hours), Field(pattern=_HOURS.pattern)] = Field(
        default="00:00-24:00", description="from when to when by the clock on the wall, past midnight too"
    )
    zone: str = Field(default="UTC", description="the time zone of days, hours and dates, such as Europe/Berlin")
    dates: tuple[Annotated[str, AfterValidator(_dates), Field(pattern=_DATES.pattern)], ...] = Field(
        default=(), max_length=1000, description="dates, or first..last, on which it begins; all when empty"
    )


class Reaching(Node):
    """How much one plan may touch, all its steps together."""

    decisions: Share = Field(default=0.3, description="the largest share of decisions")
    entities: Share = Field(default=0.3, description="the largest share of entities")
    money_per_hour: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="the most money an hour, in the app's currency; any when absent"
    )


class GateRule(Node):
    """A rule of the business. Where it holds, the plan is not executed."""

    name: Name = Field(description="what rulings call it")
    when: Expression = Field(description="a condition on a step of the plan: see gate.md for its names")
    then: Literal["escalate", "watch"] = Field(default="escalate", description="ask a person, or wait")
    reason: str = Field(default="", max_length=300, description="a sentence for the people who ask why")


class GateSpec(Node):
    """The limits of acts without a person. Without this section, remedies are proposed and nothing is done."""

    stop: bool = Field(default=False, description="the kill switch: nothing is done without a person")
    level: LevelName = Field(default="assisted", description="the autonomy of kinds of action that are not named below")
    autonomy: dict[Name, LevelName | Levels] = Field(
        default={}, description="kind of action -> assisted, supervised or full, or one each for app and segment"
    )  # fmt: skip
    lowered_for: Duration = Field(
        default=duration_ns("30d"), description="a kind of action that failed has one level less for so long, unless "
        "the owner raises it again"
    )  # fmt: skip
    confidence: Share = Field(default=0.8, description="the least calibrated confidence of the findings")
    grounded: bool = Field(default=True, description="whether each step of the evidence has to have been measured")
    worth_for: Duration = Field(
        default=duration_ns("1d"), description="what a remedy saves an hour counts for so long, against its cost"
    )
    cost_per_day: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="the most that actions may cost in 24 hours, in the app's currency; any when absent"
    )
    actions_per_day: int = Field(default=6, ge=0, le=10_000, description="the most actions in 24 hours")
    rate: Budget = Field(default="3 per 1h", description="the most actions in a span")
    cool_down: Duration = Field(
        default=duration_ns("6h"), description="after an action, the same one at the same place waits for so long"
    )
    plan_age: Duration = Field(default=duration_ns("1d"), description="an older plan is made again")
    answer: Duration = Field(default=duration_ns("1d"), description="a person has so long to answer a plan")
    blast: Reaching = Field(default=Reaching(), description="how much one plan may touch")
    blackouts: tuple[Blackout, ...] = Field(
        default=(), max_length=1000, description="times in which nothing is done without a person"
    )
    rules: tuple[GateRule, ...] = Field(default=(), max_length=64, description="rules of the business")
    zone: str = Field(default="UTC", description="the time zone of `hour` and `weekday` in rules")
    four_eyes: tuple[Name, ...] = Field(
        default=(), description="kinds of action that a person approves who did not ask for them"
    )
