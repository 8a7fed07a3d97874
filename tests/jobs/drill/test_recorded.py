"""A recorded journal as the world of a drill."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from homeostat.errors import HomeostatError
from homeostat.jobs.drill.deciding import bodies, frame_of
from homeostat.jobs.drill.recorded import TooShort, recorded_drill
from homeostat.ports import Entry
from homeostat.records.identity import Coding
from homeostat.sim.faults.traffic import DAY_NS, NEVER


class Kept:
    """A journal in memory."""

    def __init__(self, days: int) -> None:
        self.coding = Coding.of_seed(7)
        self._bodies = []
        for hour in bodies("access", "S00", 3, days=4, past_days=1):
            self._bodies += [one for one in (hour.outcomes, *hour.decisions) if one is not None]
            if len(self._bodies) and hour.end_ns > frame_of(4, 1).past_ns + days * DAY_NS:
                break

    def read(self, after: int = 0) -> Iterator[Entry]:
        yield from (Entry(n, body) for n, body in enumerate(self._bodies, 1))


@pytest.mark.long
def test_days_of_a_record_are_drawn_whole_with_their_outcomes() -> None:
    journal = Kept(5)
    drill = recorded_drill("access", journal)
    frame = frame_of(4, 3, 2)
    made = drill.world(drill.form, frame, 1)
    again = drill.world(drill.form, frame, 1)
    assert np.array_equal(made.time_ns, again.time_ns) and np.array_equal(made.numbers, again.numbers, equal_nan=True)
    per_day = np.bincount((made.time_ns - frame.begin_ns) // DAY_NS, minlength=9)
    assert (per_day > 0).all() and len(per_day) == 9
    assert made.words[0] and set(np.unique(made.numbers[:, 0])) <= set(map(float, range(len(made.words[0]))))
    assert 0 < made.label.mean() < 0.6 and (made.known_ns != NEVER).any()
    hours = sum(len(hour.decisions) > 0 for hour in bodies(drill, "S12", 1, days=4, past_days=1))
    assert hours > 100


@pytest.mark.long
def test_a_record_of_a_day_is_too_short() -> None:
    with pytest.raises(TooShort) as told:
        recorded_drill("access", Kept(1))
    assert isinstance(told.value, HomeostatError)
