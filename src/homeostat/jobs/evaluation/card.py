"""The model card: what a version is, what it was judged on, how well it did, and where not to trust it.

Source: Mitchell et al. (2019), Model Cards for Model Reporting, FAT*, 220-229, for its sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from homeostat.jobs.evaluation.words import (
    NAMES,
    fault,
    figures_of,
    interval,
    lacking,
    percent,
    shown_segments,
    worst_case,
)

_MARKS = re.compile(r"([\\`*_\[\]<>#|~&!])")
_BARRED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_SEGMENTS_MAX = 5


class Part(NamedTuple):
    """A section of the card: its title, and its items as name and text."""

    title: str
    items: tuple[tuple[str, str], ...]


def model_card(report: Mapping[str, Any]) -> str:
    """The card as Markdown. Names and values from apps and data are text in it, never markup."""
    lines = [f"# Model card: {marked(report['version'])}", ""]
    for part in parts(report):
        lines += [f"## {part.title}", ""]
        lines += [f"- **{marked(name)}**: {marked(text)}" for name, text in part.items]
        lines.append("")
    return "\n".join(lines)


def marked(text: str) -> str:
    r"""Text whose marks mean nothing in Markdown, on one line.

    >>> marked("[x](y) <b>\n# z")
    '\\[x\\](y) \\<b\\> \\# z'
    """
    return _MARKS.sub(r"\\\1", _BARRED.sub(" ", text))


def parts(report: Mapping[str, Any]) -> tuple[Part, ...]:
    """The card's sections, for Markdown and for the page."""
    return (
        Part("Model", tuple(_model(report))),
        Part("Intended use", tuple(_use(report))),
        Part("Training data", tuple(_training(report))),
        Part("Evaluation data", tuple(_data(report))),
        Part("Figures", tuple((NAMES[name], interval(one)) for name, one in figures_of(report).items())),
        Part("Where it fares worst", tuple(_worst(report))),
        Part("Fairness", tuple(_fairness(report))),
        Part("Caveats", tuple(_caveats(report))),
    )


def _model(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    bundle = report["bundle"]
    yield "app and version", report["version"]
    if bundle is None:
        yield "trained parts", "none: the app decides by rules alone, or by its own plug-ins"
        return
    yield "bundle", bundle["version"]
    yield "trained parts", ", ".join(f"{name} ({kind})" for name, kind in sorted(bundle["parts"].items()))
    yield "features", str(bundle["features"])
    if "libraries" in bundle:
        yield "trained with", ", ".join(f"{name} {version}" for name, version in sorted(bundle["libraries"].items()))


def _use(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "the app", report["description"] or "the app file has no description"
    yield "actions", ", ".join(report["actions"])
    yield "out of scope", "decisions of other apps, and of events whose fields mean something else than in training"


def _training(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    bundle = report["bundle"] or {}
    if "rows" not in bundle:
        yield "training data", "none that is known"
        return
    positives = f", {bundle['positives']:,} of them positive" if "positives" in bundle else ""
    yield "rows", f"{bundle['rows']:,}{positives}"
    if "from" in bundle and "until" in bundle:
        yield "events", f"from {bundle['from']} to {bundle['until']}"
    if "trained" in bundle:
        yield "moment of training", bundle["trained"]
    if "seed" in bundle:
        yield "seed", str(bundle["seed"])


def _data(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    quality = report["quality"]
    yield "events", f"{quality['decisions']:,} from {report['from']} until {report['until']}"
    yield "outcomes that count", f"{quality['known']:,}, of them positive {quality['positives']:,}"
    yield "outcomes that do not count", f"{quality['too_young']:,} too young, {quality['without_outcome']:,} unknown"
    trained = (report["bundle"] or {}).get("trained")
    if trained is not None and trained > report["from"]:
        yield "overlap", f"trained at {trained}, after the first of these events: it may have learned from some"
    people, times = quality["base_rate"]["persons"], report["resamples"]
    yield "intervals", f"95 %, by drawing each {report['unit']} with all its events {times} times ({people:,} of them)"


def _worst(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    segments = shown_segments(report)
    for loss, one in segments[:_SEGMENTS_MAX]:
        excess = interval(one["excess"])
        yield " and ".join(one["segment"]), f"{one['rows']:,} rows; its {loss} lies above the rest by {excess}"
    if not segments:
        yield "segments", "none is shown to fare worse than the rest"
    worst = worst_case(report)
    if worst is not None:
        measure, case = worst
        name = measure.removesuffix("_change")
        yield f"under {fault(case)}", f"change of {NAMES[name]}: {interval(case[measure])}"


def _fairness(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = report["fairness"]
    if found["verdict"] is None:
        yield "groups", found["why"]
        return
    yield f"groups by {found['groups']}", found["verdict"]
    for bound in found["bounds"]:
        yield bound["measure"].replace("_", " "), f"{bound['verdict']}: {bound['why']}"


def _caveats(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    why = "a blocked event's outcome is known in a recorded history only, and no figure has what blocking would prevent"
    yield "outcomes", f"they are taken as they are in the files; {why}"
    yield "actions", f"{percent(_acted(report))} of the decisions were other than {report['actions'][0]}"
    if lacking(report):
        yield "parts that did not answer", lacking(report)
    for warning in report["warnings"]:
        yield "warning", warning


def _acted(report: Mapping[str, Any]) -> float | None:
    mildest = report["quality"]["actions"][0]["rate"]["value"]
    return None if mildest is None else 1.0 - mildest
