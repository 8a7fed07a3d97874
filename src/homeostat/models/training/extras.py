"""The training libraries, or a sentence that says how to get them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from homeostat.errors import HomeostatError, MissingExtra, needs

TrainingUnavailable = MissingExtra


class BadSetting(HomeostatError, ValueError):
    """A scorer's or fusion's settings can't be used."""

    why = "a scorer's settings are checked before it is trained"
    remedy = "Correct the setting in the app file"


def library(module: str) -> ModuleType:
    """Import a training library; raises MissingExtra with what to install."""
    with needs("train", "training"):
        return import_module(module)


def read_settings(kind: str, defaults: dict[str, Any], given: Any) -> dict[str, Any]:
    """The defaults with what was given in their place; raises BadSetting for an unknown name or a wrong type.

    >>> read_settings("boosted_trees", {"trees": 100}, {"trees": 50})
    {'trees': 50}
    """
    merged = dict(defaults)
    for name, value in dict(given).items():
        if name not in defaults:
            raise BadSetting(f"{kind} has no setting {name!r}; it has {', '.join(sorted(defaults))}")
        default = defaults[name]
        if isinstance(default, tuple):
            value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        elif isinstance(default, bool) or isinstance(value, bool):
            if not (isinstance(default, bool) and isinstance(value, bool)):
                raise BadSetting(f"{kind}: {name} is {value!r}, which does not fit {default!r}")
        elif isinstance(default, float) and isinstance(value, int):
            value = float(value)
        elif isinstance(default, int) and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, type(default)):
            raise BadSetting(f"{kind}: {name} is {value!r}, which does not fit {default!r}")
        merged[name] = value
    return merged


def at_least(kind: str, settings: dict[str, Any], **lowest: float) -> None:
    """Raise BadSetting where a setting is below its lowest sensible value."""
    for name, low in lowest.items():
        if not settings[name] >= low:
            raise BadSetting(f"{kind}: {name} is {settings[name]!r}; it must be at least {low:g}")
