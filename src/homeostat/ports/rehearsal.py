"""Rehearsal: recent traffic again, in a shadow engine, under other settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float, Int, Mask, Small
from homeostat.records.plans import Alteration


class CanNotRehearse(HomeostatError):
    """Traffic of that span can't be decided again; the text says why."""

    why = "a rehearsal needs the journal's events of that span and of the windows before it"
    remedy = "Choose a later span, or keep the journal for longer"


@dataclass(frozen=True, slots=True)
class Again:
    """Decisions of a span as they were, and as they would have been: (n,) each, in order of arrival.

    Where a repair drops an event, `kept` is 0, its action -1, its risk and features NaN.

    names : of the features
    time_ns : of the events, as they came; keys : (n, entities)
    served_risk, served_action, served : risk, action and (n, features) as they were
    risk, action, features : as they would have been
    label : of outcomes that are known by now and could be, NaN where unknown
    if_positive, if_negative : (n, actions) what each action costs by the outcome, in the app's currency; (n, 0) for an
        app without costs
    seen : the share of positives of an event's age that are known by now, 0 where its outcome can't be seen; None where
        nobody can say
    took_us : how long each decision took when it was made again, NaN for one that was not; None where nobody measured
    """

    names: tuple[str, ...]
    id_code: Int
    time_ns: Int
    keys: Int
    served_risk: Float
    served_action: Small
    served: Float
    risk: Float
    action: Small
    features: Float
    label: Float
    if_positive: Float
    if_negative: Float
    kept: Mask
    seen: Float | None = None
    took_us: Float | None = None

    def __len__(self) -> int:
        return len(self.id_code)


class Rehearsal(Protocol):
    """Decides again what was decided. It touches nothing that is live."""

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        """The events that arrived in a span, decided under the settings in force then with these altered.

        since_ns : from when on the alterations hold, so that windows fill under them; None for `from_ns`
        Raises CanNotRehearse, Unavailable; Inapplicable where an alteration does not fit the app.
        """
        ...
