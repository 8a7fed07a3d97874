"""The tree of errors is whole: each has its place, its reason, its remedy and its line in docs/errors.md."""

from __future__ import annotations

import ast
import builtins
import importlib
import pickle
import re
import tomllib
from pathlib import Path

import pytest

import homeostat
from homeostat.config import backends
from homeostat.errors import HomeostatError, MissingExtra, missing, needs, present

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "homeostat"
OTHERS = {
    "Alarm",
    "AsyncEngine",
    "Decision",
    "Detector",
    "Problem",
    "Receipt",
    "SelfHealing",
    "SeriesDetector",
    "SeriesScores",
}
OTHERS |= {"compare", "detect", "load", "monitor"}
NAMED = sorted(set(homeostat.__all__) - OTHERS)

# These never reach a caller: what raises them and what catches them belong to the same part.
INTERNAL = {
    "adapters/announce/message.py": {"Refused"},  # The delivery is given up, and says why.
    "decide/aside.py": {"Ended"},
    "decide/intake/border.py": {"Broken"},  # A bad event goes to the dead letters.
    "decide/intake/values.py": {"Fault"},
    "decide/panel.py": {"_TooLate"},
    "engine/recovery.py": {"_Unfit"},
    "adapters/machine/stress.py": {"BadLoad"},  # It becomes an HTTP answer.
    "adapters/redis/wire.py": {"NodeGone"},  # Asked again at another node.
    "adapters/redis/processes.py": {"Restarted"},  # The feature store's rows may be lost: LogsLost.
    "serve/requests.py": {"BodyTooLarge", "Gone"},  # These become HTTP answers.
    "serve/bodies.py": {"NotJson"},
    "jobs/maintaining/responding.py": {"LeaseLost"},  # The loop lets go, and waits for the lease again.
    "serve/effects.py": {"Busy"},
    "serve/assistants/desk.py": {"Declined"},  # It becomes a tool's error.
    "adapters/process/beside.py": {"CommandFailed"},  # A preview says why it has no effect.
    "serve/inflating.py": {"NotGzip", "TooLarge"},
    "serve/protocol.py": {"_Refused"},
    "serve/routes/resources.py": {"Refused"},
    "adapters/metrics/mapping.py": {"Unusable"},  # It becomes a dead letter.
    "adapters/otlp/metrics.py": {"NotMetrics"},  # A body that can't be read: the routes answer it.
    "adapters/prometheus/remote_write.py": {"NotRemoteWrite"},
    "checks/servers/machine.py": {"CantBeHad"},  # Servers of tests.
    "checks/servers/server.py": {"StartFailed"},
}


def exceptions() -> dict[str, set[str]]:
    """By file, the classes that are exceptions by the names of their bases."""
    found: dict[str, set[str]] = {}
    built_in = {name for name, value in vars(builtins).items() if isinstance(value, type)}
    known = {name for name in built_in if issubclass(getattr(builtins, name), BaseException)} | set(NAMED)
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id in known for b in node.bases):
                found.setdefault(path.relative_to(SOURCE).as_posix(), set()).add(node.name)
    return found


@pytest.mark.long
def test_every_exception_is_in_the_tree_or_never_leaves_its_part() -> None:
    found = exceptions()
    public = {name: path for path, names in found.items() for name in names if name not in INTERNAL.get(path, set())}
    assert set(public) == set(NAMED)
    for path, names in INTERNAL.items():
        assert names <= found[path], path
    for name, path in public.items():
        home = importlib.import_module(
            "homeostat." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        )
        assert getattr(homeostat, name) is getattr(home, name)


@pytest.mark.parametrize("name", NAMED)
def test_every_error_has_a_reason_a_remedy_and_its_line_in_the_docs(name: str) -> None:
    error = getattr(homeostat, name)
    assert issubclass(error, HomeostatError) and error.why and error.remedy and error.__doc__
    if error.__bases__ != (Exception,) and "why" not in vars(error):
        assert issubclass(error, (homeostat.PluginError, homeostat.PartError, homeostat.Unavailable))
    assert line(error) in (ROOT / "docs" / "errors.md").read_text("utf-8").splitlines()


def line(error: type[HomeostatError]) -> str:
    """The row of an error in docs/errors.md."""
    bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
    about = " ".join((error.__doc__ or "").strip().partition("\n\n")[0].split())
    return f"| `{error.__name__}` | {bases} | {about} | {error.why} | {error.remedy} |"


def test_names_and_bases_of_earlier_versions_hold() -> None:
    from homeostat.adapters.redis.features import RedisMissing
    from homeostat.engine.isolating import UnusableEvent
    from homeostat.models.bundle import BundleError
    from homeostat.models.training.extras import TrainingUnavailable
    from homeostat.ports import Unavailable

    assert issubclass(RedisMissing, ImportError) and issubclass(TrainingUnavailable, ImportError)
    assert issubclass(BundleError, ValueError) and issubclass(UnusableEvent, ValueError)
    assert Unavailable is homeostat.Unavailable and not issubclass(MissingExtra, Unavailable)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        homeostat.Nothing


def test_an_error_says_what_why_and_what_to_do_and_crosses_processes() -> None:
    error = homeostat.JournalError("the journal is cut off", why="the disk was full", remedy="restore a backup")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "the journal is cut off: the disk was full; restore a backup" == again.what
    assert (again.why, again.remedy) == ("the disk was full", "restore a backup")
    assert homeostat.JournalError("x").why == homeostat.JournalError.why and str(homeostat.JournalError("x")) == "x"


def test_only_one_function_words_a_missing_extra_and_every_extra_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = set()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        if path.name != "errors.py" and "checks" not in path.parts:
            assert "pip install 'homeostat[" not in text, path
            named |= set(re.findall(r'\b(?:needs|install)\("([\w-]+)"', text))
    for table in (backends.JOURNALS, backends.KEYS, backends.JOBS, backends.FEATURES, backends.STREAMS):
        named |= {backend.extra for backend in table.values()}
    assert named >= {"train", "redis", "kafka", "postgres", "telemetry", "scale"} and named <= set(extras)


def test_a_missing_package_and_a_broken_one_are_distinguished() -> None:
    command = "pip install 'homeostat[redis]' (from a checkout: pip install '.[redis]')"
    with pytest.raises(MissingExtra) as raised:
        with needs("redis", "a thing"):
            present("json", "zzz")
    assert str(raised.value) == f"a thing needs zzz: {command}"
    assert raised.value.extra == "redis" and raised.value.name == "zzz"
    broken = missing("redis", "a thing", ImportError("no symbol", name="zzz.parts"))
    assert str(broken) == f"a thing needs zzz, which fails here (no symbol): {command}"
    with pytest.raises(MissingExtra) as inner, needs("train", "another"), needs("redis", "a thing"):
        present("zzz")
    assert inner.value.extra == "redis"
