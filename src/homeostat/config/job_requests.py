"""Jobs as other machines ask for them: arguments by name, each of a narrow form, and nothing that leaves the folder.

A job that comes over HTTP reads and writes below the folder in which its runner was started, and names no other
machine. Its JSON Schema and the check follow from the same patterns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from homeostat.config.job_kinds import KINDS, BadJob, Kind, Takes, checked

_DATE = (
    "20[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP = "20([02468][048]|[13579][26])-02-29"
_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_PATH = f"^{_NAME}(/{_NAME}){{0,9}}$"  # No name begins with a dot, so none leads out of the folder.
PATTERNS = {
    Takes.TEXT: f"^{_NAME}$", Takes.APP: _PATH, Takes.SOURCE: _PATH, Takes.TARGET: _PATH,
    Takes.INSTANT: f"^({_DATE}|{_LEAP})(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$",
}  # fmt: skip
COUNT_MAX = 10**9
NOT_FROM_AFAR = frozenset({"--ray", "--config", "--force", "--actor", "--storage"})
"""They name other machines, delete what is in the way, or pass for somebody else."""
KEY_PATTERN = "^[A-Za-z0-9_.:-]{1,100}$"
"""Of an idempotency key."""


def arguments_of(kind: str, named: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments of a command, given by name: those of its options without their dashes, the others in lower case.

    Raises BadJob with every fault.

    >>> arguments_of("train", {"app": "access", "events": "in/e.csv", "until": "2026-03-01", "out": "bundle"})
    ('access', 'in/e.csv', '--out=bundle', '--until=2026-03-01')
    >>> arguments_of("export", {"out": "../x", "config": "c.yaml"})
    Traceback (most recent call last):
        ...
    homeostat.config.job_kinds.BadJob: export: out must be a path below the runner's folder; there is no config
    """
    if kind not in KINDS:
        raise BadJob(f"there is no kind of job {kind[:100]!r}: {', '.join(KINDS)}")
    takes = _named(KINDS[kind])
    faults = [f"{name} must be {_MEANINGS[takes[name][1]]}" for name, value in named.items()
              if name in takes and not _fits(takes[name][1], value)]  # fmt: skip
    faults += [f"there is no {name[:100]}" for name in named if name not in takes]
    if faults:
        raise BadJob(f"{kind}: " + "; ".join(faults))
    given = {name: _word(*takes[name], named[name]) for name in takes if name in named}  # Places come first.
    return checked(kind, [word for word in given.values() if word])


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema of a kind's arguments."""
    declared = KINDS[kind]
    takes = _named(declared)
    needed = [name.lower() for name in declared.given if not name.endswith("?")]
    needed += [_plain(option) for option in declared.needed]
    return {
        "type": "object", "required": needed, "additionalProperties": False,
        "properties": {name: _shape(one) for name, (_, one) in takes.items()},
    }  # fmt: skip


_MEANINGS = {
    Takes.FLAG: "true or false", Takes.COUNT: f"a whole number up to {COUNT_MAX}", Takes.NUMBER: "a number",
    Takes.TEXT: "a name", Takes.APP: "a shipped app or a path below the runner's folder",
    Takes.SOURCE: "a path below the runner's folder", Takes.TARGET: "a path below the runner's folder",
    Takes.INSTANT: "a date, or a time such as 2026-03-01T12:00:00Z",
}  # fmt: skip


def _named(kind: Kind) -> dict[str, tuple[str, Takes]]:
    """By its name in JSON: the option, or "" for a place, and its value."""
    places = {name.rstrip("?").lower(): ("", takes) for name, takes in kind.given.items()}
    options = {
        _plain(name): (name, takes) for name, takes in kind.options.items() if name not in NOT_FROM_AFAR
    }  # fmt: skip
    return {**places, **options}


def _plain(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _word(option: str, takes: Takes, value: Any) -> str:
    """The argument as the command takes it; empty for a flag that is off."""
    if not option:
        return str(value)
    if takes is Takes.FLAG:
        return option if value else ""
    return f"{option}={int(value) if takes in (Takes.COUNT, Takes.NUMBER) else value}"


def _fits(takes: Takes, value: Any) -> bool:
    if takes is Takes.FLAG:
        return isinstance(value, bool)
    if takes in (Takes.COUNT, Takes.NUMBER):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and 0 <= value <= COUNT_MAX and int(value) == value  # JSON's 3.0 is a whole number.
    return isinstance(value, str) and re.fullmatch(PATTERNS[takes], value) is not None and "\n" not in value


def _shape(takes: Takes) -> dict[str, Any]:
    if takes is Takes.FLAG:
        return {"type": "boolean"}
    if takes in (Takes.COUNT, Takes.NUMBER):
        return {"type": "integer", "minimum": 0, "maximum": COUNT_MAX}
    return {"type": "string", "pattern": PATTERNS[takes]}
