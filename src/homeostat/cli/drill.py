"""`homeostat drill`."""

from __future__ import annotations

import os
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.journals import journal_in
from homeostat.cli.options import Bundle, Json
from homeostat.cli.progress import say, shown


def drill(
    app: str = "payments",
    /,
    *,
    out: Annotated[Path, Parameter(help="The folder for runs, summary and report.")],
    scenarios: Annotated[str, Parameter(help="Such as S00,S12; all when absent.")] = "",
    seeds: Annotated[str, Parameter(help="Such as 100-119, or 3,5,8.")] = "100-119",
    days: Annotated[int, Parameter(help="How long a run is, after four quiet weeks.")] = 30,
    jobs: Annotated[int | None, Parameter(help="Processes at once; one a core when absent.")] = None,
    half: Annotated[Literal["detect", "whole"], Parameter(help="detect: see it. whole: act on it, too.")] = "detect",
    journal: Annotated[Path | None, Parameter(help="A data folder: its record, decided by its champion.")] = None,
    bundle: Bundle = None,
    baselines: Annotated[bool, Parameter(help="Usual detectors and answers on the same runs.", negative="")] = False,
    models: Annotated[bool, Parameter(help="With --half whole: ask maintain.models, too.", negative="")] = False,
    json: Json = False,
) -> None:
    """Inject known trouble into an app's simulated traffic, and measure what is noticed, when, and what is named.

    Parameters
    ----------
    app
        payments, access, infra, or the path of an app file.
    """
    from homeostat.jobs.drill.drilling import DrillRequest, drill_runs
    from homeostat.jobs.drill.running import SeedTask
    from homeostat.sim.faults.suite import SUITE

    chosen = tuple(dict.fromkeys(one.strip().upper() for one in scenarios.split(",") if one.strip())) or tuple(SUITE)
    unknown = [one for one in chosen if one not in SUITE]
    if unknown:
        raise CommandError(f"there is no scenario {unknown[0]}: they are S00 to S29")
    if not 4 <= days <= 366:
        raise CommandError("--days is from 4 to 366")
    if jobs is not None and jobs < 1:
        raise CommandError("--jobs is at least 1")
    if models and half != "whole":
        raise CommandError("language models are asked about what is acted on: --models goes with --half whole")
    if journal is not None:
        journal_in(journal).close()
    if out.exists() and not out.is_dir():
        raise CommandError(f"--out {out} must be a folder, but it is a file: give another path")
    like = SeedTask(
        app, 0, (), days, baselines=baselines, journal=None if journal is None else str(journal),
        whole=half == "whole", bundle=None if bundle is None else str(bundle), models=models,
    )  # fmt: skip
    request = DrillRequest(like, chosen, _seeds(seeds), jobs or os.cpu_count() or 1, out)
    if not sys.stderr.isatty():
        runs, processes = len(request.scenarios) * len(request.seeds), request.jobs
        say(f"drilling: {runs:,} runs on {processes} processes; each takes some ten seconds of processor time")
    with shown("drilling") as progress:
        found = drill_runs(request, progress)
    if json:
        print(dumps(found))
        return
    _print(found)
    if "whole" in found:
        _print_whole(found["whole"])
    print(f"report: {out / 'report.html'}", file=sys.stderr)


def _seeds(text: str) -> tuple[int, ...]:
    """Seeds of such a text. Raises CommandError."""
    from homeostat.jobs.drill.running import seeds_of

    try:
        return seeds_of(text)
    except ValueError as error:
        raise CommandError(f"--seeds {text!r} names no seeds: write 100-119, or 3,5,8") from error


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "runs", "detected", "median delay", "true node in 3", "false in 30 days", box=None)
    rows = [(f"{name} {one['title']}", one) for name, one in found["scenarios"].items()]
    rows += [(f"severity {level}", one) for level, one in found["severities"].items() if one["runs"]]
    rows += [(name, found[key]) for key, name in (("held_out", "held out"), ("overall", "overall")) if key in found]
    rows += [(name, one) for name, one in found.get("baselines", {}).items()]
    for name, one in rows:
        table.add_row(
            name, str(one["runs"]), _share(one.get("detected")), _hours(one.get("median_delay_minutes")),
            _share(one.get("top3")), _count(one.get("false_alarms_per_30d")),
        )  # fmt: skip
    Console(file=sys.stdout, soft_wrap=True).print(table)


def _print_whole(found: dict[str, Any]) -> None:
    """The answers: the figures of each scenario, then of others' answers."""
    from rich.console import Console
    from rich.table import Table

    names = ("right", "harmful", "cause_first", "cause_in_three", "grounded", "handled_alone", "regret")
    table = Table("", "runs", *(name.replace("_", " ") for name in names), box=None)
    rows = [*found["scenarios"].items(), ("held out", found["held_out"]), ("overall", found["overall"])]
    for name, one in rows:
        if one["runs"]:
            table.add_row(name, str(one["runs"]), *(_plain(one.get(key)) for key in names))
    for name, regret in found.get("regret_of_others", {}).items():
        table.add_row(name.replace("_", " "), "", *[""] * (len(names) - 1), "-" if regret is None else f"{regret:.2f}")
    Console(file=sys.stdout, soft_wrap=True).print(table)
    overall = found["overall"]
    if overall["runs"]:
        count = overall["unauthorised"]["value"]
        minutes = overall.get("recovered_minutes")
        after = "" if not minutes else f", recovered {minutes['value']:.0f} minutes after detection (median)"
        print(f"unauthorised actions, counted from outside: {count:.0f}{after}")


def _plain(found: dict[str, float] | None) -> str:
    return "-" if not found else f"{found['value']:.2f}"


def _share(found: dict[str, float] | None) -> str:
    return "-" if not found else f"{found['value']:.0%}"


def _hours(found: dict[str, float] | None) -> str:
    return "-" if not found else f"{found['value'] / 60:.1f} h"


def _count(found: dict[str, float] | None) -> str:
    return "-" if not found else f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
