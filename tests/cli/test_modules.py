"""Which packages each command imports: a command starts as slowly as the greatest of them."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

PARSER = {"attr", "attrs", "cyclopts", "rich", "docstring_parser"}
SCHEMA = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection", "yaml"}
ARRAYS = {"cython_runtime", "msgspec", "numpy"}
COLUMNS = {"cloudpickle", "pyarrow"}  # pyarrow looks for cloudpickle.
DECIDING = {"llvmlite", "numba", "onnxruntime", "scipy"}  # Numba looks at the version of SciPy, and loads no part.
CODE = """
import json, sys
from homeostat.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit:
    pass
tops = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
named = sorted(name for name in tops if not name.startswith("_"))
print(json.dumps([named, sorted({"numba.np.arraymath", "scipy.linalg"} & set(sys.modules))]), file=sys.stderr)
"""


def modules_of(*arguments):
    """The packages that a command imports, and those parts of them that only compiling needs."""
    call = [sys.executable, "-c", CODE, json.dumps(arguments)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=600)
    packages, parts = json.loads(done.stderr.splitlines()[-1])
    return set(packages) - {"homeostat"}, set(parts)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["init", "my.yaml"], PARSER),
        (["schema"], PARSER | SCHEMA | {"cython_runtime"}),
        (["doctor"], PARSER | SCHEMA | ARRAYS),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_command_imports_only_what_it_uses(arguments, allowed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packages, parts = modules_of(*arguments)
    assert packages <= allowed
    assert not parts


def test_a_replay_with_compiled_kernels_imports_only_what_deciding_needs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = np.arange(40)
    moments = pa.array(1_769_774_400_000_000 + ids * 1_000_000, pa.timestamp("us", "UTC"))
    events = {"event_id": ids, "time": moments, "customer": ids % 7, "terminal": ids % 5, "amount": ids + 0.5}
    pq.write_table(pa.table(events), "events.parquet")
    replay = ["replay", "payments", "events.parquet", "--out", "out", "--json"]
    modules_of(*replay)  # Compiles what is not yet in the cache.
    packages, parts = modules_of(*replay)
    assert packages <= PARSER | SCHEMA | ARRAYS | COLUMNS | DECIDING
    assert not parts
    packages, parts = modules_of("audit", "verify", "out/audit.jsonl")
    assert packages <= PARSER | SCHEMA | ARRAYS | COLUMNS
    assert not parts
