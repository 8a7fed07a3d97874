"""An engine as people see it in a shell or a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.engine.engine import Engine


def facts_of(engine: Engine) -> dict[str, str]:
    """Its state in a few words."""
    loop = engine.parts.loop
    facts = {"app": engine.app.app, "version": loop.stages.version, "decided": f"{loop.counts['events']:,}"}
    facts |= {action: f"{count:,}" for action, count in engine.actions.items()}
    return facts | ({"notice": engine.notice} if engine.notice else {})


def as_table(facts: Mapping[str, str]) -> str:
    """Facts as an HTML table."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"
