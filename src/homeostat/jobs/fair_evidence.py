"""Whether a version keeps to the bounds of an app's fairness on the last outcomes, as evidence for its promotion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build, censoring_of, costs_of
from homeostat.config.tree import App
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.assembly import Prepared, bundle_of, fitting_bundle, prepare
from homeostat.engine.setups import Setups
from homeostat.jobs.by_group import ByGroup
from homeostat.jobs.guard_trial import CanNotTry, Labels
from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.preview import last_decisions
from homeostat.jobs.report import Known
from homeostat.jobs.training import final
from homeostat.models.judgement import Evidence
from homeostat.ports import NamedJournal
from homeostat.records.arrays import Float, Mask
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch
from homeostat.records.renaming import Unnamed, decisions_as
from homeostat.records.verdicts import Verdict
from homeostat.stats.fairness import Fairness, Finding, Pair

SOURCE = "fairness"
ALL_HOURS = 24.0 * 366 * 50  # As far back as `last_decisions` looks: outcomes may take months.


@dataclass(frozen=True, slots=True)
class Assessed:
    """Groups compared; left_out : groups that were too many to be compared, beside which no bound PASSes."""

    found: Fairness
    left_out: int

    @property
    def verdict(self) -> Verdict:
        """Of all bounds."""
        return Verdict.INCONCLUSIVE if self.left_out and self.found.verdict is Verdict.PASS else self.found.verdict


def assessed(app: App, decided: Iterable[tuple[DecisionBatch, DecisionBatch]], past: PastOutcomes) -> Assessed:
    """How groups fare in decisions.

    decided : what was done with events, which may have hidden their outcome, and the decisions to assess; in the words
        of the app
    past : outcomes of them
    Raises ValueError for an app without a `fairness` section.
    """
    if app.fairness is None:
        raise ValueError(f"{app.app} declares no fairness")
    done = list(decided)
    hiding, costs = np.array(censoring_of(app), np.bool_), costs_of(app)
    labels = Labels.of(((was.events, _hides(was, hiding)) for was, _ in done), past, final(app, len(past) > 0))
    groups, y, cost = ByGroup(app, app.fairness), [np.empty(0)], [np.empty(0)]
    for was, now in done:
        groups.add(now)
        label = labels.labels(was.events, _hides(was, hiding))
        y.append(label)
        if costs is not None:
            positive, negative = costs(was.events, was.features)
            action = now.ruling.action.astype(np.int64)
            cost.append(np.where(label[:, None] == 1, positive, negative)[np.arange(len(label)), action])
    return Assessed(*groups.assessed(_known(labels, np.concatenate(y), cost), costs is not None))


def _hides(batch: DecisionBatch, hiding: Mask) -> Mask:
    found: Mask = hiding[batch.ruling.action.astype(np.int64)]
    return found


def _known(labels: Labels, y: Float, cost: list[Float]) -> Known:
    rows = np.flatnonzero(~np.isnan(y))
    priced = np.concatenate(cost) if len(cost) > 1 else np.full(len(y), np.nan)
    return Known(labels.found, rows, y[rows], {"decided": priced[rows]})


def evidence_of(one: Assessed) -> Evidence:
    """The figure that decides, in the form in which versions are judged.

    It is the pair of groups that breaks a bound, or that leaves one open; of several the first.
    """
    found, bound = one.found, _deciding(one.found)
    if bound is None:
        why = "not enough data: no bound is declared" if not found.findings else "all groups keep to the bounds"
        if one.verdict is Verdict.INCONCLUSIVE and one.left_out:
            why = f"not enough data: {one.left_out} groups are beyond the largest hundred"
        return Evidence(SOURCE, one.verdict, "bounds of fairness", None, None, None, _people(found), 0.0, why)
    pair = _deciding_pair(bound)
    kind = "difference" if bound.bound.ratio_min is None else "ratio"
    statistic = f"{kind} of {bound.bound.measure.replace('_', ' ')}" + (
        "" if pair is None else f" between {pair.first} and {pair.second}"
    )
    figures = (None, None, None) if pair is None else (pair.together.estimate, pair.together.low, pair.together.high)
    estimate, low, high = (None if value is None or not np.isfinite(value) else float(value) for value in figures)
    people = _people(found, bound.bound.measure)
    return Evidence(
        SOURCE, one.verdict, statistic, estimate, low, high, people, float(min(people.values(), default=0)), bound.why
    )


def _deciding(found: Fairness) -> Finding | None:
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        for finding in found.findings:
            if finding.verdict is verdict:
                return finding
    return None


def _deciding_pair(finding: Finding) -> Pair | None:
    return next((pair for pair in finding.pairs if pair.verdict is finding.verdict), None)


def _people(found: Fairness, measure: str = "selection_rate") -> dict[str, int]:
    return {figure.group: figure.persons for figure in found.figures if figure.measure == measure}


def fairness_evidence(
    app: str | Path | App, journal: NamedJournal, bundle: Path | None, changes: Iterable[Change],
    hours: float = ALL_HOURS,
) -> Evidence:  # fmt: skip
    """The evidence on a version's fairness: what it would have decided of the journal's last events, by their outcomes.

    journal : which a server may be writing
    bundle : of the version; None for the shipped one
    changes : the settings in force, without the champion
    hours : of the last events; all that are looked at, when absent
    PASS, FAIL, or INCONCLUSIVE where there is not enough data, which is never "fair". An event that the champion
    blocked shows no outcome, so rates by outcome are about the others.
    Raises ValueError for an app without a `fairness` section; CanNotTry, BundleError, NotTrained, Inapplicable.
    """
    prepared = prepare(app).keyed(journal.coding)
    models = bundle_of(prepared, None) if bundle is None else fitting_bundle(bundle, prepared)
    ready = brain(prepared.app, prepared.features, models)
    ports = Ports(journal, SystemClock(), prepared.coding, bounded=False)
    loop = build(prepared.app, prepared.features, ready, ports)
    try:
        there = [one for one in changes if one.kind != ChangeKind.STATE]  # It learns as it decides again.
        if there:
            loop.put_in_force(Setups(prepared, models, ready, ports).setup((), there))
        batches, past = last_decisions(journal, hours)
        return evidence_of(assessed(prepared.app, _again(batches, loop, prepared), past))
    finally:
        loop.close()


def recorded_fairness(prepared: Prepared, batches: Iterable[DecisionBatch], past: PastOutcomes) -> Assessed:
    """How groups fared in recorded decisions, whatever version made them. Those of other words are left out."""
    there = _in_words(batches, prepared)
    return assessed(prepared.app, ((batch, batch) for batch in there), past)


def _in_words(batches: Iterable[DecisionBatch], prepared: Prepared) -> Iterator[DecisionBatch]:
    for batch in batches:
        try:
            here = decisions_as(batch, prepared.words, tuple(prepared.app.scorers), prepared.coding)
        except Unnamed:
            continue
        if (here.ruling.action >= 0).all():
            yield here


def _again(
    batches: Iterable[DecisionBatch], loop: DecisionLoop, prepared: Prepared
) -> Iterator[tuple[DecisionBatch, DecisionBatch]]:
    """Each batch, and the decisions that the loop's parts make on its features."""
    stages = loop.stages
    policy = stages.policy if stages.thresholds is None else stages.thresholds
    for batch in _in_words(batches, prepared):
        events, features = batch.events, batch.features
        if features.names != prepared.features.names:
            raise CanNotTry(f"the last decisions have other features than {prepared.app.app}, so none can be tried")
        scores = stages.panel.score(features)
        fused = stages.fusion.fuse(scores)
        proposal = policy.propose(fused, events, features, stages.chance(events.ids))
        failed = scores.fallback.astype(np.int64) | proposal.fallback
        ruling = stages.guard.rule(events, features, scores, fused, proposal, failed)
        yield batch, replace(batch, scores=scores, fused=fused, proposal=proposal, ruling=ruling)


def nothing_decided() -> Evidence:
    """The evidence where there is no journal yet."""
    why = "not enough data: nothing was decided yet"
    return Evidence(SOURCE, Verdict.INCONCLUSIVE, "bounds of fairness", None, None, None, {}, 0.0, why)
