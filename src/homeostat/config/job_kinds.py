"""The kinds of jobs: each is one command of homeostat, with the arguments that it may have. There is no other way in.

A job's arguments are stored and run later, perhaps on another machine and for someone else than its runner. So they
are checked here, against a list of what each command takes, and never seen by a shell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from math import isfinite

from homeostat.config.instants import instant_ns
from homeostat.errors import HomeostatError

ARGUMENTS_MAX = 100
CHARACTERS_MAX = 1000  # Of one argument.


class BadJob(HomeostatError, ValueError):
    """A job can't be submitted; the text names each fault of its kind and arguments."""

    why = "a job is one command of a list, with arguments that this command takes"
    remedy = "homeostat jobs kinds shows each kind with its arguments"


class Takes(StrEnum):
    """The value of an argument."""

    FLAG = "flag"  # It has none.
    TEXT = "text"
    APP = "app"  # A shipped app, or the path of an app file.
    COUNT = "count"
    NUMBER = "number"
    INSTANT = "time"
    SOURCE = "file"  # Something that is read.
    TARGET = "target"  # A file or folder that is written.


PATHS = frozenset({Takes.SOURCE, Takes.TARGET})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    command : the words after `homeostat`
    does : a sentence for people
    given : the arguments without a name, in order; all are needed, unless a `?` ends their name
    options : by name, with what each takes
    needed : options that can't be left out
    attempts_max : how often it is begun at most, if its process is lost; a kind that goes on where it was may be begun
        more often
    beside : it looks on for days and costs next to nothing, so it takes no place of the jobs that run at once
    """

    command: tuple[str, ...]
    does: str
    given: Mapping[str, Takes]
    options: Mapping[str, Takes]
    needed: tuple[str, ...] = ()
    attempts_max: int = 2
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument as it was given: the name of its option or place, what that takes, and its value."""

    name: str
    takes: Takes
    value: str


_APP_EVENTS = {"APP": Takes.APP, "EVENTS": Takes.SOURCE}
_REPLAY = {
    "--out": Takes.TARGET, "--train-from": Takes.INSTANT, "--train-until": Takes.INSTANT, "--outcomes": Takes.SOURCE,
    "--until": Takes.INSTANT, "--bundle": Takes.SOURCE, "--chunk-rows": Takes.COUNT, "--force": Takes.FLAG,
}  # fmt: skip
_TRAIN = {
    "--out": Takes.TARGET, "--until": Takes.INSTANT, "--from": Takes.INSTANT, "--outcomes": Takes.SOURCE,
    "--decisions": Takes.SOURCE, "--processes": Takes.COUNT, "--ray": Takes.TEXT, "--register": Takes.FLAG,
    "--data": Takes.TARGET, "--config": Takes.SOURCE, "--actor": Takes.TEXT, "--reason": Takes.TEXT,
}  # fmt: skip
_EVALUATE = {
    "--from": Takes.INSTANT, "--until": Takes.INSTANT, "--out": Takes.TARGET, "--bundle": Takes.SOURCE,
    "--against": Takes.SOURCE, "--outcomes": Takes.SOURCE, "--fail-on": Takes.TEXT, "--alpha": Takes.NUMBER,
    "--margin": Takes.NUMBER, "--robust-rows": Takes.COUNT, "--data": Takes.SOURCE, "--config": Takes.SOURCE,
}  # fmt: skip
_TUNE = {
    "--out": Takes.TARGET, "--until": Takes.INSTANT, "--from": Takes.INSTANT, "--outcomes": Takes.SOURCE,
    "--decisions": Takes.SOURCE, "--trials": Takes.COUNT, "--seconds": Takes.NUMBER, "--sampler": Takes.TEXT,
    "--seed": Takes.COUNT, "--storage": Takes.TEXT, "--study": Takes.TEXT, "--report": Takes.TARGET,
    "--register": Takes.FLAG, "--data": Takes.TARGET, "--config": Takes.SOURCE, "--actor": Takes.TEXT,
    "--reason": Takes.TEXT,
}  # fmt: skip
_REHEARSE = {"--app": Takes.APP, "--data": Takes.SOURCE, "--outcomes": Takes.SOURCE, "--bundle": Takes.SOURCE}
_SIMULATE = {
    "--days": Takes.COUNT, "--out": Takes.TARGET, "--seed": Takes.COUNT, "--customers": Takes.COUNT,
    "--format": Takes.TEXT, "--force": Takes.FLAG, "--until": Takes.TEXT,
}  # fmt: skip
_EXPORT = {
    "--out": Takes.TARGET, "--data": Takes.SOURCE, "--config": Takes.SOURCE, "--from": Takes.INSTANT,
    "--until": Takes.INSTANT, "--force": Takes.FLAG,
}  # fmt: skip
_REPORT = {
    "--month": Takes.TEXT, "--out": Takes.TARGET, "--app": Takes.APP, "--data": Takes.SOURCE, "--config": Takes.SOURCE,
}  # fmt: skip
_RAMP = {
    "--app": Takes.APP, "--every": Takes.NUMBER, "--once": Takes.FLAG, "--data": Takes.SOURCE,
    "--config": Takes.SOURCE,
}  # fmt: skip
_RETRAIN = {
    "--now": Takes.FLAG, "--tune": Takes.FLAG, "--only-train": Takes.FLAG, "--reason": Takes.TEXT,
    "--actor": Takes.TEXT, "--data": Takes.TARGET, "--config": Takes.SOURCE,
}  # fmt: skip
KINDS: Mapping[str, Kind] = {
    "train": Kind(("train",), "trains an app's models on recorded events", _APP_EVENTS, _TRAIN, ("--out", "--until")),
    "evaluate": Kind(
        ("evaluate",), "evaluates a version on recorded events", _APP_EVENTS, _EVALUATE,
        ("--from", "--until", "--out"),
    ),
    "tune": Kind(
        ("tune",), "searches for better settings on recorded events; goes on where it was", _APP_EVENTS, _TUNE,
        ("--out", "--until"), attempts_max=5,
    ),
    "replay": Kind(("replay",), "decides on recorded events", _APP_EVENTS, _REPLAY, ("--out",)),
    "rehearse": Kind(
        ("guards", "test"), "tries a change of rules on recorded events",
        {"RULES": Takes.SOURCE, "EVENTS?": Takes.SOURCE}, _REHEARSE, ("--app",),
    ),
    "simulate": Kind(
        ("simulate",), "writes the events and outcomes of a simulated world", {"APP": Takes.TEXT}, _SIMULATE,
        ("--days", "--out"),
    ),
    "report": Kind(
        ("report",), "reports on a month, for audits: autonomy or fairness", {"WHAT": Takes.TEXT}, _REPORT, ("--out",)
    ),
    "export": Kind(("export",), "writes a journal as Parquet", {}, _EXPORT, ("--out",)),
    "retrain": Kind(
        ("retrain",), "takes the next step from a trigger to a promotion; goes on where it was",
        {"APP": Takes.APP}, _RETRAIN, attempts_max=5,
    ),
    "retraining": Kind(
        ("models", "retraining"), "looks on, and trains again when that is due", {"APP": Takes.APP},
        {"--every": Takes.NUMBER, "--data": Takes.SOURCE, "--config": Takes.SOURCE},
        attempts_max=1_000_000, beside=True,
    ),
    "canary": Kind(
        ("models", "ramp"), "keeps a canary: judges it, raises its share, or ends it at once", {}, _RAMP,
        attempts_max=1_000_000, beside=True,
    ),
}  # fmt: skip
"""Every kind, by its name; a test holds their arguments against those of the commands."""


def checked(kind: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments in the form in which they are stored: options as `--name=value`.

    Raises BadJob with every fault.

    >>> checked("train", ["access", "events.csv", "--until", "2026-03-01", "--out", "bundle"])
    ('access', 'events.csv', '--until=2026-03-01', '--out=bundle')
    >>> checked("train", ["access", "--untill", "2026-03-01"])
    Traceback (most recent call last):
        ...
    homeostat.config.job_kinds.BadJob: train: there is no --untill (--until?); EVENTS is missing; --out is missing; \
--until is missing
    """
    found, faults = parsed(kind, arguments)
    if faults:
        raise BadJob(f"{kind}: " + "; ".join(faults))
    return tuple(_as_stored(one) for one in found)


def command_of(kind: str, arguments: Sequence[str]) -> list[str]:
    """The words after `homeostat` that do the job, and print its result as JSON. Raises BadJob."""
    return [*_kind(kind).command, *checked(kind, arguments), "--json"]


def beside() -> tuple[str, ...]:
    """The kinds that take no place of the jobs that run at once."""
    return tuple(name for name, kind in KINDS.items() if kind.beside)


def attempts_max(kind: str) -> int:
    """How often a job of a kind is begun at most, if its process is lost. Raises BadJob."""
    return _kind(kind).attempts_max


def parsed(kind: str, arguments: Sequence[str]) -> tuple[list[Argument], list[str]]:
    """The arguments by name, and what is wrong with them. Raises BadJob for a kind that there is none of."""
    declared, faults = _kind(kind), _too_much(arguments)
    found: list[Argument] = []
    places = iter(declared.given.items())
    words = deque(arguments)
    while words:
        word = words.popleft()
        if word.startswith("--"):
            found += _option(declared, word, words, faults)
        elif word.startswith("-"):
            faults.append(f"{word!r} is no argument")
        elif (place := next(places, None)) is None:
            faults.append(f"{word!r} is one too many")
        else:
            found.append(_valued(place[0].rstrip("?"), place[1], word, faults))
    faults += [f"{name} is missing" for name, _ in places if not name.endswith("?")]
    names = [one.name for one in found]
    faults += [f"{name} is missing" for name in declared.needed if name not in names]
    faults += [f"{name} is given twice" for name in sorted({name for name in names if names.count(name) > 1})]
    return found, faults


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise BadJob(f"there is no kind of job {name!r}{_nearest(name, KINDS)}: {', '.join(KINDS)}")
    return KINDS[name]


def _option(declared: Kind, word: str, words: deque[str], faults: list[str]) -> list[Argument]:
    """One option, with the next word as its value where it has none of its own."""
    name, equals, value = word.partition("=")
    takes = declared.options.get(name)
    follows = bool(words) and not words[0].startswith("--")
    if name == "--json":
        return []  # It is given to every command.
    if takes is None:
        faults.append(f"there is no {name}{_nearest(name, declared.options)}")
        if follows and not equals:
            words.popleft()
        return []
    if takes is Takes.FLAG:
        if equals:
            faults.append(f"{name} takes no value")
        return [Argument(name, takes, "")]
    if not equals and not follows:
        faults.append(f"{name} needs a value")
        return [Argument(name, takes, "")]
    return [_valued(name, takes, value if equals else words.popleft(), faults)]


def _valued(name: str, takes: Takes, value: str, faults: list[str]) -> Argument:
    fault = _fault(takes, value)
    if fault:
        faults.append(f"{name}: {fault}")
    return Argument(name, takes, value)


def _fault(takes: Takes, value: str) -> str:
    """The fault of a value; "" where it has none."""
    if not value or not value.isprintable():
        return "a value of printable characters is needed"
    if takes is Takes.COUNT and not (value.isascii() and value.isdigit()):
        return f"{value!r} is no whole number"
    if takes is Takes.NUMBER and not _is_number(value):
        return f"{value!r} is no number"
    if takes is Takes.INSTANT:
        try:
            instant_ns(value)
        except ValueError as error:
            return str(error)
    return ""


def _is_number(value: str) -> bool:
    try:
        return isfinite(float(value))
    except ValueError:
        return False


def _too_much(arguments: Sequence[str]) -> list[str]:
    faults = [] if len(arguments) <= ARGUMENTS_MAX else [f"more than {ARGUMENTS_MAX} arguments"]
    if any(len(word) > CHARACTERS_MAX for word in arguments):
        faults.append(f"an argument has more than {CHARACTERS_MAX} characters")
    return faults


def _as_stored(one: Argument) -> str:
    if not one.name.startswith("--"):
        return one.value
    return one.name if one.takes is Takes.FLAG else f"{one.name}={one.value}"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), 1)
    return f" ({close[0]}?)" if close else ""
