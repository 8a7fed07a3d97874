"""Keeps a canary: judges each step of its ramp by the journal, raises its share, promotes it, or ends it at once.

All that it knows is in the journal and in the settings, so a keeper that was killed goes on where it was. It acts by
changes of the settings under keys that name what they do, so a move is made once, also where two keep one canary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeostat.engine.assembly import Prepared
from homeostat.errors import Conflict
from homeostat.jobs.canary_watch import Watch, facts_of, plan_of
from homeostat.jobs.shadow_places import Place, began_at
from homeostat.models.deployments import CANARY, CHAMPION, promote, scope_of, stored, version_in
from homeostat.models.judgement import Evidence, Judgement
from homeostat.models.ramp import Action, Move, Standing, judged, next_move
from homeostat.ports import Clock, NamedJournal
from homeostat.ports.registry import Registry
from homeostat.ports.settings import Changed, Settings
from homeostat.records.changes import Change, ChangeKind

ACTOR = "homeostat canary"
Fair = Callable[[str], Evidence | None]
"""The fairness of a version that is to be champion; None where no bound binds."""


class NoCanary(Conflict):
    """No version decides a share of the entities."""

    why = "a ramp is kept while a version has the role canary, with a share"
    remedy = "Start one with homeostat models canary V"


@dataclass(frozen=True, slots=True)
class Ramp:
    """A canary as the settings have it.

    step : the change that gave it its present share; began : the first one of this version
    number, since_ns : of the change from which on both arms are what they are now
    """

    version: str
    share: float
    step: Change
    began: Change
    number: int
    since_ns: int


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a ramp.

    ramp : None once it is over; then `why` says how it ended
    more : whether the journal holds more than was read
    """

    ramp: Ramp | None
    why: str
    watch: Watch | None = None
    judgement: Judgement | None = None
    move: Move | None = None
    more: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        if self.ramp is None or self.watch is None or self.judgement is None or self.move is None:
            return {"version": None, "state": "none", "why": self.why}
        return {
            **self.judgement.as_dict(), **facts_of(self.watch), "version": self.ramp.version,
            "steps": list(self.watch.plan.steps), "state": self.move.action.value, "why": self.move.why,
        }  # fmt: skip


def ramp_of(settings: Settings) -> Ramp | None:
    """The canary that the settings have; None where there is none, or one without a share."""
    scope = scope_of(CANARY)
    history = settings.history(scope)
    step = history[0] if history else None
    if step is None or step.body is None or not step.body.get("share"):
        return None
    version = version_in(step.body)
    assert version is not None
    began = step
    for change in history:
        if version_in(change.body) != version:
            break
        began = change
    champion = settings.last_of(scope_of(CHAMPION))
    last = step if champion is None or champion.number < step.number else champion
    return Ramp(version, float(step.body["share"]), step, began, last.number, last.at_ns)


class Keeper:
    """See the module.

    prepared : the app, under the journal's coding
    fair : see `Fair`
    """

    def __init__(self, prepared: Prepared, place: Place, journal: NamedJournal, clock: Clock, fair: Fair) -> None:
        self._prepared, self._place, self._journal, self._clock, self._fair = prepared, place, journal, clock, fair
        self._watch: Watch | None = None

    def look(self) -> Look:
        """Read what is new, and judge. Nothing is changed. Raises Unavailable, JournalError."""
        ramp = ramp_of(self._place.settings)
        if ramp is None:
            last = self._place.settings.last_of(scope_of(CANARY))
            return Look(None, "none was begun yet" if last is None else f"{last.reason} ({last.actor})")
        champion = self._place.settings.last_of(scope_of(CHAMPION))
        if champion is not None and version_in(champion.body) == ramp.version:
            move = Move(Action.END, "it is the champion")
            return Look(ramp, move.why, self._watching(ramp), judged(self._watching(ramp).rails), move)
        watch = self._watching(ramp)
        more = watch.catch_up(self._journal)
        found = judged(watch.rails)
        at = Standing(ramp.share, watch.events, ramp.began.at_ns, ramp.since_ns, self._clock.now_ns())
        move = next_move(watch.plan, at, found)
        return Look(ramp, move.why, watch, found, move, more)

    def act(self, look: Look) -> Change | None:
        """Make the move of a look; returns the change, None where there is none to make.

        Raises Unavailable, Unfair. Where somebody else changed the canary first, the next look sees that.
        """
        ramp, move = look.ramp, look.move
        if ramp is None or move is None or move.action is Action.STAY:
            return None
        try:
            if move.action is Action.PROMOTE:
                return self._promote(ramp, move)
            body = None if move.action is Action.END else {**(ramp.step.body or {}), "share": move.share}
            return self._append(ramp, body, move)
        except Changed:
            return None

    def _promote(self, ramp: Ramp, move: Move) -> Change | None:
        """Let the canary be champion, then end its role: between both, the champion decides everything already.

        None where another keeper has just made it champion. The key names the state that was judged: a promotion that
        was rolled back is not mistaken for this one.
        """
        place = self._place
        champion = place.settings.last_of(scope_of(CHAMPION))
        if champion is not None and version_in(champion.body) == ramp.version:
            return None
        change = promote(
            place.settings, place.registry, ramp.version, ACTOR, f"the canary has earned all entities: {move.why}",
            CHAMPION, f"canary-{ramp.step.number}-{ramp.number}-promote", fairness=self._fair(ramp.version),
        )  # fmt: skip
        self._append(ramp, None, Move(Action.END, f"it is the champion since change {change.number}"))
        return change

    def _append(self, ramp: Ramp, body: dict[str, Any] | None, move: Move) -> Change:
        key = f"canary-{ramp.step.number}-{move.action.value}"
        words = {Action.END: "ended", Action.RAISE: f"its share is {(body or {}).get('share', 0):g}"}
        reason = f"{words[move.action]}: {move.why}"
        change = Change(ChangeKind.DEPLOY, CANARY, body, ACTOR, reason, key)
        place = self._place
        return stored(place.settings, place.registry, change, expected=ramp.step.number)

    def _watching(self, ramp: Ramp) -> Watch:
        """The watch of the present step, which begins again where the step or the champion is another."""
        if self._watch is None or self._watch.number != ramp.number:
            steps = tuple(float(one) for one in (ramp.step.body or {}).get("steps") or ())
            plan, after = plan_of(self._prepared.app, steps), began_at(self._journal, ramp.number)
            self._watch = Watch(self._prepared, plan, ramp.number, ramp.version, ramp.share, after)
        return self._watch


def start(
    settings: Settings, registry: Registry, version: str, share: float, steps: tuple[float, ...], actor: str,
    reason: str,
) -> Change:  # fmt: skip
    """Let a version decide a share of the entities. Raises Conflict, UnknownVersion, Unavailable.

    steps : the shares that it is to earn, in place of the app file's; empty for those
    """
    before = ramp_of(settings)
    if before is not None:
        raise Conflict(
            f"version {before.version} is a canary already, with a share of {before.share:g}, since change "
            f"{before.step.number} by {before.step.actor}",
            remedy="End it with homeostat models canary --stop first",
        )
    champion = settings.last_of(scope_of(CHAMPION))
    if champion is not None and version_in(champion.body) == version:
        raise Conflict(f"{version} is the champion already", remedy="nothing has to be done")
    last = settings.last_of(scope_of(CANARY))
    body = {"version": version, "share": share, **({"steps": list(steps)} if steps else {})}
    change = Change(ChangeKind.DEPLOY, CANARY, body, actor, reason)
    return stored(settings, registry, change, expected=0 if last is None else last.number)


def stop(settings: Settings, actor: str, reason: str) -> Change:
    """End the canary at once. Raises NoCanary, Changed, Unavailable."""
    ramp = ramp_of(settings)
    if ramp is None:
        raise NoCanary("no version is a canary with a share now")
    change = Change(ChangeKind.DEPLOY, CANARY, None, actor, reason)
    return settings.append(change, expected=ramp.step.number)


def sentences(found: dict[str, Any]) -> list[str]:
    """A look as a person reads it."""
    if found["version"] is None:
        return [f"no canary: {found['why']}"]
    lines = [
        f"version {found['version']} decides {found['share']:.2%} of the entities; {found['events']:,} decisions at "
        f"this step: {found['verdict']}",
        f"next: {found['state']}, {found['why']}",
    ]
    for one in found["evidence"]:
        low, high = (f"{one[name]:.4g}" if one[name] is not None else "?" for name in ("low", "high"))
        n = one["n"]
        lines.append(
            f"  {one['source']}: {one['verdict']}, {one['statistic']} differs by {low} to {high} "
            f"({n.get('control', 0):,} of the champion, {n.get('treatment', 0):,} of the canary): {one['why']}"
        )
    return lines
