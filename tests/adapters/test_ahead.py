"""Pieces are made ready in threads, in order, and none is left behind."""

import threading

import pytest

from homeostat.adapters.journals.ahead import Ahead


@pytest.fixture
def ahead():
    made = Ahead()
    yield made
    made.close()


def test_pieces_come_in_order_and_from_other_threads(ahead):
    threads = set()

    def make(k):
        threads.add(threading.current_thread().name)
        return k * k

    assert list(ahead.each(make, range(40))) == [k * k for k in range(40)]
    assert threads and all(name.startswith("journal-pieces") for name in threads)


def test_a_single_piece_needs_no_thread(ahead):
    here = threading.current_thread()
    assert list(ahead.each(lambda k: threading.current_thread() is here, [1])) == [True]
    assert list(ahead.each(lambda k: k, [])) == []


def test_a_failure_comes_at_its_turn_and_ends_every_call(ahead):
    running, lock = [0], threading.Lock()

    def make(k):
        with lock:
            running[0] += 1
        try:
            if k == 3:
                raise ValueError("piece 3")
            return k
        finally:
            with lock:
                running[0] -= 1

    made = ahead.each(make, range(20))
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="piece 3"):
        next(made)
    assert running == [0]
    assert list(ahead.each(lambda k: k, range(5))) == list(range(5))  # It goes on after that.


def test_it_begins_again_after_it_was_closed(ahead):
    assert list(ahead.each(lambda k: k, range(3))) == [0, 1, 2]
    ahead.close()
    assert list(ahead.each(lambda k: k, range(3))) == [0, 1, 2]
