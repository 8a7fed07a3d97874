"""Stops each server under load, and says what was decided meanwhile, how soon all was well again, and what was lost.

python -m benchmarks.outages --seconds 30
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fleet import Fleet, FleetServers, Load, Sender, payments, stopped_after, until
from benchmarks.outside import Windows, delivered, journalled

FLAGS = ("features_stale", "features_absent")
CASES: dict[str, tuple[str, ...]] = {
    "redis": ("redis",), "postgres": ("postgres",), "kafka": ("kafka",), "redis and postgres": ("redis", "postgres"),
}  # fmt: skip


@dataclass(slots=True)
class Outage:
    """The results of one outage.

    during : decisions published while the servers were away
    flagged : decisions made without the feature store
    spooled_max : the most rows that waited on the disk
    said : the worker's report of itself meanwhile
    well_s : seconds from the servers' return until all workers were ready and all that had been sent was decided
    """

    name: str
    sent: int = 0
    during: int = 0
    flagged: int = 0
    spooled_max: int = 0
    said: str = ""
    well_s: float = 0.0
    lost: int = 0
    double: int = 0
    rows_wrong: int = 0
    unlogged: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing was lost or doubled, and all recovered."""
        return not (self.lost or self.double or self.rows_wrong or self.unlogged or self.wrong)


def outage(
    name: str, fleet: Fleet, seconds: float, rate: float, *, forget: bool = False,
    before: Callable[[], None] | None = None,
) -> Outage:  # fmt: skip
    """Stop the servers of one case for so long, under load, and start them again.

    forget : Redis comes back without what it had
    before : see `Fleet.worker`
    """
    found = Outage(name)
    servers = [fleet.servers[one] for one in CASES.get(name, ())]
    worker = fleet.worker(before)
    until("the worker is ready", lambda: worker.ready)
    sender = Sender(fleet)
    with fleet.reader("decisions") as decisions, fleet.reader("dead_letters") as letters:
        with Load(sender, payments(500, 120), rate) as load:
            until("events are decided", lambda: len(decisions.ids) > 2 * rate)
            for server in servers:
                server.stop()
            began, count = time.monotonic(), len(decisions.ids)
            while time.monotonic() - began < seconds:
                time.sleep(min(0.5, seconds / 10))
                status, said = worker.asked("readyz")
                found.said = said.strip() if status == 503 else found.said
                spooled = worker.metric("homeostat_journal_spooled_rows")
                found.spooled_max = max(found.spooled_max, int(spooled))
            found.during = len(decisions.ids) - count
            for server in servers:
                server.start()
            back = time.monotonic()
            sent = list(sender.sent.events)
            until("what was sent is decided", lambda: all(one in decisions.ids for one in reversed(sent)))
            until("the worker is well again", lambda: worker.ready)
            until("nothing is spooled", lambda: worker.metric("homeostat_journal_spooled_rows") == 0)
            found.well_s = time.monotonic() - back
            time.sleep(1.0)  # And goes on.
            load.stop()
        until("all is decided", lambda: len(decisions.ids) >= len(sender.sent.events))
        until("the worker is well again", lambda: worker.ready)
        assert worker.stop() == 0, "the worker did not drain"
        time.sleep(0.5)
        _check(found, fleet, sender, decisions.values, letters.values, recomputed=not forget)
    return found


def _check(found: Outage, fleet: Fleet, sender: Sender, said: list, letters: list, recomputed: bool) -> None:
    outside = delivered(fleet, sender.sent, said, letters)
    found.sent = outside.events
    found.flagged = sum(outside.flagged[one] for one in FLAGS)
    found.lost, found.double = len(outside.lost), len(outside.double)
    found.rows_wrong = len(outside.rows_wrong) + outside.letters_wrong
    journal, names = journalled(fleet.journal_url)
    windows = Windows(fleet, sender.sent, journal)
    found.unlogged = len(windows.unlogged())
    flagged = {one["event_id"] for one in said if any(flag in (one["fallback"] or "") for flag in FLAGS)}
    if recomputed:
        for event_id in list(journal)[-3000:]:  # After the outage: they see all that was decided during it.
            one = journal[event_id]
            if event_id not in flagged and not one.late and not windows.trimmed(one):
                found.wrong += windows.wrong(one, names)[:1]


def trial(
    seconds: float, folder: Path, rate: float = 300.0, names: tuple[str, ...] = (*CASES, "redis, empty", "disk full"),
    note: Callable[[Outage], None] = lambda found: None, lent: FleetServers | None = None,
) -> list[Outage]:  # fmt: skip
    """Every case, one after the other."""
    results = []
    for name in names:
        own = folder / name.replace(" ", "-").replace(",", "")
        own.mkdir(parents=True)
        empty, full = name == "redis, empty", name == "disk full"
        servers = None if empty else lent
        fleet = Fleet(own, persistence=not empty, lent=servers, spool_max_mb=1 if full else 4096)
        with fleet, stopped_after(fleet):
            if empty:
                CASES[name] = ("redis",)
            if full:
                CASES[name] = ("postgres",)
            results.append(outage(name, fleet, seconds, rate, forget=empty, before=_small_files if full else None))
        note(results[-1])
    return results


def _small_files() -> None:
    """No file may grow beyond this: the spool meets a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


def main() -> int:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outages", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=300.0, help="events a second")
    parser.add_argument("--only", nargs="*", default=[*CASES, "redis, empty", "disk full"])
    options = parser.parse_args()
    print(
        f"{'away':<20}{'sent':>8}{'during':>8}{'flagged':>9}{'spooled':>9}{'well, s':>9}{'lost':>6}{'double':>8}"
        f"{'wrong':>7}  said"
    )
    well = True

    def note(found: Outage) -> None:
        nonlocal well
        well = well and found.well
        wrong = found.rows_wrong + found.unlogged + len(found.wrong)
        print(
            f"{found.name:<20}{found.sent:>8,}{found.during:>8,}{found.flagged:>9,}{found.spooled_max:>9,}"
            f"{found.well_s:>9.1f}{found.lost:>6}{found.double:>8}{wrong:>7}  {found.said[:100]}", flush=True,
        )  # fmt: skip
        for text in found.wrong[:3]:
            print("   ", text, file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="homeostat-outages-") as folder:
        trial(options.seconds, Path(folder), options.rate, tuple(options.only), note)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
