"""Every file that homeostat writes has its place in docs/files.md and, where it is JSON, a schema that its lines fit.

The files are those that simulating, replaying, training and serving leave behind here.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator
from tests.support.worlds import DAY_NS, events_file, payments, small_app

from homeostat import load
from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.audit.trail import AuditLog
from homeostat.adapters.disk.decision_files import MEANINGS
from homeostat.adapters.disk.prediction_progress import Progress, save_progress
from homeostat.adapters.disk.segments import SegmentQueue
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.checks.batches import changes
from homeostat.checks.incidents import incident
from homeostat.checks.statements import question
from homeostat.cli import main
from homeostat.cli.demo import _kept
from homeostat.cli.schema import schema_of, titles
from homeostat.engine.measuring import SPOOL
from homeostat.engine.shared.connecting import own_folder
from homeostat.engine.shared.rejoining import Behind
from homeostat.jobs.demo.demo import app_text
from homeostat.jobs.drill.drilling import DrillRequest, drill_runs
from homeostat.jobs.drill.running import SeedTask
from homeostat.jobs.replay import Request, replay_events
from homeostat.models.training_set import silent
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.job import Job
from homeostat.records.shadowed import Shadowed

PAGE = (Path(__file__).parents[1] / "docs" / "files.md").read_text("utf-8")
FOREST = """homeostat: 1
app: forest
events:
  id: {name: event_id}
  time: {name: timestamp}
  entities: {entity_id: {}}
  fields: {value: {type: number}}
features:
  windows: [{entity: entity_id, lengths: [1h], compute: {count_1h: count}}]
scorers: {odd: {kind: isolation_forest, settings: {trees: 5, rows: 64}}}
fusion: {kind: weighted}
actions: [allow, block]
policy: {kind: thresholds}
costs: {allow: {positive: 1, negative: 0}, block: {positive: 0, negative: 1}}
guards: {fallback: {scorers_absent: allow}}
"""
GROUPS = "\nfairness: {groups: event_type}\n"
# Files that are there for a moment only, or that no run in one process leaves.
FLEETING = {
    "FILE.new": "until it takes FILE's place", "BUNDLE.partial/": "until it takes BUNDLE's place",
    "FILE.parquet.part": "until it is complete", ".room-PID": "while the disk is tried",
    "journal.db-journal": "while a transaction runs", "models.db-journal": "while a transaction runs",
    "models/.partial-VERSION-PID/": "until it takes VERSION's place",
    "tuning/N/study.db": "in rounds that tune", "tuning/N/study.json": "in rounds that tune",
    "tuning/N/settings.yaml": "in rounds that tune", "tuning/N/NAME.svg": "in rounds that tune",
    "tuning/N/journal/": "in rounds that tune",
    "plans.db": "by the gate's commands", "plans.db-wal": "by the gate's commands",
    "plans.db-shm": "by the gate's commands",
    "faults.html": "by demo --faults", "money.svg": "by demo --faults", "faults.json": "by demo --faults",
    "memory.db": "by maintain and memory", "memory.db-wal": "by maintain and memory",
    "memory.db-shm": "by maintain and memory",
    "decisions.db": "by lists of decisions", "decisions.db-wal": "by lists of decisions",
    "decisions.db-shm": "by lists of decisions",
    "post-mortems/ID.md": "by maintain", "post-mortems/ID.html": "by maintain",
}  # fmt: skip


def command(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert not ended.value.code


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all that was written, by the command that wrote it."""
    root = tmp_path_factory.mktemp("files")
    for form in ("parquet", "jsonl", "csv"):
        for app, days, many in (("payments", 2, 40), ("access", 2, 40), ("infra", 1, 2)):
            command(
                "simulate", app, "--days", days, "--customers", many, "--out", root / "simulate" / app, "--format", form
            )
    events = root / "simulate" / "access" / "events.jsonl"
    replay(root, events)
    few = SeedTask("access", 0, (), days=4, past_days=1, warm_days=1)
    drill_runs(DrillRequest(few, ("S00", "S27"), (1,), 1, root / "drill"), lambda what, share: None)
    served(root)
    (root / "forest.yaml").write_text(FOREST)
    command("train", root / "forest.yaml", events, "--until", "2030-01-01", "--out", root / "train", "--json")
    command("export", "--data", root / "data", "--out", root / "export")
    grouped = tmp_path_factory.mktemp("app") / "app.yaml"
    grouped.write_text((files("homeostat") / "apps" / "access" / "app.yaml").read_text() + GROUPS)
    for what in ("autonomy", "fairness"):
        month = ("--month", "2026-01", "--app", grouped, "--out", root / "report", "--json")
        command("report", what, "--data", root / "data", *month)
    window = ("--from", "2026-01-31", "--until", "2026-02-01", "--out", root / "evaluate", "--robust-rows", 50)
    command("evaluate", "access", events, *window, "--json")
    command("models", "import", root / "train", "--data", root / "data", "--json")
    command("models", "delete", "1", "--data", root / "data", "--json")
    command("models", "import", root / "train", "--data", root / "data", "--json")
    command("init", root / "init" / "app.yaml")
    shared(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "demo"))
        (root / "copy.db").write_bytes((root / "data" / "journal.db").read_bytes())
        _kept(root / "copy.db", app_text())
    return root


def replay(root: Path, events: Path) -> None:
    """Once with training, of payments; once of events that can't all be read."""
    until_ns = int(payments().time_s.min()) * 10**9 + 28 * DAY_NS
    replay_events(small_app(), Request(events_file(), root / "replay", train_until_ns=until_ns), silent)
    bad = root / "bad.jsonl"
    bad.write_text(events.read_text() + '{"event_id": 1}\n{"event_id": 2,}\nno JSON\n')
    outcomes = root / "simulate" / "access" / "outcomes.csv"
    replay_events("access", Request(bad, root / "replay-access", outcomes=outcomes), silent)
    bad.unlink()


def served(root: Path) -> None:
    """A folder on which a server was started twice, the second time with a new history."""
    data = root / "data"
    for history in ("continue", "new"):
        with load("access", data=data, history=history) as engine:
            engine.decide([decidable("1"), {"event_id": "2"}])
            engine.learn({"event_id": "1", "label": 1})
            engine.parts.journal.append(changes(1))
            engine.save()
            engine.save()
            assert (data / "journal.db-wal").exists()
            (root / "open").mkdir(exist_ok=True)
            for name in ("journal.db-wal", "journal.db-shm"):
                (root / "open" / name).write_bytes(b"")
    statements = SqliteStatements(data)
    statements.append(question())
    for name in ("statements.db-wal", "statements.db-shm"):
        assert (data / name).exists()
        (root / "open" / name).write_bytes(b"")
    statements.close()
    incidents = SqliteIncidents(data)
    incidents.write([], [incident()])
    for name in ("incidents.db-wal", "incidents.db-shm"):
        assert (data / name).exists()
        (root / "open" / name).write_bytes(b"")
    incidents.close()
    jobs = SqliteJobs(data)
    jobs.submit(Job("export", ("--out=x",)))
    run = jobs.claim("a runner", 1, {}, 1)
    assert run is not None and jobs.write(run, b"begun")
    for name in ("jobs.db-wal", "jobs.db-shm"):
        assert (data / name).exists()
        (root / "open" / name).write_bytes(b"")
    jobs.close()
    with closing(SqliteSettings(data)) as settings:
        settings.append(Change(ChangeKind.LEARNING, "policy", {"on": False}, "ann", "odd labels"), 0)
        assert (data / "settings.db-wal").exists()
        for name in ("settings.db-wal", "settings.db-shm"):
            (root / "open" / name).write_bytes(b"")
    with ShadowFile(data) as shadow:
        shadow.append("v", [Shadowed(1, *(np.zeros(shape) for shape in (1, (1, 2), 1, 1, 1, 1)))])
        for name in ("shadow.db-wal", "shadow.db-shm"):
            assert (data / name).exists()
            (root / "open" / name).write_bytes(b"")
    save_progress(data, "store", Progress())
    (data / "predictions" / "lock").touch(mode=0o600)
    keys = FileApiKeys(data)
    keys.create("till", ["decide"], rate=3.0)
    assert keys.revoke(keys.all()[0].id)


def shared(root: Path) -> None:
    """The files that a worker keeps on its own machine."""
    queue = SegmentQueue(root / "spool" / "payments", 1 << 20)
    queue.put(b"a record", 1, 0)
    queue.close()
    queue = SegmentQueue(root / "data" / SPOOL, 1 << 20)
    queue.put(b"a record", 1, 0)
    queue.close()
    folder, lock = own_folder(root / "spool" / "payments" / "workers")
    Behind(folder, type("At", (), {"through": 3})()).begin()
    lock.release()


def decidable(identity: str) -> dict[str, Any]:
    return {
        "event_id": identity,
        "entity_id": "7",
        "event_type": "login",
        "value": 1,
        "timestamp": "2026-01-30T12:00:00Z",
    }


def documents(root: Path) -> Iterator[tuple[str, Any]]:
    """Each line or document of JSON that was written, with the name of its schema."""
    whole = {
        "audit.checkpoint.json": "audit-checkpoint", "report.json": "report", "keys.json": "keys",
        "manifest.json": "manifest", "summary.json": "drill-summary",
    }  # fmt: skip
    by_line = {"audit.jsonl": "audit", "dead_letters.jsonl": "dead-letter", "runs.jsonl": "drill-run"}
    for path in sorted(root.rglob("*.json*")):
        if path.name in ("signals.jsonl", "timings.jsonl"):
            continue  # For people who look closer; the page of drills names their members.
        if path.parent.name == "evaluate":
            yield "evaluation", json.loads(path.read_text())
        elif path.parent.name == "predictions":
            yield "predictions", json.loads(path.read_text())
        elif path.name in whole:
            yield whole[path.name], json.loads(path.read_text())
        elif path.parent.name == "report":
            yield path.stem.partition("-")[0], json.loads(path.read_text())
        elif path.name in by_line:
            for line in path.read_text().splitlines():
                yield by_line[path.name], json.loads(line)
        else:
            what = path.stem.removesuffix("s")
            for line in path.read_text().splitlines()[:200]:
                yield f"{what} {path.parent.name}", json.loads(line)


@cache
def validator(what: str) -> Draft202012Validator:
    schema = schema_of(*what.split())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.long
def test_every_line_and_document_fits_its_schema(left: Path) -> None:
    seen: dict[str, int] = {}
    for what, document in documents(left):
        faults = [f"{list(fault.path)}: {fault.message}" for fault in validator(what).iter_errors(document)]
        assert not faults, (what, document, faults)
        seen[what] = seen.get(what, 0) + 1
    apart = {"app", "servers", "event", "outcome", "decision"}
    assert set(seen) == (set(titles()) - apart) | {
        f"{what} {app}" for what in ("event", "outcome") for app in ("access", "infra", "payments")
    }


@pytest.mark.long
def test_a_member_of_another_type_or_unknown_or_absent_is_refused(left: Path) -> None:
    tried = set()
    for what, document in documents(left):
        if " " in what or (what, *document) in tried:
            continue
        tried.add((what, *document))
        valid, optional = validator(what).is_valid, set(document) - set(schema_of(what)["required"])
        assert not valid({**document, "new_member": 1}), what
        for name in document:
            assert not valid({**document, name: {"no": "such"}}), (what, name)
            assert valid({key: document[key] for key in document if key != name}) == (name in optional), (what, name)


@pytest.mark.long
def test_the_trail_schema_knows_every_kind_of_line_that_is_written(left: Path) -> None:
    kinds = {document["kind"] for what, document in documents(left) if what == "audit"}
    with AuditLog(left / "torn.jsonl") as trail:
        trail.started("v", 1)
        trail.stated(1, "0" * 64, 1)
    (left / "torn.jsonl").write_text((left / "torn.jsonl").read_text() + '{"torn')
    AuditLog(left / "torn.jsonl").close()
    lines = [json.loads(line) for line in (left / "torn.jsonl").read_text().splitlines()]
    (left / "torn.jsonl").unlink()
    assert all(validator("audit").is_valid(line) for line in lines)
    assert kinds | {line["kind"] for line in lines} == set(schema_of("audit")["properties"]["kind"]["enum"])


def test_answers_fit_the_schema_of_decisions() -> None:
    with load("access") as engine:
        for answer in (engine.decide(decidable("1")), engine.decide(decidable("1"))):
            assert not list(validator("decision access").iter_errors(answer))


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, True),
        ({"entity_id": None, "entity": "7"}, True),
        ({"entity_id": None}, False),
        ({"entity": "", "entity_id": 7}, True),
        ({"entity": True, "entity_id": 7}, False),
        ({"timestamp": "yesterday"}, False),
        ({"value": "much"}, False),
        ({"anything": {"else": 1}}, True),
    ],
)
def test_the_schema_of_events_knows_the_names_under_which_columns_are_read(change: dict[str, Any], right: bool) -> None:
    event = {**decidable("1"), **change}
    with load("access") as engine:
        assert ("action" in engine.decide([event])[0]) == right
    assert validator("event access").is_valid(event) == right


@pytest.mark.long
def test_app_files_and_servers_fit_their_schemas(left: Path) -> None:
    import yaml

    assert validator("app").is_valid(yaml.safe_load((left / "init" / "app.yaml").read_text()))
    servers = {"journal": "postgresql://user@127.0.0.1/db", "skew": "2d", "kafka": {"tls": True}}
    assert validator("servers").is_valid({"servers": servers})
    assert not validator("servers").is_valid({"servers": {"jornal": "x"}})


def pattern(name: str) -> str:
    """A name of the page as a regular expression: capitals and <parts> stand for anything, N for a number."""
    named = re.sub(r"<\w+>|[A-Z]{2,}", "\0", name)
    return re.escape(named).replace("\0", r"[^/]+").replace("N", "[0-9]+")


@pytest.mark.long
def test_the_page_lists_every_file_that_is_written_and_no_other(left: Path) -> None:
    listed = {
        name
        for cell in re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", overview(), re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    found = {str(path.relative_to(left)) for path in left.rglob("*") if path.is_file()} - {"forest.yaml"}
    unlisted = {name for name in found if not any(re.fullmatch(f"(.*/)?{pattern(other)}", name) for other in listed)}
    assert not unlisted
    never = {name for name in listed if not any(re.fullmatch(f"(.*/)?{pattern(name)}", other) for other in found)}
    assert never == set(FLEETING)


def overview() -> str:
    return PAGE[PAGE.index("## All files") : PAGE.index("\n## ", PAGE.index("## All files") + 3)]


def test_the_page_names_every_schema_and_every_member_of_it() -> None:
    for what in set(titles()) - {"app", "servers", "event", "outcome", "decision"}:
        assert f"`homeostat schema {what}`" in PAGE
        text = json.dumps(schema_of(what)["properties"])
        section = PAGE[PAGE.index(f"`homeostat schema {what}`") :]
        section = section[: section.index("\n## ") if "\n## " in section else None]
        missing = [name for name in json.loads(text) if f"`{name}`" not in section]
        assert not missing, (what, missing)


@pytest.mark.long
def test_the_page_and_the_files_say_each_column_of_the_decisions_alike(left: Path) -> None:
    schemas = [pq.read_schema(left / folder / "decisions.parquet") for folder in ("replay", "export")]
    assert {name.partition(".")[0] for schema in schemas for name in schema.names} == set(MEANINGS)
    for field in (field for schema in schemas for field in schema):
        kind = field.name.partition(".")[0]
        meaning, unit = MEANINGS[kind]
        noted = {key.decode(): value.decode() for key, value in field.metadata.items() if key != b"PARQUET:field_id"}
        assert noted == {"meaning": meaning, **({"unit": unit} if unit else {})}
        shown = kind if kind == field.name else f"{kind}.NAME"
        row = rf"^\| `{re.escape(shown)}` \| [^|]+ \| {re.escape(meaning)} \| {re.escape(unit or '-')} \|$"
        assert re.search(row, PAGE, re.MULTILINE), kind


@pytest.mark.long
@pytest.mark.parametrize(("file", "heading"), [("journal.db", "## The journal"), ("settings.db", "## The settings")])
def test_the_page_lists_the_tables_and_columns_of_databases(left: Path, file: str, heading: str) -> None:
    with closing(sqlite3.connect(left / "data" / file)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
    section = PAGE[PAGE.index(heading) :]
    for table, names in columns.items():
        row = re.search(rf"^\| `{table}` \| (.+?) \|", section, re.MULTILINE)
        assert row is not None and re.findall(r"`(\w+)`", row[1]) == names, table


@pytest.mark.long
def test_the_page_lists_the_columns_of_jobs(left: Path) -> None:
    with closing(sqlite3.connect(left / "data" / "jobs.db")) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
    section = PAGE[PAGE.index("## Jobs: jobs.db") :]
    assert re.findall(r"^\| `(\w+)` \|", section[: section.index("\n## ", 3)], re.MULTILINE) == columns


@pytest.mark.long
def test_only_the_owner_may_read_what_holds_events(left: Path) -> None:
    for folder in ("data", "replay", "replay-access", "spool", "export"):
        assert (left / folder).stat().st_mode & 0o077 == 0 or folder == "spool", folder
    private = [path for folder in ("data", "replay-access", "spool/payments/0") for path in (left / folder).rglob("*")]
    assert [path for path in private if path.stat().st_mode & 0o077] == []
