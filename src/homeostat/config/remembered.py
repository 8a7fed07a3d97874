"""The meaning of what each part of an app's loop remembers: a saved state is taken over where that is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from homeostat.config.definitions import feature_definitions
from homeostat.config.scalars import duration_text
from homeostat.config.tree import App
from homeostat.decide.guards.plan import counted
from homeostat.decide.windows.features import FeaturePlan
from homeostat.expressions import names_in
from homeostat.records.meaning import Meaning


def meanings(app: App, features: FeaturePlan, trained: str) -> dict[str, Meaning]:
    """The meaning of each part's state, by the part's name.

    trained : the version of the bundle, empty without one
    """
    entities = ", ".join(_entity(name, entity.of) for name, entity in app.events.entities.items())
    return {
        "windows": _windows(app, features, entities),
        "fusion": _of(_fusion(app, trained)),
        "policy": _of(_policy(app)),
        "guards": Meaning("", {counted(b.action, b.over): "counted" for b in app.guards.breakers}),
        "schedule": _of({"learning.every": duration_text(app.learning.every)}),
        "watermark": _of({}),
        "waiting": _of({"entities": entities}),
        "joiner": _of(_joiner(app, entities)),
    }


def _of(terms: Mapping[str, str]) -> Meaning:
    return Meaning(sha256(_text(dict(terms)).encode()).hexdigest()[:32], dict(terms))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _entity(name: str, of: tuple[str, str] | None) -> str:
    return f"{name} ({' and '.join(of)})" if of else name


def _windows(app: App, features: FeaturePlan, entities: str) -> Meaning:
    """The windows', whatever their features are called: a feature that was only renamed keeps its past."""
    lines = feature_definitions(app)
    windows = features.names[features.fields : features.fields + features.windows.features]
    lists = sorted({name for program in features.inputs for name in program.lists})
    fields = ", ".join(f"{name}: {field.type}" for name, field in app.events.fields.items())
    terms = {
        "the entities": entities, "the fields": fields, "the lateness": duration_text(app.events.lateness),
        **{f"the list {name}": _digest(app.guards.lists[name].model_dump(mode="json")) for name in lists},
        **{name: lines[name] for name in windows if name in lines},
    }  # fmt: skip
    described = [
        features.windows.fingerprint().hex(), [program.text for program in features.inputs], entities, fields,
        [terms[f"the list {name}"] for name in lists],
    ]  # fmt: skip
    return Meaning(sha256(_text(described).encode()).hexdigest()[:32], terms)


def _fusion(app: App, trained: str) -> dict[str, str]:
    if not app.fusion.learns:
        return {}  # It remembers nothing.
    return {
        "the scorers": ", ".join(app.scorers), "the fusion": _text(app.fusion.model_dump(mode="json")),
        "the bundle": trained,
    }  # fmt: skip


def _policy(app: App) -> dict[str, str]:
    spec = app.policy
    if spec.kind == "thresholds":
        return {}
    described = {
        "the policy": spec.kind, "the exploration": _text(spec.exploration.model_dump(mode="json")),
        "the actions": ", ".join(app.actions), "the costs": _costs(app), "the censoring actions": _censoring(app),
    }  # fmt: skip
    if spec.kind == "bandit":
        described |= {
            "the algorithm": spec.algorithm, "the settings": _text(dict(spec.settings)),
            "the holdout": f"{spec.holdout:g}", "the age of outcomes": duration_text(app.outcomes.matures),
            **_context(app),
        }  # fmt: skip
    return described


def _joiner(app: App, entities: str) -> dict[str, str]:
    outcomes = app.outcomes
    return {
        "the entities": entities, "the scorers": ", ".join(app.scorers), "the actions": ", ".join(app.actions),
        "the costs": _costs(app), "the censoring actions": _censoring(app), "the delay": duration_text(outcomes.delay),
        "the horizon": duration_text(outcomes.horizon), "the age of outcomes": duration_text(outcomes.matures),
        "silence": outcomes.unknown, **_context(app),
    }  # fmt: skip


def _costs(app: App) -> str:
    return _text({action: [cost.positive, cost.negative] for action, cost in app.costs.items()})


def _censoring(app: App) -> str:
    return ", ".join(app.outcomes.censoring)


def _context(app: App) -> dict[str, str]:
    """The inputs of the policy, each with its sources."""
    lines = feature_definitions(app)
    return {f"the context's {name}": "; ".join(_resting(name, lines)) for name in app.policy.context}


def _resting(name: str, lines: Mapping[str, str]) -> list[str]:
    found, waiting = dict[str, str](), [name]
    while waiting:
        one = waiting.pop()
        if one in lines and one not in found:
            found[one] = f"{one}: {lines[one]}"
            # Windows' lines are no expressions, and rest on nothing that has a line of its own.
            waiting += sorted(names_in(lines[one]))
    return list(found.values())


def _digest(value: Any) -> str:
    return sha256(_text(value).encode()).hexdigest()[:16]
