"""Remedies that are versions: one of the library, one that was trained on what is known since, or a training.

A training alters nothing: its version joins the library. It decides once a rehearsal on events that it has not learned
from says that it saves something, by known outcomes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from homeostat.maintain.plan.offer import Offer
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Finding
from homeostat.records.library import KeptVersion
from homeostat.records.plans import Alteration, Remedy

if TYPE_CHECKING:
    from homeostat.maintain.plan.remedies import Means

TRAINED = "library"
"""The scope of a training: it adds to the library, and nothing decides otherwise."""
_DAY_NS = 24 * 3_600_000_000_000
_TRIED = 2  # Versions of each kind that are rehearsed, the newest first.
_APART_NS = 2 * _DAY_NS  # A later training has so many days of events on top of the last one.
_DATA_NS = 10 * _DAY_NS  # So long after a cause began, data are waited for. Then a person is asked.
_CHALLENGE_NS = 3 * _DAY_NS  # The same for outcomes that decide, once there is a challenger.


def known_versions(finding: Finding, means: Means) -> Iterator[Offer]:
    """Versions from before the cause; where laws take turns, any of the library."""
    again = finding.kind == Cause.REGIME
    older = [one for one in means.library.others() if again or one.made_ns <= finding.since_ns]
    for one in older[:_TRIED]:
        yield _deploy(Remedy.LIBRARY_MODEL, one, "a version of the library does better on the outcomes of now")


def trained_versions(finding: Finding, about: Mapping[str, Any], means: Means) -> Iterator[Offer]:
    """Versions that were trained since the cause began, a training where data suffice, else to wait for these."""
    library = means.library
    newer = [one for one in library.others() if one.made_ns > finding.since_ns]
    if finding.kind != Cause.REGIME:
        for one in newer[:_TRIED]:
            yield _deploy(Remedy.RETRAIN, one, "a challenger that learned what is known since does better")
    made = [one.made_ns for one in library.versions if one.made_ns > finding.since_ns]
    if about.get("enough_data") and not (made and library.now_ns < max(made) + _APART_NS):
        yield training(finding)
    until_ns = min(made) + _CHALLENGE_NS if made else finding.since_ns + _DATA_NS
    if library.now_ns and library.now_ns < until_ns:
        why = (
            "outcomes have to decide between the champion and its challengers" if made
            else f"{about.get('positives', 0)} positives of now are known, and more are needed to train on"
        )  # fmt: skip
        yield Offer(Remedy.MONITOR, finding.node, notify=True, order=9, why=why)


def training(finding: Finding) -> Offer:
    """A training of a challenger."""
    request = {"why": f"{finding.kind} at {finding.node}", "since_ns": finding.since_ns}
    return Offer(
        Remedy.RETRAIN, TRAINED, job=("train", request), takes_ns=_DAY_NS, order=9,
        why="a challenger is trained on what is clean",
    )  # fmt: skip


def _deploy(remedy: Remedy, one: KeptVersion, why: str) -> Offer:
    body = {"version": one.version} if one.version else None
    return Offer(
        remedy, "app", (Alteration(ChangeKind.DEPLOY, "champion", body),), order=9, version=one, why=why
    )  # fmt: skip
