"""An app as its settings make it: a function of the app file and of the changes that are in force alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from homeostat.config.faults import nearest
from homeostat.config.remedies import (
    FORMS,
    LatenessBody,
    QuarantineBody,
    RandomBody,
    RateBody,
    RebuildBody,
    ShedBody,
    form_of,
    ops_of,
    scope_fault,
)
from homeostat.config.remedy_faults import remedy_faults
from homeostat.config.scalars import Node, duration_text
from homeostat.config.tree import App, NamedList, RuleSpec
from homeostat.decide.guards.limits import RateLimit
from homeostat.errors import HomeostatError
from homeostat.models.deployments import CANARY, CHAMPION
from homeostat.records.changes import Change, ChangeKind

LEARNERS = ("fusion", "policy")
FUSIONS = ("weighted", "learned", "adaptive", "ensemble")
_LATER = {ChangeKind.FUSION: 0, ChangeKind.RATE: 2}
_NEVER = "1970-01-01T00:00:00Z"  # A rule that holds from an instant until the same instant never holds.


class Inapplicable(HomeostatError):
    """A change does not fit the app, or the models that it is to decide with; decisions go on under those before it.

    change : which
    """

    why = "a change is applied only where all of it fits the app file and the models"
    remedy = "Undo it with homeostat settings undo, or start with an app file and models that it fits"

    def __init__(self, change: Change | None, why: str) -> None:
        self.change = change
        which = "the settings" if change is None else f"change {change.number} ({change.kind} {change.scope})"
        way_out = f"undo it with homeostat settings undo {change.number}" if change and change.number else ""
        super().__init__(f"{which} can't be applied: {why}", remedy=way_out)


@dataclass(frozen=True, slots=True)
class Variant:
    """An app as its settings change it.

    app : with the rules, lists and learners of the settings
    champion : the version that decides; empty for the models that the process was started with
    canary, share : the version that decides a share of the entities; empty and 0 where there is none
    fusion : the name of the fusion that is asked for; empty for the app file's
    thresholds : action -> the risk from which it is proposed
    shift, scale : of the risk's log-odds
    states : learner -> hash of the state that another process taught it
    always : the action that each event gets that no hard rule decides; empty where there is none
    repairs, quarantines : scope -> body, by rising number of the changes
    shed : the scorers that are left out
    limits : rule -> the rate of an entity beyond which it holds
    randoms : action -> the least and the highest threshold, between which it is drawn
    """

    app: App
    champion: str = ""
    canary: str = ""
    share: float = 0.0
    fusion: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    shift: float = 0.0
    scale: float = 1.0
    always: str = ""
    states: Mapping[str, str] = field(default_factory=dict)
    repairs: Mapping[str, Node] = field(default_factory=dict)
    quarantines: Mapping[str, QuarantineBody] = field(default_factory=dict)
    shed: tuple[str, ...] = ()
    limits: Mapping[str, RateLimit] = field(default_factory=dict)
    randoms: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def variant(app: App, changes: Iterable[Change]) -> Variant:
    """An app under the changes in force. Raises Inapplicable.

    >>> from homeostat.config.load import load_app
    >>> app = load_app("payments")
    >>> higher = Change(ChangeKind.THRESHOLD, "block", {"at": 0.9}, "ann", "too many", number=1)
    >>> variant(app, []) == Variant(app), dict(variant(app, [higher]).thresholds)
    (True, {'block': 0.9})
    """
    found = Variant(app)
    # The fusion first: whether it can learn follows from its kind. Rates last: their rules stand behind all others.
    for change in sorted(changes, key=lambda one: (_LATER.get(one.kind, 1), one.number)):
        if change.body is None:
            continue
        try:
            found = _APPLY[change.kind](found, change.scope, change.body)
        except (KeyError, TypeError, ValueError) as error:
            raise Inapplicable(change, _sentence(error)) from None
    return found


def _deploy(found: Variant, role: str, body: Mapping[str, Any]) -> Variant:
    if role not in (CHAMPION, CANARY):
        return found  # Challengers are on record; they decide nothing here.
    version = body["version"]
    if not isinstance(version, str) or not version:
        raise ValueError("a deployment names a version")
    if role == CHAMPION:
        return replace(found, champion=version)
    share = _number(body, "share") if "share" in body else 0.0
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies in [0, 1], not at {share:g}")
    return replace(found, canary=version, share=share)


def _threshold(found: Variant, action: str, body: Mapping[str, Any]) -> Variant:
    at = _number(body, "at")
    if not 0 <= at <= 1:
        raise ValueError(f"a threshold lies in [0, 1], not at {at:g}")
    return replace(found, thresholds={**found.thresholds, _known(action, found.app.actions, "action"): at})


def _calibration(found: Variant, scope: str, body: Mapping[str, Any]) -> Variant:
    _known(scope, ("risk",), "calibration")
    shift = _number(body, "shift") if "shift" in body else 0.0
    scale = _number(body, "scale") if "scale" in body else 1.0
    if scale <= 0:
        raise ValueError(f"a scale is above 0, not {scale:g}: else a higher score would mean a lower risk")
    return replace(found, shift=shift, scale=scale)


def _rule(found: Variant, name: str, body: Mapping[str, Any]) -> Variant:
    rules = list(found.app.guards.rules)
    names = [rule.name for rule in rules]
    if body.get("off") is True:
        # A rule of the app file keeps its number; one that a change had added is just no more.
        rules = [
            one.model_copy(update={"since": _NEVER, "until": _NEVER}) if one.name == name else one for one in rules
        ]
    else:
        rule = RuleSpec.model_validate({"name": name, **{key: value for key, value in body.items() if key != "off"}})
        _known(rule.action, found.app.actions, "action")
        if name in names:
            rules[names.index(name)] = rule
        else:
            rules.append(rule)
    return _with_guards(found, rules=tuple(rules))


def _list(found: Variant, name: str, body: Mapping[str, Any]) -> Variant:
    lists = dict(found.app.guards.lists)
    named = lists[_known(name, lists, "list")]
    entries = NamedList.model_validate({"of": named.of, "entries": body["entries"]}).entries
    return _with_guards(found, lists={**lists, name: named.model_copy(update={"entries": entries})})


def _learning(found: Variant, learner: str, body: Mapping[str, Any]) -> Variant:
    on = body["on"]
    if not isinstance(on, bool):
        raise TypeError("`on` is true or false")
    _known(learner, LEARNERS, "learner")
    learns = found.app.fusion.learns if learner == "fusion" else found.app.policy.kind == "bandit"
    if on and not learns:
        raise ValueError(f"the app's {learner} is of a kind that does not learn")
    learning = found.app.learning.model_copy(update={learner: on})
    return replace(found, app=found.app.model_copy(update={"learning": learning}))


def _fallback(found: Variant, scope: str, body: Mapping[str, Any]) -> Variant:
    _known(scope, ("app",), "scope of a fallback")
    return replace(found, always=_known(body["action"], found.app.actions, "action"))


def _fusion(found: Variant, scope: str, body: Mapping[str, Any]) -> Variant:
    _known(scope, ("app",), "scope of a fusion")
    name = body["name"]
    if not isinstance(name, str) or not name:
        raise ValueError("a fusion is named by a text")
    if name in FUSIONS:
        chosen = found.app.fusion.model_copy(update={"kind": name})
        found = replace(found, app=found.app.model_copy(update={"fusion": chosen}))
    return replace(found, fusion=name)


def _state(found: Variant, learner: str, body: Mapping[str, Any]) -> Variant:
    """One that the app no longer has a use for (its fusion is another by now, say) is not used, and hinders nothing."""
    _known(learner, LEARNERS, "learner")
    return replace(found, states={**found.states, learner: _text(body, "sha256")})


def _remedy(kind: ChangeKind) -> Callable[[Variant, str, Mapping[str, Any]], Variant]:
    """How a body that has forms is applied: checked whole, then put where the stages look for it."""

    def apply(found: Variant, scope: str, body: Mapping[str, Any]) -> Variant:
        if (why := scope_fault(kind, scope)) is not None:
            raise ValueError(f"the scope {scope[:60]!r} {why}")
        form = form_of(kind, scope, body)
        if form is None:
            raise ValueError(f"a repair of {scope} is one of {', '.join(ops_of(scope))}, not {body.get('op')!r}")
        made = form.model_validate(body)
        faults = remedy_faults(scope, made, found.app)
        if faults:
            raise ValueError("; ".join(f"{one.key or 'scope'}: {one.message}" for one in faults[:3]))
        return _put(found, scope, made)

    return apply


def _rate(found: Variant, entity: str, made: RateBody) -> Variant:
    """A rate is a hard rule, which holds beyond it; so decisions name it, and other rules go before or after it."""
    name = rate_name(entity)
    if name in {rule.name for rule in found.app.guards.rules}:
        raise ValueError(f"the rule {name} is there already: give it another name first")
    known = f"not missing({entity})"
    when = known if made.where is None else f"{known} and ({made.where})"
    why = f"more than {made.count} events of one {entity} within {duration_text(made.per)}"
    rule = RuleSpec(name=name, when=when, action=made.action, reason=why)
    limit = RateLimit(list(found.app.events.entities).index(entity), made.count, made.per)
    found = _with_guards(found, rules=(*found.app.guards.rules, rule))
    return replace(found, limits={**found.limits, name: limit})


def rate_name(entity: str) -> str:
    """The rule of an entity's rate."""
    return f"rate_{entity}"[:64]


def _put(found: Variant, scope: str, made: Node) -> Variant:
    if isinstance(made, QuarantineBody):
        return replace(found, quarantines={**found.quarantines, scope: made})
    if isinstance(made, LatenessBody):
        events = found.app.events.model_copy(update={"lateness": made.lateness})
        return replace(found, app=found.app.model_copy(update={"events": events}))
    if isinstance(made, ShedBody):
        return replace(found, shed=made.scorers)
    if isinstance(made, RateBody):
        return _rate(found, scope, made)
    if isinstance(made, RandomBody):
        return replace(found, randoms={**found.randoms, scope: (made.low, made.high)})
    return found if isinstance(made, RebuildBody) else replace(found, repairs={**found.repairs, scope: made})


_APPLY: Mapping[ChangeKind, Callable[[Variant, str, Mapping[str, Any]], Variant]] = {
    ChangeKind.DEPLOY: _deploy, ChangeKind.THRESHOLD: _threshold, ChangeKind.CALIBRATION: _calibration,
    ChangeKind.RULE: _rule, ChangeKind.LIST: _list, ChangeKind.LEARNING: _learning, ChangeKind.FALLBACK: _fallback,
    ChangeKind.FUSION: _fusion, ChangeKind.STATE: _state,
    **{kind: _remedy(kind) for kind in FORMS},
}  # fmt: skip


def _with_guards(found: Variant, **update: Any) -> Variant:
    guards = found.app.guards.model_copy(update=update)
    return replace(found, app=found.app.model_copy(update={"guards": guards}))


def _known(word: Any, known: Iterable[str], what: str) -> str:
    words = list(known)
    if not isinstance(word, str) or word not in words:
        meant = nearest(str(word), words)
        hint = f" (did you mean {meant}?)" if meant else ""
        raise ValueError(f"there is no {what} {str(word)[:100]!r}{hint}; known: {', '.join(words) or 'none'}")
    return word


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` is a text, not {str(value)[:100]}")
    return value


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"`{name}` is a number, not {str(value)[:100]}")
    return float(value)


def _sentence(error: Exception) -> str:
    """The fault of a body, in a few words."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
    return f"its body lacks `{error.args[0]}`" if isinstance(error, KeyError) else str(error)
