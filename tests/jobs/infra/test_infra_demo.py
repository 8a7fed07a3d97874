"""The infra app at work on simulated data centres: faults are found, and the service that began them is named."""

import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from homeostat.cli import main
from homeostat.cli.demo_infra import end, screen
from homeostat.engine.assembly import prepare
from homeostat.jobs.infra.causes import causes
from homeostat.jobs.infra.deciding import OUT_OF, Seen, Watch
from homeostat.jobs.infra.demo import ALERT, InfraDemo, Plan, judge
from homeostat.jobs.infra.episodes import Episode, episodes, judged
from homeostat.sim.infra.centre import SERVICES, service_of
from homeostat.sim.infra.faults import Fault
from homeostat.sim.infra.world import InfraSpec, generate_infra


@pytest.fixture(scope="module")
def demo():
    with InfraDemo(Plan(seed=3)) as running:
        running.open()
        for share in running.run():
            pass
        assert share == 1.0
        yield running


@pytest.mark.long
def test_four_faults_are_found_within_minutes_with_their_service_and_without_false_alarms(demo) -> None:
    found = demo.summary()
    assert len(found["faults"]) == 4 and found["hosts"] == 12
    assert all(one["found_after_minutes"] <= 10 for one in found["faults"])
    assert sum(one["right"] for one in found["faults"]) >= 3
    assert found["false_alarms"] <= 1
    assert found["single_us"]["p50"] > 0
    for one in found["faults"]:
        low, high = one["found"]["usual"]
        assert not low <= one["found"]["value"] <= high


@pytest.mark.long
@pytest.mark.parametrize("width", [80, 120])
def test_both_screens_fit_their_terminal_and_tell_every_fault(demo, width: int) -> None:
    for shown, lines_max in ((screen(demo, 1.0, 12.0), 24), (end(demo.summary()), 24)):
        console = Console(width=min(width, 100), record=True, file=StringIO())
        console.print(shown)
        text = console.export_text()
        assert len(text.splitlines()) <= lines_max
        assert "…" not in text
        assert all(fault.service in text for fault in demo.infra.faults)


@pytest.mark.long
def test_the_command_prints_what_was_found_as_json(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "infra", "--seed", "4", "--json"])
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in found["faults"]] == [one.kind for one in generate_infra(Plan(4).spec(), 4).faults]
    assert found["seconds"]["run"] > 0


def test_options_of_the_payments_demo_are_refused(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "infra", "--days", "3"])
    assert ended.value.code == 1
    assert "demo infra takes --seed" in capsys.readouterr().err


@pytest.mark.long
def test_a_batch_of_a_day_and_single_minutes_decide_the_same() -> None:
    infra = generate_infra(InfraSpec(hosts=3, days=2, faults=1, quiet_days=1), 8)
    seen = []
    for at_once in (1440, 7):
        with Watch(infra, prepare("infra")) as watch:
            watch.absorb(1440, lambda what, share: None)
            for first in range(1440, 2880, at_once):
                watch.decide(first, min(at_once, 2880 - first))
            seen.append(watch.seen)
    assert np.array_equal(seen[0].action, seen[1].action) and (seen[0].action == ALERT).any()
    assert np.array_equal(seen[0].out, seen[1].out, equal_nan=True)


def test_alerts_with_short_pauses_are_one_episode_in_the_order_of_their_hosts() -> None:
    alert = np.zeros((100, 3), bool)
    alert[[10, 12, 25, 60], [2, 0, 2, 1]] = True
    assert episodes(alert) == [Episode(10, 25, (2, 0)), Episode(60, 60, (1,))]
    assert episodes(np.zeros((5, 2), bool)) == []


def test_an_episode_beside_every_fault_is_a_false_alarm_and_one_soon_after_is_not() -> None:
    fault = Fault("cpu hog", "gateway", (0,), 100, 120, 0.5)
    alert = np.zeros((400, 2), bool)
    alert[[103, 125, 300], [0, 0, 1]] = True
    found = judged(alert, [np.ones((20, 2), bool)], [fault], 0, 60)
    assert found.delays == (3,) and found.true == 2 and len(found.false) == 1
    assert found.recall == 1.0 and found.precision == pytest.approx(2 / 3) and found.delay == 3.0
    assert found.false_of_hosts == 1 and found.host_weeks == pytest.approx(800 / 10_080)
    missed = judged(alert, [np.zeros((20, 2), bool)], [fault], 200, 60)
    assert missed.delays == (None,) and missed.true == 0 and np.isnan(missed.delay)


def out_of(steps: int = 60) -> Seen:
    seen = Seen.nothing(steps, 12)
    seen.out[:] = 0.0
    return seen


def test_the_cause_of_a_cascade_is_the_service_that_the_others_call() -> None:
    seen = out_of()
    latency = OUT_OF.index("latency")
    for host in range(12):
        name = SERVICES[service_of(host)].name
        seen.out[40:, host, latency] = {"database": 40, "catalog": 60, "stock": 30, "gateway": 20}.get(name, 0)
    ranking = causes(seen, 40)
    assert ranking[0][0] == "database" and ranking[0][1] > 0.9
    assert sum(share for _, share in ranking) == pytest.approx(1.0)


def test_nobody_is_the_cause_of_a_quiet_minute() -> None:
    assert causes(out_of(), 40)[0][0] is None


@pytest.mark.long
def test_a_day_without_a_fault_is_quiet() -> None:
    infra = generate_infra(InfraSpec(days=3, faults=0), 21)
    with Watch(infra, prepare("infra")) as watch:
        watch.absorb(2 * 1440, lambda what, share: None)
        watch.decide(2 * 1440, 1440)
        found = judge(infra, watch.seen.action == ALERT, 2 * 1440)
    assert found.false_of_hosts == 0 and np.isnan(found.precision)
