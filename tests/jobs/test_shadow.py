"""A challenger in shadow decides what the champion decided, on the same features, and changes nothing of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.app import Brain, brain
from homeostat.cli import main
from homeostat.config.definitions import feature_definitions
from homeostat.decide.fusion.fixed import FixedFusion
from homeostat.engine.assembly import open_engine, prepare
from homeostat.errors import Unavailable
from homeostat.jobs.judging import NoCosts, held_against, sentences
from homeostat.jobs.replay import Request, replay_events
from homeostat.jobs.shadow import InMemory, Shadow
from homeostat.models.bundle import Bundle, save_bundle
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import Scores
from homeostat.records.shadowed import Shadowed, unpacked
from homeostat.records.verdicts import Verdict

START, DAY, COUNT = 1_700_000_000, 86_400, 4_000
APP = """
homeostat: 1
app: trial
events:
  entities: {customer: {}}
  fields: {amount: {type: number}}
features:
  windows: [{entity: customer, lengths: [1d], compute: {n: count}}]
scorers:
  size:
    kind: rules
    rules: [{name: large, when: amount > 50, score: 0.8}, {name: other, when: amount >= 0, score: 0.02}]
fusion: {kind: weighted}
policy: {holdout: 0.1}
actions: [allow, block]
costs: {allow: {positive: amount, negative: 0}, block: {positive: 0, negative: 3}}
guards:
  rules: [{name: huge, when: amount > 98, action: block}]
  breakers: [{action: block, share_max: 0.6, over: 1h, events_min: 50, instead: allow}]
  fallback: {scorers_absent: allow}
outcomes: {label: fraud, delay: 1d, horizon: 2d, unknown: negative, censoring: [block]}
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay's folder: of amounts above 50 half are frauds, of the others none."""
    folder = tmp_path_factory.mktemp("shadow")
    (folder / "app.yaml").write_text(APP)
    rng = np.random.default_rng(0)
    events = [
        {"event_id": k, "time": START + k * 900, "customer": k % 7, "amount": round(float(rng.uniform(0, 100)), 2)}
        for k in range(COUNT)
    ]
    frauds = [e["event_id"] for e in events if e["amount"] > 50 and rng.random() < 0.5]
    outcomes = [{"event_id": k, "label": 1, "time": START + k * 900 + DAY} for k in frauds]
    for name, rows in (("events", events), ("outcomes", outcomes)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = Request(
        folder / "events.jsonl", folder / "out", outcomes=folder / "outcomes.jsonl", chunk_rows=500
    )  # fmt: skip
    replay_events(folder / "app.yaml", request, lambda what, share: None)
    return folder


class Other(FixedFusion):
    """A fusion that takes large amounts for harmless."""

    def __init__(self, like: FixedFusion, factor: float) -> None:
        self._like, self._factor = like, factor

    def fuse(self, scores: Scores):
        fused = self._like.fuse(scores)
        return replace(fused, risk=fused.risk * self._factor)

    def state(self):
        return self._like.state()

    def restore(self, state):
        self._like.restore(state)


@contextmanager
def shadow(folder: Path, kept, factor: float = 1.0, change=lambda made: made) -> Iterator[Shadow]:
    prepared = prepare(folder / "app.yaml")
    with ExitStack() as opened:
        journal = opened.enter_context(SqliteJournal(folder / "out" / "journal.db", readonly=True))
        prepared = prepared.keyed(journal.coding)
        own: Brain = brain(prepared.app, prepared.features, None)
        own = change(own if factor == 1.0 else replace(own, fusion=Other(own.fusion, factor)))
        one = Shadow(prepared, own, journal, kept, "v1")
        opened.callback(one.close)
        yield one


def test_the_same_version_makes_the_same_decisions(recorded: Path):
    kept = InMemory()
    with shadow(recorded, kept) as one:
        assert one.catch_up() == COUNT
        made = iter(kept.read("v1"))
        for entry in one.journal.read():
            if hasattr(entry.body, "ruling"):
                mine = next(made)
                assert mine.entry == entry.sequence
                np.testing.assert_array_equal(mine.action, entry.body.ruling.action)
                np.testing.assert_array_equal(mine.rule, entry.body.ruling.rule)
                np.testing.assert_array_equal(mine.risk, entry.body.fused.risk)
                np.testing.assert_array_equal(mine.propensity, entry.body.proposal.propensity)
        assert one.catch_up() == 0
        held = held_against("shadow", one.prepared, one.journal, kept, "v1")
    assert (held.events, held.differing) == (COUNT, 0)
    assert held.evidence.verdict is Verdict.INCONCLUSIVE


def test_a_version_that_lets_frauds_pass_fails_although_blocked_events_hide_their_outcome(recorded: Path):
    kept = InMemory()
    with shadow(recorded, kept, factor=0.01) as one:
        one.catch_up()
        held = held_against("shadow", one.prepared, one.journal, kept, "v1")
    assert held.evidence.verdict is Verdict.FAIL
    assert set(held.moved) == {("block", "allow")}
    assert held.hidden > 0
    assert held.too_young > 0
    assert any("block -> allow" in line for line in sentences(held))


def test_a_killed_shadow_goes_on_as_if_nothing_had_been(recorded: Path, tmp_path: Path):
    """Breakers count what it decided before its end."""
    whole = InMemory()
    with shadow(recorded, whole, factor=0.9) as one:
        one.catch_up()
    parts = ShadowFile(tmp_path)
    for stop in (2, 5, 1_000):

        def end(entry: int, stop: int = stop) -> None:
            if entry >= stop:
                raise KeyboardInterrupt

        with shadow(recorded, parts, factor=0.9) as one:
            try:
                one.catch_up(progress=end)
            except KeyboardInterrupt:
                continue
    assert [made.packed() for made in parts.read("v1")] == [made.packed() for made in whole.read("v1")]
    parts.close()


def test_a_challenger_that_fails_changes_no_byte_of_the_champions_record(recorded: Path):
    def digests() -> dict[str, str]:
        names = ("journal.db", "audit.jsonl", "decisions.parquet")
        return {name: hashlib.sha256((recorded / "out" / name).read_bytes()).hexdigest() for name in names}

    class Broken:
        name, features = "size", ("amount",)

        def __init__(self, answer) -> None:
            self.answer = answer

        def score(self, features):
            return self.answer(len(features))

    def fail(n: int):
        raise RuntimeError("no")

    before = digests()
    for answer in (fail, lambda n: (np.full(n, np.nan), np.ones(n)), lambda n: (np.full(n, 7.0), np.ones(n))):
        kept = InMemory()
        with shadow(recorded, kept, change=lambda own, answer=answer: replace(own, scorers=(Broken(answer),))) as one:
            assert one.catch_up() == COUNT
            held = held_against("shadow", one.prepared, one.journal, kept, "v1")
        assert held.events == COUNT
        assert held.evidence.verdict is not Verdict.PASS
    assert digests() == before


def test_an_app_without_costs_has_no_better_version(recorded: Path):
    kept = InMemory()
    with shadow(recorded, kept) as one:
        bare = one.prepared.app.model_copy(update={"costs": {}})
        with pytest.raises(NoCosts):
            held_against("shadow", replace(one.prepared, app=bare), one.journal, kept, "v1")


def cli(arguments: list[str]) -> int:
    """Run a command; its exit code."""
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def decisions(n: int) -> Shadowed:
    rng = np.random.default_rng(n)
    return Shadowed(
        3, rng.random(n), rng.random((n, 3)), rng.integers(0, 3, n).astype(np.int16),
        rng.integers(-3, 5, n).astype(np.int16), rng.integers(0, 2, n).astype(np.uint8),
        rng.integers(0, 255, n).astype(np.uint8),
    )  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, 700])
def test_decisions_come_back_from_their_bytes(n: int):
    made = decisions(n)
    again = unpacked(3, made.packed())
    for name in Shadowed.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))


def test_damaged_bytes_are_an_error_of_ours():
    data = decisions(50).packed()
    rng = np.random.default_rng(1)
    for _ in range(300):
        broken = bytearray(data[: rng.integers(0, len(data) + 1)])
        if broken:
            broken[rng.integers(0, len(broken))] ^= 1 << int(rng.integers(0, 8))
        with suppress(ValueError):  # A flipped bit in a number is another number.
            assert len(unpacked(3, bytes(broken))) == 50


def test_a_damaged_or_locked_file_is_unavailable_and_says_what_to_do(tmp_path: Path):
    with ShadowFile(tmp_path) as kept:
        kept.append("v1", [decisions(5)])
        assert kept.versions() == {"v1": 1}
        assert kept.last("v1") == 3
        assert kept.last("v2") == 0
        kept._db.execute("UPDATE shadowed SET body = x'0000'")
        with pytest.raises(Unavailable, match="delete the file"):
            list(kept.read("v1"))
        kept.drop("v1")
        assert kept.versions() == {}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "shadow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable, match="can't be used"):
        ShadowFile(tmp_path / "other").last("v1")
    with ShadowFile(tmp_path / "none", readonly=True) as empty:
        assert (empty.last("v1"), list(empty.read("v1")), empty.versions()) == (0, [], {})
    assert not (tmp_path / "none").exists()


def test_rules_of_the_settings_hold_for_the_challenger_and_its_models_are_its_own(recorded: Path, tmp_path: Path):
    (tmp_path / "app.yaml").write_bytes((recorded / "app.yaml").read_bytes())
    events = [{"event_id": f"e{k}", "time": START + k, "customer": 1, "amount": 10 + k % 3} for k in range(200)]
    with open_engine(tmp_path / "app.yaml", data=tmp_path / "out") as engine:
        engine.decide(events[:100])
        rule = {"when": "amount == 11", "action": "block", "reason": "odd"}
        engine.settings.append(Change(ChangeKind.RULE, "eleven", rule, "ann", "a test"), None)
        engine.parts.watcher.look()
        engine.decide(events[100:])
    kept = InMemory()
    with shadow(tmp_path, kept, factor=0.5) as one:
        one.catch_up()
        made = list(kept.read("v1"))
    assert [int(np.count_nonzero(part.action)) for part in made] == [0, 34]


def test_the_command_follows_a_folder_and_a_judgement_of_it_is_printed(recorded: Path, tmp_path: Path, capsys):
    data = shutil.copytree(recorded / "out", tmp_path / "out")
    prepared = prepare(recorded / "app.yaml")
    bundle = Bundle("trial", prepared.features.names, {"rows": 1}, {}, definitions=feature_definitions(prepared.app))
    save_bundle(bundle, tmp_path / "bundle")
    app = str(recorded / "app.yaml")
    assert cli(["models", "import", str(tmp_path / "bundle"), "--data", str(data)]) == 0
    assert cli(["shadow", app, "--data", str(data), "--once"]) == 1
    assert "there is no challenger" in capsys.readouterr().err
    assert cli(["models", "promote", "1", "--role", "challenger", "--yes", "--wait", "0", "--data", str(data)]) == 0
    capsys.readouterr()
    assert cli(["shadow", app, "--data", str(data), "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == COUNT
    for source in ("shadow", "replay"):
        assert cli(["models", "judge", "1", "--app", app, "--data", str(data), "--source", source, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["verdict"], found["events"], found["differing"]) == ("INCONCLUSIVE", COUNT, 0)
        assert found["evidence"][0]["source"] == source
    assert cli(["models", "judge", "1", "--app", app, "--data", str(data), "--margin", ".5"]) == 0
    assert "PASS" in capsys.readouterr().out
    assert cli(["models", "judge", "1", "--app", app, "--data", str(data), "--alpha", "2"]) == 1
