"""The built wheel in empty environments: installed with each extra alone, and used from outside of the repository.

    python -m trials.wheel dist/homeostat-0.1.0-py3-none-any.whl --extras base kafka redis --pythons 3.11 3.12

Each environment gets the wheel and what it needs, at the versions of constraints.txt, and nothing else. The base
install and `all` play the demo; a named extra is imported by modules that need it, which can't be imported in the base.
Needs uv, and the network or a warm cache of it. Exits with 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
ALL = "train,tune,servers,telemetry,scale,mlflow,llm,mcp"
# Modules that can be imported with the extra and not without: of ours, or its own where ours import them when called.
USES = {
    "kafka": ("homeostat.adapters.kafka.stream",),
    "redis": ("redis", "hiredis"),
    "postgres": ("homeostat.adapters.postgres.journal", "alembic"),
    "servers": ("homeostat.adapters.kafka.stream", "redis", "homeostat.adapters.postgres.journal"),
    "telemetry": ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"),
    "mlflow": ("mlflow",),
    "train": ("homeostat.sim.payments.ppo_training", "sklearn", "torch", "xgboost", "onnx"),
    "tune": ("homeostat.adapters.optuna.study", "cmaes"),
    "scale": ("ray",),
    "prefect": ("homeostat.jobs.prefect_flow", "prefect"),
    "llm": ("pydantic_ai", "openai"),
    "mcp": ("mcp.server",),
}
_DEMO = ("demo", "--days", "2", "--customers", "100", "--json")


class Failed(Exception):
    """A step of a trial did not end as it has to."""


def uv() -> str:
    """The program uv: that of this environment, or the first on the path."""
    own = Path(sys.executable).with_name("uv")
    found = str(own) if own.exists() else shutil.which("uv")
    if found is None:
        raise Failed("uv is not installed: pip install uv")
    return found


def run(*command: str | Path, cwd: Path, home: Path | None = None) -> str:
    """Its standard output. Nothing of the caller's Python reaches it, and nothing of the user's cache.

    Raises Failed if it exits with anything but 0.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HOMEOSTAT"))}
    if home is not None:
        environment |= {"XDG_CACHE_HOME": str(home)}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise Failed(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{tail}")
    return done.stdout


def interpreter(text: str) -> str:
    """A path from the root, whatever folder it is used from; a version such as 3.12 as it is."""
    return str(Path(text).absolute()) if os.sep in text else text


def environment(wheel: Path, extra: str, python: str, room: Path) -> Path:
    """A new environment in `room` that holds the wheel with one extra: the folder of its programs.

    extra : the name of an extra, `base` for none, `all` for every one that users have
    """
    extras = {"base": "", "all": f"[{ALL}]"}.get(extra, f"[{extra}]")
    run(uv(), "venv", "--quiet", "--python", python, room / "env", cwd=room)
    programs = room / "env" / ("Scripts" if os.name == "nt" else "bin")
    into = ("--python", programs / "python")
    run(
        uv(), "pip", "install", "--quiet", *into, "--constraint", ROOT / "constraints.txt", f"{wheel}{extras}", cwd=room
    )  # fmt: skip
    run(uv(), "pip", "check", "--quiet", *into, cwd=room)
    return programs


def steps(wheel: Path, extra: str, programs: Path, room: Path) -> Iterator[str]:
    """Each thing that works, as it is tried. Raises Failed at the first that does not."""
    outside = room / "outside"
    outside.mkdir()
    version = run(programs / "homeostat", "--version", cwd=outside).strip()
    if version != wheel.name.split("-")[1]:
        raise Failed(f"the program calls itself {version}, the wheel is {wheel.name}")
    yield f"version {version}"
    where = Path(run(programs / "python", "-c", "import homeostat; print(homeostat.__file__)", cwd=outside).strip())
    if not where.is_relative_to(room.resolve()) or not where.with_name("py.typed").exists():
        raise Failed(
            f"homeostat was imported from {where.parent}, with py.typed: {where.with_name('py.typed').exists()}"
        )
    yield "imported from the environment, typed"
    for module in USES.get(extra, ()):
        run(programs / "python", "-c", f"import {module}", cwd=outside)
        yield f"imports {module}"
    if extra == "base":
        yield from _refused(programs, outside)
    if extra in ("base", "all"):
        yield played(run(programs / "homeostat", *_DEMO, cwd=outside, home=outside))


def _refused(programs: Path, outside: Path) -> Iterator[str]:
    """Without extras, no module that needs one can be imported, and the command names the extra."""
    for module in sorted({module for modules in USES.values() for module in modules}):
        code = f"import sys\ntry: import {module}\nexcept Exception: sys.exit()\nsys.exit(1)"
        try:
            run(programs / "python", "-c", code, cwd=outside)
        except Failed:
            raise Failed(f"{module} can be imported without any extra: it is no proof that an extra is there") from None
    yield "no extra is there"
    done = subprocess.run([programs / "homeostat", "demo", "--train"], cwd=outside, capture_output=True, text=True)
    if not done.returncode or "pip install 'homeostat[train]'" not in done.stderr or "Traceback" in done.stderr:
        raise Failed(f"without the extra, demo --train exits with {done.returncode}: {done.stderr[-500:]}")
    yield "a missing extra is named"


def played(output: str) -> str:
    """A line on the demo whose JSON this is. Raises Failed if it decided nothing or no arm has a cost."""
    try:
        found = json.loads(output)
        decided, costs = found["decisions"], found["costs"]
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"the demo printed no summary: {output[:200]!r}") from error
    if not decided or not costs or not all(cost > 0 for cost in costs.values()):
        raise Failed(f"the demo decided {decided} payments, at costs of {costs}")
    return f"demo: {decided} payments decided"


def trial(wheel: Path, extra: str, python: str) -> bool:
    """True if the wheel works with this extra on this Python. Prints each step."""
    with TemporaryDirectory(prefix="homeostat-wheel-") as folder:
        room = Path(folder)
        print(f"{extra}, Python {python}", flush=True)
        try:
            for step in steps(wheel, extra, environment(wheel, extra, python, room), room):
                print(f"  ok: {step}", flush=True)
        except Failed as failure:
            print(f"  FAILED: {failure}", flush=True)
            return False
    return True


def main() -> None:
    """Try each extra on each Python."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=lambda text: Path(text).resolve())
    parser.add_argument("--extras", nargs="+", choices=["base", *USES, "all"], default=["base"])
    parser.add_argument("--pythons", nargs="+", type=interpreter, default=[sys.executable], help="versions or paths")
    asked = parser.parse_args()
    worked = [trial(asked.wheel, extra, python) for python in asked.pythons for extra in asked.extras]
    print(f"{sum(worked)} of {len(worked)} work")
    sys.exit(not all(worked))


if __name__ == "__main__":
    main()
