"""Windows made again of the journal: as if the repairs in force had been there from the start, or never."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.test_quarantine import opened, outcomes
from tests.engine.test_repairs import ask, change, events, plain

REPAIRS = [
    ("field:amount", {"op": "convert", "factor": 0.5, "where": "shop == 2"}),
    ("time", {"op": "shift", "by": "-90m", "where": "shop == 1"}),
    ("source", {"op": "drop_copies", "within": "1h", "by": ["user", "shop"]}),
]  # fmt: skip
REBUILD = change("rebuild", "windows", {})


@pytest.mark.parametrize(("scope", "body"), REPAIRS)
def test_windows_made_again_are_those_of_a_run_with_the_repair_from_the_start(scope, body, tmp_path):
    sent = events(0, 60)
    with opened() as always, opened(data=tmp_path) as engine:
        ask(always, change("repair", scope, body))
        for one in (always, engine):
            one.decide(sent[:40])
            one.learn(outcomes(sent[:20]))
            one.decide(sent[40:])
        ask(engine, change("repair", scope, body), REBUILD)
        assert plain(engine.decide(events(60, 40))) == plain(always.decide(events(60, 40)))
        engine.snapshot()
        engine.decide(events(100, 10)), always.decide(events(100, 10))
        state = engine.parts.loop.state()
    for keep in (True, False):  # With the snapshot, and without it.
        for one in () if keep else tmp_path.glob("snapshot*"):
            one.unlink()
        with opened(data=tmp_path) as again:
            made = again.parts.loop.state()
            assert made.keys() == state.keys() and all(np.array_equal(made[name], state[name]) for name in state)


def test_after_an_undo_and_a_rebuild_decisions_are_at_once_those_of_a_run_without_the_repair():
    with opened() as never, opened() as engine:
        never.decide(events(0, 30)), engine.decide(events(0, 30))
        ask(engine, change("repair", "field:amount", {"op": "convert", "factor": 3.0}))
        assert plain(engine.decide(events(30, 30))) != plain(never.decide(events(30, 30)))
        ask(engine, change("repair", "field:amount", None), REBUILD)
        assert plain(engine.decide(events(60, 30))) == plain(never.decide(events(60, 30)))
