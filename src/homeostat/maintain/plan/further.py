"""Remedies that other packages bring along: more offers for a kind of cause, after those that homeostat has.

Each is a change of the settings, so that it has an undo, is rehearsed as ours are, and needs the gate's leave as a kind
of action that the gate knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Finding
from homeostat.records.plans import Alteration, Remedy

if TYPE_CHECKING:
    from homeostat.maintain.plan.remedies import Means, Offer

QUIET = frozenset({Remedy.MONITOR, Remedy.NOTE, Remedy.ESCALATE, Remedy.IGNORE, Remedy.FLAG, Remedy.RETRAIN})
"""Kinds of action that alter no settings, so that no package may offer them."""
OFFERS_MAX = 8
_ORDER_LEAST = 5  # Steps that mend inputs come before them.


@runtime_checkable
class Remedies(Protocol):
    """The remedies of some kinds of cause. It holds no state.

    kinds : of cause, shipped ones or a plug-in's own
    """

    kinds: frozenset[str]

    def offers(self, finding: Finding, means: Means) -> Iterable[Offer]:
        """The remedies of a finding of these kinds, cheapest first; none where it says too little."""
        ...


def further(finding: Finding, means: Means) -> list[Offer]:
    """The sound offers of other packages for a finding. One that breaks offers nothing."""
    found: list[Offer] = []
    for one in means.further:
        if str(finding.kind) not in one.kinds:
            continue
        try:
            made = list(one.offers(finding, means))[:OFFERS_MAX]
            found += [_bounded(offer) for offer in made if fault(offer) == ""]
        except Exception:  # noqa: S112  Anybody's code: whatever it raises, ours and a person are left.
            continue
    return found


def fault(offer: Offer) -> str:
    """The reason why an offer is not taken; empty for a sound one."""
    if offer.remedy not in set(Remedy) or offer.remedy in QUIET:
        return f"{offer.remedy} is no kind of action that a package may offer"
    if offer.job is not None or not offer.alterations:
        return "a remedy of a package changes settings, and nothing else"
    if not all(isinstance(one, Alteration) and isinstance(one.kind, ChangeKind) for one in offer.alterations):
        return "an alteration is of a kind of change"
    return "" if offer.why and offer.scope else "it has no words or no scope"


def _bounded(offer: Offer) -> Offer:
    """An offer that is always rehearsed, and never goes before ours."""
    return replace(offer, protects=False, reversible=True, order=max(_ORDER_LEAST, offer.order))


def known(found: Sequence[object]) -> Sequence[Remedies]:
    """Those that keep the form. Raises TypeError for another."""
    made = []
    for one in found:
        if not isinstance(one, Remedies) or not isinstance(one.kinds, frozenset):
            raise TypeError(f"{type(one).__name__} lacks kinds (a frozenset) or offers")
        made.append(one)
    return made
