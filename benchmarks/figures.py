"""Figures beside their targets, and the table that shows them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_TARGET = re.compile(r"(<=|>=|<|>)\s*([0-9][0-9,]*\.?[0-9]*(?:e[+-]?\d+)?)")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    part : the benchmark that measured it
    value : None where it could not be measured; the note says why
    target : `<= 2` or `>= 1,000`, empty where there is none
    """

    part: str
    name: str
    value: float | None
    unit: str = ""
    target: str = ""
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok`, `not reached`, `not measured`, or nothing where there is no target.

        >>> Figure("replay", "ratio to the floor", 1.7, target="<= 2").verdict
        'ok'
        >>> Figure("peers", "against pandas", 8.0, "times", ">= 10").verdict
        'not reached'
        """
        if self.value is None:
            return "not measured"
        if not self.target:
            return ""
        return "ok" if meets(self.value, self.target) else "not reached"


def meets(value: float, target: str) -> bool:
    """Whether a value is on the right side of its target.

    >>> meets(1_600_000, ">= 1,500,000"), meets(0.0, "> 0"), meets(float("nan"), "<= 1")
    (True, False, False)
    """
    match = _TARGET.match(target)
    assert match is not None, f"{target!r} is no target"
    sign, bound = match[1], float(match[2].replace(",", ""))
    return {"<=": value <= bound, ">=": value >= bound, "<": value < bound, ">": value > bound}[sign]


def number(value: float) -> str:
    """A number with three or four digits that matter.

    >>> number(1_654_321.2), number(123.4), number(1.6543), number(0.00214), number(12)
    ('1,654,321', '123', '1.65', '0.0021', '12')
    """
    size = abs(value)
    if size >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.3g}" if size >= 1 else f"{value:.4f}"


def shown(figure: Figure) -> tuple[str, str, str, str]:
    """Name, measured, target and verdict as text."""
    measured = "-" if figure.value is None else f"{number(figure.value)} {figure.unit}".rstrip()
    return figure.name, measured, figure.target, figure.verdict


def as_text(figures: Sequence[Figure], notes: Iterable[str], machine: str) -> str:
    """The table for a terminal."""
    rows = [shown(figure) for figure in figures]
    head = ("figure", "measured", "target", "")
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(4)]
    lines = [machine, "", _text_row(head, widths)]
    part = ""
    for figure, row in zip(figures, rows, strict=True):
        if figure.part != part:
            part = figure.part
            lines += ["", part]
        note = f"  ({figure.note})" if figure.note else ""
        lines.append(f"{_text_row(row, widths):<{sum(widths) + 8 if note else 0}}{note}")
    return "\n".join([*lines, "", *notes, summary(figures)])


def _text_row(row: Sequence[str], widths: Sequence[int]) -> str:
    name, measured, target, verdict = row
    return f"  {name:<{widths[0]}}  {measured:>{widths[1]}}  {target:<{widths[2]}}  {verdict}".rstrip()


def as_markdown(figures: Sequence[Figure], notes: Iterable[str], machine: str) -> str:
    """The table for a page."""
    lines = [f"Measured on {machine}.", "", "| | figure | measured | target | |", "| --- | --- | ---: | --- | --- |"]
    part = ""
    for figure in figures:
        name, measured, target, verdict = (text.replace("|", "\\|") for text in shown(figure))
        name += f" ({figure.note})".replace("|", "\\|") if figure.note else ""
        lines.append(f"| {figure.part if figure.part != part else ''} | {name} | {measured} | {target} | {verdict} |")
        part = figure.part
    said = [f"- {note}" for note in notes]
    return "\n".join([*lines, "", *said, *([""] if said else []), summary(figures), ""])


def summary(figures: Iterable[Figure]) -> str:
    """How many targets are reached."""
    verdicts = [figure.verdict for figure in figures]
    counts = {verdict: verdicts.count(verdict) for verdict in ("ok", "not reached", "not measured")}
    return "Targets: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) + "."


BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def write_markdown(path: Path, table: str) -> None:
    """Put the table between the page's marks; a file without them becomes the table."""
    page = path.read_text() if path.exists() else ""
    if BEGIN in page and END in page:
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        table = f"{before}{BEGIN}\n{table}{END}{after}"
    path.write_text(table)


def machine() -> str:
    """This machine in general words: cores, processor, Python.

    >>> "core" in machine()
    True
    """
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        model = re.sub(r"\((R|TM|r|tm)\)|\bCPU\b|@.*| Processor|\d+-Core", "", found[1]).strip() if found else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    kind = f"{cores} core{'s' * (cores > 1)}" + (f" of an {' '.join(model.split())}" if model else "")
    return f"{kind}, Python {platform.python_version()}"


def packed(figures: Iterable[Figure], notes: Iterable[str], **more: Any) -> dict[str, Any]:
    """The output of a benchmark with --json."""
    return {"figures": [asdict(figure) for figure in figures], "notes": list(notes), **more}


def unpacked(found: dict[str, Any]) -> list[Figure]:
    """The figures that `packed` packed."""
    return [Figure(**row) for row in found["figures"]]
