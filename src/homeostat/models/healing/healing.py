"""A model that heals itself: it finds rows that went wrong, mends or sets them aside, and retrains where that wins."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.models.healing.contest import ALARM, FOLDS, ROWS_MIN, WIN, Model, bound, changed, score, tail
from homeostat.models.healing.diagnosis import Diagnosis, sorted_rows
from homeostat.models.healing.labels import Labels
from homeostat.models.healing.law import Law
from homeostat.models.healing.memory import Memory, folds_of
from homeostat.models.healing.probation import Probation
from homeostat.models.healing.table import HealingError, Table
from homeostat.models.healing.trainer import Trainer, kind_of
from homeostat.models.healing.treatment import treat
from homeostat.records.arrays import AnyArray, Float, Mask
from homeostat.records.verdicts import Verdict

_CHECK = 25  # New clean labelled rows from one contest to the next look.
_GROWTH = 1.5  # Of the rows that a model was fitted on, after which one of more rows is tried.
_AGAIN = 1.25  # Of the rows of a lost contest, after which the next one is held.
_WATCH = 3 * ALARM  # Log-likelihood ratio from which on an alarm without a better model is reported.
_LIBRARY = 3  # Models of earlier concepts that are tried again.


class SelfHealing:
    """Wraps an estimator of scikit-learn for batches of rows whose labels come later.

    estimator : a classifier or regressor; one that is fitted serves as it is
    reference : (X, y), rows in which nothing was wrong, with their labels. X is a table of NumPy, pandas or Polars
    seed : for the folds, and for each `random_state` of the estimator that is None

    `learn` is where anything changes. `predict` treats each row alone, so a row gets the same prediction in any batch.
    Raises HealingError, and MissingExtra without the `train` extra.

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> chance = np.random.default_rng(0)
    >>> X = chance.normal(size=(600, 2))
    >>> model = SelfHealing(LogisticRegression(), reference=(X[:400], X[:400, 0] > 0))
    >>> model.learn(X[400:], X[400:, 0] < 0)
    >>> [(entry["since"], entry["kind"], entry["action"]) for entry in model.report()]
    [(0, 'concept shift', 'retrain')]
    >>> bool(model.predict([[2.0, 0.0]])[0])
    False
    """

    def __init__(self, estimator: Any, reference: tuple[Any, Any], seed: int = 0) -> None:
        classes, fitted = kind_of(estimator)
        if not isinstance(reference, (tuple, list)) or len(reference) != 2:
            raise HealingError("reference is a pair (X, y)")
        self._seed = seed
        self._table = Table(reference[0])
        matrix = self._table.read(reference[0])
        self._labels = Labels(reference[1], classes)
        codes, _ = self._labels.read(reference[1], len(matrix))
        self._trainer = Trainer(estimator, self._table, self._labels, seed)
        self._scale = self._trainer.scale
        order = sorted_rows(matrix, codes)
        self._reference = matrix[order], codes[order], folds_of(matrix[order], seed, FOLDS)
        law = Law(matrix[order], self._table.numbers)
        self._diagnosis = Diagnosis(law, self._table.whole)
        self._memory = Memory(matrix.shape[1], len(law.views), self._labels.coded)
        first = estimator if fitted else self._trainer.made(matrix, codes)
        promise = self._trainer.promise(first, *self._reference)
        self._champion = Model(first, promise, len(matrix), 0, 0, True)
        self._library: list[Model] = []
        self._probation: Probation | None = None
        self._entries: list[dict[str, Any]] = []
        self._batch, self._checked, self._needed, self._tried_until, self._dirty = 0, 0, 0, 0, False

    def predict(self, X: Any) -> Any:
        """(n,) predictions, also for rows that can't be mended.

        X : rows with the columns of the reference
        Raises HealingError.
        """
        matrix = self._table.read(X)
        if not len(matrix):
            return self._labels.write(np.zeros(0, dtype=self._labels.coded))
        healed, _ = self._diagnosis.healed(matrix)
        return self._champion.estimator.predict(self._table.write(healed))

    def learn(self, X: Any, y: Any = None) -> None:
        """Learn from a batch: first about its rows, then about the model.

        y : (n,) labels; None, or gaps in it, where labels are not known. Rows without one still count for what is
            wrong with the columns. Rows whose labels come later are given again, with their labels
        Raises HealingError, and nothing has changed then.
        """
        matrix = self._table.read(X)
        codes, known = self._labels.read(y, len(matrix))
        if len(matrix):
            order = sorted_rows(matrix, np.where(known, codes, -1))
            self._remember(matrix[order], codes[order], known[order])
            if self._diagnosis.look(self._memory):
                self._judge_rows_again()
            if known.any():
                self._treat()
                self._keep_or_go_back()
                self._compete()
        self._batch += 1

    def report(self) -> list[dict[str, Any]]:
        """The entries `{since, kind, columns, action, verdict}`, the oldest first.

        since : the batch in which it began; the first one that was learned from is 0
        kind : what happened: to columns (scale, sign flip, offset, scale and offset, swap, constant, missing, unknown
            values), to the population (covariate shift), or to the labels' law (concept shift)
        columns : the names of the columns
        action : repair, impute, quarantine, none, retrain, earlier model, go back, or watch
        verdict : PASS, FAIL or INCONCLUSIVE: whether labels have shown the action right
        """
        entries = [dict(entry) for entry in self._entries]
        for case in self._diagnosis.cases:
            for kind, columns in case.kinds.items():
                names = [self._table.names[at] for at in sorted(columns)]
                action = case.action
                if action == "repair" and kind in ("constant", "missing", "unknown values"):
                    action = "impute"
                entries.append(_entry(case.since, kind, names, action, case.verdict))
        return sorted(entries, key=lambda entry: entry["since"])

    def _remember(self, matrix: Float, codes: AnyArray, known: Mask) -> None:
        x, suspect = self._diagnosis.healed(matrix)
        self._memory.add(
            raw=matrix,
            x=x,
            y=codes,
            known=known,
            bins=self._diagnosis.law.bins(matrix),
            clean=~suspect,
            loss=self._trainer.loss(self._champion.estimator, x, codes),
            rival=np.zeros(len(x)) if self._probation is None else self._trainer.loss(self._probation.before, x, codes),
            fold=folds_of(matrix, self._seed, FOLDS),
            batch=np.full(len(x), self._batch),
        )

    def _judge_rows_again(self) -> None:
        case = self._diagnosis.case
        if case is None:
            return
        memory = self._memory
        x, suspect = self._diagnosis.healed(memory.since("raw", case.onset))
        before, clean = memory.since("x", case.onset), memory.since("clean", case.onset)
        learned = memory.since("known", case.onset) & (clean == suspect)
        self._dirty = self._dirty or learned.sum() > 0.02 * max(len(learned), 1)
        moved = ((before != x) & ~(np.isnan(before) & np.isnan(x))).any(axis=1)
        before[:], clean[:] = x, ~suspect
        if moved.any():
            rows, y = x[moved], memory.since("y", case.onset)[moved]
            memory.since("loss", case.onset)[moved] = self._trainer.loss(self._champion.estimator, rows, y)
            if self._probation is not None:
                memory.since("rival", case.onset)[moved] = self._trainer.loss(self._probation.before, rows, y)

    def _treat(self) -> None:
        """Ask the labels of the case's rows whether these may be mended, taken as they are, or have to be left out."""
        case, memory = self._diagnosis.case, self._memory
        if case is None or self._alarm()[0] > ALARM:
            return
        start = max(case.onset, self._champion.origin)
        if memory.end - case.asked < max(_CHECK, 0.05 * (memory.end - start)):
            return
        case.asked = memory.end
        chosen = memory.since("known", start) & (self._diagnosis.belongs(memory.since("bins", start)) > 0.5)
        raw, y = memory.since("raw", start)[chosen][-2_000:], memory.since("y", start)[chosen][-2_000:]
        losses = {
            action: self._trainer.loss(self._champion.estimator, self._diagnosis.healed(raw, action)[0], y)
            for action in ("none", "repair", "impute")
            if action != "repair" or any(fault.reversible for fault in case.faults)
        }
        wrong = {action: self._scale.wrong(loss) for action, loss in losses.items()}
        action, verdict = treat(losses, wrong, self._champion.promise)
        if action == "quarantine" and len(y) >= max(60, 2 * case.tried):
            case.tried = len(y)
            if self._learnable(start, chosen):
                action, verdict = "none", Verdict.PASS
        case.verdict = verdict
        if action != case.action:
            case.action = action
            self._judge_rows_again()
        if action == "none" and verdict is Verdict.PASS:
            self._diagnosis.settle(memory)

    def _learnable(self, start: int, chosen: Mask) -> bool:
        """Whether the labels of the case's rows follow from the rows as they are: then the population moved."""
        memory = self._memory
        rows = memory.since("known", start) & (memory.since("clean", start) | chosen)
        y, plain = memory.since("y", start)[rows], self._diagnosis.healed(memory.since("raw", start)[rows], "none")[0]
        x = np.where(chosen[rows, None], plain, memory.since("x", start)[rows])
        loss = self._trainer.tried(x, y, memory.since("fold", start)[rows], 0)
        if loss is None:
            return False
        group = chosen[rows] & np.isfinite(loss)
        wrong = self._scale.wrong(loss)
        return (
            int(group.sum()) >= 15 and bound(int(wrong[group].sum()), int(group.sum())) < self._champion.promise + 0.05
        )

    def _keep_or_go_back(self) -> None:
        """Whether the model that was promoted last keeps its promise against the one before it."""
        if self._probation is None:
            return
        memory, start = self._memory, self._champion.start
        rows = memory.since("known", start) & memory.since("clean", start)
        mine, others = memory.since("loss", start)[rows], memory.since("rival", start)[rows]
        verdict = self._probation.verdict(mine, others, self._scale.wrong(mine), self._champion.promise)
        if verdict is None:
            return
        if verdict is Verdict.FAIL:
            back = self._probation.model
            self._entries.append(_entry(self._batch, "concept shift", [], "go back", Verdict.INCONCLUSIVE))
            self._champion = back._replace(start=memory.end)
            self._needed = int(1.5 * memory.since("known", back.origin).sum())
        if self._probation.entry is not None:
            self._probation.entry["verdict"] = verdict.value
        self._probation = None

    def _alarm(self) -> tuple[float, int]:
        """How sure it is that the champion is worse than promised, and from which row on."""
        memory, start = self._memory, self._champion.start
        rows = np.flatnonzero(memory.since("known", start) & memory.since("clean", start))
        wrong = self._scale.wrong(memory.since("loss", start)[rows])
        ratio, at = changed(wrong, self._champion.promise)
        return ratio, memory.number(start) + int(rows[at]) if len(rows) else start

    def _compete(self) -> None:
        """Let a challenger be tried where the champion fails, or where there are many more rows to learn from."""
        memory, champion = self._memory, self._champion
        if memory.end - self._checked < _CHECK:
            return
        self._checked = memory.end
        ratio, onset = self._alarm()
        alarmed = ratio > ALARM
        if ratio <= _WATCH:
            self._withdraw_watch()
        origin = onset if alarmed else champion.origin
        rows = int((memory.since("known", origin) & memory.since("clean", origin)).sum())
        if alarmed and onset >= self._tried_until:
            self._needed = 0
        if rows < max(ROWS_MIN, self._needed):
            return
        with_reference = champion.reference and not alarmed
        total = rows + (len(self._reference[0]) if with_reference else 0)
        if not alarmed and not self._dirty and total < _GROWTH * champion.rows:
            return
        self._needed = int(_AGAIN * rows) + 1
        self._tried_until = memory.end
        self._dirty = False
        if alarmed:
            self._answer_alarm(origin, ratio)
        else:
            self._contest(origin, with_reference, WIN if champion.reference else 0.5)

    def _withdraw_watch(self) -> None:
        """Take an open `watch` back where a repair explains it: labels show that right, and the alarm has faded.

        Until the numbers of a repair are exact, the model fails on a few mended rows, which looks like another concept.
        """
        if not self._entries or self._entries[-1]["action"] != "watch":
            return
        since = self._entries[-1]["since"]
        mended = (one for one in self._diagnosis.cases if one.action in ("repair", "impute") and one.since <= since)
        if any(one.verdict is Verdict.PASS for one in mended):
            self._entries.pop()

    def _answer_alarm(self, origin: int, ratio: float) -> None:
        memory = self._memory
        since = int(memory.since("batch", origin)[0])
        open_entry = self._entries[-1] if self._entries and self._entries[-1]["action"] == "watch" else None
        old = self._champion
        action = "retrain"
        if self._earlier(origin):
            action = "earlier model"
        elif not self._contest(origin, False, WIN) and not self._contest(origin, True, WIN):
            if open_entry is None and ratio > _WATCH:
                self._entries.append(_entry(since, "concept shift", [], "watch", Verdict.INCONCLUSIVE))
            return
        if open_entry is None:
            open_entry = _entry(since, "concept shift", [], action, Verdict.INCONCLUSIVE)
            self._entries.append(open_entry)
        open_entry["action"] = action
        self._library = [old, *(one for one in self._library if one.estimator is not old.estimator)][:_LIBRARY]
        self._probation = Probation(old, open_entry)

    def _earlier(self, origin: int) -> bool:
        """Whether a model of an earlier concept keeps its promise on the rows since the change."""
        memory = self._memory
        rows = memory.since("known", origin) & memory.since("clean", origin)
        x, y, loss = (memory.since(name, origin)[rows] for name in ("x", "y", "loss"))
        for model in self._library:
            if model.estimator is self._champion.estimator:
                continue
            theirs = self._trainer.loss(model.estimator, x, y)
            wins, losses = score(theirs, loss)
            wrong = int(self._scale.wrong(theirs).sum())
            if tail(wins, losses) < WIN and bound(wrong, len(y)) < model.promise + 0.02:
                self._champion = model._replace(start=memory.end, origin=origin)
                return True
        return False

    def _contest(self, origin: int, with_reference: bool, chance: float) -> bool:
        """Try a challenger on rows since the origin, and let it serve if it wins on rows that neither has seen."""
        memory, champion = self._memory, self._champion
        chosen = memory.since("known", origin) & memory.since("clean", origin)
        x, y, fold, loss = (memory.since(name, origin)[chosen] for name in ("x", "y", "fold", "loss"))
        numbers = memory.number(origin) + np.flatnonzero(chosen)
        old = int(np.searchsorted(numbers, champion.start))
        if with_reference:
            x, y, fold = (np.concatenate([a, b]) for a, b in zip(self._reference, (x, y, fold), strict=True))
            loss = np.concatenate([np.zeros(len(self._reference[0])), loss])
            old += len(self._reference[0])
        if len(y) - old < 20:
            return False
        theirs = self._trainer.tried(x, y, fold, old)
        if theirs is None:
            return False
        judged = np.isfinite(theirs)
        wins, losses = score(theirs[judged], loss[judged])
        if wins <= losses or (chance < 0.5 and tail(wins, losses) >= chance):
            return False
        fitted = self._trainer.fit(x, y)
        if fitted is None:
            return False
        promise = bound(int(self._scale.wrong(theirs[judged]).sum()), int(judged.sum()))
        entry = None if self._probation is None else self._probation.entry
        if self._probation is None or self._probation.entry is None:
            self._probation = Probation(champion, entry)
        self._champion = Model(fitted, promise, len(y), origin, memory.end, with_reference)
        return True


def _entry(since: int, kind: str, columns: list[str], action: str, verdict: Verdict) -> dict[str, Any]:
    return {"since": since, "kind": kind, "columns": columns, "action": action, "verdict": verdict.value}
