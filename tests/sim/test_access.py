import json

import numpy as np
import pytest

from homeostat.sim.access.traffic import KINDS, AccessSpec, generate_access


@pytest.mark.long
def test_events_are_in_order_and_read_as_the_app_declares():
    events = generate_access(AccessSpec(), 1)
    assert (np.diff(events.time_ms) >= 0).all()
    lines = [json.loads(line) for line in events.lines()]
    assert set(lines[0]) == {"event_id", "entity_id", "event_type", "value", "timestamp"}
    assert {line["event_type"] for line in lines} == set(KINDS)
    assert all(line["timestamp"].endswith("Z") and line["value"] > 0 for line in lines)


def test_bots_never_rest_and_some_do_no_more_than_busy_people():
    spec = AccessSpec(hours=72)
    events = generate_access(spec, 2)
    hour = (events.time_ms - events.time_ms.min()) // 3_600_000
    counts = np.bincount(events.entity, minlength=spec.people + spec.bots)
    active = np.array([len(np.unique(hour[events.entity == who])) for who in range(len(counts))])
    bots, people = slice(spec.people, None), slice(0, spec.people)
    assert active[bots].min() > 0.9 * 72 > 60 > active[people].max()
    assert counts[bots].min() < counts[people].max(), "counting alone does not tell them apart"
    assert 0.05 < events.abuse.mean() < 0.35


def test_the_same_seed_gives_the_same_events():
    spec = AccessSpec(people=20, bots=1, bursts=2, hours=3)
    assert list(generate_access(spec, 1).lines()) == list(generate_access(spec, 1).lines())
    assert list(generate_access(spec, 1).lines()) != list(generate_access(spec, 2).lines())
