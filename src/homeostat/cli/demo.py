"""`homeostat demo`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from json import dumps
from pathlib import Path
from shutil import move
from subprocess import DEVNULL, Popen, TimeoutExpired
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from homeostat.adapters.process.compiling import said
from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.progress import Progress, say, shown

if TYPE_CHECKING:
    from homeostat.jobs.demo.demo import Demo
    from homeostat.models.bundle import Bundle

_TITLE = "simulated payments"
_CUSTOMERS = 2_000
_WARM_S = 6.0  # Filling the first windows takes longer only where they are compiled meanwhile.
_WAIT_S_MAX = 30.0
_LOOKS_A_SECOND = 4  # Of the live view: drawing takes time from deciding.


def demo(
    app: Literal["payments", "infra"] = "payments",
    /,
    *,
    seed: Annotated[int, Parameter(help="Of the simulated world; same seed, same money.")] = 1,
    days: Annotated[int | None, Parameter(help="How many days are decided: 28, or 6 of faults, when absent.")] = None,
    customers: Annotated[int, Parameter(help="How many people pay.")] = _CUSTOMERS,
    train: Annotated[bool, Parameter("--train", negative="", help="Train afresh first.")] = False,
    faults: Annotated[bool, Parameter("--faults", negative="", help="Let parts fail, and loop 2 mend them.")] = False,
    out: Annotated[Path | None, Parameter(help="With --faults: the folder of a page with plots.")] = None,
    json: Json = False,
) -> None:
    """Decide on simulated card payments, or watch simulated machines, live in the terminal.

    `demo infra` watches twelve hosts for a day with four faults: when each was found, in which metric, and which
    service began it.

    In `demo payments`, the same payments are protected in four ways side by side: not at all, by scoring rules, by the
    trained models, and by the models with a bandit that learns from outcomes as they arrive. Nothing is downloaded. The
    last demo's journal stays in the user's cache folder, so that `homeostat explain` finds its payments.

    With --faults, parts of it fail one after the other. The same payments are decided without a fault, under the
    faults, and under the faults with the second loop, which finds, mends and proves. --days 30 has six faults.

    Parameters
    ----------
    app
        payments or infra.
    """
    begun = perf_counter()
    if app == "infra":
        _infra(seed, json, (days, out) == (None, None) and not (faults or train) and customers == _CUSTOMERS)
        return
    if faults:
        _faults(seed, days, customers, train, out, json)
        return
    if out is not None:
        raise CommandError("--out goes with --faults")
    days = 28 if days is None else days
    if seed < 0 or not 1 <= days <= 366 or not 100 <= customers <= 100_000:
        raise CommandError("--seed is at least 0, --days from 1 to 366, --customers from 100 to 100000")
    from homeostat.jobs.demo.demo import LEARNING, Demo, Plan, app_text
    from homeostat.jobs.demo.summary import summary

    bundle = _trained() if train else None
    plan = Plan(seed=seed, days=days, customers=customers)
    with TemporaryDirectory(prefix="homeostat-demo-") as folder:
        with Demo(plan, Path(folder), bundle) as running:
            with _announced("starting") as progress, _warming() as warmed:
                running.open(progress, warmed)
            opened = perf_counter()
            _watch(running, begun)
            ran = perf_counter()
            found = summary(running, {"start": opened - begun, "run": ran - opened, "total": perf_counter() - begun})
        found["machine"]["kept"] = _kept(running.journal_of(LEARNING), app_text())
    if json:
        print(dumps(found))
        return
    _print_end(found)


def _infra(seed: int, json: bool, alone: bool) -> None:
    from homeostat.cli.demo_infra import infra

    if not alone or seed < 0:
        raise CommandError("demo infra takes --seed, at least 0, and --json; the other options go with demo payments")
    infra(seed, json, _announced)


def _faults(seed: int, days: int | None, customers: int, train: bool, out: Path | None, json: bool) -> None:
    from homeostat.cli.demo_faults import faults, plan_of

    if seed < 0 or (days is not None and not 4 <= days <= 120):
        raise CommandError("with --faults, --seed is at least 0, and --days from 4 to 120")
    if train or customers != _CUSTOMERS:
        raise CommandError("--train and --customers do not go with --faults")
    faults(plan_of(seed, days), out, json, _announced)


def _trained() -> Bundle:
    """A bundle made here and now, by the shipped one's recipe. Raises MissingExtra without the extra."""
    from homeostat.engine.assembly import fitting_bundle, prepare
    from homeostat.jobs.bundling import make_bundle
    from homeostat.jobs.simulated import Recipe
    from homeostat.models.bundle import save_bundle
    from homeostat.models.training.extras import library

    for module in ("sklearn", "xgboost", "torch", "onnx", "stable_baselines3", "gymnasium"):
        library(module)
    prepared = prepare("payments")
    with _announced("training") as progress:
        bundle = make_bundle(prepared, Recipe(), progress)
    with TemporaryDirectory(prefix="homeostat-bundle-") as folder:  # These models have been through a bundle's checks.
        save_bundle(bundle, Path(folder) / "bundle")
        return fitting_bundle(Path(folder) / "bundle", prepared)


def _kept(journal: Path, app: str) -> str | None:
    """Where the journal and the app's file are from now on, in place of the last demo's; None if that fails."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "homeostat" / "demo"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in folder.glob("journal.db*"):
            stale.unlink()
        move(journal, folder / "journal.db")
        (folder / "app.yaml").write_text(app, encoding="utf-8")
    except OSError:
        return None
    return str(folder)


@contextmanager
def _warming() -> Iterator[Callable[[], None]]:
    """Compile in a second process what follows the windows, while this one compiles those.

    Gives what is to be called when the windows are filled: it waits for the other process, unless that went so quickly
    that everything must have been compiled already.
    """
    begun = perf_counter()
    command = [sys.executable, "-m", "homeostat.jobs.demo.warming"]
    with Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as process:  # noqa: S603 - our own module.

        def wait() -> None:
            if perf_counter() - begun > _WARM_S:
                with suppress(TimeoutExpired):
                    process.wait(_WAIT_S_MAX)

        try:
            yield wait
        finally:
            process.kill()  # It changes nothing but how long this takes.


@contextmanager
def _announced(title: str) -> Iterator[Progress]:
    """A bar at a terminal, a line for each new thing elsewhere."""
    if sys.stderr.isatty():
        with shown(title) as progress:
            yield progress
        return
    last = ""

    def tell(what: str, share: float) -> None:
        nonlocal last
        if what != last:
            print(f"{share:4.0%} {what}", file=sys.stderr, flush=True)
        last = what

    with said(say):
        yield tell


def _watch(running: Demo, begun: float) -> None:
    """Run to the end, looking on."""
    if sys.stderr.isatty():
        _watch_live(running, begun)
        return
    from homeostat.jobs.demo.demo import LEARNING, NOTHING

    day = 0
    for _ in running.run():
        if int(running.day) >= day + 7 or running.day == running.plan.days:
            day = int(running.day)
            saved = running.arms[NOTHING].cost - running.arms[LEARNING].cost
            print(
                f"day {day} of {running.plan.days}: {running.arms[LEARNING].events:,} payments decided, "
                f"{saved:,.0f} {running.prepared.app.currency} saved against no protection",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def _watch_live(running: Demo, begun: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from homeostat.cli.demo_view import WIDTH_MAX, screen
    from homeostat.jobs.demo.summary import snapshot

    console = Console(stderr=True)
    console.width = min(console.width, WIDTH_MAX)
    title, looked = f"{_TITLE}, seed {running.plan.seed}", 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for share in running.run():
            now = perf_counter()
            if now - looked >= 1 / _LOOKS_A_SECOND or share == 1.0:
                live.update(screen(snapshot(running), share, now - begun, title), refresh=True)
                looked = perf_counter()


def _print_end(found: dict[str, Any]) -> None:
    from rich.console import Console

    from homeostat.cli.demo_end import end
    from homeostat.cli.demo_view import WIDTH_MAX

    console = Console(file=sys.stdout)
    console.width = min(console.width, WIDTH_MAX)
    console.print(end(found))
