"""Workers as processes on real servers, beside one process that decides alone."""


def test_decisions_are_those_of_one_process_and_every_difference_is_explained(tmp_path, real_servers):
    from benchmarks.equivalence import simulated_payments, trial

    events = simulated_payments(3000)
    (result,) = trial(events, tmp_path, ("workers that come and go, keyed by customer",), lent=real_servers)
    assert result.unexplained == []
    assert result.same + sum(result.rules.values()) == result.events == 3000
    assert result.same > 2000
