"""A run is watched the same way however its hours are cut."""

from __future__ import annotations

import pytest

from homeostat.jobs.drill.deciding import Deciding, DrillApp, frame_of, quiet_traffic
from homeostat.jobs.drill.watching import Seen, Watching
from homeostat.sim.faults.runs import lay_out, run_of


@pytest.mark.long
def test_hours_that_are_watched_at_once_show_what_they_show_one_by_one() -> None:
    drill, frame = DrillApp("access"), frame_of(4, 15, 1)
    laid = lay_out(run_of("S19", 3, frame), quiet_traffic(drill, frame, 3), drill.form)
    deciding = Deciding(drill, laid.traffic, frame, 3, laid)
    hours = [deciding.hour() for _ in range(24 * 19)]
    found: list[list[Seen]] = []
    for at_once in (1, 24):
        watching = Watching(drill)
        found.append([seen for at in range(0, len(hours), at_once) for seen in watching.take(hours[at : at + at_once])])
    assert any(seen.incidents for seen in found[0])
    assert repr(found[1]) == repr(found[0])
