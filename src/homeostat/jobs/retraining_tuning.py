"""Rounds that tune: when they are due, whether the load lets them begin, and the study that each of them leaves.

In a data folder, a study lies in `tuning/ROUND` with the events that it is about. So a tuning that was killed goes on
with its trials. On servers a study lies in a temporary folder, and a tuning that was killed begins again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from homeostat.adapters.disk.files import FOLDER_MODE
from homeostat.config.scalars import duration_text
from homeostat.config.tune import Tune
from homeostat.errors import Unavailable
from homeostat.jobs.exporting import Read, export_journal
from homeostat.jobs.retraining_record import BEGUN, Round
from homeostat.jobs.retraining_traffic import Traffic
from homeostat.jobs.retraining_triggers import Due, of_quality
from homeostat.records.times import time_text

FOLDER = "tuning"
STUDIES_MAX = 5  # The newest ones that are kept in a data folder.
QUIET = "quiet"  # The step that says at which load a tuning begins.
_EVENTS = "journal"


def tuning_due(
    tune: Tune, traffic: Traffic, rounds: Sequence[Round], since_ns: int | None, now_ns: int
) -> Iterator[Due]:
    """For each declared trigger, whether it asks for a round that tunes.

    since_ns : when a version was first deployed; None for never
    """
    last = next((one for one in rounds if one.tunes), None)
    if tune.every is not None:
        begun_ns = since_ns if last is None else last.steps[BEGUN].at_ns
        if begun_ns is None:
            yield Due("tune.every", "nothing was tuned here before", tunes=True)
        elif now_ns >= begun_ns + tune.every:
            why = f"{duration_text(tune.every)} have passed since {time_text(begun_ns)}"
            yield Due("tune.every", why, tunes=True)
        else:
            yield Due("", f"tuning is due by the calendar at {time_text(begun_ns + tune.every)}")
    if tune.when is not None:
        found = of_quality(tune.when, traffic)
        yield Due("tune.when", found.why, tunes=True) if found.trigger else found


def too_busy(one: Round, tune: Tune, load: float, now_ns: int) -> str:
    """Why a round does not begin to tune yet; empty where it does.

    load : see `adapters.process.load`
    """
    until_ns = one.steps[BEGUN].at_ns + tune.load_patience
    if load <= tune.load_max or now_ns >= until_ns:
        return ""
    return (
        f"tuning waits for a load of {tune.load_max:g} for each processor, which is {load:.1f} now; it begins at "
        f"{time_text(until_ns)} in any case"
    )


@contextmanager
def study_folder(data: Path | None, number: int) -> Iterator[Path]:
    """The folder of a round's study, a temporary one on servers; older ones than the newest are deleted."""
    if data is None:
        with TemporaryDirectory(prefix="homeostat-tuning-") as scratch:
            yield Path(scratch)
        return
    folder = data / FOLDER / str(number)
    try:
        for made in (folder.parent, folder):
            made.mkdir(exist_ok=True, mode=FOLDER_MODE)
        numbers = sorted(int(one.name) for one in folder.parent.iterdir() if one.name.isdecimal())
        for old in numbers[:-STUDIES_MAX]:
            shutil.rmtree(folder.parent / str(old))
        for old in numbers[-STUDIES_MAX:-1]:  # A round that failed has left its events.
            shutil.rmtree(folder.parent / str(old) / _EVENTS, ignore_errors=True)
    except OSError as error:
        raise Unavailable(f"{folder} can't be made: {os.strerror(error.errno or 0)}") from error
    yield folder
    shutil.rmtree(folder / _EVENTS, ignore_errors=True)


def exported(journal: Read, folder: Path, progress: Callable[[str, float], None]) -> Path:
    """The journal as files, in a folder that has its name when they are whole; those of an earlier try, if any."""
    whole, part = folder / _EVENTS, folder / f"{_EVENTS}.part"
    if not whole.exists():
        shutil.rmtree(part, ignore_errors=True)
        export_journal(journal, part, progress=progress)
        os.replace(part, whole)
    return whole
