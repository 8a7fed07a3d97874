"""One study: trials are taken, and end with a result each; several processes may share it.

A trial has a number, which the storage gives, and a slot, which is its place in the budget. A new trial takes the next
slot: the number of new trials before it. One that takes the place of a lost trial has that one's slot and values. So
which slots there are, and what each tries, depends on no clock and on no process, and a budget is never exceeded.
"""

from __future__ import annotations

import os
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from homeostat.adapters.optuna.samplers import BySlot
from homeostat.adapters.optuna.storage import BEAT_S, GRACE_S, open_storage, storing
from homeostat.errors import Conflict, needs
from homeostat.models.tuning.space import Dimension, Value
from homeostat.models.tuning.trials import State, Tried

with needs("tune", "tuning"):
    import optuna
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import FrozenTrial, TrialState

_QUESTION = "homeostat.question"
_INSTEAD, _SLOT, _LOST, _WORKER = "instead_of", "slot", "lost", "worker"
_STATES = {
    TrialState.COMPLETE: State.COMPLETE, TrialState.PRUNED: State.PRUNED, TrialState.FAIL: State.FAILED,
    TrialState.RUNNING: State.RUNNING, TrialState.WAITING: State.RUNNING,
}  # fmt: skip
PRUNED_AFTER = 5
"""Trials that a pruner has to have seen before it ends one."""


class Running:
    """A trial that runs here. Its values are drawn, and it shows every few seconds that it lives."""

    def __init__(self, trial: Any, space: Sequence[Dimension], slot: int) -> None:
        self.trial, self.slot, self.number = trial, slot, int(trial.number)
        self.values: dict[str, Value] = {one.name: _suggested(trial, one) for one in space}

    def report(self, value: float, fold: int) -> bool:
        """Store the metric after a fold; True where the trial is to end here."""
        with storing():
            self.trial.report(value, fold)
            return bool(self.slot and self.trial.should_prune())  # The hand-made settings come to their end.

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep facts beside the result: JSON values."""
        with storing():
            for name, value in facts.items():
                self.trial.set_user_attr(name, value)


class Study:
    """See the module.

    address : see `open_storage`
    question : everything that a result depends on, as a hash: a study of that name with another one is refused
    facts : kept with a new study, for those who look at it later
    budget : how many trials it has in the end
    """

    def __init__(
        self, address: str, name: str, question: str, space: Sequence[Dimension], *, sampler: str, seed: int,
        higher: bool, prune: bool, budget: int, facts: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Raises Unavailable, MissingExtra; Conflict where the name belongs to other work."""
        self._space, self.budget, self.name = list(space), budget, name
        self._storage = open_storage(address)
        self._worker = _this_process()
        with storing():
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, load_if_exists=True,
                direction="maximize" if higher else "minimize", sampler=BySlot(sampler, space, seed, _slot),
                pruner=optuna.pruners.MedianPruner(PRUNED_AFTER) if prune else optuna.pruners.NopPruner(),
            )  # fmt: skip
            known = self._study.user_attrs.get(_QUESTION)
            if known is None:
                for key, value in {**(facts or {}), _QUESTION: question}.items():
                    self._study.set_user_attr(key, value)
            elif known != question:
                raise Conflict(
                    f"the study {name!r} was begun with other events, another app file or other options: give another "
                    "name with --study, or the options that it was begun with"
                )

    def take(self) -> Running | None:
        """The next trial to run; None where each of the budget has been begun."""
        with storing():
            self._replace_lost()
            if not self._waiting() and len(_new(self._all())) >= self.budget:
                return None
            trial = self._study.ask()
            trial.set_user_attr(_WORKER, self._worker)
            slot = _slot(self._study, trial)
            if slot >= self.budget:  # Another process began the last one at the same moment.
                trial.set_user_attr(_LOST, True)
                self._study.tell(trial, state=TrialState.FAIL)
                return None
            return Running(trial, self._space, slot)

    @contextmanager
    def alive(self, running: Running) -> Iterator[None]:
        """Shows that a trial lives while the block runs."""
        over = threading.Event()
        beat = threading.Thread(target=self._beat, args=(running.trial._trial_id, over), daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()

    def complete(self, running: Running, value: float) -> bool:
        """Store a result; False where the trial was taken for lost, and another one has its place."""
        return self._tell(running, value, None)

    def prune(self, running: Running) -> bool:
        """End a trial early; see `complete`."""
        return self._tell(running, None, TrialState.PRUNED)

    def fail(self, running: Running, error: str) -> bool:
        """Say why a trial failed; see `complete`."""
        running.note({"error": error[:1000]})
        return self._tell(running, None, TrialState.FAIL)

    def give_back(self, running: Running) -> bool:
        """End a trial as if its process had died: another one takes its place."""
        running.note({_LOST: True})
        return self._tell(running, None, TrialState.FAIL)

    def trials(self) -> list[Tried]:
        """Every trial that counts, by slot, and those that run; one that is lost is left out."""
        with storing():
            found: dict[int, Tried] = {}
            for trial in self._all():
                if trial.state == TrialState.WAITING or _LOST in trial.user_attrs:
                    continue
                slot = _slot(self._study, trial)
                found.setdefault(slot, _as_tried(trial, slot))
            return [found[slot] for slot in sorted(found) if slot < self.budget]

    def lost(self) -> int:
        """How many trials were lost with their processes."""
        with storing():
            return sum(_LOST in trial.user_attrs for trial in self._all())

    def importances(self) -> dict[str, float]:
        """How much of what the metric varies each setting explains; they add up to 1. Empty with too few trials.

        Source: Watanabe, Bansal, Hutter (2023), PED-ANOVA, IJCAI.
        """
        complete = [trial for trial in self._all() if trial.state == TrialState.COMPLETE]
        if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
            return {}
        with storing(), suppress(ValueError, RuntimeError, ZeroDivisionError):
            found = optuna.importance.get_param_importances(self._study)
            return {name: float(share) for name, share in found.items()}
        return {}

    def close(self) -> None:
        """Let go of the storage."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _waiting(self) -> bool:
        return any(trial.state == TrialState.WAITING for trial in self._all())

    def _replace_lost(self) -> None:
        """Let other trials take the place of those whose processes died. Only one process can end a trial."""
        stale = set(self._storage._get_stale_trial_ids(self._study._study_id))
        for trial in self._all():
            if trial.state == TrialState.RUNNING and (trial._trial_id in stale or _is_dead(trial)):
                with suppress(UpdateFinishedTrialError):
                    self._storage.set_trial_user_attr(trial._trial_id, _LOST, True)
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        replaced = {trial.user_attrs.get(_INSTEAD) for trial in self._all()}
        for trial in self._all():
            slot = _slot(self._study, trial)
            over = _LOST in trial.user_attrs and trial.state.is_finished() and trial.number not in replaced
            if over and slot < self.budget:
                facts = {_INSTEAD: trial.number, _SLOT: slot}
                self._study.enqueue_trial(dict(trial.params), user_attrs=facts)

    def _tell(self, running: Running, value: float | None, state: TrialState | None) -> bool:
        with storing():
            try:
                self._study.tell(running.trial, value, state=state or TrialState.COMPLETE)
            except (UpdateFinishedTrialError, ValueError):
                return False
            return True

    def _beat(self, trial_id: int, over: threading.Event) -> None:
        while True:
            with suppress(Exception):  # A storage that is away is found by the trial itself.
                self._storage.record_heartbeat(trial_id)
            if over.wait(BEAT_S):
                return


def _suggested(trial: Any, one: Dimension) -> Value:
    with storing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if one.choices is not None:
            return str(trial.suggest_categorical(one.name, list(one.choices)))
        if one.whole:
            return int(trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log))
        return float(trial.suggest_float(one.name, one.low, one.high, log=one.log))


def _new(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if _INSTEAD not in trial.user_attrs]


def _slot(study: Any, trial: Any) -> int:
    """See the module."""
    if _SLOT in trial.user_attrs:
        return int(trial.user_attrs[_SLOT])
    return sum(one.number < trial.number for one in _new(study.get_trials(deepcopy=False)))


def _as_tried(trial: FrozenTrial, slot: int) -> Tried:
    facts = {name: value for name, value in trial.user_attrs.items() if name not in (_SLOT, _INSTEAD, _WORKER)}
    excess = tuple(float(one) for one in facts.pop("excess", ()))
    return Tried(trial.number, slot, _STATES[trial.state], trial.value, dict(trial.params), excess, facts)


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def _is_dead(trial: FrozenTrial) -> bool:
    """Whether the process that runs a trial was one of this machine, and is gone; or died before it gave its name."""
    worker = trial.user_attrs.get(_WORKER)
    if worker is None:
        begun = trial.datetime_start
        return begun is not None and (datetime.now() - begun).total_seconds() > GRACE_S
    return bool(worker["host"] == socket.gethostname() and _started(int(worker["pid"])) != worker["started"])


def _started(pid: int) -> str:
    """When a process of this machine was started, in ticks since its start; empty where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
