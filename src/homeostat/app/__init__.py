"""The composition root: alone in naming concrete stages. `deciding` builds loop 1, `maintaining` loop 2."""

from __future__ import annotations

from homeostat.app.brains import TRAINED as TRAINED
from homeostat.app.brains import Brain as Brain
from homeostat.app.brains import NoScorers as NoScorers
from homeostat.app.brains import NotTrained as NotTrained
from homeostat.app.brains import binds_thresholds as binds_thresholds
from homeostat.app.brains import brain as brain
from homeostat.app.brains import censoring_of as censoring_of
from homeostat.app.brains import costs_of as costs_of
from homeostat.app.brains import feature_plan as feature_plan
from homeostat.app.brains import fingerprint as fingerprint
from homeostat.app.brains import ppo_settings as ppo_settings
from homeostat.app.brains import ready_scorers as ready_scorers
from homeostat.app.brains import require_scorers as require_scorers
from homeostat.app.brains import thresholds_of as thresholds_of
from homeostat.app.brains import untrained as untrained
from homeostat.app.brains import untrained_fusion as untrained_fusion
from homeostat.app.brains import weights_of as weights_of
from homeostat.app.deciding import OnError as OnError
from homeostat.app.deciding import Ports as Ports
from homeostat.app.deciding import build as build
from homeostat.app.deciding import canary_entity as canary_entity
from homeostat.app.deciding import chance_of as chance_of
from homeostat.app.deciding import holds_of as holds_of
from homeostat.app.deciding import meanings_of as meanings_of
from homeostat.app.deciding import panel_of as panel_of
from homeostat.app.deciding import setup_of as setup_of
from homeostat.app.deciding import what_if_of as what_if_of
