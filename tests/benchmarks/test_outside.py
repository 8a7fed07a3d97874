"""The checker from outside takes out no decision but those that workers do not promise."""

import pytest
from benchmarks.outside import Found, Outage, excuse

AWAY = [Outage(100, 200)]
FIRST, SECOND = ("allow", 0.1, ""), ("allow", 0.2, "features_stale")


def excused(decided, rows, copies=1, outages=AWAY):
    """Whether the id is excused where (moment, answer) were published and `rows` are in the table."""
    found = Found(1, double=["a"], rows_wrong=["a"])
    topic = [{"event_id": "a", "action": one, "risk": risk, "fallback": why} for _, (one, risk, why) in decided]
    excuse(found, {"a": copies}, topic, [moment for moment, _ in decided], {"a": rows}, outages)
    assert found.double == found.rows_wrong
    assert found.well == (not found.double)
    return found.repeated_away == ["a"] and not found.double


def test_a_copy_that_was_decided_again_while_the_journal_was_away_is_excused():
    assert excused([(90, FIRST), (150, SECOND)], [FIRST])
    assert excused([(150, SECOND), (90, FIRST)], [SECOND])  # Partitions are read in any order.


@pytest.mark.parametrize(
    "wrong",
    [
        {"copies": 0},  # The producer sent it once: it was decided twice.
        {"outages": []},
        {"outages": [Outage(0, 149)]},
        {"decided": [(90, FIRST), (150, SECOND), (160, SECOND)]},  # More decisions than messages.
        {"rows": [FIRST, SECOND]},
        {"rows": []},
        {"rows": [("block", 0.1, "")]},  # The table says what nobody was answered.
    ],
    ids=str,
)
def test_any_other_double_decision_stays(wrong):
    given = {"decided": [(90, FIRST), (150, SECOND)], "rows": [FIRST], **wrong}
    assert not excused(**given)
