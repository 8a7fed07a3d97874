"""Which parts of an app learn while it decides."""

from __future__ import annotations

from homeostat.config.tree import App


def learners_of(app: App) -> frozenset[str]:
    """Those of an app's fusion and policy that are of a kind that learns while it decides."""
    kinds = {"fusion": app.fusion.learns, "policy": app.policy.kind == "bandit"}
    return frozenset(name for name, learns in kinds.items() if learns)
