"""The kinds of cause that an investigation knows by itself, in the order of their names."""

from __future__ import annotations

from homeostat.maintain.investigate.hypotheses.adversary import AdversaryHypothesis
from homeostat.maintain.investigate.hypotheses.base_rate import BaseRateHypothesis
from homeostat.maintain.investigate.hypotheses.calendar import CalendarHypothesis
from homeostat.maintain.investigate.hypotheses.clock import ClockHypothesis
from homeostat.maintain.investigate.hypotheses.concept import ConceptHypothesis
from homeostat.maintain.investigate.hypotheses.configuration import ConfigurationHypothesis
from homeostat.maintain.investigate.hypotheses.duplicates import DuplicatesHypothesis
from homeostat.maintain.investigate.hypotheses.environment import EnvironmentHypothesis
from homeostat.maintain.investigate.hypotheses.flood import FloodHypothesis
from homeostat.maintain.investigate.hypotheses.frozen import FrozenHypothesis
from homeostat.maintain.investigate.hypotheses.injection import InjectionHypothesis
from homeostat.maintain.investigate.hypotheses.label_delay import LabelDelayHypothesis
from homeostat.maintain.investigate.hypotheses.label_flips import LabelFlipsHypothesis
from homeostat.maintain.investigate.hypotheses.late import LateHypothesis
from homeostat.maintain.investigate.hypotheses.latency import LatencyHypothesis
from homeostat.maintain.investigate.hypotheses.missing import MissingHypothesis
from homeostat.maintain.investigate.hypotheses.outage import OutageHypothesis
from homeostat.maintain.investigate.hypotheses.poisoning import PoisoningHypothesis
from homeostat.maintain.investigate.hypotheses.population import PopulationHypothesis
from homeostat.maintain.investigate.hypotheses.regime import RegimeHypothesis
from homeostat.maintain.investigate.hypotheses.schema import SchemaHypothesis
from homeostat.maintain.investigate.hypotheses.segment import SegmentHypothesis
from homeostat.maintain.investigate.hypotheses.skew import SkewHypothesis
from homeostat.maintain.investigate.hypotheses.unit import UnitHypothesis
from homeostat.maintain.investigate.hypotheses.version import VersionHypothesis
from homeostat.maintain.investigate.hypothesis import Hypothesis


def shipped() -> tuple[Hypothesis, ...]:
    """One hypothesis of each kind of cause.

    >>> from homeostat.records.causes import Cause
    >>> {one.kind for one in shipped()} == set(Cause)
    True
    """
    return (
        AdversaryHypothesis(), BaseRateHypothesis(), CalendarHypothesis(), ClockHypothesis(), ConceptHypothesis(),
        ConfigurationHypothesis(), DuplicatesHypothesis(), EnvironmentHypothesis(), FloodHypothesis(),
        FrozenHypothesis(), InjectionHypothesis(), LabelDelayHypothesis(), LabelFlipsHypothesis(), LateHypothesis(),
        LatencyHypothesis(), MissingHypothesis(), OutageHypothesis(), PoisoningHypothesis(), PopulationHypothesis(),
        RegimeHypothesis(), SchemaHypothesis(), SegmentHypothesis(), SkewHypothesis(), UnitHypothesis(),
        VersionHypothesis(),
    )  # fmt: skip
