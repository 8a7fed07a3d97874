"""Findings as JSON, and back; and as people's programs get them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import StrEnum
from typing import Any

from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Conclusion, Edge, Evidence, Finding, Findings, Ruled
from homeostat.records.plans import Alteration
from homeostat.records.times import time_text


def findings_dict(found: Findings) -> dict[str, Any]:
    """Findings as JSON can hold them. A figure that is not known (NaN) is null.

    >>> findings_dict(Findings("i1", 5, Conclusion.NONE, (), (), 3))["conclusion"]
    'none'
    """
    made: dict[str, Any] = _plain(asdict(found))
    for one, finding in zip(made["findings"], found.findings, strict=True):
        one["about"] = _plain(_about(finding.about or {}))
    return made


def read_findings(found: Mapping[str, Any]) -> Findings:
    """The findings of such a dict. Raises ValueError where it is none."""
    try:
        findings = tuple(_finding(one) for one in found["findings"])
        ranked = tuple((str(node), str(kind), float(p)) for node, kind, p in found["ranked"])
        return Findings(
            str(found["incident"]), int(found["at_ns"]), Conclusion(found["conclusion"]), findings, ranked,
            int(found["steps"]), tuple(map(str, found["missing"])), tuple(map(str, found.get("recalled", ()))),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("the findings cannot be read") from error


def shown_findings(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The causes of such a dict, as `homeostat incidents show --json` prints them."""
    return [
        {
            "node": one["node"], "kind": one["kind"], "probability": one["probability"],
            "since": time_text(one["since_ns"]),
            "path": [
                {"from": edge["cause"], "to": edge["effect"], "measured": edge["measured"]} for edge in one["path"]
            ],
            "evidence": [
                {"what": test["what"], "value": test["value"], "unit": test["unit"], "command": test["command"]}
                for test in one["evidence"]
            ],
            "ruled_out": one["ruled_out"], "not_checked": one["not_checked"], "about": one["about"],
        }
        for one in found["findings"]
    ]  # fmt: skip


def worded_findings(found: Mapping[str, Any]) -> str:
    """Such a dict for people, a line for each cause and for each edge of its path."""
    lines = []
    for one in found["findings"]:
        lines.append(f"cause: {one['kind']} at {one['node']}, probability {one['probability']:.2f}")
        lines += [
            f"  {edge['cause']} -> {edge['effect']}: {edge['measured'] or 'not measured'}" for edge in one["path"]
        ]
        lines += [f"  not {ruled['kind']} at {ruled['node']}: {ruled['why']}" for ruled in one["ruled_out"]]
    if found["conclusion"] == Conclusion.NONE:
        lines.append("cause: none; all figures lie again where they lay before")
    elif found["conclusion"] == Conclusion.INCONCLUSIVE:
        lines.append("cause: inconclusive")
        lines += [f"  missing: {one}" for one in found["missing"]]
    if found.get("recalled"):
        lines.append(f"as in {', '.join(found['recalled'])}: tried first and verified, so nothing else was tested")
    return "\n".join([*lines, f"{found['steps']} tests and replays, at {time_text(found['at_ns'])}"])


def _finding(found: Mapping[str, Any]) -> Finding:
    about = dict(found["about"] or {})
    if "back" in about:
        about["back"] = tuple(
            Alteration(ChangeKind(one["kind"]), one["scope"], one["body"], one["expires_ns"]) for one in about["back"]
        )
    evidence = tuple(
        Evidence(
            one["what"], math.nan if one["value"] is None else one["value"], one["unit"], one["weight"], one["command"]
        )
        for one in found["evidence"]
    )
    return Finding(
        found["node"], found["kind"], found["probability"], found["since_ns"],
        tuple(Edge(**one) for one in found["path"]), evidence, tuple(Ruled(**one) for one in found["ruled_out"]),
        tuple(found["not_checked"]), about,
    )  # fmt: skip


def _about(about: Mapping[str, Any]) -> dict[str, Any]:
    """All that a remedy needs to know, its alterations as dicts."""
    return {
        name: [asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in value]
        if isinstance(value, list | tuple)
        else value
        for name, value in about.items()
    }


def _plain(value: Any) -> Any:
    """A value without what JSON has no words for."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else math.copysign(1.7e308, value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _plain(value.item()) if hasattr(value, "item") else value
