"""Incident -> findings: each kind of cause that the signals suggest is tested, the likeliest first.

A cause is a finding only where a test shows it: a replay, or a contrast of what came before and after. All else is
ranked, and the result is inconclusive. So is a trouble of a kind that no hypothesis knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from homeostat.maintain.contracts import Case
from homeostat.maintain.investigate import recalling
from homeostat.maintain.investigate.answered import Answered
from homeostat.maintain.investigate.echoes import echo_of
from homeostat.maintain.investigate.effects import moved
from homeostat.maintain.investigate.hypothesis import Hypothesis, Judged
from homeostat.maintain.investigate.inquiry import STEPS_MAX, Answer, Inquiry
from homeostat.maintain.investigate.paths import path_of
from homeostat.maintain.investigate.posterior import Table, alone, raw_probabilities, table
from homeostat.maintain.investigate.recalling import recalled, verified
from homeostat.maintain.investigate.trial import Trial, Tried
from homeostat.ports.memory import Recalls
from homeostat.ports.recent import RecentTraffic
from homeostat.ports.rehearsal import Rehearsal
from homeostat.records.causes import CausalGraph
from homeostat.records.findings import Conclusion, Evidence, Finding, Findings, Ruled

_HOPELESS = -5.0  # Tests of a hypothesis end there.
_SUSPECTED = 0.02  # Suspects of the ranking below are looked into only where signals suggest them by themselves.
_LEAST = 0.5  # Less probable causes are no findings.
_SECOND = 0.9  # How probable a second cause has to be by itself.
_STRONG = 3.5  # And the weight of the test that shows it.
_CERTAIN = 0.8  # How probable a recalled cause has to be, so that nothing else is tested.
_RANKED, _RULED = 10, 8


class CauseInvestigator:
    """See the module; an `Investigator`.

    graph : the app's causal graph
    rehearsal, recent : what tests may ask; no rehearsal where nothing can be decided again
    hypotheses : the library, with those of plug-ins
    memory : of past cases, which are tried first; None for none
    """

    def __init__(
        self, graph: CausalGraph, recent: RecentTraffic, rehearsal: Rehearsal | None, hypotheses: Sequence[Hypothesis],
        steps_max: int = STEPS_MAX, calibration: Table | None = None, memory: Recalls | None = None,
    ) -> None:  # fmt: skip
        self._graph, self._recent, self._rehearsal = graph, recent, rehearsal
        self._hypotheses, self._steps_max = tuple(hypotheses), steps_max
        self._table, self._memory = calibration or table(), memory

    def investigate(self, case: Case) -> Findings:
        """See `Investigator`. Raises Unavailable where recent traffic can't be read."""
        recent = self._recent.until(case.now_ns)
        echo = echo_of(case, recent.matures_ns)
        if echo:
            return Findings(case.incident.id, case.now_ns, Conclusion.NONE, (), (), 1, (echo,))
        answered = Answered(_answers)
        first = Inquiry(case, self._graph, recent, self._rehearsal, min(self._steps_max, recalling.STEPS_MAX))
        again = self._repeated(first, answered)
        if again is not None:
            return again
        lost = first.steps - answered.steps
        inquiry = Inquiry(case, self._graph, recent, self._rehearsal, self._steps_max)
        inquiry.take_replays(first)
        found = self._found(inquiry, self._judged(inquiry, answered))
        return replace(found, steps=found.steps + lost)

    def _repeated(self, inquiry: Inquiry, answered: Answered) -> Findings | None:
        """The findings, where a past case is verified with the certainty that is needed."""
        cases = recalled(self._memory, inquiry.case)
        if not cases:
            return None
        again = verified(inquiry, cases, *self._candidates(inquiry), answered)
        if again is None:
            return None
        found = replace(self._found(inquiry, list(again.judged)), recalled=again.cases)
        named = {(one.node, one.kind) for one in found.findings}
        sure = all(one.probability >= _CERTAIN for one in found.findings)
        return found if named == again.causes and sure else None

    def _found(self, inquiry: Inquiry, judged: list[Judged]) -> Findings:
        """All that tests came to."""
        case = inquiry.case
        raw = raw_probabilities(judged)
        order = sorted(range(len(judged)), key=lambda at: (-raw[at], judged[at].node, judged[at].kind))
        judged, raw = [judged[at] for at in order], [raw[at] for at in order]
        probability = [self._table.of(p) for p in raw]
        ranked = tuple((one.node, one.kind, round(p, 4)) for one, p in zip(judged, probability, strict=True))[:_RANKED]
        causes = _causes(judged, probability)
        known: dict[str, str] = {}
        findings = tuple(_finding(inquiry, one, p, judged, causes, known) for one, p in causes)
        conclusion, missing = _nothing(inquiry) if not causes else (Conclusion.CAUSE, tuple[str, ...]())
        return Findings(case.incident.id, case.now_ns, conclusion, findings, ranked, inquiry.steps, missing)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of cause that there are hypotheses for."""
        return tuple(sorted({str(one.kind) for one in self._hypotheses}))

    def trial(
        self, case: Case, places: Sequence[tuple[str, str]], looks: Sequence[str] = (), steps_max: int = 20
    ) -> Trial:
        """The tests of causes that somebody proposes, in an inquiry of their own: no finding changes by it.

        places : (kind, node); those of kinds without a hypothesis are left out. looks : nodes to be measured
        Raises Unavailable where recent traffic can't be read.
        """
        inquiry = Inquiry(case, self._graph, self._recent.until(case.now_ns), self._rehearsal, steps_max)
        library = {str(one.kind): one for one in self._hypotheses}
        tried = []
        for kind, node in places:
            if kind not in library or inquiry.spent:
                continue
            one = Judged(library[kind], node, 0.0, _answers(library[kind], inquiry, node))
            finding = None
            if one.decided and (p := self._table.of(alone(one))) >= _LEAST:
                finding = _finding(inquiry, one, p, [one], [(one, p)], {})
            evidence = tuple(Evidence(a.what, float(a.value), a.unit, a.weight, a.command) for a in one.answers)
            tried.append(Tried(node, kind, evidence, finding))
        looked = tuple((node, moved(inquiry, node)) for node in looks)
        return Trial(tuple(tried), looked, inquiry.steps)

    def _candidates(self, inquiry: Inquiry) -> tuple[dict[tuple[str, str], Hypothesis], dict[tuple[str, str], float]]:
        """The hypotheses by place, as the signals suggest them; and the ranking by signals."""
        prior = {(one.node, one.kind): one.probability for one in inquiry.case.incident.suspects}
        found: dict[tuple[str, str], Hypothesis] = {}
        for one in self._hypotheses:
            kind = str(one.kind)
            nodes = [*one.places(inquiry), *(node for (node, of), p in prior.items() if of == kind and p >= _SUSPECTED)]
            found |= {(node, kind): one for node in nodes}
        return found, prior

    def _judged(self, inquiry: Inquiry, answered: Answered) -> list[Judged]:
        """All candidates after their tests, the likeliest by signals first."""
        found, prior = self._candidates(inquiry)
        order = sorted(found, key=lambda place: (-prior.get(place, 0.0), place))
        judged = []
        for node, kind in order:
            if inquiry.spent:
                inquiry.not_checked[f"{kind} at {node}: the steps were used up"] = None
                continue
            hypothesis = found[node, kind]
            judged.append(Judged(hypothesis, node, prior.get((node, kind), 0.0), answered(hypothesis, inquiry, node)))
        return judged


def _answers(hypothesis: Hypothesis, inquiry: Inquiry, node: str) -> tuple[Answer, ...]:
    """The answers of a hypothesis' tests, which end early once they speak clearly against it."""
    found: list[Answer] = []
    try:
        for answer in hypothesis.tests(inquiry, node):
            found.append(answer)
            if sum(one.weight for one in found) <= _HOPELESS or inquiry.spent:
                break
    except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError) as error:  # A plug-in may raise these.
        inquiry.not_checked[f"{hypothesis.kind} at {node}: {type(error).__name__}: {error}"] = None
        return ()
    return tuple(found)


def _causes(judged: Sequence[Judged], probability: Sequence[float]) -> list[tuple[Judged, float]]:
    """The shortest set of causes that tests have shown: the likeliest, and others that it does not explain."""
    if not judged or probability[0] < _LEAST or not judged[0].decided:
        return []
    found = [(judged[0], probability[0])]
    for one in judged[1:]:
        strong = any(answer.decides and answer.weight >= _STRONG for answer in one.answers)
        explained = any(one.kind in o.hypothesis.beats or one.kind == o.kind or one.node == o.node for o, _ in found)
        explains = any(o.kind in one.hypothesis.beats for o, _ in found)
        if strong and one.decided and not explained and not explains and alone(one) >= _SECOND:
            found.append((one, min(probability[0], alone(one))))
    return found


def _finding(
    inquiry: Inquiry, one: Judged, probability: float, judged: Sequence[Judged],
    causes: Sequence[tuple[Judged, float]], known: dict[str, str],
) -> Finding:  # fmt: skip
    shown = max((a for a in one.answers if a.decides), key=lambda a: a.weight)
    sentence = f"{shown.what}: {shown.value:.4g} {shown.unit}"
    own = [signal.since_ns for signal in inquiry.case.signals if signal.series.node == one.node]
    evidence = tuple(Evidence(a.what, float(a.value), a.unit, a.weight, a.command) for a in one.answers)
    chosen = {(cause.node, cause.kind) for cause, _ in causes}
    ruled = [o for o in judged if (o.node, o.kind) not in chosen and o.weight < 0][:_RULED]
    return Finding(
        one.node, one.kind, round(probability, 4), min(own, default=inquiry.since_ns),
        path_of(inquiry, one.node, sentence, known), evidence,
        tuple(Ruled(o.node, o.kind, _against(o)) for o in ruled), tuple(inquiry.not_checked),
        _about(one.hypothesis, inquiry, one.node),
    )  # fmt: skip


def _about(hypothesis: Hypothesis, inquiry: Inquiry, node: str) -> dict[str, object]:
    """All that a remedy needs to know; nothing where that can't be worked out."""
    try:
        return dict(hypothesis.about(inquiry, node))
    except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _against(one: Judged) -> str:
    """The answer that speaks most against a hypothesis, as a sentence."""
    worst = min(one.answers, key=lambda a: a.weight)
    return f"{worst.what}: {worst.value:.4g} {worst.unit}"


def _nothing(inquiry: Inquiry) -> tuple[Conclusion, tuple[str, ...]]:
    """The conclusion where no cause was shown: nothing is wrong any more, or nobody knows yet."""
    nodes = dict.fromkeys(one.series.node for one in inquiry.case.signals)
    still = [node for node in nodes if moved(inquiry, node)]
    ended = all(not one.still for one in inquiry.case.signals)
    if ended and not still and _measurable(nodes):
        return Conclusion.NONE, ()
    missing = [f"what moves {node}: no kind of cause that is known explains it" for node in still[:5]]
    return Conclusion.INCONCLUSIVE, (*missing, *inquiry.not_checked)


def _measurable(nodes: Sequence[str] | dict[str, None]) -> bool:
    """Whether recent traffic can show each of these nodes."""
    shown = (
        "field",
        "feature",
        "scorer",
        "fusion",
        "action",
        "policy",
        "guards",
        "outcome",
        "segment",
        "serving",
        "time",
    )
    return all(node.partition(":")[0] in shown for node in nodes)
