"""Where the processor time of watching goes, part by part: methods are timed from outside, each without its parts."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.app.replaying import WindowReplayer
from homeostat.jobs.maintaining.steps import Steps
from homeostat.maintain.incident.grouping import IncidentGrouping
from homeostat.maintain.incident.keeping import IncidentKeeper
from homeostat.maintain.monitor.behaviour import BehaviourMonitor
from homeostat.maintain.monitor.contract import ContractMonitor
from homeostat.maintain.monitor.distribution import DistributionMonitor
from homeostat.maintain.monitor.early import EarlyMonitor
from homeostat.maintain.monitor.label_free import LabelFreeMonitor
from homeostat.maintain.monitor.labels import LabelsMonitor
from homeostat.maintain.monitor.models import ModelsMonitor
from homeostat.maintain.monitor.quality import QualityMonitor
from homeostat.maintain.monitor.scale import Scale
from homeostat.maintain.monitor.segments import SegmentsMonitor
from homeostat.maintain.monitor.serving import ServingMonitor
from homeostat.maintain.monitor.transport import TransportMonitor
from homeostat.maintain.ticks import TickReader

_MONITORS: tuple[Any, ...] = (
    ContractMonitor, TransportMonitor, ServingMonitor, ModelsMonitor, BehaviourMonitor, DistributionMonitor,
    QualityMonitor, SegmentsMonitor, LabelsMonitor, LabelFreeMonitor, EarlyMonitor,
)  # fmt: skip


class Account:
    """Processor seconds by part, and how often each was called. A part's time leaves out that of the parts in it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Everything within counts as this part."""
        self._turn()
        self._open.append(name)
        self.calls[name] += 1
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def table(self, ticks: int) -> list[str]:
        """Lines, the dearest part first."""
        total = sum(self.seconds.values())
        lines = [f"{'part':28}{'ms':>10}{'us a tick':>12}{'calls':>10}{'share':>8}"]
        for name, seconds in sorted(self.seconds.items(), key=lambda one: -one[1]):
            each = seconds / max(ticks, 1) * 1e6
            share = 100 * seconds / max(total, 1e-9)
            lines.append(f"{name:28}{seconds * 1e3:10.1f}{each:12.1f}{self.calls[name]:10}{share:7.1f}%")
        return lines


@contextmanager
def accounted() -> Iterator[Account]:
    """Time the parts of maintenance while this is open."""
    account = Account()
    with ExitStack() as stack:

        def of(owner: Any, method: str, name: str, wrap: Callable[..., Any] = _called) -> None:
            if method in vars(owner):
                was = vars(owner)[method]
                setattr(owner, method, wrap(account, name, was))
                stack.callback(setattr, owner, method, was)

        of(Steps, "step", "the rest")
        of(Steps, "save", "memory: saved")
        of(SqliteJournal, "read", "journal: read and decoded", _iterated)
        of(TickReader, "add", "reader: entries to ticks")
        of(TickReader, "end", "reader: entries to ticks")
        of(Steps, "_measure", "blocks put together")
        for one in _MONITORS:
            of(one, "measure_block" if "measure_block" in vars(one) else "measure", f"monitor: {one.name}")
        for method in ("take", "replayed", "state"):
            of(WindowReplayer, method, "features computed again")
        of(Scale, "take_all", "scale: judged")
        of(Scale, "_learn", "scale: past learned")
        of(IncidentGrouping, "group_block", "incidents: grouped")
        of(IncidentKeeper, "catch_up", "incidents: others' changes")
        yield account


def _called(account: Account, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        with account.part(name):
            return method(*arguments, **named)

    return timed


def _iterated(account: Account, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        found = iter(method(*arguments, **named))
        while True:
            with account.part(name):
                try:
                    one = next(found)
                except StopIteration:
                    return
            yield one

    return timed
