"""Progress of long work: for people on standard error, and for the runner of a job on its line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from homeostat.adapters.process.compiling import said

Progress = Callable[[str, float], None]


def say(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def shown(title: str, say: Callable[[str], None] = say) -> Iterator[Progress]:
    """A progress bar while the block runs; reports of a job to its runner; silent where nobody looks.

    say : is given a line every few seconds while kernels are compiled, where there is no bar
    """
    from homeostat.adapters.process.job_line import current

    line = current()
    if line is not None or not sys.stderr.isatty():
        with said(say):
            yield line.report if line is not None else lambda what, share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task, compiling = bars.add_task(title, total=1.0), bars.add_task("", total=None, visible=False)

        def compiled(what: str, goes_on: bool) -> None:
            bars.update(compiling, description=what, visible=goes_on)

        def update(what: str, share: float) -> None:
            bars.update(task, description=what, completed=share)

        with said(say, compiled):
            yield update
