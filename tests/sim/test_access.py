import json

import numpy as np

from homeostat.sim.access import KINDS, AccessSpec, generate_access


def test_events_are_in_order_and_read_as_the_app_declares():
    events = generate_access(AccessSpec(), 1)
    assert (np.diff(events.time_ms) >= 0).all()
    lines = [json.loads(line) for line in events.lines()]
    assert set(lines[0]) == {"event_id", "entity_id", "event_type", "value", "timestamp"}
    assert {line["event_type"] for line in lines} == set(KINDS)
    assert all(line["timestamp"].endswith("Z") and line["value"] > 0 for line in lines)


def test_abuse_is_faster_than_people():
    events = generate_access(AccessSpec(), 2)
    counts = np.bincount(events.entity)
    assert counts[300:].min() > 20 * np.median(counts[:300])
    assert 0.3 < events.abuse.mean() < 0.8


def test_the_same_seed_gives_the_same_events():
    spec = AccessSpec(people=20, bots=1, bursts=2, hours=3)
    assert list(generate_access(spec, 1).lines()) == list(generate_access(spec, 1).lines())
    assert list(generate_access(spec, 1).lines()) != list(generate_access(spec, 2).lines())
