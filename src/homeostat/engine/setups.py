"""Makes ready what changes of the settings put in force: the models of a version, loaded and warm, and all parts.

It is done outside of the deciding thread, which only swaps them in between two batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from homeostat.app import TRAINED, Brain, Ports, brain, meanings_of, setup_of
from homeostat.config import plans
from homeostat.config.tree import NamedList
from homeostat.config.variants import Inapplicable, Variant, variant
from homeostat.decide.changing import Setup
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.engine.learned import Taught, read_taught
from homeostat.engine.readiness import made_up
from homeostat.errors import HomeostatError, Unavailable
from homeostat.expressions import Membership
from homeostat.models.bundle import Bundle
from homeostat.records.arrays import State
from homeostat.records.changes import Change, in_force
from homeostat.records.decisions import Scores
from homeostat.records.meaning import Meaning, follows

if TYPE_CHECKING:
    from homeostat.engine.assembly import Prepared

_KEPT = 3  # Versions that stay loaded beside the first, so that going back needs no loading.
Fetch = Callable[[str], Bundle]
"""The models of a version. Raises UnknownVersion, BundleError, Unavailable."""
FetchState = Callable[[str], bytes]
"""The learned state that was published under a hash. Raises UnknownState, Unavailable."""


class Setups:
    """See the module. Not for several threads at once.

    bundle, ready : what the process was started with
    fetch : where versions come from; None where there is no registry
    states : where learned states come from; None where this process learns by itself
    base : the version that decides where none is deployed; empty for `bundle`
    """

    def __init__(
        self, prepared: Prepared, bundle: Bundle | None, ready: Brain, ports: Ports, fetch: Fetch | None = None,
        states: FetchState | None = None, base: str = "",
    ) -> None:  # fmt: skip
        self._prepared, self._ports, self._fetch, self._states = prepared, ports, fetch, states
        self._learned: dict[str, Taught] = {}
        self._first, self._base = (bundle, ready), base
        self._kept: dict[str, tuple[Bundle, Brain]] = {}
        self._lists: tuple[Mapping[str, NamedList], Membership] | None = None

    def variant(self, changes: Iterable[Change]) -> Variant:
        """The app under the changes in force. Raises Inapplicable."""
        return variant(self._prepared.app, changes)

    def meaning(self, changes: Sequence[Change]) -> Mapping[str, Meaning]:
        """The meaning of what is remembered under all these changes. Raises Inapplicable."""
        return self._meaning(self.variant(in_force(changes).values()))

    def _meaning(self, found: Variant) -> dict[str, Meaning]:
        trained = self._base or self._first[1].version.partition("+")[2]
        return meanings_of(self._prepared.app, self._prepared.features, trained, found)

    def setup(self, before: Sequence[Change], changes: Sequence[Change]) -> Setup:
        """The parts that decide once these changes are in force, after those `before` them that still are.

        Raises Inapplicable where they don't fit; Unavailable where the registry is away.
        """
        now = tuple(in_force([*before, *changes]).values())
        found = self.variant(now)
        try:
            bundle, ready = self._version(found.champion)
            prepared = self._prepared
            asked = found.share > 0 and found.canary != ("" if bundle is None else bundle.version)
            beside = self._version(found.canary) if asked else None
            return checked(setup_of(
                prepared.app, prepared.features, ready, bundle, found, self._membership(found), changes, now,
                self._ports, self._taught(found), None if beside is None else beside[::-1],
            ))  # fmt: skip
        except (Inapplicable, Unavailable):
            raise
        except (HomeostatError, ValueError, LookupError) as error:
            raise Inapplicable(_likeliest(changes), str(error)) from error

    def change(self, loop: DecisionLoop, changes: Sequence[Change]) -> None:
        """Put changes in force that the loop's journal holds. Raises Inapplicable, Unavailable."""
        loop.put_in_force(self.setup(loop.stages.in_force, changes))

    def warm(self, setup: Setup) -> None:
        """Let the parts answer once, so that no event waits for what is loaded at first use; they learn nothing of it.

        Scorers that decide already are left alone: others' code may be at work on an event. Raises Inapplicable.
        """
        features, first = self._prepared.features, self._first[1].scorers
        canary = setup.canary
        asked = [*setup.scorers.values(), *(() if canary is None else canary.scorers.values())]
        new = [scorer for scorer in asked if not any(scorer is one for one in first)]
        policy = setup.policy if canary is None else canary.policy or setup.policy
        for rows in (1, 64):
            events, names = made_up(rows, features), tuple(setup.scorers)
            seen = WindowFeaturizer(features, self._lists[1] if self._lists else None).features(events)
            values, chance = np.full((rows, len(names)), 0.5), np.full((rows, 2), 0.5)
            scores = Scores(names, values, np.ones_like(values), np.zeros(rows, np.uint8))
            states = [(part, part.state()) for part in (setup.fusion, setup.policy, setup.guard, policy)]
            try:
                for scorer in new:
                    values[:, names.index(scorer.name)] = scorer.score(seen)[0]
                if canary is not None:
                    policy.propose(canary.fusion.fuse(scores), events, seen, chance)
                    canary.holds(events)
                fused = setup.fusion.fuse(scores)
                proposal = setup.policy.propose(fused, events, seen, chance)
                setup.guard.rule(events, seen, scores, fused, proposal, proposal.fallback.astype(np.int64))
            except Exception as error:  # An error that a model raises on made-up events, it would raise on real ones.
                why = f"its parts fail on made-up events with {type(error).__name__}: {error}"
                raise Inapplicable(_likeliest(setup.changes), why) from error
            for part, state in states:
                part.restore(state)

    def _taught(self, found: Variant) -> dict[str, State] | None:
        """The learning that each part was taught, as far as that means the same under these settings."""
        if not self._ports.taught:
            if found.states:
                raise LookupError("this process learns by itself, and takes no state from another learner")
            return None
        meaning = self._meaning(found)
        learned = {name: self._state(digest) for name, digest in found.states.items()}
        self._learned = {digest: learned[name] for name, digest in found.states.items()}
        return {name: one.learned for name, one in learned.items() if follows(name, meaning[name], one.meaning)}

    def _state(self, digest: str) -> Taught:
        if digest in self._learned:
            return self._learned[digest]
        if self._states is None:
            raise LookupError("there is no store that learned states could come from")
        return read_taught(self._states(digest), digest)

    def _version(self, name: str) -> tuple[Bundle | None, Brain]:
        """The models of a version, ready to serve."""
        bundle, ready = self._first
        name = name or self._base
        if name in ("", "" if bundle is None else bundle.version):
            return self._first
        if name not in self._kept:
            self._kept[name] = self._loaded(name, ready)
            while len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[name] = self._kept.pop(name)  # The one that was used last goes last.
        return self._kept[name]

    def _loaded(self, name: str, ready: Brain) -> tuple[Bundle, Brain]:
        if self._fetch is None:
            raise LookupError("there is no registry that versions could come from")
        bundle, app = self._fetch(name), self._prepared.app
        if bundle.version != name:
            raise LookupError(f"a change names a version in full, {bundle.version} and not {name}")
        untrained = dict(zip(app.scorers, ready.scorers, strict=True))
        kept = {one: untrained[one] for one, spec in app.scorers.items() if spec.kind not in TRAINED}
        return bundle, brain(app, self._prepared.features, bundle, kept)

    def _membership(self, found: Variant) -> Membership:
        """The members of the lists, computed again only where they are others."""
        lists = found.app.guards.lists
        if self._lists is None or self._lists[0] != lists:
            self._lists = lists, plans.membership(found.app, self._ports.coding)
        return self._lists[1]


def checked(setup: Setup) -> Setup:
    """The same, if its parts can take what was learned for them. Raises ValueError."""
    for name, state in (setup.learned or {}).items():
        part = setup.learners.get(name)
        if part is not None:
            blank = part.learned()
            part.take(state)
            part.take(blank)
    return setup


def _likeliest(changes: Sequence[Change]) -> Change | None:
    """The change that a fault of models or parts is of, where there is but one."""
    return changes[0] if len(changes) == 1 else None
