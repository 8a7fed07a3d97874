"""Only events of which good and bad could both be known teach, and count in figures."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.worlds import DAY_NS, events_file, payments, small_app, trained

from homeostat.adapters.disk.event_lines import EventFileError
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app, parse_app
from homeostat.config.tree import App
from homeostat.engine.answers import time_text
from homeostat.engine.assembly import open_engine, prepare
from homeostat.jobs.censored import read_censored
from homeostat.jobs.replay import Replay, Request, replay_events, usable
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.maturity import Maturity, base_rate_jump, matured
from homeostat.models.training_set import NothingToLearn, silent
from homeostat.records.decisions import Experience

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

HORIZON_DAYS = 14
START_NS = int(payments().time_s.min()) * 10**9
MOMENT_NS = START_NS + 30 * DAY_NS
ONLY_FRAUDS = "only frauds"


def the_app(**outcomes: object) -> App:
    """The small app, where frauds are reported within days and all is known to be well after a fortnight."""
    app = small_app(fusion=load_app("payments").fusion, policy=load_app("payments").policy)
    changed = {"delay": 0, "maturity": None, "horizon": HORIZON_DAYS * DAY_NS, "unknown": "skip", **outcomes}
    return app.model_copy(update={"outcomes": app.outcomes.model_copy(update=changed)})


def events_without_labels(folder: Path) -> Path:
    pq.write_table(pq.read_table(events_file()).drop_columns(["TX_FRAUD"]), folder / "events.parquet")
    return folder / "events.parquet"


def outcomes_file(folder: Path, kinds: str = "both", until_ns: int | None = None) -> Path:
    """Frauds after one to three days, all others after the horizon; or the frauds alone."""
    everything, rng = payments(), np.random.default_rng(5)
    fraud = everything.fraud == 1
    days = np.where(fraud, rng.uniform(1, 3, len(fraud)), HORIZON_DAYS)
    known_ns = everything.time_s * 10**9 + (days * DAY_NS).astype(np.int64)
    rows = fraud if kinds == ONLY_FRAUDS else np.ones(len(fraud), bool)
    if until_ns is not None:
        rows &= known_ns <= until_ns
    table = pa.table({
        "event_id": pq.read_table(events_file())["TRANSACTION_ID"].to_numpy()[rows],
        "label": everything.fraud[rows].astype(np.int8),
        "time": pa.array(known_ns[rows] // 1000, pa.timestamp("us", "UTC")),
    })  # fmt: skip
    pq.write_table(table, folder / "outcomes.parquet")
    return folder / "outcomes.parquet"


def replay(folder: Path, app: App, kinds: str = "both", until_ns: int | None = None) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    request = Request(
        events_without_labels(folder), folder / "out", outcomes_file(folder, kinds, until_ns),
        train_until_ns=MOMENT_NS,
    )  # fmt: skip
    return replay_events(app, request, silent)


def test_learning_from_reports_of_frauds_before_good_ones_could_be_known_costs_many_times_as_much(
    tmp_path: Path,
) -> None:
    mature = replay(tmp_path / "mature", the_app())
    immature = replay(tmp_path / "immature", the_app(maturity=0))
    assert immature["quality"]["cost"] > 3 * mature["quality"]["cost"]
    assert mature["training"]["left_out"]["too_young"] > 0
    assert immature["training"]["left_out"]["too_young"] == 0
    (warning,) = immature["training"]["warnings"]
    assert warning.startswith("100.00% of the events of the newest")


def test_an_event_teaches_once_it_is_as_old_as_the_horizon_whatever_was_reported_before(tmp_path: Path) -> None:
    events, outcomes = events_without_labels(tmp_path), outcomes_file(tmp_path)
    report = train_on_events(
        the_app(), TrainingRequest(events, tmp_path / "bundle", MOMENT_NS, outcomes=outcomes), silent
    )
    time_ns, fraud = payments().time_s * 10**9, payments().fraud
    old, before = time_ns <= MOMENT_NS - HORIZON_DAYS * DAY_NS, time_ns < MOMENT_NS
    known_frauds = pq.read_table(outcomes)["time"].to_numpy().astype("datetime64[ns]").astype(np.int64) <= MOMENT_NS
    assert (report["rows"], report["positives"]) == (old.sum(), fraud[old].sum())
    left_out = report["left_out"]
    assert left_out["age"] == "14d"
    assert left_out["too_young"] == (before & ~old).sum()
    label = pq.read_table(outcomes)["label"].to_numpy()
    assert left_out["positives_too_young"] == (known_frauds & (label == 1)).sum() - fraud[old].sum()


@pytest.mark.parametrize("unknown", ["negative", "skip"])
def test_reports_of_frauds_alone_teach_where_silence_is_a_negative_and_else_say_how(
    tmp_path: Path, unknown: str
) -> None:
    events, outcomes = events_without_labels(tmp_path), outcomes_file(tmp_path, ONLY_FRAUDS)
    request = TrainingRequest(events, tmp_path / "bundle", MOMENT_NS, outcomes=outcomes)
    if unknown == "skip":
        with pytest.raises(NothingToLearn, match="unknown: negative"):
            train_on_events(the_app(unknown=unknown), request, silent)
        return
    report = train_on_events(the_app(unknown=unknown), request, silent)
    old = payments().time_s * 10**9 <= MOMENT_NS - HORIZON_DAYS * DAY_NS
    assert (report["rows"], report["positives"]) == (old.sum(), payments().fraud[old].sum())


@pytest.mark.parametrize("unknown", ["negative", "skip"])
def test_learning_without_any_outcomes_says_how_to_give_them(tmp_path: Path, unknown: str) -> None:
    request = TrainingRequest(events_without_labels(tmp_path), tmp_path / "bundle", MOMENT_NS)
    with pytest.raises(NothingToLearn, match="no outcomes were given: name their file with --outcomes"):
        train_on_events(the_app(unknown=unknown), request, silent)


def test_no_event_is_left_out_where_nothing_learns_from_outcomes(tmp_path: Path) -> None:
    app = the_app()
    app = app.model_copy(
        update={
            "scorers": {"forest": load_app("payments").scorers["forest"]},
            "fusion": app.fusion.model_copy(update={"kind": "weighted"}),
        }
    )
    report = train_on_events(
        app, TrainingRequest(events_without_labels(tmp_path), tmp_path / "bundle", MOMENT_NS), silent
    )
    assert report["rows"] == report["events"] == (payments().time_s * 10**9 < MOMENT_NS).sum()
    assert not any(count for name, count in report["left_out"].items() if name != "age")


def test_outcomes_without_a_time_are_named_where_nothing_can_be_learned_from_them(tmp_path: Path) -> None:
    events, outcomes = events_without_labels(tmp_path), outcomes_file(tmp_path, ONLY_FRAUDS)
    pq.write_table(pq.read_table(outcomes).drop_columns(["time"]), outcomes)
    request = TrainingRequest(events, tmp_path / "bundle", MOMENT_NS, outcomes=outcomes)
    with pytest.raises(NothingToLearn, match="outcomes have no time and count as known only now"):
        train_on_events(the_app(unknown="negative"), request, silent)


def test_the_folder_of_a_replay_that_learned_is_private_and_says_where_its_windows_begin(tmp_path: Path) -> None:
    app, out, heard = the_app(), tmp_path / "out", []
    replay(tmp_path, app)
    assert (out / "bundle").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (out / "bundle").iterdir())
    with open_engine(app, bundle=out / "bundle", data=out, tell=heard.append):
        pass
    assert f"the windows know no event before {time_text(MOMENT_NS)}" in heard[0] and "--train-until" in heard[0]


def test_figures_count_silence_as_a_negative_and_leave_out_what_is_too_young(tmp_path: Path) -> None:
    both = replay(tmp_path / "both", the_app(unknown="negative"))
    alone = replay(tmp_path / "alone", the_app(unknown="negative"), ONLY_FRAUDS)
    assert alone["quality"]["known"] > 0 and alone["quality"]["positives"] > 0
    assert alone["quality"]["cost"] > 0 and alone["quality"]["auc"] > 0.7
    # Everything is known in the one file; of the other, the newest fortnight before the last report is too young.
    assert both["quality"]["too_young"] == 0
    last_ns = pq.read_table(tmp_path / "alone" / "outcomes.parquet")["time"].to_numpy().max().astype("datetime64[ns]")
    decided = payments().time_s * 10**9 >= MOMENT_NS
    young = payments().time_s * 10**9 > last_ns.astype(np.int64) - HORIZON_DAYS * DAY_NS
    assert alone["quality"]["too_young"] == (decided & young).sum()
    assert alone["quality"]["known"] == (decided & ~young).sum()


def test_a_record_that_ends_today_has_figures_for_what_is_old_enough_only(tmp_path: Path) -> None:
    until_ns = START_NS + 42 * DAY_NS
    report = replay(tmp_path, the_app(maturity=10 * DAY_NS), until_ns=until_ns)
    assert (
        report["quality"]["known"] + report["quality"]["too_young"] + report["quality"]["without_outcome"]
        == (report["decisions"])
    )
    assert report["quality"]["too_young"] > 0


def test_labels_that_come_along_teach_after_their_delay(tmp_path: Path) -> None:
    app = the_app(delay=7 * DAY_NS, horizon=60 * DAY_NS)
    report = train_on_events(app, TrainingRequest(events_file(), tmp_path / "bundle", MOMENT_NS), silent)
    old = payments().time_s * 10**9 <= MOMENT_NS - 7 * DAY_NS
    assert report["rows"] == old.sum()


def test_a_moment_at_which_nothing_is_old_enough_is_refused_with_the_age(tmp_path: Path) -> None:
    events, outcomes = events_without_labels(tmp_path), outcomes_file(tmp_path)
    request = TrainingRequest(events, tmp_path / "bundle", START_NS + 9 * DAY_NS, outcomes=outcomes)
    with pytest.raises(NothingToLearn, match=r"younger than 14d.*outcomes\.maturity"):
        train_on_events(the_app(), request, silent)


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ("{maturity: 70d}", "forgotten before they teach"),
        ("{delay: 7d, maturity: 3d}", "teach before outcomes are known"),
    ],
)
def test_a_maturity_beyond_the_horizon_or_before_the_delay_is_a_fault(outcomes: str, message: str) -> None:
    text = (
        "homeostat: 1\napp: a\nevents: {entities: {who: {}}}\nactions: [allow, block]\n"
        f"guards: {{fallback: {{scorers_absent: allow}}}}\noutcomes: {outcomes}\n"
    )
    with pytest.raises(AppFileError, match=message):
        parse_app(text)


@pytest.mark.parametrize("settings", [{}, {"maturity": "9d"}])
def test_what_learns_online_sees_frauds_and_good_ones_of_the_same_age(tmp_path: Path, settings: dict) -> None:
    policy = small_app().policy.model_copy(update={"settings": settings})
    app = the_app(maturity=11 * DAY_NS, unknown="negative").model_copy(
        update={"fusion": small_app().fusion, "policy": policy}
    )
    wait_ns = (9 if settings else 11) * DAY_NS
    taught: dict[str, list[np.ndarray]] = {"fusion": [], "policy": []}
    (tmp_path / "out").mkdir()
    with ExitStack() as stack:
        request = Request(events_without_labels(tmp_path), tmp_path / "out", outcomes_file(tmp_path), trained())
        prepared = prepare(app)
        run = Replay(prepared, request, silent, stack, usable(prepared, request))
        for name, learner in (("fusion", run.loop.stages.fusion), ("policy", run.loop.stages.policy)):
            learn = learner.learn

            def watched(experience: Experience, name: str = name, learn: Any = learn) -> None:
                newest_ns = int(run.loop.stages.watermark.state()["now_ns"][0])
                taught[name].append(newest_ns - experience.time_ns)
                learn(experience)

            learner.learn = watched  # type: ignore[method-assign]
        run.run()
    for name, ages in taught.items():
        assert np.concatenate(ages).min() >= wait_ns, name


def test_the_silence_of_blocked_events_teaches_nothing_where_decisions_are_given(tmp_path: Path) -> None:
    """Half of the frauds were blocked and never reported; without the decisions they would teach that all was well."""
    events, outcomes = events_without_labels(tmp_path), outcomes_file(tmp_path, ONLY_FRAUDS)
    table, fraud = pq.read_table(outcomes), payments().fraud == 1
    pq.write_table(table.take(np.arange(0, len(table), 2)), outcomes)
    ids = pq.read_table(events)["TRANSACTION_ID"].to_numpy()
    blocked = np.zeros(len(ids), bool)
    blocked[np.flatnonzero(fraud)[1::2]] = True
    action = np.where(blocked, "block", "allow")
    decisions = tmp_path / "decisions.parquet"
    pq.write_table(pa.table({"event_id": ids, "action": pa.array(action).dictionary_encode()}), decisions)
    app, reports = the_app(unknown="negative", censoring=("block",)), {}
    for given_file in (None, decisions):
        request = TrainingRequest(events, tmp_path / "bundle", MOMENT_NS, outcomes=outcomes, decisions=given_file)
        reports[given_file] = train_on_events(app, request, silent)
    old = payments().time_s * 10**9 <= MOMENT_NS - HORIZON_DAYS * DAY_NS
    hidden = (old & blocked).sum()
    assert hidden > 20
    assert reports[None]["rows"] == old.sum() and reports[None]["left_out"]["censored"] == 0
    assert reports[decisions]["rows"] == old.sum() - hidden
    assert reports[decisions]["positives"] == reports[None]["positives"] == (old & fraud & ~blocked).sum()
    assert reports[decisions]["left_out"]["censored"] == (blocked & (payments().time_s * 10**9 < MOMENT_NS)).sum()


@pytest.mark.parametrize(
    ("table", "message"),
    [({"event_id": [1]}, "no column action"), ({"event_id": [[1]], "action": ["block"]}, "write it again")],
)
def test_a_file_that_holds_no_decisions_is_named(tmp_path: Path, table: dict, message: str) -> None:
    file, prepared = tmp_path / "decisions.parquet", prepare(the_app(censoring=("block",)))
    with pytest.raises(EventFileError, match="no such file"):
        read_censored(file, prepared.app, prepared.coding)
    file.write_bytes(b"PAR1 nothing")
    with pytest.raises(EventFileError, match="write it again"):
        read_censored(file, prepared.app, prepared.coding)
    pq.write_table(pa.table(table), file)
    with pytest.raises(EventFileError, match=message):
        read_censored(file, prepared.app, prepared.coding)


labels = st.sampled_from([0.0, 1.0, np.nan])


@given(
    st.lists(st.tuples(st.integers(0, 20), labels, st.booleans()), max_size=20), st.integers(0, 25),
    st.integers(0, 25), st.booleans(),
)  # fmt: skip
def test_what_teaches_equals_its_naive_twin(
    events: list[tuple[int, float, bool]], moment: int, age: int, silence_negative: bool
) -> None:
    time_ns, label = np.array([one[0] for one in events], np.int64), np.array([one[1] for one in events], float)
    censored = np.array([one[2] for one in events], bool)
    found = matured(time_ns, label, moment, Maturity(age, silence_negative), censored)
    assert found.censored == sum(np.isnan(known) and hidden for _, known, hidden in events)
    for row, (time, known, hidden) in enumerate(events):
        of_age = time + age <= moment
        nothing_missing = all(not np.isnan(other) or blocked for earlier, other, blocked in events if earlier <= time)
        wanted = known if of_age or nothing_missing else np.nan
        if np.isnan(known) and of_age and silence_negative and not hidden:
            wanted = 0.0
        assert np.array_equal(found.label[row], wanted, equal_nan=True)


def test_a_base_rate_that_jumps_in_the_newest_days_is_found_and_an_even_one_is_not() -> None:
    rng = np.random.default_rng(2)
    time_ns = np.sort(rng.integers(0, 60 * DAY_NS, 20_000))
    even = (rng.random(20_000) < 0.02).astype(float)
    assert base_rate_jump(time_ns, even) is None
    newest = time_ns > 57 * DAY_NS
    found = base_rate_jump(time_ns, np.where(newest & (rng.random(20_000) < 0.1), 1.0, even))
    assert found is not None and found.span_ns == 3 * DAY_NS and found.newest > 2 * found.before
    fallen = base_rate_jump(time_ns, np.where(time_ns > 50 * DAY_NS, 0.0, even))
    assert fallen is not None and fallen.newest == 0.0
    assert base_rate_jump(time_ns[:0], even[:0]) is None
