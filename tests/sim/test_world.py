import numpy as np
import pytest

from homeostat.sim.payments.risk import StandInRisk, context
from homeostat.sim.payments.transactions import PaymentsSpec, generate
from homeostat.sim.payments.world import ALLOW, BLOCK, CHALLENGE, PaymentsWorld, Response

SPEC = PaymentsSpec(customers=300, terminals=600, days=25, radius=12.0, terminals_a_day=1, cards_a_day=1)
PAYMENTS = generate(SPEC, 3)


def play(act, seed=5, step_s=3600 * 3, response=None, payments=PAYMENTS):
    world = PaymentsWorld(payments, seed, response, step_s)
    slices = []
    while (batch := world.advance()) is not None:
        slices.append(batch)
        world.act(act(batch))
    return world, slices


def everywhere(action):
    return lambda batch: np.full(len(batch.events), action)


def frauds_blocked(batch):
    return np.where(batch.scenario > 0, BLOCK, ALLOW)


def test_the_same_actions_give_the_same_world():
    one, first = play(frauds_blocked)
    other, second = play(frauds_blocked)
    assert one.ledger == other.ledger
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.events.id_code, b.events.id_code)
        assert np.array_equal(a.outcomes.id_code, b.outcomes.id_code)


def test_where_nothing_is_stopped_every_payment_happens_once_and_fraud_follows_fraud():
    world, slices = play(everywhere(ALLOW))
    ids = np.concatenate([s.events.id_code for s in slices])
    assert len(np.unique(ids)) == len(ids)
    assert np.isin(np.arange(len(PAYMENTS)), ids).all()
    assert len(PAYMENTS) < len(ids) < 1.05 * len(PAYMENTS)
    assert world.ledger.counts["stopped"] == 0


def test_times_rise_and_lie_within_their_slice():
    _, slices = play(frauds_blocked)
    for batch in slices:
        time = batch.events.time_ns
        assert (np.diff(time) >= 0).all()
        assert ((time >= batch.start_ns) & (time < batch.end_ns)).all()


def test_a_blocked_payment_shows_no_outcome_and_an_allowed_one_shows_it_late():
    _, slices = play(frauds_blocked)
    time, scenario = {}, {}
    for batch in slices:
        for code, at, kind in zip(batch.events.id_code, batch.events.time_ns, batch.scenario, strict=True):
            time[int(code)], scenario[int(code)] = int(at), int(kind)
    revealed = [(int(c), int(k)) for s in slices for c, k in zip(s.outcomes.id_code, s.outcomes.known_ns, strict=True)]
    assert revealed and all(scenario[code] == 0 for code, _ in revealed)
    assert all(known - time[code] == 14 * 86_400 * 10**9 for code, known in revealed)
    _, slices = play(everywhere(ALLOW))
    frauds = [s.outcomes for s in slices]
    assert sum(int((o.label == 1).sum()) for o in frauds) > 20


def test_an_outcome_comes_in_the_first_slice_after_it_is_known():
    for batch in play(everywhere(CHALLENGE))[1]:
        known = batch.outcomes.known_ns
        assert ((known <= batch.start_ns) & (known > batch.start_ns - (batch.end_ns - batch.start_ns))).all()


def test_stopping_frauds_leads_to_fewer_of_them_and_to_smaller_retries():
    allowed, _ = play(everywhere(ALLOW))
    blocked, slices = play(frauds_blocked)
    assert blocked.ledger.counts["frauds"] < 0.7 * allowed.ledger.counts["frauds"]
    retries = [s.events.numbers[s.events.id_code >= len(PAYMENTS), 0] for s in slices]
    assert len(np.concatenate(retries)) > 10


def test_blocking_everyone_drives_customers_away():
    world, slices = play(everywhere(BLOCK))
    assert world.ledger.left > 0
    assert len(slices[-3].events) < 0.7 * len(play(everywhere(ALLOW))[1][-3].events)


def test_a_challenge_stops_the_declared_share():
    response = Response(give_up=0.9, give_up_online=0.9, abandon=0.1)
    world, _ = play(everywhere(CHALLENGE), response=response)
    counts = world.ledger.counts
    assert counts["stopped"] / counts["frauds"] == pytest.approx(0.9, abs=0.08)
    assert counts["wronged"] / (counts["events"] - counts["frauds"]) == pytest.approx(0.1, abs=0.01)


@pytest.mark.long
def test_what_is_paid_out_in_outcomes_is_what_the_ledger_lost():
    payments = generate(PaymentsSpec(customers=100, terminals=600, days=40, radius=12.0), 1)
    cut = payments.time_s < payments.time_s[0] + 20 * 86_400
    late = np.where(cut, ALLOW, CHALLENGE)  # The last days' outcomes never come before the end.
    world = PaymentsWorld(payments, 2)
    early, revealed = {}, 0.0
    while (batch := world.advance()) is not None:
        revealed += sum(r for c, r in zip(batch.outcomes.id_code, batch.realised, strict=True) if int(c) in early)
        cost = world.act(np.full(len(batch.events), ALLOW))
        if batch.end_ns <= int(payments.time_s[len(late) // 2]) * 10**9:
            early.update(zip(batch.events.id_code.tolist(), cost.tolist(), strict=True))
    assert revealed == pytest.approx(sum(early.values()))


def test_it_insists_on_actions():
    world = PaymentsWorld(PAYMENTS, 1)
    world.advance()
    with pytest.raises(ValueError, match="act on the last slice"):
        world.advance()


def test_the_stand_in_risk_is_good_but_not_perfect_and_wrong_where_it_says():
    _, slices = play(everywhere(ALLOW))
    model = StandInRisk()
    risk = np.concatenate([model.risk(s.events, s.scenario, 1) for s in slices])
    fraud = np.concatenate([s.scenario > 0 for s in slices])
    seen = np.concatenate([context(s.events) for s in slices])
    order = np.argsort(-risk)
    precision = np.cumsum(fraud[order]) / np.arange(1, len(order) + 1)
    assert 0.6 < precision[fraud[order]].mean() < 0.95
    odds = np.log(risk / (1 - risk))[~fraud]
    night, online = seen[~fraud, 1] == 1, seen[~fraud, 2] == 1
    assert odds[night].mean() - odds[~night].mean() == pytest.approx(1.0, abs=0.4)
    assert odds[online].mean() - odds[~online].mean() == pytest.approx(-1.5, abs=0.3)
    parts = [
        model.risk(s.events.slice(i, i + 1), s.scenario[i : i + 1], 1) for s in slices[:3] for i in range(len(s.events))
    ]
    assert np.array_equal(np.concatenate(parts), risk[: len(parts)])
