"""`homeostat init`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError


def init(
    path: Path = Path("app.yaml"),
    /,
    *,
    from_: Annotated[Path | None, Parameter(name="--from", help="Draft it from the columns of these events.")] = None,
    outcomes: Annotated[Path | None, Parameter(help="Take from this file how late outcomes come; with --from.")] = None,
    force: bool = False,
) -> None:
    """Write a commented starter app file that loads and runs as it is.

    Parameters
    ----------
    path
        Where to write it.
    force
        Write over a file that is there.
    """
    if path.exists() and not force:
        raise CommandError(f"{path} exists: choose another name, or say --force to write over it")
    if outcomes is not None and from_ is None:
        raise CommandError("--outcomes goes with --from: an app is drafted from events, and outcomes are held to them")
    text, after = _content(path, from_, outcomes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}; next: {after}", file=sys.stderr)


def _content(path: Path, events: Path | None, outcomes: Path | None) -> tuple[str, str]:
    """The text to write, and the command to run next."""
    if events is None:
        from homeostat.config.starter import starter

        return starter(), f"homeostat doctor {path}"
    from homeostat.cli.tables import profile_table
    from homeostat.jobs.drafting import draft

    drafted = draft(events, app_name(path), outcomes)
    profile_table(drafted.columns, sys.stderr)
    if not drafted.labelled:
        print(
            "no column says how an event turned out, and models learn from that: name a file of event_id, label (1 or "
            "0) and time with --outcomes FILE, here and at replay and train",
            file=sys.stderr,
        )
    more = "" if outcomes is None else f" --outcomes {outcomes}"
    return drafted.text, f"read {path} through, then homeostat replay {path} {events}{more} --out out"


def app_name(path: Path) -> str:
    """The name of an app after that of its file.

    >>> app_name(Path("Web Shop.yaml"))
    'web_shop'
    """
    name = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    return name if name and name[0].isalpha() else f"app_{name}".rstrip("_")
