"""The store of responses, plans, rulings and answers, in one place that all processes of an app read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from homeostat.errors import Conflict, HomeostatError
from homeostat.records.autonomy import Raised
from homeostat.records.incidents import Phase
from homeostat.records.response_text import Ruled
from homeostat.records.responses import Response


class NoResponse(HomeostatError, LookupError):
    """Nothing was done about such an incident, or no longer."""

    why = "a response begins when an incident is investigated, and the newest closed ones are kept"
    remedy = "homeostat incidents list shows the incidents that there are"


class ResponseMoved(Conflict):
    """Somebody else changed the response first; nothing was stored.

    found : the response as they left it
    """

    why = "a response is changed only by those who know its last revision"
    remedy = "Look at the incident again; then answer, if that is still wanted"

    def __init__(self, found: Response) -> None:
        self.found = found
        super().__init__(f"the response to {found.incident} is at revision {found.revision} by now, {found.phase}")


class AnswerVoid(Conflict):
    """An answer to a plan has no effect: the plan or the state that it was made on has changed, or nobody asks."""

    why = "an answer counts for one plan, on the state that it was made on, for a limited time"
    remedy = "Look at the incident's present plan, and answer that"


class PlansError(HomeostatError):
    """A store of plans holds another app's, another version's, or damaged ones; the text says which."""

    why = "plans are read by the app and a version that know their form, and only undamaged"
    remedy = "Name the right folder or database, or restore the plans from a backup"


@dataclass(frozen=True, slots=True)
class PlanBounds:
    """How much a store keeps; the oldest go first. responses : closed ones; plans : with their rulings"""

    responses: int = 10_000
    plans: int = 10_000


class Plans(Protocol):
    """The responses of one app. Every method raises Unavailable where its store fails, and PlansError where it holds
    something else. May be used by several threads.
    """

    def write(self, response: Response) -> None:
        """Store the next revision of a response, and its plan with findings and ruling; all or nothing.

        Its revision is the one after the stored one. Raises ResponseMoved where it is not, and was not stored before
        with the same content.
        """
        ...

    def get(self, incident: str) -> Response:
        """The last revision of the response to an incident. Raises NoResponse."""
        ...

    def list(self, phases: Collection[Phase] = (), limit: int = 1000) -> Sequence[Response]:
        """Responses, the newest first; those in one of the phases, if any is given."""
        ...

    def ruled(self, since_ns: int, limit: int = 1000) -> Sequence[Ruled]:
        """Plans that were ruled on since a time, the oldest of the newest `limit` first; each with its last ruling."""
        ...

    def raise_level(self, word: Raised) -> Raised:
        """Store an owner's word; returned with its number."""
        ...

    def raised(self) -> Sequence[Raised]:
        """The owner's words, the first one first."""
        ...

    def hold(self, name: str, owner: str, lease_s: float) -> int | None:
        """Have a lease for so long, by the store's clock; None where another process has it.

        name : what is to be done by one at a time: an incident's id, or a role
        Returns the lease's fence: it rises each time that another owner takes it, so an owner who slept sees that.
        """
        ...

    def leave(self, name: str, owner: str) -> None:
        """Give a lease back; nothing where another process has it."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...
