import pytest

from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.checks.feature_store import FEATURE_STORE_CHECKS, asked, event, shown
from homeostat.ports.shared import LogsLost


@pytest.mark.parametrize("check", FEATURE_STORE_CHECKS, ids=lambda check: check.__name__)
def test_the_store_in_memory_conforms(check):
    first = MemoryFeatures()
    check(lambda: MemoryFeatures(beside=first))


def test_older_values_never_replace_newer_ones():
    store = MemoryFeatures()
    for rows, value in ((5, 1.0), (4, 2.0), (6, 3.0)):
        store.show([shown(["7"], [rows], [value])])
        assert store.shown["customer:7"]["amount"] == (3.0 if rows == 6 else 1.0)


def test_a_log_that_expired_and_was_begun_again_is_not_taken_for_the_one_that_was_known():
    store = MemoryFeatures()
    (first,) = store.exchange([asked({"a": [event(1, 1)]})])
    store.drop("customer", "a")
    store.exchange([asked({"a": [event(2, 2), event(3, 3)]})])
    known = int(first.start[0]) + 1
    (again,) = store.exchange([asked({"a": []}, {"a": known})])
    assert int(again.start[0]) > known


def test_what_is_lost_is_noticed():
    store = MemoryFeatures()
    store.begin(1)
    store.lose()
    with pytest.raises(LogsLost):
        store.exchange([])
    assert store.through() is None
