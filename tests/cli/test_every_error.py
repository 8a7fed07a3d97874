"""Every command with everything that can be wrong around it: each ends in a sentence, none in a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.cli import COMMANDS, main

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

UNTIL = "2026-03-01"
# `{slot}` is a path of the sound files below; each is replaced by each wrong one in turn.
CALLS = """
replay {app} {events} --out {new}
replay access {plain} --out {folder}
replay access {events} --out {new} --outcomes {outcomes}
replay access {events} --out {new} --bundle {bundle}
simulate access --days 1 --customers 2 --out {new}
train access {events} --out {new} --until 2026-03-01
train {app} {events} --out {new} --until 2026-03-01 --outcomes {outcomes}
train access {plain} --out {new} --until 2026-03-01 --decisions {decisions}
evaluate {app} {events} --from 2026-02-02 --until 2026-02-03 --out {new}
evaluate access {plain} --from 2026-02-02 --until 2026-02-03 --out {new} --robust-rows 0 --outcomes {outcomes}
evaluate access {plain} --from 2026-02-02 --until 2026-02-03 --out {new} --robust-rows 0 --bundle {bundle}
tune access {events} --out {new} --until 2026-03-01 --trials 1
tune {app} {events} --out {new} --until 2026-03-01 --outcomes {outcomes} --trials 1
maintain {app} --data {folder} --once
maintain access --data {folder} --once
maintain access --config {servers} --once
mcp {app} --port {taken} --data {folder}
mcp access --config {servers}
doctor {app}
doctor access --bundle {bundle}
doctor access --data {folder}
doctor access --config {servers}
guards test {rules} {events} --app access
guards test {plain_rules} {plain} --app {app}
guards test {plain_rules} {plain} --app access --outcomes {outcomes}
guards test {plain_rules} {plain} --app access --bundle {bundle}
guards test {plain_rules} --app access --data {folder}
explain 1 --data {folder}
explain 1 --out {folder} --app {app}
explain 1 --out {folder} --bundle {bundle}
explain 1 --config {servers} --app access
export --out {new} --data {folder}
export --out {new} --config {servers}
audit verify {trail}
audit verify {trail} --checkpoint {checkpoint}
audit verify {trail} --config {servers}
audit head {trail}
audit follow --config {servers} --out {new} --once
keys create one --data {keys}
keys list --data {keys}
keys list --config {servers}
keys revoke some --data {keys}
models list --data {keys}
models import {bundle} --data {keys}
models import {bundle} --app {app} --data {keys}
models mirror --to http://127.0.0.1:1 --data {keys}
models canary 1 --app access --data {keys}
models canary --status --app access --data {keys}
models canary --stop --data {keys}
models ramp --once --app access --data {keys}
models retraining {app} --config {nothing}
retrain {app} --data {copied}
retrain access --data {folder} --status
retrain access --config {down} --stop
retrain access --data {folder} --only-train --reason now
retrain access --data {folder} --only-train
shadow {app} --data {copied} --once
shadow {app} --config {servers} --status
predictions {app} --data {copied} --once
predictions {app} --config {servers} --state {new} --once
report autonomy --month 2026-01 --data {folder} --out {new}
report fairness --month 2026-01 --config {servers}
questions list --data {folder}
questions list --config {servers}
questions answer 1 --verdict upheld --text x --data {copied}
questions forget 1 --data {copied}
feedback list --data {folder}
feedback summary --config {servers}
incidents list --data {folder}
incidents show 1234 --config {servers}
incidents close 1234 --reason x --data {copied}
incidents silence --node labels --for 2h --reason x --data {copied}
incidents deliveries --config {servers}
incidents approve 1234 --plan 12 --reason x --data {copied}
incidents reject 1234 --plan 12 --reason x --config {servers}
incidents edit 1234 --plan 12 --drop --reason x --data {copied}
incidents report 1234 --data {folder} --out {new}
gate explain {numbers} --app access
gate explain 1234 --data {folder}
gate simulate --app {app} --data {folder}
gate raise convert --reason x --data {copied}
gate raise convert --reason x --data {copied} --drill {numbers}
gate audit --app {app} --data {folder}
gate stop --reason x --data {copied}
gate resume --reason x --data {copied}
gate state --data {folder}
memory list --data {folder}
memory show 1234 --config {servers}
memory search amount --data {folder}
memory similar 1234 --data {folder}
memory add {plain_rules} --data {copied}
memory forget 1234 --data {copied}
settings list --data {folder}
settings undo 1 --data {folder}
settings apply --kind learning --scope policy --body null --reason x --app {app} --preview --data {copied}
settings show 1 --config {servers}
settings sizes --config {servers}
jobs list --data {folder}
jobs submit export --data {keys} -- --out x
jobs show 1 --config {servers}
init {new} --from {events}
init {new} --from {events} --outcomes {outcomes}
schema events --app {app}
serve {app} --port 0 --plan --data {folder}
serve access --port 0 --plan --data {folder} --bundle {bundle}
serve access --port {taken} --config {servers}
serve access --port {taken} --tls-cert {certificate} --tls-key {certificate}
learn {app} --config {nothing}
learn {app} --config {down}
learn access --config {servers}
worker {app} --config {nothing}
worker access --config {servers}
up access --config {servers} --workers 0 --servers 0
up {app} --config {down} --workers 0 --servers 0
compare {events}
detect {numbers}
anomalies {numbers} --out {new}
validate {numbers}
collect --from influxdb://127.0.0.1:9/db --range 1h --out {new}
loadtest http://127.0.0.1:9 --rate 10 --seconds 0.1 --body @{numbers} --out {new}
anomalies rootcause {numbers} --graph {numbers}
monitor {table} --reference {decisions}
demo --days 0
watch --source http://127.0.0.1:9/metrics
live --port 70000
drill {app} --days 3 --out {new}
drill access --days 4 --seeds 1 --scenarios S00 --bundle {bundle} --out {new}
drill access --days 4 --seeds 1 --scenarios S00 --journal {folder} --out {new}
""".strip().splitlines()
ALWAYS = ("absent", "a_folder", "bytes")
IN_TURN = ("empty", "another", "loop", "below_a_file")  # One of these a slot, so that the walk stays short.
MADE = {"new", "keys", "folder"}  # Some commands make these, so that it is no error where one is absent.
SERVERS_DOWN = """
export --out {new} --config {down}
explain 1 --config {down} --app access
audit follow --config {down} --out {new} --once
audit verify {trail} --config {down}
keys list --config {down}
settings list --config {down}
jobs list --config {down}
incidents list --config {down}
memory list --config {down}
doctor access --config {down}
""".strip().splitlines()


def sound(folder: Path) -> dict[str, str]:
    """Paths of files that are as they should be, by the name of the slot they fill."""
    events = folder / "events.jsonl"
    common = {"event_type": "action", "value": 1}
    rows = ({"event_id": k, "entity_id": k % 3, "timestamp": 1.77e9 + k, **common} for k in range(30))
    events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    numbers = folder / "numbers.csv"
    numbers.write_text("error\n0\n1\n")
    outcomes = folder / "outcomes.jsonl"
    outcomes.write_text('{"event_id": 1, "label": 1, "time": "2026-02-02T12:00:00Z"}\n')
    made = folder / "made"
    assert quietly("replay", "access", str(events), "--out", str(made))[0] == 0
    copied = folder / "copied"  # The other is written to.
    shutil.copytree(made, copied)
    (folder / "rules.yaml").write_text("guards:\n  rules:\n    - {name: b, when: count_1m > 3, action: block}\n")
    (folder / "servers.yaml").write_text("servers: {partitions: 2}\n")
    database = "postgresql://somebody:secret@127.0.0.1:1/nothing"
    (folder / "down.yaml").write_text(f"servers: {{journal: '{database}', features: 'redis://127.0.0.1:1/0'}}\n")
    import homeostat

    shipped = Path(homeostat.__file__).parent / "apps"
    names = {
        "events": events, "plain": events, "outcomes": outcomes, "folder": made, "trail": made / "audit.jsonl",
        "checkpoint": made / "absent.json", "decisions": made / "decisions.parquet", "keys": made, "copied": copied,
        "rules": folder / "rules.yaml", "plain_rules": folder / "rules.yaml", "down": folder / "down.yaml",
        "servers": folder / "servers.yaml", "nothing": folder / "servers.yaml", "app": shipped / "access" / "app.yaml",
        "bundle": shipped / "payments" / "bundle", "certificate": folder / "absent.pem",
        "numbers": numbers,
        "table": made / "decisions.parquet",
    }  # fmt: skip
    return {name: str(path) for name, path in names.items()}


def wrong(kind: str, folder: Path) -> str:
    """A path with nothing that any command could use, or with a file of another kind."""
    path = folder / kind
    if kind == "a_folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "bytes":
        path.write_bytes(bytes(range(256)) * 20)
    elif kind == "another":
        path.write_text("[1, {a: b}]\n")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "below_a_file":
        (folder / "file").touch()
        path = folder / "file" / "below"
    return str(path)


def quietly(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error. Any exception but SystemExit gets through."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    return code, out.getvalue(), err.getvalue()


class Walk:
    """Calls, and what each of them did that no command should."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.faults: list[str] = []
        self.failed: set[str] = set()

    def new(self) -> str:
        """A path in a folder of its own, with nothing there."""
        self._count += 1
        (self._folder / f"new{self._count}").mkdir()
        return str(self._folder / f"new{self._count}" / "out")

    def call(self, arguments: list[str], fails: bool | None = None, says: str = "") -> None:
        """Run a command, and note what is wrong with how it ends.

        fails : whether it must exit with 1; None where it may
        """
        shown = " ".join(arguments).replace(str(self._folder), "")
        try:
            code, out, err = quietly(*arguments)
        except BaseException as error:
            self.faults.append(f"{shown}: {type(error).__name__}: {error}")
            return
        if "Traceback" in out + err:
            self.faults.append(f"{shown}: prints a traceback: {err[-900:]}")
        if code not in (0, 1) or (fails is not None and code != fails):
            self.faults.append(f"{shown}: exits with {code}: {err[-900:]}")
        if code == 1 and not (out + err).strip():
            self.faults.append(f"{shown}: says nothing")
        if says not in out + err:
            self.faults.append(f"{shown}: does not say {says!r}: {out[-200:]}{err[-900:]}")
        if code:
            self.failed.add(arguments[0])


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return sound(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Walk:
    monkeypatch.chdir(tmp_path)
    return Walk(tmp_path)


def slots(call: str) -> list[str]:
    return [word[1:-1] for word in call.split() if word.startswith("{")]


def filled(call: str, names: dict[str, str]) -> list[str]:
    return [names[word[1:-1]] if word.startswith("{") else word for word in call.split()]


@contextlib.contextmanager
def taken_port() -> Iterator[str]:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield str(server.getsockname()[1])


def test_a_file_that_is_absent_or_of_another_kind_is_a_sentence(given, walk: Walk, tmp_path: Path) -> None:
    bad = {kind: wrong(kind, tmp_path) for kind in (*ALWAYS, *IN_TURN)}
    turn = cycle(IN_TURN)
    with taken_port() as port:
        for call in CALLS:
            for slot in [name for name in slots(call) if name not in ("plain", "plain_rules", "taken", "down")] or [""]:
                for kind in (*ALWAYS, next(turn)):
                    path = bad[kind]
                    if kind == "absent" and slot in MADE:
                        path = walk.new()  # The others should find nothing at the path.
                    names = {**given, "new": walk.new(), "taken": port, slot: path}
                    fails = True if kind == "absent" and slot and slot not in MADE else None
                    walk.call(filled(call, names), fails)
    assert walk.faults == []
    assert walk.failed == set(COMMANDS)


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "cut":
        data = data[: len(data) * 2 // 3]
    elif how == "noise":
        for at in range(len(data) // 3, len(data), 97):
            data[at] ^= 0xA5
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "noise", "emptied"])
def test_damaged_journals_bundles_and_tables_are_a_sentence(given, walk: Walk, tmp_path: Path, how: str) -> None:
    for file in ("journal.db", "audit.jsonl", "decisions.parquet", "report.json"):
        folder = tmp_path / f"{how}-{file}"
        shutil.copytree(given["copied"], folder)
        path = folder / file
        path.write_bytes(b"") if how == "emptied" else damaged(path, how)
        trail = {"trail": str(folder / "audit.jsonl"), "decisions": str(folder / "decisions.parquet")}
        for call in CALLS:
            if (
                {"folder", "trail", "decisions"} & set(slots(call))
                and "checkpoint" not in slots(call)
                and "servers" not in slots(call)
            ):
                names = {**given, **trail, "folder": str(folder), "keys": str(folder), "new": walk.new()}
                with taken_port() as port:
                    walk.call(filled(call, {**names, "bundle": given["bundle"], "taken": port}))
    files = sorted(path.name for path in Path(given["bundle"]).iterdir() if path.is_file())
    for file in files[:: max(1, len(files) // 4)]:
        bundle = tmp_path / f"{how}-bundle-{file}"
        shutil.copytree(given["bundle"], bundle)
        (bundle / file).write_bytes(b"") if how == "emptied" else damaged(bundle / file, how)
        walk.call(["replay", "payments", given["events"], "--out", walk.new(), "--bundle", str(bundle)], True)
    assert walk.faults == []


def test_a_folder_that_another_process_uses_is_a_sentence(given, walk: Walk, tmp_path: Path) -> None:
    folder = tmp_path / "used"
    shutil.copytree(given["folder"], folder)
    held = [FileLock(folder / "journal.db.lock"), FileLock(tmp_path / "trail.lock")]
    for lock in held:
        lock.acquire("held")
    try:
        walk.call(["replay", "access", given["events"], "--out", str(folder)], True, "another process")
        walk.call(["serve", "access", "--port", "0", "--data", str(folder)], True, "another process")
        walk.call(
            ["audit", "follow", "--config", given["down"], "--out", str(tmp_path / "trail"), "--once"], True, "another"
        )
        for call in ("export --out {new} --data {folder}", "explain 1 --out {folder}", "doctor access --data {folder}"):
            walk.call(filled(call, {**given, "folder": str(folder), "new": walk.new()}))
    finally:
        for lock in held:
            lock.release()
    assert walk.faults == []


def test_a_full_disk_is_a_sentence(given, walk: Walk) -> None:
    """A limit on the size of files does to a write what a full disk does: it fails part of the way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (0, 100, 9_000):
        for call in CALLS:
            if "{new}" in call or "keys create" in call:
                if {"servers", "down"} & set(slots(call)) or call.startswith(("train", "tune")):
                    continue
                names = {**given, "new": walk.new(), "keys": walk.new()}
                names["bundle"] = given["bundle"]
                if "{folder}" in call and call.startswith("replay"):
                    names["folder"] = walk.new()
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
                try:
                    walk.call(filled(call, names), True if most == 0 else None)
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert walk.faults == []


def test_servers_that_are_down_are_a_sentence_without_their_password(given, walk: Walk, tmp_path: Path) -> None:
    for call in SERVERS_DOWN:
        walk.call(filled(call, {**given, "new": walk.new()}), True)
        code, out, err = quietly(*filled(call, {**given, "new": walk.new()}))
        assert code == 1 and "secret" not in out + err
    assert walk.faults == []


WITHOUT = """
import json, sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Nothing())
from tests.cli.test_every_error import quietly
ended = []
for call in json.loads(sys.argv[2]):
    try:
        ended.append([call, *quietly(*call)])
    except BaseException as error:
        ended.append([call, -1, "", f"{type(error).__name__}: {error}"])
print(json.dumps(ended))
"""
BLOCKED = (
    "confluent_kafka,redis,hiredis,psycopg,psycopg_pool,alembic,sqlalchemy,opentelemetry,ray,"
    "sklearn,xgboost,onnx,torch,stable_baselines3,gymnasium"
)


def test_a_missing_extra_is_named_and_never_waited_for(given, tmp_path: Path) -> None:
    kafka, streams, database = (tmp_path / name for name in ("kafka.yaml", "streams.yaml", "database.yaml"))
    journal, features = "postgresql://127.0.0.1:1/x", "redis://127.0.0.1:1/0"
    topics = "events: 'kafka://127.0.0.1:1/e', decisions: 'kafka://127.0.0.1:1/d'"
    keys = "events: 'redis-stream://127.0.0.1:1/0/e', decisions: 'redis-stream://127.0.0.1:1/0/d'"
    kafka.write_text(f"servers: {{{topics}, journal: '{journal}', features: '{features}'}}\n")
    streams.write_text(f"servers: {{{keys}}}\n")
    database.write_text(f"servers: {{journal: '{journal}'}}\n")
    new = str(tmp_path / "new")
    calls = {
        "postgres": [
            ["export", "--out", new, "--config", str(database)],
            ["explain", "1", "--config", str(database), "--app", "access"],
            ["audit", "follow", "--config", str(database), "--out", new, "--once"],
            ["audit", "verify", given["trail"], "--config", str(database)],
            ["keys", "list", "--config", str(database)],
            ["keys", "create", "one", "--config", str(database)],
            ["worker", "access", "--config", str(kafka)],
            ["doctor", "access", "--config", str(database)],
        ],
        "redis": [
            ["doctor", "access", "--config", str(streams)],
        ],
        "kafka": [["doctor", "access", "--config", str(kafka)]],
        "scale": [["train", "access", given["events"], "--out", new, "--until", UNTIL, "--processes", "2"]],
        "train": [["demo", "--train", "--days", "1", "--customers", "100"]],
    }
    asked = [(extra, call) for extra, several in calls.items() for call in several]
    arguments = [sys.executable, "-c", WITHOUT, BLOCKED, json.dumps([call for _, call in asked])]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=120)
    assert done.returncode == 0, done.stderr
    wrongly = [
        (extra, call, code, err)
        for (extra, _), (call, code, out, err) in zip(asked, json.loads(done.stdout), strict=True)
        if code != 1 or f"pip install 'homeostat[{extra}]'" not in " ".join((out + err).split())
    ]
    assert wrongly == []


@pytest.mark.parametrize(("target", "code"), [("/dev/full", 1), ("closed", 0)])
def test_output_that_nobody_reads_or_that_can_not_be_written_ends_quietly(given, target: str, code: int) -> None:
    calls = [["schema"], ["audit", "verify", given["trail"]], ["--help"]]
    for call in calls:
        if target == "closed":
            process = subprocess.Popen(
                [sys.executable, "-m", "homeostat", *call], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            err = process.stderr.read().decode()
            process.stderr.close()
            process.wait()
        else:
            with open(target, "wb") as full:
                process = subprocess.Popen(
                    [sys.executable, "-m", "homeostat", *call], stdout=full, stderr=subprocess.PIPE
                )
                err = process.communicate()[1].decode()
        assert (call, process.returncode) == (call, code), err
        assert "Traceback" not in err and "Exception ignored" not in err and (target == "closed" or "homeostat:" in err)
