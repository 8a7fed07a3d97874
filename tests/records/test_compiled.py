import json
import os
import pickle
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long  # Numba's first compiling takes seconds.

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


@compiled
def positive(x):
    if x < 0:
        raise ValueError("a number is negative", 7)
    return x
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
try:
    kernels.positive(-1)
except ValueError as error:
    found.append(error.args)
loaded = [name for name in ("numba.np.arraymath", "numba.np.arrayobj", "numba.cpython.unicode") if name in sys.modules]
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

    run.folder = tmp_path
    return run


def test_machine_code_from_the_cache_runs_without_what_only_compiling_needs(run):
    first, _ = run(RUN)
    assert first == [14.0, [7, 7], "integer division by zero", ["a number is negative", 7], 14.0]
    warm = RUN.replace("np.arange(4))", "np.arange(4, dtype=np.int16))")
    again, loaded = run(warm)
    assert again == first
    assert loaded == []


def test_a_kernel_is_stored_once_it_was_compiled_for_python_and_not_as_a_part(run):
    text = """
import json
import numpy as np
import kernels
from homeostat.records.compiled import is_stored
of = [kernels.sum_of_squares, kernels.squared]
before = list(map(is_stored, of))
kernels.sum_of_squares(np.arange(4.0))
print(json.dumps([before, list(map(is_stored, of)), is_stored(len)]))
"""
    assert run(text) == [[False, False], [True, False], True]
    assert run(text) == [[True, False], [True, False], True]


def test_the_collector_works_as_before_once_a_kernel_is_compiled(run):
    text = """
import gc, json
import numpy as np
import kernels
before = gc.get_threshold()
kernels.sum_of_squares(np.arange(4.0))
print(json.dumps(before == gc.get_threshold()))
"""
    assert run(text)


def test_a_function_from_the_cache_is_compiled_into_a_new_caller(run):
    assert run(RUN)[0][0] == 14.0
    text = """
import json
import numpy as np
from numba import njit
import kernels
loaded = kernels.sum_of_squares(np.arange(4.0))

@njit
def twice(values):
    return kernels.sum_of_squares(values) * 2.0

print(json.dumps([loaded, twice(np.arange(4.0)), sum(kernels.sum_of_squares.stats.cache_hits.values())]))
"""
    assert run(text) == [14.0, 28.0, 1]


def test_files_that_two_processes_gave_one_name_are_never_taken_for_each_other(run):
    text = """
import json
import numpy as np
import kernels
found = [kernels.sum_of_squares(np.arange(4.0)), kernels.sum_of_squares(np.arange(4, dtype=np.int32))]
print(json.dumps([found, sum(kernels.sum_of_squares.stats.cache_hits.values())]))
"""
    assert run(text) == [[14.0, 14.0], 0]
    one, other = sorted(run.folder.glob("cache/**/kernels.sum_of_squares*.nbc"))
    bytes_ = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(bytes_)
    assert run(text) == [[14.0, 14.0], 0]
    assert run(text) == [[14.0, 14.0], 2]


def test_a_part_of_a_function_has_machine_code_of_its_own_when_python_calls_it(run):
    text = """
import json
import numpy as np
import kernels
found = [kernels.sum_of_squares(np.arange(4.0)), kernels.squared(3.0), kernels.sum_of_squares(np.arange(3.0))]
print(json.dumps([found, sum(kernels.squared.stats.cache_hits.values())]))
"""
    assert run(text) == [[14.0, 9.0, 5.0], 0]
    assert run(text) == [[14.0, 9.0, 5.0], 1]


def test_a_part_that_another_process_compiled_is_not_compiled_again(run):
    assert run(RUN)[0][0] == 14.0
    text = """
import json
import numpy as np
import kernels
from homeostat.records.compiled import compiled

@compiled
def fourth(x):
    return kernels.squared(kernels.squared(x))

print(json.dumps([fourth(2.0), *map(sum, (s.values() for s in kernels.squared.stats[1:]))]))
"""
    (run.folder / "more.py").write_text(text)
    assert run("import more") == [16.0, 1, 0]


def test_a_function_of_one_signature_is_compiled_at_its_first_call_and_takes_no_other_types(run):
    text = """
import json
import numpy as np
from numba import types
from homeostat.records.compiled import compiled_with

def _total(values, sums):
    for value in values:
        sums[0] += value

def attempt(*given):
    try:
        total(*given)
    except TypeError as error:
        return str(error)

total = compiled_with(_total, types.void(types.float64[::1], types.float64[::1]))
found, sums = [len(total.overloads)], np.zeros(1)
found += [attempt(np.arange(3), sums), attempt(np.arange(3.0), sums), attempt(np.arange(3), sums), sums[0]]
print(json.dumps([*found, len(total.overloads)]))
"""
    (run.folder / "more.py").write_text(text)
    for _ in range(2):
        before, first, fits, later, total, after = run("import more")
        assert (before, fits, total, after) == (0, None, 3.0, 1)
        assert "No matching definition" in first
        assert "No matching definition" in later


def test_a_part_that_raises_says_what(run):
    text = """
import json
import kernels
from homeostat.records.compiled import compiled

@compiled
def checked(x):
    return kernels.positive(x) + 1

try:
    checked(-1)
except ValueError as error:
    print(json.dumps(error.args))
"""
    (run.folder / "more.py").write_text(text)
    assert run("import more") == ["a number is negative", 7]
    assert run("import more") == ["a number is negative", 7]


def _damage(file, kind):
    data = file.read_bytes()
    head = pickle.dumps(pickle.loads(data)) if file.suffix == ".nbi" else b""
    found = {"empty": b"", "cut": data[:-9], "gone": head + b"cjson\nNoSuchClass\n.", "other": head + b"I7\n."}
    file.write_bytes(found[kind])


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_a_cache_that_cannot_be_read_is_written_again(run, tmp_path, suffix):
    """As a crash or another version leaves it, whose names are gone from the modules."""
    damages = {"squared": "empty", "inverse": "cut", "positive": "gone", "sum_of_squares": "other"}
    text = """
import json
import numpy as np
import kernels
found = kernels.squared(3), kernels.inverse(1), kernels.positive(7), kernels.sum_of_squares(np.arange(2))
functions = kernels.squared, kernels.inverse, kernels.positive, kernels.sum_of_squares
print(json.dumps([*found, sum(sum(one.stats.cache_hits.values()) for one in functions)]))
"""
    assert run(text) == [9, 1, 7, 1, 0]
    for name, kind in damages.items():
        (file,) = (tmp_path / "cache").rglob(f"kernels.{name}-*.{suffix}")
        _damage(file, kind)
    assert run(text) == [9, 1, 7, 1, 0]
    assert run(text) == [9, 1, 7, 1, 4]


def test_a_function_is_compiled_where_its_machine_code_cannot_be_kept(run):
    text = """
import json, resource
import kernels
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # As on a full disk.
kept = kernels.positive(7)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))  # For what is printed.
print(json.dumps(kept))
"""
    assert run(text) == 7


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
