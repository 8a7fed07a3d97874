"""The contract of every package of remedies.

A plug-in's author calls each check with a way to build it, a finding that it answers, and the app that it is for::

    @pytest.mark.parametrize("check", REMEDY_CHECKS, ids=lambda check: check.__name__)
    def test_my_remedies(check):
        check(MyRemedies, FINDING, load_app("payments"))

Each check asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from homeostat.app.responding import means_of
from homeostat.config.tree import App
from homeostat.config.variants import Inapplicable, variant
from homeostat.maintain.plan.further import OFFERS_MAX, Remedies, fault, known
from homeostat.maintain.plan.remedies import Offer, offers
from homeostat.records.changes import Change
from homeostat.records.findings import Finding
from homeostat.records.plans import Remedy

Builds = Callable[[], Remedies]


def it_names_the_kinds_that_it_answers(build: Builds, finding: Finding, app: App) -> None:
    """Kinds as a frozenset of words, the finding's among them."""
    (one,) = known([build()])
    assert one.kinds and all(isinstance(kind, str) and kind for kind in one.kinds)
    assert str(finding.kind) in one.kinds, "the finding is of another kind"


def it_offers_changes_of_settings_that_the_app_could_apply(build: Builds, finding: Finding, app: App) -> None:
    """At least one offer; each is sound, and the app takes its alterations."""
    found = _offers(build, finding, app)
    assert 0 < len(found) <= OFFERS_MAX, f"{len(found)} offers"
    for offer in found:
        assert fault(offer) == "", fault(offer)
        changes = [
            Change(one.kind, one.scope, one.body, "checks", "whether it fits", number=at)
            for at, one in enumerate(offer.alterations, 1)
        ]
        try:
            variant(app, changes)
        except Inapplicable as error:
            raise AssertionError(f"the app can't apply {offer.remedy}: {error}") from error


def it_offers_the_same_again(build: Builds, finding: Finding, app: App) -> None:
    """The same finding has the same offers: a plan is named by its content."""
    one = build()
    means = means_of(app)
    first = msgspec.json.encode(list(one.offers(finding, means)))
    assert first == msgspec.json.encode(list(one.offers(finding, means)))
    assert first == msgspec.json.encode(_offers(build, finding, app)), (
        "what it offers depends on what it was asked before"
    )


def it_offers_nothing_unsound_where_a_finding_says_little(build: Builds, finding: Finding, app: App) -> None:
    """A finding that says nothing about the cause has no offers, or sound ones."""
    empty: tuple[dict[str, object] | None, ...] = (None, {})
    for about in empty:
        assert all(fault(offer) == "" for offer in _offers(build, replace(finding, about=about), app))


def a_person_is_still_the_last(build: Builds, finding: Finding, app: App) -> None:
    """Beside ours, its offers come before the person's, and none goes without a rehearsal."""
    found = offers(finding, replace(means_of(app), further=(build(),)))
    assert found[-1].remedy == Remedy.ESCALATE
    wanted = [offer.alterations for offer in _offers(build, finding, app)]
    ours = [offer for offer in found if offer.alterations in wanted]
    assert ours and not any(offer.protects for offer in ours)


def _offers(build: Builds, finding: Finding, app: App) -> list[Offer]:
    return list(build().offers(finding, means_of(app)))


REMEDY_CHECKS = (
    it_names_the_kinds_that_it_answers, it_offers_changes_of_settings_that_the_app_could_apply,
    it_offers_the_same_again, it_offers_nothing_unsound_where_a_finding_says_little, a_person_is_still_the_last,
)  # fmt: skip
