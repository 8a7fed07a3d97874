"""The faults of a change before it is stored: of its body by its kind, and of the names in it by the app."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from homeostat.config.faults import Fault, Step, nearest
from homeostat.config.learners import learners_of
from homeostat.config.meaning import check_meaning
from homeostat.config.nodes import DEPTH_MAX, Place, YamlNode
from homeostat.config.remedies import FORMS, form_of, keys_of, ops_of, scope_fault
from homeostat.config.remedy_faults import remedy_faults
from homeostat.config.scalars import Name, Node
from homeostat.config.shape import Shaped, faults_of
from homeostat.config.tree import App, NamedList, RuleSpec
from homeostat.config.variants import LEARNERS
from homeostat.errors import HomeostatError
from homeostat.models.deployments import ROLES
from homeostat.records.changes import Change, ChangeKind

SOURCE = "change"
_RULES_MAX = 64
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class ChangeError(HomeostatError, ValueError):
    """A change can't be stored, since it does not fit its kind or the app; `faults` says why."""

    why = "a change is checked as the app file is, before it is stored"
    remedy = "Correct what the faults name; docs/settings.md has the body of each kind"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__(self.faults)

    def __str__(self) -> str:
        count = len(self.faults)
        head = "1 fault in the change" if count == 1 else f"{count} faults in the change"
        return "\n".join([f"{head}:", *(f"  {_described(fault)}" for fault in self.faults)])


def _described(fault: Fault) -> str:
    meant = f" Did you mean {fault.nearest}?" if fault.nearest else ""
    return f"{fault.path}: {fault.message}.{meant}"


class DeployBody(Node):
    """A version that is to have a role."""

    version: StrictStr = Field(min_length=1, max_length=200, description="the version's name, its hash")
    share: StrictFloat | None = Field(
        default=None, gt=0, le=1, description="of a canary: the share of entities that it decides"
    )
    steps: tuple[Annotated[StrictFloat, Field(gt=0, le=1)], ...] | None = Field(
        default=None,
        max_length=32,
        description="of a canary: the shares to earn, in place of the app file's",
    )


class ThresholdBody(Node):
    """From which risk on an action is proposed."""

    at: StrictFloat = Field(ge=0, le=1, description="the risk from which the action is proposed")


class CalibrationBody(Node):
    """A shift and a scale of the risk's log-odds."""

    shift: StrictFloat = Field(default=0.0, description="is added to the log-odds of the risk")
    scale: StrictFloat = Field(default=1.0, gt=0, description="multiplies the log-odds of the risk first")


class RuleOff(Node):
    """A rule that is not to hold."""

    off: StrictBool = Field(description="true: the rule never holds")


class ListBody(Node):
    """The members of a list."""

    entries: tuple[Any, ...] = Field(description="keys, or mappings of key, since and until, as in the app file")


class LearningBody(Node):
    """Whether a learner learns."""

    on: StrictBool = Field(description="whether it learns")


class FallbackBody(Node):
    """An action that every event gets that no hard rule decides."""

    action: Name = Field(description="one of the app's actions")


class FusionBody(Node):
    """A trained fusion of the champion."""

    name: Name = Field(description="the fusion's name")


class StateBody(Node):
    """A state that a learner published."""

    position: StrictInt = Field(ge=0, description="the journal entry up to which it has learned")
    sha256: StrictStr = Field(description="hash of the state, 64 hexadecimal digits")
    moment: StrictStr | None = Field(default=None, description="the moment of event time at which it was learned")


BODIES: Mapping[ChangeKind, tuple[type[Node], ...]] = {
    ChangeKind.DEPLOY: (DeployBody,), ChangeKind.THRESHOLD: (ThresholdBody,),
    ChangeKind.CALIBRATION: (CalibrationBody,), ChangeKind.RULE: (RuleOff,), ChangeKind.LIST: (ListBody,),
    ChangeKind.LEARNING: (LearningBody,), ChangeKind.FALLBACK: (FallbackBody,), ChangeKind.FUSION: (FusionBody,),
    ChangeKind.STATE: (StateBody,), **FORMS,
}  # fmt: skip
"""The forms of a body by its kind: one, or one for each op."""


def check_change(change: Change, app: App | None, others: Iterable[Change] = ()) -> None:
    """Raise ChangeError with every fault of a change.

    app : the app that it is for; None where that is not at hand, so that only the form is checked
    others : the changes that are in force, since a rule may name a list that one of them fills
    """
    found = change_faults(change, app, others)
    if found:
        raise ChangeError(found)


def change_faults(change: Change, app: App | None, others: Iterable[Change] = ()) -> list[Fault]:
    """Every fault of a change: see `check_change`.

    >>> from homeostat.config.load import load_app
    >>> change = Change(ChangeKind.THRESHOLD, "blok", {"at": 2, "att": 1}, "ann", "too many")
    >>> for fault in change_faults(change, load_app("payments")):
    ...     print(fault.path, fault.nearest)
    scope block
    body.at None
    body.att at
    """
    others = list(others)
    rules = [other.scope for other in others if other.kind == ChangeKind.RULE and other.body is not None]
    checker = _Checker(change, app if app is None else _with_others(app, change, others), rules)
    checker.run()
    if not checker.faults and change.kind == ChangeKind.LEARNING and change.body == {"on": True} and app is not None:
        switched = any(other.kind == ChangeKind.FUSION and other.body is not None for other in others)
        if change.scope not in learners_of(app) and not (change.scope == "fusion" and switched):
            checker.add("body.on", f"the app's {change.scope} is of a kind that does not learn")
    if change.body is None and change.expires_ns is not None:
        why = "should be absent: what the app file says has no end of its own"
        return [*checker.faults, Fault(SOURCE, 1, 1, "expires", why)]
    return checker.faults


@dataclass(frozen=True, slots=True)
class _At:
    """Where a body stands in an app file, as its steps."""

    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """As faults write it."""
        out = ""
        for step in self.steps:
            out += f"[{step}]" if isinstance(step, int) else f".{step}" if out else step
        return out


class _Checker:
    def __init__(self, change: Change, app: App | None, changed_rules: list[str]) -> None:
        self.change, self.app, self.changed_rules = change, app, changed_rules
        self.faults: list[Fault] = []

    def run(self) -> None:
        kind, name, body = self.change.kind, self.change.scope, self.change.body
        self.scope()
        if body is None:
            return
        if _depth(body) > DEPTH_MAX:
            self.add("body", f"nested deeper than {DEPTH_MAX} levels")
        elif kind == ChangeKind.RULE and "off" not in body:
            self.rule(body)
        else:
            form = self.form(body) if kind in FORMS else BODIES[kind][0]
            if form is None:
                return
            made = self.of_model(form, body)
            if not self.faults and kind == ChangeKind.LIST:
                self.entries(body)
            if kind in FORMS and made is not None and self.app is not None and scope_fault(kind, name) is None:
                for fault in remedy_faults(name, made, self.app):
                    self.add(f"body.{fault.key}" if fault.key else "scope", fault.message, fault.meant)
            elif not self.faults:
                self.names(body)

    def form(self, body: Mapping[str, Any]) -> type[Node] | None:
        """The type of a body with forms; None where its op is wrong, or the scope, by which the ops go."""
        kind, name = self.change.kind, self.change.scope
        form = form_of(kind, name, body)
        if form is None and scope_fault(kind, name) is None:
            ops = ops_of(name)
            if "op" in body:
                self.known("body.op", str(body["op"])[:60], ops, f"repair of {name}")
            else:
                self.add("body", f"the key 'op' is missing here: one of {', '.join(ops)}")
        return form

    def add(self, path: str, message: str, meant: str | None = None) -> None:
        self.faults.append(Fault(SOURCE, 1, 1, path, message, meant))

    def known(self, path: str, word: str, known: Iterable[str], what: str) -> None:
        words = list(known)
        if word not in words:
            self.add(path, f"there is no {what} {word!r}; known: {', '.join(words) or 'none'}", nearest(word, words))

    def scope(self) -> None:
        """The scope by its kind."""
        kind, name, app = self.change.kind, self.change.scope, self.app
        fixed = {
            ChangeKind.DEPLOY: (ROLES, "role"), ChangeKind.LEARNING: (LEARNERS, "learner"),
            ChangeKind.STATE: (LEARNERS, "learner"), ChangeKind.CALIBRATION: (("risk",), "calibration"),
            ChangeKind.FALLBACK: (("app",), "scope of a fallback"), ChangeKind.FUSION: (("app",), "scope of a fusion"),
        }  # fmt: skip
        if kind in fixed:
            self.known("scope", name, *fixed[kind])
        elif (why := scope_fault(kind, name)) is not None:
            self.add("scope", f"{name[:60]!r} {why}")
        elif kind == ChangeKind.RULE and not _NAME.fullmatch(name):
            self.add("scope", f"{name[:60]!r} is not a name: a small letter, then small letters, digits and _")
        elif app is not None and kind == ChangeKind.THRESHOLD:
            self.known("scope", name, app.actions, "action")
        elif app is not None and kind == ChangeKind.LIST:
            self.known("scope", name, app.guards.lists, "list")
        elif app is not None and self.change.body is not None and "off" in self.change.body:
            rules = dict.fromkeys([*(rule.name for rule in app.guards.rules), *self.changed_rules])
            self.known("scope", name, rules, "rule")

    def of_model(self, kind: type[Node], body: Mapping[str, Any]) -> Node | None:
        """The body by a type of ours; None where that finds faults."""
        node = _node(dict(body), ("body",))
        try:
            return kind.model_validate(node.plain())
        except ValidationError as error:
            self.faults += _ordered(faults_of(node, error.errors(include_url=False), lambda _: keys_of(kind)), kind)
            return None

    def names(self, body: Mapping[str, Any]) -> None:
        """The names in a body of the right form."""
        if self.change.kind == ChangeKind.DEPLOY and "share" in body and self.change.scope != "canary":
            self.add("body.share", f"only a canary has a share, not a {self.change.scope}")
        if self.change.kind == ChangeKind.RULE and body["off"] is not True:
            self.add("body.off", "is true or left out: a rule that holds is written out, with when and action")
        if self.change.kind == ChangeKind.STATE and not _SHA256.fullmatch(body["sha256"]):
            self.add("body.sha256", "should be 64 hexadecimal digits")
        if self.change.kind == ChangeKind.FALLBACK and self.app is not None:
            self.known("body.action", body["action"], self.app.actions, "action")

    def rule(self, body: Mapping[str, Any]) -> None:
        """A rule's body by the checks of the app file."""
        if "name" in body and body["name"] != self.change.scope:
            self.add("body.name", f"the scope names the rule, {self.change.scope!r}: leave the name out")
            return
        rules = [] if self.app is None else list(self.app.guards.rules)
        names = [rule.name for rule in rules]
        at = names.index(self.change.scope) if self.change.scope in names else len(rules)
        if at >= _RULES_MAX:
            self.add("scope", f"an app has at most {_RULES_MAX} rules: switch one off by changing it instead")
            return
        place = _At(("guards", "rules", at))
        node = _node({"name": self.change.scope, **body}, place.steps)
        rule = self.shaped(node, RuleSpec, place)
        if rule is not None and self.app is not None:
            rules[at:] = [rule, *rules[at + 1 :]]
            blanks: list[YamlNode] = [_node({}, ("guards", "rules", before)) for before in range(at)]
            root = _nested({"guards": {"rules": [*blanks, node]}})
            self.meaning(_with_guards(self.app, rules=tuple(rules)), root, place)

    def entries(self, body: Mapping[str, Any]) -> None:
        """A list's members by the checks of the app file."""
        known = None if self.app is None else self.app.guards.lists.get(self.change.scope)
        place = _At(("guards", "lists", self.change.scope))
        of = "entity" if known is None else known.of
        node = _node({"of": of, "entries": body["entries"]}, place.steps)
        members = self.shaped(node, NamedList, place)
        if members is not None and self.app is not None and known is not None:
            lists = {**self.app.guards.lists, self.change.scope: members}
            root = _nested({"guards": {"lists": {self.change.scope: node}}})
            self.meaning(_with_guards(self.app, lists=lists), root, place)

    def shaped(self, node: YamlNode, kind: Any, place: _At) -> Any:
        """The typed part; None where it has faults."""
        try:
            return kind.model_validate(node.plain())
        except ValidationError as error:
            self.of_place(faults_of(node, error.errors(include_url=False)), place)
            return None

    def meaning(self, app: App, root: YamlNode, place: _At) -> None:
        self.of_place(check_meaning(Shaped(app, root, frozenset(), ())), place)

    def of_place(self, faults: Iterable[Fault], place: _At) -> None:
        """Faults in the words of the app file's place, as those of the body."""
        for fault in faults:
            inner = fault.path.removeprefix(place.text).removeprefix(".") if fault.path.startswith(place.text) else ""
            self.faults.append(replace(fault, path=f"body.{inner}" if inner else "body"))


def _ordered(faults: list[Fault], kind: type[Node]) -> list[Fault]:
    order = {f"body.{name}": at for at, name in enumerate(keys_of(kind))}
    return sorted(faults, key=lambda fault: order.get(fault.path, len(order)))


def _with_others(app: App, change: Change, others: Iterable[Change]) -> App:
    """The app with the rules and lists of the other changes that are in force."""
    rules, lists = {rule.name: rule for rule in app.guards.rules}, dict(app.guards.lists)
    for other in others:
        if other.where == change.where or other.body is None or "off" in other.body:
            continue
        if other.kind == ChangeKind.RULE:
            rules[other.scope] = RuleSpec.model_validate({"name": other.scope, **other.body})
        elif other.kind == ChangeKind.LIST and other.scope in lists:
            members = NamedList.model_validate({"of": lists[other.scope].of, "entries": other.body["entries"]})
            lists[other.scope] = members
    return _with_guards(app, rules=tuple(rules.values()), lists=lists)


def _with_guards(app: App, **update: Any) -> App:
    return app.model_copy(update={"guards": app.guards.model_copy(update=update)})


def _node(value: Any, path: tuple[Step, ...]) -> YamlNode:
    """JSON as the nodes of an app file."""
    place = Place(SOURCE, 1, 1)
    if isinstance(value, Mapping):
        inner = {str(key): _node(item, (*path, str(key))) for key, item in value.items()}
        return YamlNode(inner, place, dict.fromkeys(inner, place), path)
    if isinstance(value, list | tuple):
        return YamlNode([_node(item, (*path, at)) for at, item in enumerate(value)], place, path=path)
    return YamlNode(value, place, path=path)


def _nested(value: Any, path: tuple[Step, ...] = ()) -> YamlNode:
    """Mappings and lists that end in nodes, as nodes."""
    if isinstance(value, YamlNode):
        return value
    place = Place(SOURCE, 1, 1)
    if isinstance(value, list):
        return YamlNode([_nested(item, (*path, at)) for at, item in enumerate(value)], place, path=path)
    inner = {key: _nested(item, (*path, key)) for key, item in value.items()}
    return YamlNode(inner, place, dict.fromkeys(inner, place), path)


def _depth(value: Any) -> int:
    """How deep JSON is nested."""
    deepest, level = 0, [value]
    while level and deepest <= DEPTH_MAX:
        deepest += 1
        level = [
            inner
            for item in level
            if isinstance(item, Mapping | list | tuple)
            for inner in (item.values() if isinstance(item, Mapping) else item)
        ]
    return deepest
