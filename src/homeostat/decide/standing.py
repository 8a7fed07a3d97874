"""The state of a loop that outlives its process: what each of its parts remembers, under the part's name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from homeostat.decide.arrivals import Arrivals
from homeostat.decide.contracts import Stateful, TakenFirst
from homeostat.decide.stages import Stages
from homeostat.records.arrays import State

Parts = Sequence[tuple[str, Stateful]]


def remembering(stages: Stages, arrivals: Arrivals) -> Parts:
    """The parts that remember, by name."""
    parts: list[tuple[str, Stateful]] = [
        ("windows", stages.featurizer), ("fusion", stages.fusion), ("policy", stages.policy),
        ("guards", stages.guard), ("schedule", stages.schedule), ("watermark", stages.watermark),
        ("waiting", arrivals),
    ]  # fmt: skip
    if stages.canary is not None:
        parts.append(("canary", stages.canary.fusion))
    if stages.repairing is not None:
        parts.append(("repairs", stages.repairing))
    return parts if stages.joiner is None else [*parts, ("joiner", stages.joiner)]


def state_of(parts: Parts) -> State:
    """The state of all parts."""
    return {f"{name}/{key}": value for name, part in parts for key, value in part.state().items()}


def taken(parts: Parts) -> Callable[[], State]:
    """Take the state. The call that is returned puts it in order, which any thread may do while decisions go on."""
    found = [(name, part.taken() if isinstance(part, TakenFirst) else part.state()) for name, part in parts]

    def put_in_order() -> State:
        made = ((name, part() if callable(part) else part) for name, part in found)
        return {f"{name}/{key}": value for name, part in made for key, value in part.items()}

    return put_in_order


def restore(parts: Parts, state: State, only: Collection[str] | None = None) -> None:
    """Let the parts continue from a state; with `only`, just these do."""
    for name, part in parts:
        if only is not None and name not in only:
            continue
        own = {key[len(name) + 1 :]: value for key, value in state.items() if key.startswith(f"{name}/")}
        part.restore(own)
