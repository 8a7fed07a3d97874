"""Faults in the `predictions` section: actions that the app does not have."""

from __future__ import annotations

from homeostat.config.faults import Fault, nearest
from homeostat.config.nodes import YamlNode
from homeostat.config.tree import App


def prediction_faults(app: App, root: YamlNode) -> list[Fault]:
    """Every fault of meaning in `predictions`."""
    found, node = [], root.child("predictions")
    for name, target in app.predictions.items():
        at = None if node is None else node.child(name)
        flags = None if at is None else at.child("flag")
        for place, action in enumerate(target.flag):
            item = None if flags is None else flags.child(place)
            if action not in app.actions and item is not None:
                message = f"{action!r} is none of the app's actions: {', '.join(app.actions)}"
                found.append(item.fault(message, nearest(action, app.actions)))
    return found
