import json
import os
import subprocess
import sys

import pytest

KERNELS = """
import numpy as np
from homeostat.records.compiled import compiled, inlined


@inlined
def squared(x):
    return x * x


@compiled
def sum_of_squares(values):
    total = 0.0
    for value in values:
        total += squared(value)
    return total


@compiled
def made(n):
    return np.full(n, 7), n  # Memory of its own, which Numba's runtime counts.


@compiled
def inverse(x):
    return 1 // x
"""
RUN = """
import json, sys
import numpy as np
import kernels
found = [kernels.sum_of_squares(np.arange(4.0)), kernels.made(2)[0].tolist()]
try:
    kernels.inverse(0)
except ZeroDivisionError as error:
    found.append(str(error))
loaded = "numba.np.arraymath" in sys.modules
found.append(kernels.sum_of_squares(np.arange(4)))  # Of integers: not in the cache.
print(json.dumps([found, loaded]))
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "kernels.py").write_text(KERNELS)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run(text):
        done = subprocess.run(
            [sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_machine_code_from_the_cache_runs_without_what_only_compiling_needs(run):
    first, _ = run(RUN)
    assert first == [14.0, [7, 7], "integer division by zero", 14.0]
    warm = RUN.replace("np.arange(4))", "np.arange(4, dtype=np.int16))")
    again, loaded = run(warm)
    assert again == first
    assert not loaded


def test_a_signature_refuses_all_other_types(run):
    text = """
import json
from numba import types
from homeostat.records.compiled import compiled_with
import kernels
fixed = compiled_with(kernels.sum_of_squares.py_func, types.float64(types.float64[::1]))
try:
    fixed("four")
except TypeError as error:
    print(json.dumps(str(error)))
"""
    assert "No matching definition" in run(text)
