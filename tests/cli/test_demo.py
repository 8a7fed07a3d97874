import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from homeostat.cli import main
from homeostat.cli.demo_end import end
from homeostat.cli.demo_view import screen
from homeostat.jobs.demo.demo import ARMS, FIXED, LEARNING, NOTHING, RULES, Demo, Plan
from homeostat.jobs.demo.summary import snapshot, summary

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

TINY = Plan(seed=5, customers=150, history_days=20, days=14)


def _run(folder, plan=TINY):
    with Demo(plan, folder) as demo:
        demo.open()
        shots = [snapshot(demo) for _ in demo.run()]
        return shots, summary(demo, {"total": 1.0})


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return _run(tmp_path_factory.mktemp("demo"))


def test_two_demos_of_one_seed_tell_the_same_in_everything_but_the_machine(played, tmp_path):
    first, second = dict(played[1]), dict(_run(tmp_path)[1])
    assert first.pop("machine") and second.pop("machine")
    assert json.dumps(first) == json.dumps(second)


def test_how_many_payments_are_decided_one_at_a_time_changes_no_money(played, tmp_path):
    other = _run(tmp_path, Plan(seed=5, customers=150, history_days=20, days=14, single_rows=0))[1]
    assert other["costs"] == played[1]["costs"] and other["learning"] == played[1]["learning"]


def test_costs_are_what_the_ledgers_say_and_savings_their_differences(played):
    found = played[1]
    for arm in ARMS:
        parts = [found["ledger"][arm][name] for name in found["counted"]]
        assert sum(parts) == pytest.approx(found["costs"][arm], abs=0.05)
    for arm in (NOTHING, RULES, FIXED):
        saved = found["costs"][arm] - found["costs"][LEARNING]
        assert found["saved"][f"against {arm}"] == pytest.approx(saved, abs=0.01)
    assert found["ledger"][NOTHING]["counts"]["stopped"] == 0


def test_protection_pays(played):
    costs = played[1]["costs"]
    assert costs[LEARNING] < costs[NOTHING] / 2


def test_outcomes_arrive_late_and_the_bandit_learns_from_them(played):
    shots, found = played
    assert shots[3]["learning"]["outcomes"] == 0  # Nothing is known on the first morning.
    assert 0 < found["outcomes"] < found["decisions"]
    learned = found["learning"]
    assert learned["corrected"] != learned["expected"] and learned["happened"] > 0
    assert learned["charged"] <= learned["budget_a_day"] * found["days"]


def test_one_blocked_fraud_is_explained_from_the_journal(played):
    why = played[1]["explained"]
    assert why is not None and why["action"] == "block" and why["event_id"].isdigit()
    assert why["features"] and {part["name"] for part in why["scorers"]} == {"boosted", "network", "forest", "rules"}


@pytest.mark.parametrize("width", [80, 100])
def test_both_screens_fit_a_terminal(played, width):
    shots, found = played
    title = "simulated payments, seed 5"
    machine = {"decisions_per_second": 12_345.6, "single_decision_us": {"p50": 300.0, "p99": 4200.0}}
    machine["kept"] = "/home/somebody/.cache/homeostat/demo"
    views = [screen(shots[0], 0.1, 1.0, title), screen(shots[-1], 1.0, 59.0, title), end({**found, "machine": machine})]
    for view in views:
        console = Console(width=width, file=io.StringIO())
        console.print(view)
        lines = console.file.getvalue().splitlines()
        assert len(lines) <= 24 and max(map(len, lines)) <= width
        assert "…" not in "".join(lines)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_command_prints_json_and_nothing_else_on_standard_output(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--days", "1", "--customers", "100", "--json"])
    assert not ended.value.code
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["days"] == 1 and set(found["costs"]) == set(ARMS)
    assert "day 1 of 1" in printed.err


def test_the_explained_payment_is_found_afterwards_by_the_command_that_the_demo_prints(capsys):
    def said(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        assert not ended.value.code
        return json.loads(capsys.readouterr().out)

    found = said("demo", "--days", "14", "--customers", "300")
    why, kept = found["explained"], found["machine"]["kept"]
    lines = Console(width=200, file=io.StringIO())
    lines.print(end(found))
    shown = " ".join(lines.file.getvalue().replace("\\\n", " ").split())
    assert f"homeostat explain {why['event_id']} --app {kept}/app.yaml --out {kept}" in shown
    again = said("explain", why["event_id"], "--app", f"{kept}/app.yaml", "--out", kept)
    assert (again["action"], again["risk"]) == (why["action"], why["risk"])


def test_frauds_that_succeeded_and_costs_stand_in_units_that_compare_across_the_arms(played):
    _, found = played
    lines = Console(width=100, file=io.StringIO())
    lines.print(end({**found, "machine": {"decisions_per_second": 1.0, "single_decision_us": None}}))
    text = lines.file.getvalue()
    assert "cost, EUR" in text and "more than models + bandit, EUR" in text
    counts = found["ledger"][NOTHING]["counts"]
    assert counts["stopped"] == 0 and f"{counts['frauds']:,}" in text


def test_the_demo_needs_no_training_library_and_no_network():
    code = """
import sys, builtins, socket
real = builtins.__import__
heavy = {"torch", "sklearn", "xgboost", "onnx", "stable_baselines3", "gymnasium", "pandas"}
def guarded(name, *rest, **more):
    if name.partition(".")[0] in heavy: raise ImportError(name)
    return real(name, *rest, **more)
builtins.__import__ = guarded
def refuse(*_): raise OSError("no network")
socket.socket.connect = refuse
from homeostat.cli import main
try: main(["demo", "--days", "1", "--customers", "100"])
except SystemExit as ended: assert not ended.code
assert not heavy & set(sys.modules)
try: main(["demo", "--train"])
except SystemExit as stopped: assert stopped.code == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Try next" in done.stdout
    assert "homeostat[train]" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("wrong", [["--days", "0"], ["--seed", "-1"], ["--customers", "3"]])
def test_a_wrong_call_is_explained_in_a_sentence(capsys, wrong):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", *wrong])
    assert stopped.value.code == 1 and "--days from 1" in capsys.readouterr().err
