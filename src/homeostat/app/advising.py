"""An app's config becomes what asks language models about its incidents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from homeostat.config.causal import causal_graph
from homeostat.config.tree import App
from homeostat.maintain.advise.adviser import Adviser
from homeostat.ports.language import LanguageModel, Role
from homeostat.records.advice import Asked


def adviser_of(
    app: App, models: Mapping[Role, LanguageModel], kinds: Sequence[str],
    count: Callable[[Asked], None] = lambda asked: None,
) -> Adviser:  # fmt: skip
    """The adviser of an app. kinds : of cause that its investigator has hypotheses for; count : see `Adviser`"""
    return Adviser(models, causal_graph(app).nodes, kinds, count)
