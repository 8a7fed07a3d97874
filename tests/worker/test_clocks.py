"""Messages from clocks that are ahead of this one: they make no other late in their lane, and no other lane wait."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.worker.worlds import FakeServers, until

from homeostat.config.starter import starter
from homeostat.decide.admission import admitted
from homeostat.decide.intake.objects import read_objects
from homeostat.engine.assembly import prepare
from homeostat.ports.streams import Pulled
from homeostat.worker.intake import Intake
from homeostat.worker.telemetry import Telemetry, Tracing

NOW_S, HOUR_S = 1_780_000_000, 3600


def event(name: str, seconds: float, who: str = "a") -> dict[str, Any]:
    return {"event_id": name, "entity_id": who, "event_type": "login", "value": 1, "timestamp": seconds}


def app_file(folder: Path, late: str = "decide") -> Path:
    text = starter().replace("  late: decide", f"  ahead_max: 1d\n  late: {late}", 1)
    (folder / "app.yaml").write_text(text)
    return folder / "app.yaml"


def pulled(messages: list[tuple[str, dict[str, Any]]]) -> Pulled:
    n = len(messages)
    return Pulled(
        [json.dumps(one).encode() for _, one in messages], [lane for lane, _ in messages],
        [str(k) for k in range(n)], [None] * n, [0] * n, [1] * n, [None] * n,
    )  # fmt: skip


@pytest.mark.parametrize("reject", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_a_message_ahead_of_the_clock_makes_no_later_one_of_its_lane_late(
    tmp_path: Path, together: bool, reject: bool
) -> None:
    schema = prepare(app_file(tmp_path)).schema
    intake = Intake(schema, 10 * 10**9, reject)
    sent = [
        ("events/0", event("1", NOW_S)), ("events/0", event("fast", NOW_S + 22 * HOUR_S, "b")),
        ("events/1", event("2", NOW_S)), ("events/0", event("3", NOW_S)), ("events/0", event("late", NOW_S - 60)),
    ]  # fmt: skip
    ahead = [intake.add(pulled(part), NOW_S * 10**9, 0) for part in ([sent] if together else [[one] for one in sent])]
    assert max(ahead) == 22 * HOUR_S * 10**9
    batch = intake.take(100, {}, 0, 0)
    assert batch is not None
    names = [batch.events.id_text(row) for row in range(len(batch.events))]
    late = {name for name, kind in zip(names, batch.events.kind.tolist(), strict=True) if kind}
    assert late == (set() if reject else {"late"})
    assert [letter.reason for _, letter in batch.letters] == (["too_late"] if reject else [])
    reach = dict(zip(names, batch.events.reach.tolist(), strict=True))
    assert reach["fast"] == (NOW_S - 24 * HOUR_S) * 10**9 and reach["3"] == NOW_S * 10**9


def test_messages_behind_one_that_is_ahead_of_the_clock_do_not_wait_for_other_lanes(tmp_path: Path) -> None:
    intake = Intake(prepare(app_file(tmp_path)).schema, 10 * 10**9, False)
    intake.add(pulled([("events/1", event("0", NOW_S - 1))]), NOW_S * 10**9, 0)
    assert intake.take(100, {}, 0, 0) is not None
    intake.add(
        pulled([("events/0", event("fast", NOW_S + 22 * HOUR_S)), ("events/0", event("1", NOW_S - 2))]),
        NOW_S * 10**9,
        0,
    )
    batch = intake.take(100, {"events/1": 5}, 0, 10**9)
    assert batch is not None and len(batch) == 2


def test_what_was_read_together_reaches_as_far_as_what_was_read_alone(tmp_path: Path) -> None:
    schema = prepare(app_file(tmp_path)).schema
    rng = np.random.default_rng(1)
    sent = [event(str(k), NOW_S + float(rng.choice([-5, 0, 0.5, 2, 7200]))) for k in range(60)]
    intake = Intake(schema, 3600 * 10**9, False)
    for start in range(0, 60, 7):
        intake.add(pulled([("events/0", one) for one in sent[start : start + 7]]), NOW_S * 10**9, 0)
    first, second = intake.take(25, {}, 0, 0), intake.take(100, {}, 0, 0)
    assert first is not None and second is not None
    found = {b.events.id_text(k): b.events.reach[k].item() for b in (first, second) for k in range(len(b.events))}
    whole = admitted(read_objects(sent, schema, NOW_S * 10**9)[0], NOW_S * 10**9, schema.skew_ns, schema.ahead_max_ns)
    assert found == {whole.id_text(k): whole.reach[k].item() for k in range(60)}


def test_a_worker_refuses_no_honest_event_after_one_from_a_fast_clock(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path, app=app_file(tmp_path, "reject"))
    now = time.time()
    with servers.running() as (worker,):
        telemetry = Telemetry(worker, Tracing())
        servers.send([event("1", now), event("fast", now + 22 * HOUR_S, "b")])
        until(lambda: len(servers.decisions) == 2)
        servers.send([event("2", now), event("3", now, "b"), event("never", now + 30 * HOUR_S)])
        until(lambda: len(servers.decisions) == 4 and len(servers.letters) == 1)
        shown = telemetry.registry.get_sample_value("homeostat_event_ahead_seconds", {"app": "starter"})
        assert shown is not None and shown > 21 * HOUR_S
        telemetry.close()
    assert [decision["late"] for decision in servers.decisions] == [False] * 4
    (letter,) = servers.letters  # By how much hangs on how long the machine took to get here.
    assert letter["reason"] == "too_early" and re.fullmatch(r"it is \d+ h.* ahead of the clock", letter["detail"])
