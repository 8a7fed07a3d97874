"""The stages of the decision loop as Protocols, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from homeostat.decide.aside import Aside
from homeostat.records.allowance import Allowance
from homeostat.records.arrays import Bytes, Float, Int, Mask, Small, State
from homeostat.records.decisions import DecisionBatch, Experience, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.features import Features
from homeostat.records.identity import Ids

if TYPE_CHECKING:  # Else a check of an app file would bring the compiler along.
    from homeostat.expressions import Membership
    from homeostat.stats.categories import Encoding


class Stateful(Protocol):
    """A stage that remembers. `restore(state())` continues bit for bit."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


@runtime_checkable
class TakenFirst(Stateful, Protocol):
    """A stage that remembers so much that its state is taken in a moment and put in order by another thread."""

    def taken(self) -> Callable[[], State]:
        """Copy what is remembered; the call that is returned makes of it what `state` would have been."""
        ...


class Featurizer(Stateful, Protocol):
    """Events (and outcomes, in order of arrival) -> features; remembers the entities' pasts."""

    def features(self, events: EventBatch) -> Features: ...


class Withholding(Protocol):
    """Events that are decided and don't teach.

    from_ns : the first event time that any of them can have
    what : the same for two that hold the same events
    """

    from_ns: int

    @property
    def what(self) -> object: ...

    def holds(self, events: EventBatch) -> Mask:
        """(n,) which events they are."""
        ...

    def among(self, decided: Sequence[tuple[DecisionBatch, int] | None]) -> Mask:
        """(n,) the same of decided events, each a row of its batch."""
        ...


class Repairing(Stateful, Protocol):
    """Events as they came -> events as the other stages see them; remembers contents where copies are dropped."""

    @property
    def remembers(self) -> object:
        """The content of the memory: two repairs of the same go on with each other's memory."""
        ...

    def blank(self) -> Repairing:
        """The same repairs, which remember nothing."""
        ...

    def repaired(self, events: EventBatch) -> EventBatch:
        """Fields and times as they should be; `EventBatch.came` keeps them as they came. Nothing is remembered."""
        ...

    def without_copies(self, events: EventBatch, running: Int, stand: bool = False) -> EventBatch:
        """Mark copies; `running` (n,) is the watermark as each event arrives. With `stand` none is marked."""
        ...


@runtime_checkable
class ReadsLists(Protocol):
    """A featurizer whose expressions ask who is on which list."""

    def read_lists(self, lists: Membership) -> None:
        """Ask these from the next event on; what is remembered stays."""
        ...


@runtime_checkable
class AllowsLate(Protocol):
    """A featurizer whose windows can take later events than declared."""

    def allow_late(self, lateness_ns: int) -> None:
        """Take events that are so far behind the newest from now on; what is remembered stays."""
        ...


@runtime_checkable
class Rebuildable(Protocol):
    """A featurizer whose memory is its own, so that it can be made again of the journal."""

    def blank(self) -> Rebuildable:
        """The same featurizer before its first event."""
        ...

    def features(self, events: EventBatch) -> Features: ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Scorer(Protocol):
    """Features -> score in [0, 1] and confidence in [0, 1], each (n,). May raise: the loop fuses around it."""

    name: str

    def score(self, features: Features) -> tuple[Float, Float]: ...


@runtime_checkable
class ContributingScorer(Scorer, Protocol):
    """A scorer that can say which feature moved its score."""

    def contributions(self, features: Features) -> tuple[Float, float]:
        """(n, features) and the baseline; a row plus the baseline is the scorer's raw output of that row."""
        ...


@runtime_checkable
class AbstainingScorer(Scorer, Protocol):
    """A scorer that may have no opinion of a row, such as one of a young series: a score of NaN, with confidence 0.

    abstains : True
    bands : (n, features) twice: between which values each of its features is usual; NaN for others
    """

    abstains: bool

    def bands(self, features: Features) -> tuple[Float, Float]: ...


@runtime_checkable
class EncodingScorer(Scorer, Protocol):
    """A scorer whose model knows categories.

    encodings : by feature
    texts : of the categories that it knows, by code
    """

    encodings: Mapping[str, Encoding]
    texts: Mapping[float, str]


@runtime_checkable
class ForeignScorer(Scorer, Protocol):
    """A scorer whose code is a stranger's: all of it runs in a thread of its own, which may hang.

    answer, parts : what `score` and `contributions` of a ContributingScorer say, without a thread in between
    ready : whether it can be asked
    """

    aside: Aside

    @property
    def ready(self) -> bool: ...

    def answer(self, features: Features) -> tuple[Float, Float]: ...

    def parts(self, features: Features) -> tuple[Float, float]: ...


class Fusion(Stateful, Protocol):
    """Scores, some of them missing -> one calibrated risk. `learn` may move its weights."""

    def fuse(self, scores: Scores) -> Fused: ...

    def learn(self, experience: Experience) -> None: ...


class Policy(Stateful, Protocol):
    """Risk and context -> a proposed action. `chance` is (n, 2) uniform in [0, 1), fixed by seed and event id."""

    def propose(self, fused: Fused, events: EventBatch, features: Features, chance: Float) -> Proposal: ...

    def learn(self, experience: Experience) -> None: ...


@runtime_checkable
class Learner(Protocol):
    """A fusion or policy whose learning can be handed to the same part of another process."""

    def learned(self) -> State:
        """All that outcomes taught it; not the charges for exploring."""
        ...

    def take(self, learned: State) -> None:
        """Go on with what another one learned. Raises ValueError where that is of another form."""
        ...


@runtime_checkable
class Explorer(Protocol):
    """A policy whose exploration is charged to an account."""

    @property
    def account(self) -> Float:
        """The charges: see `exploration.new_account`."""
        ...

    def allow(self, allowance: Allowance) -> None:
        """Charge no more than this from now on, in place of the budget of the app file."""
        ...


class Guard(Stateful, Protocol):
    """The deterministic last word. `fallback` is (n,) `Fallback` bits of the stages before."""

    def rule(
        self, events: EventBatch, features: Features, scores: Scores, fused: Fused, proposal: Proposal, fallback: Int
    ) -> Ruling: ...

    def follow(self, events: EventBatch, action: Small) -> None:
        """Count decisions that were made already, (n,) by their actions; -1 is one that there is no more."""
        ...


class Joiner(Stateful, Protocol):
    """Remembers decisions until their outcomes are known; all on event time."""

    def remember(self, decisions: DecisionBatch) -> None: ...

    def locate(self, ids: Ids) -> tuple[Bytes, Int, Int, Int]:
        """Whether each event is remembered (n,), its time (n,), its entity keys and their checks (n, entities)."""
        ...

    def remembered(self) -> tuple[Ids, Int]:
        """The remembered decisions: their ids, and (m,) when their events were."""
        ...

    def mute(self, ids: Ids) -> None:
        """Hand on nothing more of these decisions."""
        ...

    def deliver(self, outcomes: OutcomeBatch) -> None:
        """Outcomes of remembered events; each becomes due at its `known_ns`."""
        ...

    def owes(self, until_ns: int) -> bool:
        """Whether anything that has become known up to `until_ns` was not handed on."""
        ...

    def due(self, until_ns: int, entries_max: int) -> Experience:
        """The outcomes that have become known since the last call, up to `until_ns`, in the order of becoming known.

        entries_max : so many entries are looked at; the rest is left to the next call
        """
        ...
