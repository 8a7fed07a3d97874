"""`homeostat simulate`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.progress import shown
from homeostat.cli.sending import Sending, send

_TO_FILES = Sending()


def simulate(
    app: str,
    /,
    *,
    days: Annotated[int | None, Parameter(help="How many days to simulate.")] = None,
    out: Annotated[Path | None, Parameter(help="The folder for events and outcomes.")] = None,
    sending: Sending = _TO_FILES,
    seed: Annotated[int, Parameter(help="Same seed, same files.")] = 1,
    customers: Annotated[
        int | None, Parameter(help="How many people, entities or hosts act: 1,000, or 12 hosts, when absent.")
    ] = None,
    until: Annotated[
        str | None, Parameter(help="The last event comes in the day before this instant; `now` for a live record.")
    ] = None,
    format: Annotated[Literal["parquet", "jsonl", "csv"], Parameter(help="Of the files.")] = "parquet",
    force: Annotated[
        bool, Parameter(negative="", help="Replace files of the same names that are no such world.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the events of a simulated world, and the outcomes that became known of them later; or send events live.

    `homeostat replay APP OUT/events.parquet --outcomes OUT/outcomes.parquet --out RESULT` decides on them. With --to
    and --rate, events of now are sent to a server or a stream when they are due, whatever the answers do.

    Parameters
    ----------
    app
        payments, access or infra; with --to also any app file.
    """
    if sending.to is not None:
        if days is not None or out is not None or until is not None:
            raise CommandError("--to sends events, and --days, --out and --until are of files: give one or the other")
        send(app, sending, seed, customers, json)
        return
    if days is None or out is None:
        raise CommandError("give --days and --out for files, or --to and --rate to send events")
    if sending != _TO_FILES:
        raise CommandError("--rate, --seconds, --header and --remote go with --to")
    from homeostat.jobs.simulation import WORLDS, moved, write_world, written_by_others

    if app not in WORLDS:
        raise CommandError(f"there is no simulated world for {app!r}; there is one for {', '.join(WORLDS)}")
    customers = WORLDS[app].usual if customers is None else customers
    if seed < 0 or not 1 <= days <= 3_660 or not 1 <= customers <= 1_000_000:
        raise CommandError("--seed is at least 0, --days from 1 to 3660, --customers from 1 to 1000000")
    until_ns = None if until is None else _instant(until)
    _check_folder(out)  # Before the time that a simulation takes.
    with shown("simulating") as progress:
        world = WORLDS[app].make(days, seed, customers)
        world = world if until_ns is None else moved(world, until_ns)
        taken = None if force else written_by_others(world, out, format)
        if taken is not None:
            raise CommandError(f"{taken} is no simulated world: give another --out, or --force to replace it")
        progress("writing", 0.6)
        written = write_world(world, out, format)
    report = {"app": app, "days": days, "seed": seed, "customers": customers, "positives": world.positives, **written}
    if json:
        print(dumps(report))
        return
    _print(report)


def _instant(text: str) -> int:
    """Nanoseconds since 1970 of an instant, or of now."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.config.instants import instant_ns

    try:
        return SystemClock.now_ns() if text == "now" else instant_ns(text)
    except ValueError as error:
        raise CommandError(f"--until: {error}; or now") from error


def _check_folder(out: Path) -> None:
    """Refuse a path at which no folder can be made, because a file is there, or on the way to it."""
    taken = next((path for path in (out, *out.parents) if path.exists() or path.is_symlink()), None)
    if taken is not None and not taken.is_dir():
        raise CommandError(f"--out {out} must be a folder, but {taken} is a file: give another path, or move the file")


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "rows", "bytes", box=None)
    for name in ("events", "outcomes"):
        wrote = report[name]
        table.add_row(wrote["path"], f"{wrote['rows']:,}", f"{wrote['bytes']:,}")
    console = Console(file=sys.stdout, soft_wrap=True)
    console.print(table)
    share = report["positives"] / max(1, report["events"]["rows"])
    console.print(f"{report['positives']:,} positive outcomes ({share:.2%})")
    events, outcomes = report["events"]["path"], report["outcomes"]["path"]
    print(f"next: homeostat replay {report['app']} {events} --outcomes {outcomes} --out out", file=sys.stderr)
