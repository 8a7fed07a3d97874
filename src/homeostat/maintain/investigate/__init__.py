"""Incident -> findings: the causes of an incident, and how probable each is."""

from __future__ import annotations

from homeostat.maintain.investigate.ranking import rank_causes as rank_causes
