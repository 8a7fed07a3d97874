"""The faults of a well-formed app file: names that don't exist, expressions that don't compile, times that don't follow
each other. Every check looks at the whole tree and reports all that it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from itertools import pairwise

from homeostat.config.fair import Fair
from homeostat.config.faults import Fault, Step, nearest
from homeostat.config.gate_faults import gate_faults
from homeostat.config.instants import instant_ns
from homeostat.config.metric_faults import metric_faults
from homeostat.config.nodes import YamlNode
from homeostat.config.plans import category_literals, feature_spec, field_types, list_places
from homeostat.config.prediction_faults import prediction_faults
from homeostat.config.retraining_faults import retraining_faults
from homeostat.config.setting_faults import setting_faults
from homeostat.config.shape import Shaped
from homeostat.config.tree import App
from homeostat.config.tune_faults import tune_faults
from homeostat.decide.guards.plan import Names, condition
from homeostat.decide.windows.features import plan_features
from homeostat.expressions import ExpressionError, Scope, Type, compile_expression, names_in
from homeostat.records.identity import category_code

SCORER_KINDS = ("isolation_forest", "boosted_trees", "network", "reconstruction", "profile", "rules")
RESERVED = ("time", "risk")
SHOWN = ("watermark", "freshness", "log")  # Fields beside the window features in an entity's shown hash.


def scorer_kinds() -> tuple[str, ...]:
    """The built-in scorers and the installed plug-ins."""
    return (*SCORER_KINDS, *sorted({point.name for point in entry_points(group="homeostat.scorers")}))


def check_meaning(shaped: Shaped) -> list[Fault]:
    """Every fault of meaning in what could be read; parts that hang on a damaged section are left alone."""
    if shaped.app is None:
        return []
    checker = _Checker(shaped.app, shaped.root, shaped.damaged)
    checker.run()
    return checker.faults


class _Checker:
    def __init__(self, app: App, root: YamlNode, damaged: frozenset[str]) -> None:
        self.app, self.root, self.damaged = app, root, damaged
        self.faults: list[Fault] = []

    def fault(self, path: Iterable[Step], message: str, meant: str | None = None, at: int = 0) -> None:
        """A fault at a path, or at the nearest part of it that the file has."""
        steps, node = tuple(path), self.root
        for depth, step in enumerate(steps):
            child = node.child(step)
            if child is None:
                key = step if depth == len(steps) - 1 and isinstance(step, str) else None
                self.faults.append(node.fault(message, meant, key=key))
                return
            node = child
        self.faults.append(node.fault(message, meant, at=at))

    def at_key(self, path: tuple[Step, ...], message: str, meant: str | None = None) -> None:
        """A fault at the key itself, not at its value."""
        node = self.root
        for step in path[:-1]:
            node = node.child(step) or node
        self.faults.append(node.fault(message, meant, key=str(path[-1])))

    def whole(self, *sections: str) -> bool:
        return self.damaged.isdisjoint(sections)

    def run(self) -> None:
        self.actions()
        self.scorers()
        self.faults += setting_faults(self.app, self.root)
        self.faults += tune_faults(self.app, self.root, self.whole("scorers"))
        self.faults += retraining_faults(self.app, self.root)
        self.faults += gate_faults(self.app, self.root)
        self.times()
        if not self.whole("events"):
            return
        self.entities()
        self.fields()
        self.names()
        self.aliases()
        self.faults += metric_faults(self.app, self.root)
        self.faults += prediction_faults(self.app, self.root)
        self.costs()
        self.lists()
        self.literals()
        self.fairness()
        self.canary()
        if self.whole("features", "outcomes"):
            self.on_features(self.features())

    # Actions, scorers, times: these hang on nothing else.

    def known(self, path: tuple[Step, ...], word: str, known: Iterable[str], what: str) -> None:
        words = list(known)
        if word not in words:
            self.fault(path, f"there is no {what} {word!r}; known: {', '.join(words) or 'none'}", nearest(word, words))

    def actions(self) -> None:
        app = self.app
        for at, action in enumerate(app.actions):
            if action in app.actions[:at]:
                self.fault(("actions", at), f"the action {action!r} is here twice")
            if action == "thresholds":
                self.fault(("actions", at), "'thresholds' can't be an action: fallbacks use this word")
        if not self.whole("actions"):
            return
        for path, action in _actions_named(app):
            if path[0] != "guards" or action != "nothing" or self.whole("guards"):
                self.known(path, action, app.actions, "action")
        for action in app.costs:
            if action not in app.actions:
                self.at_key(("costs", action), f"there is no action {action!r}", nearest(action, app.actions))
        missing = [action for action in app.actions if action not in app.costs]
        if app.costs and missing and self.whole("costs"):
            self.at_key(("costs",), f"costs must cover all actions or none; missing: {', '.join(missing)}")
        if app.outcomes.censoring and set(app.actions) <= set(app.outcomes.censoring):
            self.fault(("outcomes", "censoring"), "no action is left whose outcome is ever seen")
        for at, breaker in enumerate(app.guards.breakers):
            path = ("guards", "breakers", at)
            if breaker.instead == breaker.action:
                self.fault((*path, "instead"), "a breaker must put another action in place of the one it stops")
            if breaker.over <= 0:
                self.fault((*path, "over"), "should be longer than nothing")

    def scorers(self) -> None:
        kinds = scorer_kinds()
        for name, scorer in self.app.scorers.items():
            path: tuple[Step, ...] = ("scorers", name)
            self.known((*path, "kind"), scorer.kind, kinds, "scorer kind")
            if scorer.kind == "rules" and not scorer.rules and self.whole("scorers"):
                self.fault(path, "a scorer of kind rules needs rules")
            if scorer.rules and scorer.kind in SCORER_KINDS and scorer.kind != "rules":
                self.fault((*path, "rules"), f"a scorer of kind {scorer.kind} has no rules")
            self.unique([((*path, "rules", at, "name"), rule.name) for at, rule in enumerate(scorer.rules)], "rule")
        if self.whole("scorers"):
            for name in self.app.fusion.weights:
                if name not in self.app.scorers:
                    meant = nearest(name, self.app.scorers)
                    self.at_key(("fusion", "weights", name), f"there is no scorer {name!r}", meant)
            for key, names in (("of", self.app.fusion.of), ("also", self.app.fusion.also)):
                self.unique([(("fusion", key, at), name) for at, name in enumerate(names or ())], "fusion")
            if self.app.fusion.of is not None and len(self.app.fusion.of) < 2:
                self.fault(("fusion", "of"), "an ensemble combines at least two fusions")
            weights = [self.app.fusion.weights.get(name, 1.0) for name in self.app.scorers]
            if weights and max(weights) == 0:
                self.fault(("fusion", "weights"), "no scorer has a weight above 0: nothing would move the risk")
        rules = self.app.guards.rules
        self.unique([(("guards", "rules", at, "name"), rule.name) for at, rule in enumerate(rules)], "rule")

    def fairness(self) -> None:
        fair = self.app.fairness
        if fair is None or not self.whole("fairness"):
            return
        grouping = {name: f for name, f in self.app.events.fields.items() if f.type != "number"}
        self.known(("fairness", "groups"), fair.groups, grouping, "field of type category, boolean or integer")
        if len(self.app.actions) < 2:
            self.at_key(("fairness",), "an app with one action treats everybody alike")
        for at, bound in enumerate(fair.bounds):
            if fault := bound.fault():
                self.fault(("fairness", "bounds", at), fault)
            elif bound.measure == "cost_per_person" and not self.app.costs and self.whole("costs"):
                self.fault(("fairness", "bounds", at), "cost_per_person needs the app's costs")
        if fair.every is not None and fair.every < 60 * 10**9:
            self.fault(("fairness", "every"), "a look reads the journal: once in 1m is the most")
        if fair.binds is not None:
            self.binding(fair)

    def binding(self, fair: Fair) -> None:
        """The faults of bounds that bind."""
        path, measures = ("fairness", "binds"), {bound.measure for bound in fair.bounds}
        if not measures:
            self.fault(path, "there is no bound that could bind: declare fairness.bounds")
        if fair.binds != "thresholds":
            return
        if self.app.policy.kind != "thresholds" and self.whole("policy"):
            self.fault(path, f"thresholds by group need a policy of kind thresholds, not {self.app.policy.kind}")
        if not self.app.costs and self.whole("costs"):
            self.fault(path, "thresholds by group need the app's costs, which say what is best within the bounds")
        if not (measures <= {"selection_rate"} or measures <= {"true_positive_rate", "false_positive_rate"}):
            self.fault(path, "thresholds by group equalise either the selection_rate or the rates by outcome: bound "
                       "one of both, or let `binds: refuse` hold the rest")  # fmt: skip
        if len(set(fair.selected)) >= len(self.app.actions) > 1:
            self.fault(("fairness", "selected"), "some action must not be selected")

    def canary(self) -> None:
        """The entity, the steps and what the guardrails rest on."""
        canary = self.app.canary
        if canary is None or not self.whole("canary"):
            return
        if canary.entity is not None and self.whole("events"):
            self.known(("canary", "entity"), canary.entity, self.app.events.entities, "entity")
        if fault := canary.fault():
            self.fault(("canary", "steps"), fault)
        if (canary.guardrails.cost is not None or canary.evidence != "none") and not self.app.costs:
            self.at_key(("canary",), "a cost guardrail and evidence need the app's costs")

    def unique(self, named: list[tuple[tuple[Step, ...], str]], what: str) -> None:
        seen: set[str] = set()
        for path, name in named:
            if name in seen:
                self.fault(path, f"there are two {what}s {name!r}")
            seen.add(name)

    def times(self) -> None:
        for at, rule in enumerate(self.app.guards.rules):
            self.validity(("guards", "rules", at), rule.since, rule.until)
        for name, members in self.app.guards.lists.items():
            for at, entry in enumerate(members.entries):
                if not isinstance(entry, str | int):
                    self.validity(("guards", "lists", name, "entries", at), entry.since, entry.until)
        if self.app.learning.every <= 0:
            self.fault(("learning", "every"), "should be longer than nothing")
        if self.app.policy.exploration.period <= 0:
            self.fault(("policy", "exploration", "period"), "should be longer than nothing")
        outcomes = self.app.outcomes
        if outcomes.horizon < outcomes.delay:
            self.fault(("outcomes", "horizon"), "outcomes would be given up before they are known (outcomes.delay)")
        elif outcomes.matures < outcomes.delay:
            self.fault(("outcomes", "maturity"), "events would teach before outcomes are known (outcomes.delay)")
        if outcomes.matures > outcomes.horizon:
            self.fault(("outcomes", "maturity"), "events would be forgotten before they teach (outcomes.horizon)")

    def validity(self, path: tuple[Step, ...], since: str | None, until: str | None) -> None:
        instants = []
        for key, text in (("since", since), ("until", until)):
            try:
                instants.append(None if text is None else instant_ns(text))
            except ValueError as error:
                self.fault((*path, key), str(error))
                instants.append(None)
        for first, second in pairwise(instants):
            if first is not None and second is not None and second <= first:
                self.fault((*path, "until"), "until must be later than since")

    # The form of an event.

    def entities(self) -> None:
        entities = self.app.events.entities
        plain = [name for name, entity in entities.items() if entity.of is None]
        for name, entity in entities.items():
            for at, part in enumerate(entity.of or ()):
                self.known(("events", "entities", name, "of", at), part, plain, "entity")
            if entity.of is not None and entity.of[0] == entity.of[1]:
                self.fault(("events", "entities", name, "of"), "a pair needs two different entities")
            if entity.of is not None and entity.aliases:
                self.fault(("events", "entities", name, "aliases"), "a pair is computed, never read: it has no aliases")

    def fields(self) -> None:
        for name, declared in self.app.events.fields.items():
            path: tuple[Step, ...] = ("events", "fields", name)
            numeric = declared.type in ("number", "integer")
            for key, value in (("min", declared.min), ("max", declared.max)):
                if value is not None and not numeric:
                    self.fault((*path, key), f"a field of type {declared.type} has no {key}")
            if declared.min is not None and declared.max is not None and declared.min > declared.max:
                self.fault((*path, "max"), "max must not be less than min")
            if declared.values is not None and declared.type != "category":
                self.fault(
                    (*path, "values"), f"only categories have values; this is of type {declared.type}", "category"
                )

    def names(self) -> None:
        """Fields, entities and what is reserved must not share names; features are checked with their expressions."""
        events = self.app.events
        paths: list[tuple[Step, ...]] = [("events", "entities", name) for name in events.entities]
        paths += [("events", "fields", name) for name in events.fields]
        seen = dict.fromkeys(RESERVED, "the name is reserved")
        seen[self.app.outcomes.label] = "outcomes.label has this name"
        for path in paths:
            name = str(path[-1])
            taken = seen.get(name)
            if name.startswith("score_"):
                taken = "names that begin with score_ are the scorers'"
            if taken is not None:
                self.at_key(path, f"{name!r} can't be used: {taken}")
            seen[name] = "there is an entity of this name"
        for place, feature in self.feature_names():
            if feature.startswith("score_") or feature in RESERVED:
                self.at_key(place, f"{feature!r} can't be used: the name is reserved")
            elif feature in SHOWN and place[1] == "windows":
                shown = "a field of this name stands beside an entity's shown features in the feature store"
                self.at_key(place, f"{feature!r} can't be used: {shown}")

    def feature_names(self) -> Iterator[tuple[tuple[Step, ...], str]]:
        for name in self.app.features.derived:
            yield ("features", "derived", name), name
        for at, group in enumerate(self.app.features.windows):
            for name in group.compute:
                yield ("features", "windows", at, "compute", name), name

    def aliases(self) -> None:
        events, seen = self.app.events, dict[str, str]()
        columns: list[tuple[tuple[Step, ...], str, tuple[str, ...]]] = [
            (("events", "id"), events.id.name or "event_id", events.id.aliases),
            (("events", "time"), events.time.name or "time", events.time.aliases),
        ]
        columns += [(("events", "entities", n), n, e.aliases) for n, e in events.entities.items() if e.of is None]
        columns += [(("events", "fields", n), n, declared.aliases) for n, declared in events.fields.items()]
        if events.label is not None:
            columns.append((("events", "label"), events.label.name or self.app.outcomes.label, events.label.aliases))
        own = {name for _, name, _ in columns}
        for path, name, aliases in columns:
            for at, alias in enumerate(aliases):
                if alias in seen or (alias in own and alias != name):
                    other = seen.get(alias, alias)
                    self.fault((*path, "aliases", at), f"the alias {alias!r} already stands for {other}")
                seen[alias] = name

    # Expressions.

    def compiled(self, path: tuple[Step, ...], text: str, scope: Scope, wanted: tuple[Type, ...]) -> bool:
        """Whether an expression can be compiled; if not, its faults are noted."""
        try:
            found = compile_expression(text, scope, strict=True)
        except ExpressionError as error:
            self.in_expression(path, error)
            return False
        if found.type not in (*wanted, Type.UNKNOWN):
            self.fault(path, f"should be {' or '.join(wanted)}, not {found.type}")
        return True

    def in_expression(self, path: tuple[Step, ...], error: ExpressionError) -> None:
        for fault in error.all:
            self.fault(path, fault.message, fault.nearest, fault.offset)

    def costs(self) -> None:
        scope = Scope.of(field_types(self.app), tuple(self.app.events.entities))
        for action, cost in self.app.costs.items():
            for key, text in (("positive", cost.positive), ("negative", cost.negative)):
                self.compiled(("costs", action, key), text, scope, (Type.NUMBER, Type.BOOLEAN))

    def lists(self) -> None:
        categories = [name for name, declared in self.app.events.fields.items() if declared.type == "category"]
        known = [*self.app.events.entities, *categories]
        taken = [*self.app.events.entities, *self.app.events.fields, *RESERVED]
        for name, members in self.app.guards.lists.items():
            self.known(("guards", "lists", name, "of"), members.of, known, "entity or category")
            if name in taken:
                self.at_key(("guards", "lists", name), f"{name!r} is the name of something else")

    def literals(self) -> None:
        """Categories become numbers; two of one number would be one category."""
        by_code: dict[float, str] = {}
        for text in sorted(category_literals(self.app)):
            other = by_code.setdefault(category_code(text), text)
            if other != text:
                self.fault(
                    ("events", "fields"), f"the categories {other!r} and {text!r} can't be distinguished: rename one"
                )

    def features(self) -> dict[str, Type]:
        """Name and type of each feature; as far as they are known, where the section has faults."""
        plan, faults = plan_features(feature_spec(self.app))
        for found in faults:
            self.fault(("features", *found.path), found.message, found.nearest, found.offset or 0)
        return dict(zip(plan.names, plan.types)) if plan is not None else self.declared()

    def declared(self) -> dict[str, Type]:
        """The features that the file names, whether or not their definitions are right."""
        types = dict(field_types(self.app))
        for group in self.app.features.windows:
            for name, text in group.compute.items():  # The newest of something is of its type.
                kind = Type.UNKNOWN if text.lstrip().startswith("last") else Type.NUMBER
                types |= {name.replace("{length}", length): kind for length in group.lengths}
        derived = self.app.features.derived
        for name, text in derived.items():
            below = dict.fromkeys((later for later in derived if later not in types), Type.UNKNOWN)
            scope = Scope.of((types | below).items(), tuple(self.app.events.entities), list_places(self.app))
            try:
                compiled = compile_expression(text, scope)
                types[name] = compiled.type if compiled.names.isdisjoint(below) else Type.UNKNOWN
            except ExpressionError:
                types[name] = Type.UNKNOWN
        return types

    def on_features(self, types: dict[str, Type]) -> None:
        entities = tuple(self.app.events.entities)
        for name, scorer in self.app.scorers.items():
            for at, rule in enumerate(scorer.rules):
                self.score_rule(("scorers", name, "rules", at, "when"), rule.when, types)
            for at, feature in enumerate(scorer.features or ()):
                self.feature(("scorers", name, "features", at), feature, types)
        for at, feature in enumerate(self.app.features.redefined):
            self.feature(("features", "redefined", at), feature, types)
        for at, feature in enumerate(self.app.policy.context):
            self.feature(("policy", "context", at), feature, types)
            if types.get(feature) == Type.CATEGORY:
                self.fault(
                    ("policy", "context", at),
                    f"{feature} is a category, which is no quantity: derive a condition from it under "
                    f"features.derived, such as {feature} == 'some value', and name that",
                )
        if self.whole("scorers", "guards"):
            names = Names(tuple(types.items()), entities, tuple(self.app.scorers), list_places(self.app))
            for at, hard in enumerate(self.app.guards.rules):
                try:
                    condition(hard.when, names)
                except ExpressionError as error:
                    self.in_expression(("guards", "rules", at, "when"), error)

    def score_rule(self, path: tuple[Step, ...], text: str, types: dict[str, Type]) -> None:
        """Scorers see features alone, wherever these were computed: neither keys nor the time, nor lists."""
        named = names_in(text)
        for name in sorted(named & {*self.app.events.entities, *self.app.guards.lists, "time"} - types.keys()):
            self.fault(path, f"scores are made of features alone: derive one from {name} under features.derived")
            return
        if self.compiled(path, text, Scope.of(types.items(), time=None), (Type.BOOLEAN,)) and not named:
            self.fault(path, "this asks about no feature: it holds always, or never")

    def feature(self, path: tuple[Step, ...], name: str, types: dict[str, Type]) -> None:
        if name not in types:
            self.fault(path, f"there is no feature {name!r}", nearest(name, types))


def _actions_named(app: App) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Every place that names an action."""
    guards: tuple[Step, ...] = ("guards",)
    for at, rule in enumerate(app.guards.rules):
        yield (*guards, "rules", at, "action"), rule.action
    for at, breaker in enumerate(app.guards.breakers):
        yield (*guards, "breakers", at, "action"), breaker.action
        yield (*guards, "breakers", at, "instead"), breaker.instead
    fallback: Mapping[str, str | None] = {
        "scorers_absent": app.guards.fallback.scorers_absent,
        "policy": app.guards.fallback.policy,
        "deadline": app.guards.fallback.deadline,
    }
    for key, action in fallback.items():
        if action is not None and not (key == "policy" and action == "thresholds"):
            yield (*guards, "fallback", key), action
    for at, action in enumerate(app.outcomes.censoring):
        yield ("outcomes", "censoring", at), action
    for action in app.canary.guardrails.actions if app.canary is not None else ():
        yield ("canary", "guardrails", "actions", action), action
    for at, action in enumerate(app.fairness.selected if app.fairness is not None else ()):
        yield ("fairness", "selected", at), action
