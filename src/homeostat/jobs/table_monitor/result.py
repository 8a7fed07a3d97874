"""The result of a comparison of two tables, as facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

VERDICTS = ("alarm", "drift", "no drift", "not enough data")


@dataclass(frozen=True, slots=True)
class Column:
    """How far a column lies from its reference.

    drift : the share of rows that lie elsewhere, NaN where that can't be had; bound_low, bound_high : its bounds
    n, reference_n : rows that were compared
    threshold : the size that a drift has to reach
    missing, reference_missing : shares of rows without a value
    """

    name: str
    drift: float
    bound_low: float
    bound_high: float
    n: int
    method: str
    verdict: str
    threshold: float
    reference_n: int
    missing: float
    reference_missing: float
    why: str


@dataclass(frozen=True, slots=True)
class Band:
    """An estimate with its 95 % band."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows start <= row < end of the analysis, or those of one value of a column.

    rows, labels : all rows, and those with a known label
    estimated, realised : by figure; realised is None without labels
    outside : the share of rows with a value that the reference never has
    """

    start: int
    end: int
    rows: int
    value: str | None
    estimated: Mapping[str, Band]
    realised: Mapping[str, float] | None
    alert: Mapping[str, bool]
    assumption_broken: bool
    labels: int
    outside: float
    extrapolates: bool


@dataclass(frozen=True, slots=True)
class Monitored:
    """A table compared with its reference.

    verdict : one of `VERDICTS`; sentence : what it rests on
    thresholds : low, high and mean by figure, of the reference
    settings : of the run
    warnings : what the reader should know beside
    """

    verdict: str
    sentence: str
    columns: tuple[Column, ...]
    chunks: tuple[Chunk, ...]
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def drifts(self) -> bool:
        """Whether any column drifts."""
        return any(column.verdict == "drift" for column in self.columns)

    @property
    def alarms(self) -> bool:
        """Whether the quality of any chunk is outside its thresholds, or its estimate is void."""
        return any(chunk.assumption_broken or any(chunk.alert.values()) for chunk in self.chunks)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values that fit into JSON; None for a value that can't be had."""
        found = _plain(asdict(self))
        assert isinstance(found, dict)
        return found

    def html(self) -> str:
        """The report as one HTML page that opens without a network."""
        from homeostat.jobs.table_monitor.page import report_page

        return report_page(self)

    def _repr_html_(self) -> str:
        from homeostat.charts import STYLE
        from homeostat.jobs.table_monitor.page import report_body

        return f"<style>{STYLE}</style>{report_body(self)}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """For `rich.print` and the command line."""
        from homeostat.jobs.table_monitor.view import shown

        yield from shown(self)

    def __repr__(self) -> str:
        return f"<{self.verdict}: {self.sentence}>"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
