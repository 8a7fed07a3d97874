import numpy as np

from homeostat.decide.costs import Costs
from homeostat.expressions import Type
from homeostat.records.events import EventBatch


def events(amount):
    n = len(amount)
    return EventBatch(
        np.arange(n), np.arange(n), np.zeros((n, 1), np.int64), np.column_stack([np.zeros(n), amount]),
        np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip


FIELDS = [("other", Type.NUMBER), ("amount", Type.NUMBER)]
COSTS = Costs(FIELDS, ["amount", "amount / 4", "0"], ["0", "1", "amount / 5"])


def test_each_action_costs_what_its_expression_says():
    positive, negative = COSTS(events(np.array([10.0, 40.0])))
    assert positive.tolist() == [[10, 2.5, 0], [40, 10, 0]] and negative.tolist() == [[0, 1, 2], [0, 1, 8]]
    assert positive.flags.c_contiguous and negative.flags.c_contiguous


def test_costs_do_not_depend_on_the_batch_and_gaps_stay_gaps():
    amount = np.random.default_rng(0).exponential(50, 300)
    amount[::9] = np.nan
    whole = np.concatenate(COSTS(events(amount)), axis=1)
    alone = np.concatenate([np.concatenate(COSTS(events(amount[k : k + 1])), axis=1) for k in range(300)])
    assert whole.tobytes() == alone.tobytes()
    assert np.isnan(whole[::9, 0]).all() and (whole[::9, 2] == 0).all()


def test_no_events_have_no_costs():
    assert [part.shape for part in COSTS(events(np.empty(0)))] == [(0, 3), (0, 3)]
