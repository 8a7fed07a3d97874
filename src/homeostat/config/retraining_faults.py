"""Faults in the `retrain` section: bounds that are none, and judgements without costs."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.config.faults import Fault
from homeostat.config.nodes import YamlNode
from homeostat.config.retraining import Retrain
from homeostat.config.tree import App


def retraining_faults(app: App, root: YamlNode) -> list[Fault]:
    """Every fault of meaning in `retrain`."""
    node = root.child("retrain")
    if app.retrain is None or node is None:
        return []
    return [(node.child(key) or node).fault(message, None) for key, message in _faults(app, app.retrain)]


def _faults(app: App, retrain: Retrain) -> Iterator[tuple[str, str]]:
    if retrain.quality is not None and (fault := retrain.quality.fault_in(bool(app.costs))):
        yield "quality", fault
    if app.canary is not None and app.canary.steps[0] >= 1:
        yield "autonomy", "a version becomes a canary first: let canary.steps begin below 1"
    if retrain.autonomy != "assisted" and not app.costs:
        yield "autonomy", "versions are judged by their costs: declare costs, or say assisted"
