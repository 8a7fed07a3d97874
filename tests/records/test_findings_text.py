"""Findings survive being stored, and are shown as the contract names them."""

from __future__ import annotations

import json
import math

from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Conclusion, Edge, Evidence, Finding, Findings, Ruled
from homeostat.records.findings_text import findings_dict, read_findings, shown_findings, worded_findings
from homeostat.records.incident_shown import whole_incident
from homeostat.records.incidents import Incident, Phase, Severity
from homeostat.records.plans import Alteration

FOUND = Findings(
    "i1", 5 * 10**9, Conclusion.CAUSE,
    (
        Finding(
            "settings", "configuration", 0.9, 3 * 10**9,
            (Edge("settings", "policy", "the share went from 1 % to 9 %"),),
            (Evidence("actions that differ", 0.2, "share", 3.5, "homeostat settings show 3"),
             Evidence("times", math.inf, "times", 1.0)),
            (Ruled("version", "version", "no deploy"),), ("a replay: nobody kept it",),
            {"back": (Alteration(ChangeKind.THRESHOLD, "block", None),), "changes": [3]},
        ),
    ),
    (("settings", "configuration", 0.9),), 7, recalled=("i0",),
)  # fmt: skip


def test_findings_are_read_back_as_they_were() -> None:
    again = read_findings(json.loads(json.dumps(findings_dict(FOUND), allow_nan=False)))
    assert (again.findings[0].about or {})["back"] == (Alteration(ChangeKind.THRESHOLD, "block", None),)
    assert findings_dict(again) == findings_dict(FOUND)
    assert again.findings[0].grounded and again.ranked == FOUND.ranked and again.recalled == ("i0",)


def test_an_incident_shows_its_findings_under_the_contract_s_names() -> None:
    incident = Incident("i1", "payments", 1, 1, 2, 1, Severity.LOW, ("s1",), notes={"impact": "measured"})
    later = incident.investigated(findings_dict(FOUND), 5 * 10**9)
    assert (later.phase, later.revision) == (Phase.INVESTIGATED, 2)
    shown = whole_incident(later, [], [])
    (one,) = shown["findings"]
    assert set(one) >= {"node", "kind", "probability", "path", "evidence", "ruled_out", "not_checked"}
    assert one["path"] == [{"from": "settings", "to": "policy", "measured": "the share went from 1 % to 9 %"}]
    assert set(one["evidence"][0]) >= {"what", "value", "command"}
    assert shown["notes"] == {"impact": "measured"} and shown["investigated"]["conclusion"] == "cause"
    assert shown["investigated"]["recalled"] == ["i0"] and "as in i0" in worded_findings(findings_dict(FOUND))
    assert whole_incident(incident, [], [])["findings"] == []
    assert shown_findings(findings_dict(FOUND)) == shown["findings"]


def test_findings_in_words_name_cause_path_and_all_that_is_missing() -> None:
    text = worded_findings(findings_dict(FOUND))
    assert "configuration at settings, probability 0.90" in text and "settings -> policy" in text
    nothing = Findings("i1", 5, Conclusion.INCONCLUSIVE, (), (), 2, ("outcomes of the last days",))
    assert "missing: outcomes of the last days" in worded_findings(findings_dict(nothing))
