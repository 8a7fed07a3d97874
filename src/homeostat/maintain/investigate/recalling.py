"""A past case that resembles the present one is tried first, and saves the rest where it is verified.

A case is a hypothesis, never an answer. It names kinds of cause, and the tests of these kinds decide here as they do
anywhere else. Where they don't confirm it, the investigation begins from the start as if nothing had been recalled. It
keeps the answers that there are, so a wrong case changes the order of the tests alone. No text of a case is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeostat.errors import HomeostatError
from homeostat.maintain.contracts import Case
from homeostat.maintain.investigate.answered import Ask
from homeostat.maintain.investigate.hypothesis import Hypothesis, Judged
from homeostat.maintain.investigate.inquiry import Inquiry
from homeostat.ports.memory import Recalls
from homeostat.records.past import PastCase, Recalled, traits_of
from homeostat.stats.likeness import alike

ALIKE = 0.35  # Less alike are not tried. The same fault at another severity raises half as many signals, or twice.
STEPS_MAX = 6  # Of all that is tried first.
SURE = 1.0  # The weight that the tests of each cause have to have together.
_CASES, _AIMS = 20, 3
_RIVALS = 2  # With more of them, all is tested.
_KNOWN = 0.5  # How much a signal has to resemble one of a past case.

Place = tuple[str, str]
"""A node and a kind of cause."""
Candidates = Mapping[Place, Hypothesis]


@dataclass(frozen=True, slots=True)
class Verified:
    """Recalled causes that their tests have shown here, and those that were not tested, by their ranks.

    cases : the ids of the past cases
    """

    judged: tuple[Judged, ...]
    causes: frozenset[Place]
    cases: tuple[str, ...]


def recalled(memory: Recalls | None, case: Case) -> list[Recalled]:
    """Past cases with causes that resemble a case, the most alike first; none where the memory is away.

    Cases whose remedies failed come last: their causes may have been others.
    """
    if memory is None:
        return []
    try:
        found = memory.like(traits_of(case.signals), _CASES)
    except HomeostatError:
        return []  # Without its memory, an investigation is only longer.
    useful = [
        one for one in found
        if one.likeness >= ALIKE and one.case.causes and one.case.id != case.incident.id
    ]  # fmt: skip
    return sorted(useful, key=lambda one: one.case.refuted)


def verified(
    inquiry: Inquiry, cases: Sequence[Recalled], candidates: Candidates, prior: Mapping[Place, float], ask: Ask
) -> Verified | None:
    """The first recalled set of causes that tests show here; None where there is none.

    candidates : that the present signals suggest, by place; what they don't suggest is not tried
    prior : of the ranking by signals
    """
    tested: dict[Place, Judged] = {}
    for aim, past in _aims(inquiry, cases, candidates, prior).items():
        rivals = _rivals(aim, candidates, prior)
        if len(rivals) > _RIVALS or not _explained(inquiry, aim, past):
            continue
        for place in (*aim, *rivals):
            if place not in tested and not inquiry.spent:
                node, _ = place
                one = candidates[place]
                tested[place] = Judged(one, node, prior.get(place, 0.0), ask(one, inquiry, node))
            if place in aim and not (place in tested and _sure(tested[place])):
                break
        if all(place in tested for place in rivals) and all(place in tested and _sure(tested[place]) for place in aim):
            judged = [
                tested.get(place, Judged(one, place[0], prior.get(place, 0.0), ()))
                for place, one in candidates.items()
            ]  # fmt: skip
            return Verified(tuple(judged), frozenset(aim), tuple(one.id for one in past))
    return None


def _aims(
    inquiry: Inquiry, cases: Sequence[Recalled], candidates: Candidates, prior: Mapping[Place, float]
) -> dict[tuple[Place, ...], tuple[PastCase, ...]]:
    """The different sets of causes to try, with the cases that name them, in order."""
    found: dict[tuple[Place, ...], tuple[PastCase, ...]] = {}
    for one in cases:
        aim = _aim(one.case, inquiry, candidates, prior)
        if aim is not None and (aim in found or len(found) < _AIMS):
            found[aim] = (*found.get(aim, ()), one.case)
    return found


def _aim(
    case: PastCase, inquiry: Inquiry, candidates: Candidates, prior: Mapping[Place, float]
) -> tuple[Place, ...] | None:
    """The causes of a past case at the nodes that they would have now; None where the signals suggest no such kind.

    A cause keeps its node by name. Else it goes to the likeliest node of its role: the fault came at another field.
    """
    strength = {one.series.node: one.e_value for one in inquiry.case.signals}
    aim: list[Place] = []
    for cause in case.causes:
        place = (cause.node, cause.kind)
        if place not in candidates:
            role = cause.node.partition(":")[0]
            others = [one for one in candidates if one[1] == cause.kind and one[0].partition(":")[0] == role]
            if not others:
                return None
            place = max(others, key=lambda one: (prior.get(one, 0.0), strength.get(one[0], 0.0), one))
        if place not in aim:
            aim.append(place)
    return tuple(aim) or None


def _sure(one: Judged) -> bool:
    """Whether a test showed a cause itself, and all of its tests together are strong."""
    return one.decided and one.weight >= SURE


def _rivals(aim: Sequence[Place], candidates: Candidates, prior: Mapping[Place, float]) -> list[Place]:
    """Causes that the signals rather suggest and that would explain a recalled one away: they are tested, too."""
    kinds = {kind for _, kind in aim}
    least = min(prior.get(place, 0.0) for place in aim)
    return [
        place for place, one in candidates.items()
        if kinds & one.beats and place[1] not in kinds and prior.get(place, 0.0) > least
    ]  # fmt: skip


def _explained(inquiry: Inquiry, aim: Sequence[Place], past: Sequence[PastCase]) -> bool:
    """Whether each signal lies where the causes act, or was there in a past case: else there is a second cause."""
    reached: set[str] = set()
    for node, _ in aim:
        acts_on = {"outcome"} if node.startswith("segment:") else inquiry.graph.downstream(node)
        reached |= {node, *acts_on}
    known = [trait for one in past for trait in one.traits]
    main = [one for one in inquiry.case.signals if one.series.alone and one.series.node not in reached]
    return all(any(alike(one, other) >= _KNOWN for other in known) for one in traits_of(main))
