"""Retraining, from a trigger to a promotion: one step at a time.

The state follows from the record of the rounds, the registry and the settings, and from nothing else. So a process may
be killed between any two steps, and the next one goes on where it was. Each step is stored under a key of its own, and
a change of the settings is made on the change that its author saw. So two processes take each step once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from json import dumps
from typing import Any, Literal

from homeostat.config.retraining import Retrain
from homeostat.config.tune import Tune
from homeostat.engine.assembly import Prepared
from homeostat.errors import Conflict, HomeostatError, Unavailable
from homeostat.jobs.canary_keeping import start
from homeostat.jobs.canary_watch import plan_of
from homeostat.jobs.retraining_record import ACTOR, BEGUN, ENDED, PROMOTED, VERSIONED, Round, record, rounds
from homeostat.jobs.retraining_roles import Roles, approval, challenger_key, reason_of, withdraw
from homeostat.jobs.retraining_traffic import Traffic
from homeostat.jobs.retraining_triggers import Due, cooling, due, enough
from homeostat.jobs.retraining_tuning import QUIET, too_busy, tuning_due
from homeostat.jobs.retraining_versions import Found, Versions
from homeostat.jobs.shadow_places import Place
from homeostat.models.deployments import CHALLENGER, promote
from homeostat.models.training_set import NothingToLearn
from homeostat.ports import Clock, NamedJournal
from homeostat.ports.statements import Statements
from homeostat.records.changes import Change
from homeostat.records.times import time_text
from homeostat.records.verdicts import Verdict


class State(StrEnum):
    """Where retraining is."""

    IDLE = "idle"  # Nothing is due, or there is not enough data.
    DUE = "due"
    QUIET = "quiet"  # A tuning waits for a low load.
    TUNE = "tune"
    TRAIN = "train"  # From the library, or by a training.
    JUDGE = "judge"  # By replay.
    CHALLENGE = "challenge"  # The version is to get the role of the challenger.
    SHADOW = "shadow"
    CANARY = "canary"  # It is to decide a share of the entities.
    RAMP = "ramp"  # The canary's keeper raises the share.
    OVER = "over"  # A role of a round that has ended is to be taken back, or its end is to be recorded.


HEAVY = frozenset({State.TUNE, State.TRAIN, State.JUDGE})
"""Steps that take long: who looks on leaves them to a job."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    round, version : that it is about; None where there is none yet
    waits : whether nothing can be done now; `why` says for what
    """

    state: State
    why: str
    round: int | None = None
    version: str | None = None
    waits: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "state": self.state.value, "why": self.why, "round": self.round, "version": self.version,
            "waits": self.waits,
        }  # fmt: skip


class NothingAsked(Conflict):
    """Nothing waits for an approval or an objection, or it is about another version."""

    why = "an approval or an objection is about the round that goes on"
    remedy = "Look at it with homeostat retrain APP --status"


@dataclass(frozen=True, slots=True)
class Ports:
    """The stores that retraining reads and writes.

    journal : open for reading; keep : leaves a job that keeps the canary of a change
    feedback : its weight since a time
    load : that of the machine for each processor
    """

    place: Place
    journal: NamedJournal
    statements: Statements
    clock: Clock
    keep: Callable[[Change], None]
    feedback: Callable[[int], float]
    load: Callable[[], float]


class Retrainer:
    """See the module. Every method raises Unavailable where a store fails."""

    def __init__(self, retrain: Retrain, prepared: Prepared, ports: Ports, versions: Versions) -> None:
        self._retrain, self._prepared, self._ports, self._versions = retrain, prepared, ports, versions
        self._traffic, self._tune = Traffic(prepared), prepared.app.tune or Tune()

    def rounds(self) -> list[Round]:
        """The rounds so far, newest first."""
        return rounds(self._ports.statements)

    def look(self) -> Look:
        """Where retraining is, and what is next. Nothing is changed."""
        found = self.rounds()
        last = found[0] if found else None
        if last is None or last.over:
            return self._idle(found, None)[0]
        return self._going(last)

    def step(self, request: Due | None = None) -> Look:
        """Take the next step, if one can be taken, and look again. A step that can't be taken ends its round.

        request : of a person who asks for a round now
        """
        found = self.rounds()
        last = found[0] if found else None
        try:
            if last is None or last.over:
                look, one = self._idle(found, request)
                if look.waits:
                    return look
                self._begin(last, look, one)
            else:
                look = self._going(last)
                if look.waits:
                    return look
                waits = self._take(last, look)
                if waits is not None:
                    return waits
        except Conflict:
            pass  # Another process took this step first, or a person made another change.
        except Unavailable:
            raise
        except HomeostatError as error:
            if last is None or last.over:
                raise
            self._end(last, "failed", f"it can't go on: {error}")
        return self.look()

    def train_apart(self, why: str) -> Found:
        """Train a version that joins the library, outside of any round; its deployment is left to the caller.

        why : of this training alone, for it is kept in the lineage: the same one again gives the same version
        Raises NothingToLearn where there is too little data, and what a training raises.
        """
        self._traffic.catch_up(self._ports.journal)
        window = enough(self._traffic, self._retrain)
        if window.why_not:
            raise NothingToLearn(window.why_not)
        return self._versions.trained(self._ports.journal, window.from_ns, window.until_ns, why, 0)

    def approve(self, version: str, actor: str, reason: str) -> Look:
        """Let the change be made that waits for that. Raises NothingAsked, UnknownVersion."""
        going = self._open()
        look = self._going(going)
        named = self._ports.place.registry.get(version).version
        if look.state not in (State.CHALLENGE, State.CANARY) or named != going.version:
            raise NothingAsked(f"nothing about version {version} waits for an approval: {look.why}")
        self._say(going, f"approved_{_ROLE[look.state]}", reason, actor=actor)
        return self.look()

    def stop(self, actor: str, reason: str) -> Look:
        """End the round that goes on, and take back what it has given. Raises NothingAsked."""
        going = self._open()
        self._end(going, "stopped", reason, actor)
        return self.step()

    def fail(self, why: str) -> None:
        """End the round that goes on, because a step of it can't be taken."""
        self._end(self._open(), "failed", why)

    def _open(self) -> Round:
        found = self.rounds()
        if not found or found[0].over:
            raise NothingAsked("no retraining goes on")
        return found[0]

    def _idle(self, found: list[Round], request: Due | None) -> tuple[Look, Due]:
        """Between two rounds: what is due."""
        last = found[0] if found else None
        roles = Roles.of(self._ports.place.settings)
        if last is not None and roles.left_over(last):
            return Look(State.OVER, "its roles are taken back", last.number, last.version), Due("", "")
        now_ns = self._ports.clock.now_ns()
        cold = "" if request else cooling(last, self._retrain, now_ns)
        if cold:
            return Look(State.IDLE, cold, waits=True), Due("", cold)
        self._traffic.catch_up(self._ports.journal)
        one = request or self._due(found, roles, now_ns)
        if not one.trigger:
            return Look(State.IDLE, f"not due: {one.why}", waits=True), one
        short = enough(self._traffic, self._retrain).why_not
        if short:
            return Look(State.IDLE, f"{short} (due by {one.trigger}: {one.why})", waits=True), one
        return Look(State.DUE, f"due by {one.trigger}: {one.why}"), one

    def _due(self, found: list[Round], roles: Roles, now_ns: int) -> Due:
        last = found[0] if found else None
        times = [time for time in (roles.champion_since_ns, None if last is None else last.steps[BEGUN].at_ns) if time]
        first_ns = roles.champions[-1].at_ns if roles.champions else None
        return due(
            self._retrain, self._traffic, last, max(times, default=None), now_ns, self._ports.feedback,
            tuning_due(self._tune, self._traffic, found, first_ns, now_ns),
        )  # fmt: skip

    def _begin(self, last: Round | None, look: Look, one: Due) -> None:
        if look.state is State.OVER:
            assert last is not None
            withdraw(self._ports.place.settings, last)
            return
        number = 1 if last is None else last.number + 1
        moment = enough(self._traffic, self._retrain).until_ns
        facts = {"trigger": one.trigger, "entry": self._traffic.position, "until_ns": moment}
        if one.tunes:
            facts["tunes"] = True
        record(self._ports.statements, number, BEGUN, f"{one.trigger}: {one.why}", value=dumps(facts))

    def _going(self, one: Round) -> Look:
        """Where a round is, by the record and the settings."""
        if one.version is None:
            return self._untrained(one)
        roles, version = Roles.of(self._ports.place.settings), one.version

        def look(state: State, why: str, waits: bool = False) -> Look:
            return Look(state, why, one.number, version, waits)

        if roles.champion == version:
            return look(State.OVER, "it is the champion")
        if "judged" not in one.steps:
            return look(State.JUDGE, "it is judged on events that came after its training")
        if roles.canary == version:
            return look(State.RAMP, f"the canary decides a share of {roles.share:g}")
        if version in roles.canaries_since(one.steps[BEGUN].at_ns):
            return look(State.OVER, f"its canary has ended: {roles.canary_why}")
        if "shadowed" in one.steps and roles.canary is not None:
            return look(State.CANARY, f"version {roles.canary} is a canary already", True)
        if "shadowed" in one.steps:
            return self._asked(one, State.CANARY, look)
        if roles.challenger == version:
            return look(State.SHADOW, "it decides in shadow")
        if roles.was_challenger(one):
            return look(State.OVER, f"it is no challenger any more: {roles.challenger_why}")
        return self._asked(one, State.CHALLENGE, look)

    def _untrained(self, one: Round) -> Look:
        """Where a round is that has no version yet."""
        if not one.tunes or QUIET in one.steps:
            return Look(State.TUNE if one.tunes else State.TRAIN, one.steps[BEGUN].text, one.number)
        load = self._ports.load()
        waits = too_busy(one, self._tune, load, self._ports.clock.now_ns())
        return Look(State.QUIET, waits or f"the load of each processor is {load:.2g}", one.number, waits=bool(waits))

    def _asked(self, one: Round, state: State, look: Callable[..., Look]) -> Look:
        """A change of the settings is next: whether it may be made now."""
        now_ns = self._ports.clock.now_ns()
        waits = approval(one, _ROLE[state], self._retrain, now_ns)
        found: Look = look(state, waits or f"the version becomes the {_ROLE[state]}", self._asks(state) in one.steps)
        return found if waits else replace(found, waits=False)

    def _asks(self, state: State) -> str:
        """The step with which a change is proposed or announced."""
        return f"{'proposed' if self._retrain.autonomy == 'assisted' else 'announced'}_{_ROLE[state]}"

    def _take(self, one: Round, look: Look) -> Look | None:
        """Take a step; what it waits for, where nothing came of it."""
        match look.state:
            case State.QUIET:
                self._say(one, QUIET, look.why)
            case State.TUNE | State.TRAIN:
                self._train(one)
            case State.JUDGE:
                self._judge(one)
            case State.CHALLENGE | State.CANARY:
                self._change(one, look.state)
            case State.SHADOW:
                waits = self._shadow(one)
                return None if not waits else replace(look, why=waits, waits=True)
            case State.RAMP:
                self._ports.keep(Roles.of(self._ports.place.settings).began())
                return replace(look, waits=True)
            case _:
                self._finish(one, look)
        return None

    def _train(self, one: Round) -> None:
        """Find a version for the traffic of now, or train one; or search for better settings."""
        until_ns = int(one.began["until_ns"])
        self._traffic.catch_up(self._ports.journal)
        reason = f"{one.steps[BEGUN].text} (retraining {one.number})"
        found = None if one.tunes else self._versions.of_library(self._traffic, self._retrain, reason)
        if found is None:
            make = self._versions.tuned if one.tunes else self._versions.trained
            window = enough(self._traffic, self._retrain, until_ns)
            found = make(self._ports.journal, window.from_ns, until_ns, reason, one.number)
        if found.version == Roles.of(self._ports.place.settings).champion:
            self._end(one, "unchanged", "the training gave the version that is the champion already")
            return
        self._say(one, VERSIONED, found.why, version=found.version, value=found.source)

    def _judge(self, one: Round) -> None:
        assert one.version is not None
        self._traffic.catch_up(self._ports.journal)
        verdict, why = self._versions.judged(one.version, "replay", self._traffic, self._retrain)
        canary = self._prepared.app.canary
        needed = canary is not None and canary.evidence == "replay"
        if verdict is Verdict.FAIL or (needed and verdict is not Verdict.PASS):
            asks = "" if verdict is Verdict.FAIL else "canary.evidence asks for a PASS in "
            self._end(one, "failed", f"{asks}replay: {why}")
        else:
            self._say(one, "judged", f"replay: {why}", value=verdict.value)

    def _change(self, one: Round, state: State) -> None:
        """Ask for a change of the settings, announce it, or make it."""
        waits = approval(one, _ROLE[state], self._retrain, self._ports.clock.now_ns())
        if waits:
            self._say(one, self._asks(state), waits)
            return
        place, version = self._ports.place, one.version
        assert version is not None
        why = f"{reason_of(one)} {one.steps['shadowed' if state is State.CANARY else 'judged'].text}"
        if state is State.CHALLENGE:
            promote(place.settings, place.registry, version, ACTOR, why, CHALLENGER, challenger_key(one))
        else:
            share = plan_of(self._prepared.app).steps[0]
            self._ports.keep(start(place.settings, place.registry, version, share, (), ACTOR, why))

    def _shadow(self, one: Round) -> str:
        """Judge what the version has decided in shadow so far; returns why that decides nothing yet, or nothing."""
        assert one.version is not None
        verdict, why = self._versions.judged(one.version, "shadow", self._traffic, self._retrain)
        if verdict is Verdict.PASS:
            self._say(one, "shadowed", f"shadow: {why}", value=verdict.value)
        elif verdict is Verdict.FAIL:
            self._end(one, "failed", f"shadow: {why}")
        else:
            roles, now_ns = Roles.of(self._ports.place.settings), self._ports.clock.now_ns()
            since_ns = roles.challenger_since_ns or now_ns
            if now_ns > since_ns + self._retrain.patience:
                self._end(one, "undecided", f"no PASS in shadow since {time_text(since_ns)}: {why}")
            else:
                return f"shadow: {why}"
        return ""

    def _finish(self, one: Round, look: Look) -> None:
        promoted = Roles.of(self._ports.place.settings).champion == one.version
        self._end(one, PROMOTED if promoted else "failed", look.why)

    def _say(self, one: Round, step: str, why: str, *, version: str | None = None, value: str | None = None,
             actor: str = ACTOR) -> None:  # fmt: skip
        record(self._ports.statements, one.number, step, why, version=version or one.version, value=value, actor=actor)

    def _end(self, one: Round, how: str, why: str, actor: str = ACTOR) -> None:
        self._say(one, ENDED, why, value=how, actor=actor)
        if how != PROMOTED:
            withdraw(self._ports.place.settings, one)


_ROLE: dict[State, Literal["challenger", "canary"]] = {State.CHALLENGE: "challenger", State.CANARY: "canary"}
