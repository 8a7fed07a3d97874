"""The investigator of an app: the hypothesis library with those of plug-ins, over the app's causal graph.

    [project.entry-points."homeostat.hypotheses"]
    weather = "their_package:WeatherHypothesis"

The factory takes nothing and returns a `maintain.investigate.hypothesis.Hypothesis`. `homeostat.checks.hypotheses`
holds the checks that it has to pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from homeostat.config.causal import causal_graph
from homeostat.config.tree import App
from homeostat.decide.scorers.plugins import PluginError
from homeostat.decide.windows.features import FeaturePlan
from homeostat.maintain.investigate.hypothesis import Hypothesis
from homeostat.maintain.investigate.investigator import CauseInvestigator
from homeostat.maintain.investigate.library import shipped
from homeostat.ports.memory import Recalls
from homeostat.ports.recent import RecentTraffic
from homeostat.ports.rehearsal import Rehearsal

GROUP = "homeostat.hypotheses"


def investigator_of(
    app: App, features: FeaturePlan, rehearsal: Rehearsal | None, recent: RecentTraffic, memory: Recalls | None = None
) -> CauseInvestigator:
    """The investigator of an app.

    rehearsal : None where nothing can be decided again; then tests that need it are listed as not checked
    memory : of past cases, whose causes are tried first; None for none
    Raises PluginError.
    """
    return CauseInvestigator(causal_graph(app), recent, rehearsal, (*shipped(), *plugin_hypotheses()), memory=memory)


def known_kinds() -> tuple[str, ...]:
    """The kinds of cause that there are hypotheses for, by name. Raises PluginError."""
    return tuple(sorted({str(one.kind) for one in (*shipped(), *plugin_hypotheses())}))


def plugin_hypotheses(found: Sequence[EntryPoint] | None = None) -> list[Hypothesis]:
    """The hypotheses that other packages bring along, by name.

    found : the entry points that there are, as installed when None
    Raises PluginError where one can't be made, or is no hypothesis.
    """
    offered = entry_points(group=GROUP) if found is None else found
    made: list[Hypothesis] = []
    for point in sorted(offered, key=lambda one: one.name):
        try:
            one = point.load()()
        except Exception as error:
            raise PluginError(
                f"hypothesis {point.name!r}: {point.value} failed with {type(error).__name__}: {error}"
            ) from error
        if not isinstance(one, Hypothesis):
            raise PluginError(f"hypothesis {point.name!r}: {point.value} lacks kind, beats, places, tests or about")
        made.append(one)
    return made
