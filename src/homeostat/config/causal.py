"""An app's causal graph, from its file: which of its parts acts on which.

A part that is read by another acts on it. Features are found by the names in their expressions; the rest of the chain
is the same for every app.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from homeostat.config.tree import App, duration_ns
from homeostat.expressions.parse import parse
from homeostat.records.causes import CausalGraph

_LAG_NS_MAX = 3 * 86_400 * 10**9
"""A window's mean moves from the start on, and is found to move before a quarter of its length has passed."""

STORES = ("events", "outcomes", "decisions", "feature_store", "journal", "registry")
"""The servers that an app may depend on."""


def causal_graph(app: App) -> CausalGraph:
    """The nodes of an app and what each acts on directly; without cycles, causes before their effects.

    An action is followed by its outcome. The outcome's way back, through windows on labels, is left out: it takes days,
    and would make everything a cause of everything.

    >>> from homeostat.config.load import load_app
    >>> graph = causal_graph(load_app("payments"))
    >>> [node for node in graph.effects["field:amount"] if "usual" in node or "night" in node]
    []
    >>> "feature:customer_usual" in graph.downstream("field:amount"), graph.effects["time"][-1]
    (True, 'feature:time_of_day')
    """
    drawing = _Drawing(app)
    drawing.world()
    drawing.windows()
    drawing.derived()
    drawing.scorers()
    drawing.rulings()
    drawing.machinery()
    return CausalGraph(tuple(drawing.effects), {a: tuple(b) for a, b in drawing.effects.items()}, drawing.lag_ns)


class _Drawing:
    """A graph in the making. Dicts stand for ordered sets."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.effects: dict[str, dict[str, None]] = {}
        self.lag_ns: dict[str, int] = {}
        self.named: dict[str, str] = {"time": "time", (app.events.time.name or "time"): "time"}
        self.named |= {name: f"entity:{name}" for name in app.events.entities}
        self.named |= {name: f"field:{name}" for name in app.events.fields}

    def draw(self, cause: str, effects: Iterable[str]) -> None:
        self.effects.setdefault(cause, {}).update(dict.fromkeys(effects))

    def read(self, node: str, texts: Iterable[str]) -> None:
        """Draw an arrow to a node from everything that its expressions name."""
        self.draw(node, ())
        for text in texts:
            for name in _names(text):
                if (cause := self.cause(name)) is not None:
                    self.draw(cause, [node])

    def cause(self, name: str) -> str | None:
        """The node of a name in an expression: a field, a feature, the time, or the entity of a list."""
        if name == self.app.outcomes.label and name not in self.named:
            return "labels"
        if name in self.app.guards.lists:
            return self.named.get(self.app.guards.lists[name].of)
        return self.named.get(name)

    def world(self) -> None:
        """The source, and what events and outcomes bring."""
        events = self.app.events
        parts = [f"entity:{name}" for name in events.entities] + [f"field:{name}" for name in events.fields]
        self.draw("source", ["time", *parts])
        for node in ("time", *parts):
            self.draw(node, ())
        for name, entity in events.entities.items():
            for part in entity.of or ():
                self.draw(f"entity:{part}", [f"entity:{name}"])
        self.draw("labels", ["outcome"])
        self.lag_ns["labels"] = int(self.app.outcomes.matures)  # They say at each age how many are known.

    def windows(self) -> None:
        """Window features read time, their entity, and what their aggregates and filters name."""
        for group in self.app.features.windows:
            for length in group.lengths:
                for name, text in group.compute.items():
                    name = name.replace("{length}", length)
                    node = f"feature:{name}"
                    self.draw("time", [node])
                    self.draw(f"entity:{group.entity}", [node])
                    self.read(node, [_argument(text), *([group.where] if group.where else [])])
                    self.named[name] = node
                    self.lag_ns[node] = min(int(duration_ns(length)) // 4, _LAG_NS_MAX)

    def derived(self) -> None:
        """Derived features read what their expressions name, and move when that does."""
        for name, text in self.app.features.derived.items():
            node = f"feature:{name}"
            self.read(node, (text,))
            self.named[name] = node
            lags = [self.lag_ns.get(self.named.get(other, ""), 0) for other in _names(text)]
            self.lag_ns[node] = max(lags, default=0)

    def scorers(self) -> None:
        """Scorers read their features, or what their rules name."""
        fields_and_features = [node for node in self.named.values() if node.startswith(("field:", "feature:"))]
        for name, spec in self.app.scorers.items():
            node = f"scorer:{name}"
            if spec.kind == "rules":
                self.read(node, [rule.when for rule in spec.rules])
            else:
                self.draw(node, ())
                for cause in [self.named[one] for one in spec.features or ()] or fields_and_features:
                    self.draw(cause, [node])
            self.named[name] = node
            self.draw(node, ["fusion"])

    def rulings(self) -> None:
        """Fusion, policy, guards, actions, and the outcome that is seen."""
        app = self.app
        self.named |= {"risk": "fusion"}
        self.draw("fusion", ["policy"])
        self.read("policy", [text for cost in app.costs.values() for text in (cost.positive, cost.negative)])
        for name in app.policy.context:
            if name in self.named:
                self.draw(self.named[name], ["policy"])
        self.draw("policy", ["guards"])
        self.read("guards", [rule.when for rule in app.guards.rules])
        actions = [f"action:{name}" for name in app.actions]
        self.draw("guards", actions)
        for action in actions:
            self.draw(action, ["outcome"])
        self.draw("outcome", ())
        self.lag_ns["outcome"] = int(app.outcomes.matures)
        if app.fusion.learns:
            self.draw("labels", ["fusion"])
        if app.policy.kind == "bandit":
            self.draw("labels", ["policy"])

    def machinery(self) -> None:
        """The version, the settings, the environment, the serving process and its servers."""
        app = self.app
        scorers = [f"scorer:{name}" for name in app.scorers]
        features = [node for node in self.effects if node.startswith("feature:")]
        learned = [f"scorer:{name}" for name, spec in app.scorers.items() if spec.kind != "rules"]
        self.draw("version", [*(learned or scorers), "fusion", "policy"])
        self.draw("settings", ["fusion", "policy", "guards"])
        self.draw("environment", [*features, *scorers, "serving"])
        self.draw("serving", [*scorers, *(f"action:{name}" for name in app.actions)])
        reached = {
            "events": ["source", "serving"], "outcomes": ["labels"], "decisions": ["serving"],
            "feature_store": [*features, "serving"], "journal": ["serving"], "registry": [*scorers, "serving"],
        }  # fmt: skip
        for name in STORES:
            self.draw(f"dependency:{name}", reached[name])


def _names(text: str) -> list[str]:
    """The names that an expression reads; those of functions are none.

    >>> _names("max(amount, 1) if night else mean")
    ['amount', 'mean', 'night']
    """
    nodes = list(ast.walk(parse(text)))
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return sorted({node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in functions})


def _argument(aggregate: str) -> str:
    """The expression that an aggregate is of; 0 where it is of none.

    >>> _argument("mean(amount ** 2)"), _argument("count")
    ('mean(amount ** 2)', '0')
    """
    return aggregate if isinstance(parse(aggregate), ast.Call) else "0"
