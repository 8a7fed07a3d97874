"""The roles that retraining gives to versions: as the settings have them, and whether they may be given now."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.config.retraining import Retrain
from homeostat.jobs.canary_keeping import Ramp, ramp_of
from homeostat.jobs.retraining_record import ACTOR, ENDED, Round
from homeostat.models.deployments import CANARY, CHALLENGER, CHAMPION, scope_of, version_in
from homeostat.ports.settings import Settings
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.times import time_text

_HISTORY = 200  # Changes of a role that are looked at: a round makes a few.


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles as the settings have them now; changes of a role are newest first."""

    champions: tuple[Change, ...]
    challengers: tuple[Change, ...]
    canaries: tuple[Change, ...]
    ramp: Ramp | None

    @classmethod
    def of(cls, settings: Settings) -> Roles:
        """Read them. Raises Unavailable."""
        champion, challenger, canary = (
            tuple(settings.history(scope_of(role), limit=_HISTORY)) for role in (CHAMPION, CHALLENGER, CANARY)
        )
        return cls(champion, challenger, canary, ramp_of(settings))

    @property
    def champion(self) -> str | None:
        """The version that decides; None for the bundle of the start."""
        return _now(self.champions)

    @property
    def champion_since_ns(self) -> int | None:
        """Since when; None where nothing was deployed."""
        return self.champions[0].at_ns if self.champions else None

    @property
    def challenger(self) -> str | None:
        """The version in shadow."""
        return _now(self.challengers)

    @property
    def challenger_since_ns(self) -> int | None:
        """Since when."""
        return self.challengers[0].at_ns if self.challengers else None

    @property
    def challenger_why(self) -> str:
        """The reason of the last change."""
        return _why(self.challengers)

    @property
    def canary(self) -> str | None:
        """The version that decides a share of the entities."""
        return None if self.ramp is None else self.ramp.version

    @property
    def share(self) -> float:
        """That share."""
        return 0.0 if self.ramp is None else self.ramp.share

    @property
    def canary_why(self) -> str:
        """The reason of the last change."""
        return _why(self.canaries)

    def began(self) -> Change:
        """The change with which the canary began."""
        assert self.ramp is not None
        return self.ramp.began

    def canaries_since(self, at_ns: int) -> set[str | None]:
        """The versions that were canaries since a time."""
        return {version_in(change.body) for change in self.canaries if change.at_ns >= at_ns}

    def was_challenger(self, one: Round) -> bool:
        """Whether the round has given that role already."""
        return any(change.key == challenger_key(one) for change in self.challengers)

    def left_over(self, one: Round) -> bool:
        """Whether a round that has ended left a role that it gave."""
        return one.over and (self.gave_challenger(one) or self.gave_canary(one))

    def gave_challenger(self, one: Round) -> bool:
        """Whether the challenger has its role by this round."""
        return self.challenger is not None and self.challengers[0].key == challenger_key(one)

    def gave_canary(self, one: Round) -> bool:
        """Whether the canary has its role by this round, and is not the champion."""
        ramp = self.ramp
        ours = ramp is not None and ramp.version == one.version != self.champion
        return ours and ramp is not None and ramp.began.actor == ACTOR and ramp.began.reason.startswith(reason_of(one))


def reason_of(one: Round) -> str:
    """The beginning of the reason of each change that a round makes."""
    return f"retraining {one.number}:"


def challenger_key(one: Round) -> str:
    """The key of the change with which a round's version becomes the challenger."""
    return f"retraining-{one.number}-{CHALLENGER}"


def withdraw(settings: Settings, one: Round) -> None:
    """Take back the roles that a round gave. Raises Changed, Unavailable."""
    roles, why = (
        Roles.of(settings),
        f"{reason_of(one)} {one.steps[ENDED].text if ENDED in one.steps else 'it has ended'}",
    )
    if roles.gave_canary(one):
        assert roles.ramp is not None
        change = Change(ChangeKind.DEPLOY, CANARY, None, ACTOR, why)
        settings.append(change, expected=roles.ramp.step.number)
    if roles.gave_challenger(one):
        change = Change(ChangeKind.DEPLOY, CHALLENGER, None, ACTOR, why)
        settings.append(change, expected=roles.challengers[0].number)


def approval(one: Round, role: str, retrain: Retrain, now_ns: int) -> str:
    """Why a round may not give a role yet, by the autonomy of its app; empty where it may."""
    if retrain.autonomy == "full" or f"approved_{role}" in one.steps:
        return ""
    if retrain.autonomy == "assisted":
        return f"a person approves that version {one.version} becomes the {role}, or stops it"
    announced = one.steps.get(f"announced_{role}")
    until_ns = (now_ns if announced is None else announced.at_ns) + retrain.hold
    if announced is not None and now_ns >= until_ns:
        return ""
    return f"version {one.version} becomes the {role} at {time_text(until_ns)}, unless a person stops it"


def _now(history: tuple[Change, ...]) -> str | None:
    return version_in(history[0].body) if history else None


def _why(history: tuple[Change, ...]) -> str:
    return f"{history[0].reason} ({history[0].actor})" if history else "nobody has changed it"
