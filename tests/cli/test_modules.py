"""Which packages each command imports: a command starts as slowly as the greatest of them."""

import json
import signal
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.config.load import load_app
from homeostat.engine.assembly import shipped_bundle
from homeostat.models.bundle import load_bundle
from homeostat.models.deployments import deployed_at, promote
from homeostat.models.lineage import lineage_of

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

PARSER = {"attr", "attrs", "cyclopts", "rich", "docstring_parser"}
SCHEMA = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection", "yaml"}
ARRAYS = {"cython_runtime", "msgspec", "numpy"}
COLUMNS = {"cloudpickle", "pyarrow"}  # pyarrow looks for cloudpickle.
DECIDING = {"llvmlite", "numba", "onnxruntime", "scipy"}  # Numba looks at the version of SciPy, and loads no part.
SERVING = {
    "annotated_doc", "anyio", "click", "fastapi", "httptools", "idna", "opentelemetry", "prometheus_client",
    "python_multipart", "sniffio", "starlette", "uvicorn", "uvloop",
}  # FastAPI and anyio import opentelemetry, python_multipart and sniffio where these are installed.  # fmt: skip
CODE = """
import json, sys
from homeostat.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit:
    pass
tops = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
named = sorted(name for name in tops if not name.startswith("_"))
compiling = {"numba.np.arraymath", "numba.np.arrayobj", "numba.cpython.unicode", "scipy.linalg"}
print(json.dumps([named, sorted(compiling & set(sys.modules))]), file=sys.stderr)
"""


READING = """
import json, sys
from pathlib import Path
from homeostat.adapters.disk.event_files import read_events
from homeostat.decide.intake.schema import EntityColumn, EventSchema, FieldColumn
from homeostat.records.identity import Coding
kinds = {"amount": "number", "ok": "boolean", "of": "category"}
fields = tuple(FieldColumn(name, (name,), kind) for name, kind in kinds.items())
schema = EventSchema(Coding.of_seed(0), ("id",), ("time",), (EntityColumn("who", ("who",)),), fields)
chunks = list(read_events(Path(sys.argv[1]), schema, 2 * 10**18))
read, refused = sum(len(events) for events, _ in chunks), sum(len(letters) for _, letters in chunks)
print(json.dumps([read, refused, "pandas" in sys.modules]))
"""


def modules_of(*arguments):
    """The packages that a command imports, and those parts of them that only compiling needs."""
    call = [sys.executable, "-c", CODE, json.dumps(arguments)]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if " decides at " in line:
                process.send_signal(signal.SIGTERM)
    packages, parts = json.loads(lines[-1])
    return set(packages) - {"homeostat"}, set(parts)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["init", "my.yaml"], PARSER),
        (["schema"], PARSER | SCHEMA | {"cython_runtime"}),
        (["doctor"], PARSER | SCHEMA | ARRAYS),
        (["models", "list", "--data", ".", "--json"], PARSER | ARRAYS),
        (["models", "at", "2026-01-01", "--data", ".", "--json"], PARSER | ARRAYS),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_command_imports_only_what_it_uses(arguments, allowed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packages, parts = modules_of(*arguments)
    assert packages <= allowed
    assert not parts


def test_a_rollback_waits_for_no_arrays_and_no_schema(tmp_path):
    shipped = shipped_bundle(load_app("payments"))
    with closing(SqliteRegistry(tmp_path)) as registry, closing(SqliteSettings(tmp_path)) as settings:
        one = registry.put(shipped, lineage_of(load_bundle(shipped), "ann", "a test"))
        promote(settings, registry, one.version, "ann", "a test")
        packages, _ = modules_of("models", "rollback", "--yes", "--data", str(tmp_path), "--json")
        assert deployed_at(settings, time.time_ns()).version is None
    assert packages <= PARSER


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_reading_texts_imports_no_pandas(form, tmp_path):
    texts = {"id": ["a", "8"], "time": ["2026-02-01T00:00:00Z"] * 2, "who": ["c", "7"], "of": ["e", ""]}
    amount, ok = ([1.0, None], [True, False]) if form != "csv" else (["1", "+2.5"], ["True", "0"])
    table = pa.table({**texts, "amount": amount, "ok": ok})
    path = tmp_path / f"events.{form}"
    if form == "csv":
        pa_csv.write_csv(table, path)
    elif form == "parquet":
        pq.write_table(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    done = subprocess.run([sys.executable, "-c", READING, str(path)], capture_output=True, text=True, check=True)
    read, refused, imported = json.loads(done.stdout)
    assert read >= 1 and read + refused == 2
    assert not imported


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """A replay of 40 payments, whose kernels are in the cache from now on."""
    folder = tmp_path_factory.mktemp("replayed")
    ids = np.arange(40)
    moments = pa.array(1_769_774_400_000_000 + ids * 1_000_000, pa.timestamp("us", "UTC"))
    events = {"event_id": ids, "time": moments, "customer": ids % 7, "terminal": ids % 5, "amount": ids + 0.5}
    pq.write_table(pa.table(events), folder / "events.parquet")
    modules_of("replay", "payments", str(folder / "events.parquet"), "--out", str(folder / "out"))
    return folder


def test_a_replay_with_compiled_kernels_imports_only_what_deciding_needs(replayed, tmp_path):
    packages, parts = modules_of("replay", "payments", str(replayed / "events.parquet"), "--out", str(tmp_path / "out"))
    assert packages <= PARSER | SCHEMA | ARRAYS | COLUMNS | DECIDING
    assert not parts


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["audit", "verify", "{out}/audit.jsonl"], ARRAYS | COLUMNS),
        (["explain", "7", "--out", "{out}"], ARRAYS | COLUMNS | DECIDING),
        (["export", "--data", "{out}", "--out", "exported"], ARRAYS | COLUMNS | DECIDING),
        (["doctor", "payments"], ARRAYS | DECIDING | COLUMNS),
        (["compare", "values.csv"], ARRAYS | COLUMNS | DECIDING - {"onnxruntime"}),
        (["serve", "payments", "--port", "0", "--data", "served"], ARRAYS | COLUMNS | DECIDING | SERVING),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_a_command_on_data_imports_only_what_it_uses(arguments, allowed, replayed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "values.csv").write_text("arm,value\n" + "control,1\ntreatment,0\n" * 50)
    call = [argument.replace("{out}", str(replayed / "out")) for argument in arguments]
    modules_of(*call)  # Compiles what is not yet in the cache.
    packages, parts = modules_of(*call)
    assert packages <= PARSER | SCHEMA | allowed
    assert not parts
