"""`homeostat watch`."""

from __future__ import annotations

import sys
import time
from json import dumps
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from homeostat.adapters.machine.page import PageSampler
    from homeostat.adapters.machine.sampler import MachineSampler
    from homeostat.jobs.watching.watching import Episode, Watching

_LOOKS_A_SECOND = 4


def watch(
    *,
    source: Annotated[
        str | None, Parameter(help="A page in Prometheus' text format, in place of this machine.")
    ] = None,
    every: Annotated[float, Parameter(help="Seconds between two samples.")] = 1.0,
    steps: Annotated[int | None, Parameter(help="End after so many samples.")] = None,
    json: Annotated[
        bool, Parameter(help="Print a line of JSON for each thing found or resolved.", negative="")
    ] = False,
) -> None:
    """Watch this machine's processor, memory, disk and network, or a process by its page of metrics.

    Nothing has to be set up. The first 45 samples only teach. An alert names the metric, its usual range and, on this
    machine, the process that uses most of it. Ctrl-C ends it.
    """
    if not 0.01 <= every <= 3600 or (steps is not None and steps < 1):
        raise CommandError("--every is from 0.01 to 3600 seconds, --steps at least 1")
    from homeostat.cli.progress import shown
    from homeostat.jobs.watching.watching import Watching, watched

    sampler = _sampler(source)
    with shown("starting"):
        watching = Watching(sampler.culprit)
        sampler.culprit("cpu")  # Processes are measured between two looks.
    found = watched(sampler, watching, _beat(every), steps)
    if not json and sys.stdout.isatty():
        _live(sampler.name, watching, found)
        return
    for episode in found:
        if episode is not None:
            print(dumps(episode.as_json()) if json else sentence(episode), flush=True)
    if not json:
        print(f"{watching.step} samples of {sampler.name}, {len(watching.episodes)} alerts", file=sys.stderr)


def _sampler(source: str | None) -> MachineSampler | PageSampler:
    if source is None:
        from homeostat.adapters.machine.sampler import MachineSampler

        return MachineSampler()
    from homeostat.adapters.machine.page import PageSampler

    return PageSampler(source)


def _beat(every: float) -> Callable[[], None]:
    """Waits until the next sample is due; samples that are late by more than one are left out."""
    due = time.monotonic()

    def wait() -> None:
        nonlocal due
        due = max(due + every, time.monotonic() - every)
        time.sleep(max(0.0, due - time.monotonic()))

    return wait


def _live(name: str, watching: Watching, found: Iterator[Episode | None]) -> None:
    from rich.live import Live

    from homeostat.cli.watch_view import screen

    looked = 0.0
    with Live(auto_refresh=False, transient=True) as live:
        try:
            for _ in found:
                if time.monotonic() - looked >= 1 / _LOOKS_A_SECOND:
                    looked = time.monotonic()
                    live.update(screen(name, watching, live.console.width), refresh=True)
        except KeyboardInterrupt:
            pass
    for episode in watching.episodes:
        print(sentence(episode))
    print(f"{watching.step} samples of {name}, {len(watching.episodes)} alerts", file=sys.stderr)


def sentence(episode: Episode) -> str:
    """An episode for people."""
    by = f", most of it by {episode.culprit}" if episode.culprit else ""
    others = [name for name in sorted(episode.out, key=lambda name: -episode.out[name]) if name != episode.metric]
    beside = f"; also {', '.join(others)}" if others else ""
    text = f"step {episode.step}: {episode.metric} {episode.value:.4g}, usual {episode.low:.3g} to {episode.high:.3g}"
    ended = "" if episode.resolved is None else f"; resolved at step {episode.resolved}"
    return text + by + beside + ended
