"""Train an app's PPO policy on the workload: its own risks, on entities that react to what is done."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.app import costs_of
from homeostat.engine.assembly import Prepared
from homeostat.jobs.training import served_risk
from homeostat.models.training.extras import BadSetting, library
from homeostat.models.training_set import TrainingSet
from homeostat.records.arrays import Float
from homeostat.records.events import EventBatch
from homeostat.records.parts import Part
from homeostat.sim.payments.episodes import Pool, declared_costs

PART = "policy.ppo"
AMOUNT = "amount"


def train_policy(
    prepared: Prepared, rows: TrainingSet, names: tuple[str, ...], scores: Float, fusion: Part, seed: int,
    settings: dict[str, Any] | None = None,
) -> Part:  # fmt: skip
    """A PPO policy as a part of a bundle.

    names, scores : (n, scorers) what each scorer says of rows that it did not learn from
    fusion : what makes a risk of them
    settings : fields of `models.training.policy_ppo.PpoSettings`
    Raises BadSetting where the app is no payments workload, MissingExtra where the extra is missing.
    """
    library("stable_baselines3")
    from homeostat.models.training.policy_ppo import PpoSettings
    from homeostat.sim.payments.ppo_training import train_payments_policy

    context, ppo = prepared.app.policy.context, PpoSettings(**(settings or {}))
    pool = pool_of_rows(prepared, rows, served_risk(names, scores, fusion))
    try:
        graph = train_payments_policy(seed, context, ppo, pool)
    except ValueError as error:
        raise BadSetting(f"PPO: {error}") from error
    return Part("ppo", context, {}, {"model": graph}, {"steps": ppo.steps, "seed": seed})


def pool_of_rows(prepared: Prepared, rows: TrainingSet, risk: Float) -> Pool:
    """The payments to start episodes from. Raises BadSetting where they are priced otherwise than the workload's."""
    app = prepared.app
    missing = [name for name in (AMOUNT, *app.policy.context) if name not in rows.names]
    if missing or len(app.actions) != 3:
        raise BadSetting(
            f"PPO learns on a payments workload: {app.app} needs three actions, an amount, and the features that the "
            f"policy's context names" + (f"; it lacks {', '.join(missing)}" if missing else "")
        )
    amount = np.ascontiguousarray(rows.columns((AMOUNT,))[1][:, 0])
    _check_costs(prepared, amount)
    context = np.nan_to_num(rows.columns(app.policy.context)[1], nan=0.0, posinf=0.0, neginf=0.0)
    return Pool(risk, context, amount, rows.y.astype(np.uint8), np.zeros(len(rows), np.uint8))


def _check_costs(prepared: Prepared, amount: Float) -> None:
    costs, some = costs_of(prepared.app), amount[:256]
    n, fields = len(some), list(prepared.app.events.fields)
    numbers = np.full((n, len(fields)), np.nan)
    numbers[:, fields.index(AMOUNT)] = some
    ids, keys = np.arange(n), np.zeros((n, len(prepared.app.events.entities)), np.int64)
    events = EventBatch(ids, ids, keys, numbers, np.full(n, np.nan), np.zeros(n, np.uint8))
    same = costs is not None and all(
        np.allclose(own, known) for own, known in zip(costs(events), declared_costs(some), strict=True)
    )
    if not same:
        raise BadSetting(
            "PPO learns on the payments workload, whose costs are those of the shipped payments app; "
            "this app declares others: use the policy `thresholds` or `bandit`"
        )
