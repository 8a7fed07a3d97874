import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.adapters.servers.circuit import Backoff, Circuit, CircuitState, Pauses, RetryPolicy
from homeostat.ports import Unavailable


class HandClock:
    def __init__(self):
        self.ns = 10**18

    def now_ns(self):
        return self.ns

    monotonic_ns = now_ns

    def pass_s(self, seconds):
        self.ns += int(seconds * 1e9)


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_longer_than_declared_nor_shorter_than_half(failures, chance):
    pause = Backoff(0.1, 5.0).pause_s(failures, chance)
    assert 0.05 <= pause <= 5.0
    assert failures < 10 or pause >= 2.5


def test_a_circuit_opens_after_failures_lets_one_try_and_closes_when_it_succeeds():
    clock = HandClock()
    circuit = Circuit(clock, RetryPolicy(1.0, failures=2, backoff=Backoff(1.0, 4.0)), lambda: 0.0)
    circuit.failed("first")
    assert circuit.state is CircuitState.CLOSED and circuit.allows()
    circuit.failed("second")
    assert circuit.state is CircuitState.OPEN and not circuit.allows() and circuit.opened == 1
    assert circuit.wait_s() == pytest.approx(1.0)
    clock.pass_s(1.1)
    assert circuit.state is CircuitState.HALF_OPEN
    assert circuit.allows() and not circuit.allows()
    circuit.failed("third")
    assert circuit.state is CircuitState.OPEN and circuit.wait_s() == pytest.approx(2.0) and circuit.opened == 1
    clock.pass_s(2.1)
    assert circuit.allows()
    circuit.succeeded()
    assert circuit.state is CircuitState.CLOSED and circuit.allows() and circuit.allows() and circuit.wait_s() == 0


def test_an_open_circuit_answers_without_asking_and_says_why():
    clock, asked = HandClock(), []
    circuit = Circuit(clock, RetryPolicy(1.0))

    def ask():
        asked.append(1)
        raise Unavailable("the server is away")

    for _ in range(3):
        with pytest.raises(Unavailable, match="the server is away"):
            circuit.call(ask)
    assert len(asked) == 1
    clock.pass_s(10)
    assert circuit.call(lambda: 5) == 5


def test_an_answer_that_is_an_error_is_still_an_answer():
    clock = HandClock()
    circuit = Circuit(clock, RetryPolicy(1.0))
    circuit.failed()
    clock.pass_s(10)
    with pytest.raises(KeyError):
        circuit.call(lambda: {}["absent"])
    assert circuit.state is CircuitState.CLOSED


def test_only_one_of_many_threads_tries_a_half_open_circuit():
    clock = HandClock()
    circuit = Circuit(clock, RetryPolicy(1.0))
    circuit.failed()
    clock.pass_s(10)
    allowed, barrier = [], threading.Barrier(8)

    def ask():
        barrier.wait()
        allowed.append(circuit.allows())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 1


def test_pauses_grow_while_it_fails_and_begin_anew_once_it_went_well():
    pauses = Pauses(Backoff(1.0, 4.0), lambda: 0.0)
    assert [pauses.next_s() for _ in range(4)] == [0.5, 1.0, 2.0, 2.0]
    pauses.over()
    assert pauses.next_s() == 0.5
    drawn = {Pauses(Backoff(1.0, 4.0)).next_s() for _ in range(20)}
    assert len(drawn) > 10 and all(0.5 <= pause < 1.0 for pause in drawn)


def test_a_policy_that_never_gives_up_has_no_circuit():
    with pytest.raises(ValueError, match="how many failures"):
        Circuit(HandClock(), RetryPolicy(1.0, failures=None))
