"""One step of the maintenance loop after the other: entries in, and all that came of them saved together.

A step's signals and incidents are stored in one transaction with the loop's memory after it. So a process that is
killed at any instant goes on from the last step that is stored, and does the rest again as if nothing had been done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from homeostat.app import fingerprint
from homeostat.app.maintaining import maintenance_of, tick_form
from homeostat.app.replaying import WindowReplayer
from homeostat.jobs.maintaining.memory import Memory, Place, coded_by, meaning_of, memory_of, unpacked
from homeostat.jobs.maintaining.source import Source
from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import Tick
from homeostat.maintain.incident.keeping import IncidentKeeper, together
from homeostat.maintain.loop import MaintenanceLoop
from homeostat.maintain.ticks import TickReader
from homeostat.ports import Clock, Entry
from homeostat.ports.incidents import IncidentMoved
from homeostat.records.decisions import DecisionBatch
from homeostat.records.incidents import Incident, Phase
from homeostat.records.signals import Signal

_STEP_NS = 500_000_000  # A step is about so long, so that the lease is renewed in time.
_WAIT_NS = 5 * 10**9  # While there is more to read, closed ticks wait so long for others of their block.
_SAVE_NS = 20 * 10**9  # While there is more to read, signals are stored so often, if that is worth its time.
_SAVE_NS_MAX = 120 * 10**9  # At the latest, where saves are dear.
_QUIET_SHARE = 50  # A save is worth its time once as much work was done as so many saves take.
_SAVE_TAKES_NS = 500_000_000  # A save of a full memory, until the first has been timed.
_PATIENCE_NS = 300 * 10**9  # Events may take so long to get here, before the clock closes a tick.
_CONFLICTS_MAX = 20
_OPEN_MAX = 1000
_BLOCK_TICKS, _BLOCK_ROWS = 168, 32_768  # While it catches up, so many ticks or rows are measured at once, about.
_LIVE_NS = 86_400 * 10**9  # Events that are further behind the clock are a recording's: no clock closes their ticks.


@dataclass(frozen=True, slots=True)
class Step:
    """A step, as it went.

    entries, ticks, signals, incidents : how many it read, closed, raised and changed
    at_end : whether all that there was has been read
    """

    entries: int
    ticks: int
    signals: int
    incidents: int
    at_end: bool


class Steps:
    """See the module. `load` first, and after each failure; for one thread.

    owner : the process's name in the store
    say : gets a sentence for people
    """

    loop: MaintenanceLoop
    reader: TickReader
    replayer: WindowReplayer | None

    def __init__(self, source: Source, owner: str, clock: Clock, say: Callable[[str], None]) -> None:
        self._source, self._owner, self._clock, self._say = source, owner, clock, say
        self.place = Place()
        self._conflicts = 0
        self._worked_ns, self._save_takes_ns = 0, _SAVE_TAKES_NS
        self.first = False  # Whether the loop has begun with nothing.
        self.caught_up = False
        self._quiet_ns: int | None = None

    def load(self) -> None:
        """Go on from what was saved last; all that was not saved is done again. Raises Unavailable, PluginError."""
        prepared = self._source.prepared
        form = tick_form(prepared.app, prepared.features, prepared.coding)
        self._make()
        fresh = Place(coded=coded_by(form), meaning=meaning_of(form, self.loop))
        self._signals: list[Signal] = []
        self._incidents: list[Incident] = []
        self._heard: dict[str, Signal] = {}
        self._waiting: list[Tick] = []  # Closed, and to be measured in one block.
        self._rows_waiting = 0
        self._quiet_ns, self.caught_up = None, False
        self._saved_ns = self._measured_ns = self._clock.monotonic_ns()
        stored, why = self._source.store.saved(), ""
        memory: Memory | None = None
        if stored is not None:
            try:
                memory = unpacked(stored)
                why = self._why_not(memory, fresh)
                if not why:
                    memory.restore(self.reader, self.loop, self.replayer)
            except (ValueError, KeyError, IndexError, TypeError) as error:
                why = f"the memory of maintenance can't be used ({error})"
        self.first = stored is None
        self.place = fresh if memory is None else memory.place
        if why:
            self._begin_again(memory, fresh, why)
        elif memory is None and self._source.letters is not None:
            self.place = replace(self.place, letters_at=self._source.letters.end())
        self._saved = self.place
        self._keeper = IncidentKeeper(self._source.store, self.loop.grouping, self.place.seen)

    def step(self, last: bool = False) -> Step | None:
        """Read for a moment, and save where that is due; None where another process has taken the lease.

        last : save whatever there is
        Raises Unavailable and JournalError, after which `load` is to be called.
        """
        before, begun_ns = self.place, self._clock.monotonic_ns()
        signals, incidents = len(self._signals), len(self._incidents)
        at_end = True
        for entry, recorded_ns in self._entries():
            self._take(entry, recorded_ns)
            if self._clock.monotonic_ns() - begun_ns > _STEP_NS:
                at_end = False
                break
        if at_end:
            self._at_end(before.entry)
        if at_end or last or self._clock.monotonic_ns() - self._measured_ns > _WAIT_NS:
            self._measure()
        self._worked_ns += 0 if self.place == before else self._clock.monotonic_ns() - begun_ns
        found = Step(
            self.place.entry - before.entry, self.place.ticks - before.ticks, len(self._signals) - signals,
            len(self._incidents) - incidents, at_end,
        )  # fmt: skip
        if (self._is_due(at_end) or last) and not self.save():
            return None
        return found

    def save(self) -> bool:
        """Store the memory with what came since the last time; False where another process has taken the lease.

        Raises Unavailable.
        """
        self._measure()
        if self._quiet_ns is not None or self.place == self._saved:
            return True  # While it makes again what it knew, nothing is saved: a crash begins that once more.
        begun_ns = self._clock.monotonic_ns()
        place = replace(self.place, digest=self._source.stated(self.place.entry) or "", seen=self._keeper.seen)
        try:
            memory = memory_of(place, self.reader, self.loop, self.replayer).packed()
            if not self._source.store.save(self._owner, memory, self._signals, self._incidents):
                return False
        except IncidentMoved as moved:
            self._conflicts += 1
            if self._conflicts == 1:
                self.load()  # A person was faster. With their change known, the step is done again.
                return True
            self._bring_together(moved.found)
            return self._conflicts > _CONFLICTS_MAX or self.save()
        self._signals, self._incidents, self._conflicts = [], [], 0
        self.place = self._saved = place
        self._saved_ns = self._clock.monotonic_ns()
        self._worked_ns, self._save_takes_ns = 0, self._saved_ns - begun_ns
        return True

    def _bring_together(self, found: Incident) -> None:
        """Let the revisions of an incident follow the one that is stored, where the loop knows nothing of it."""
        last, made = found, list[Incident]()
        for ours in self._incidents:
            both = together(ours, last) if ours.id == found.id else ours
            if both is not None:
                made.append(both)
                last = both if ours.id == found.id else last
        self.loop.grouping.take([last], None)
        self._incidents = made

    def _entries(self) -> Iterator[tuple[Entry, int]]:
        """Entries beyond the place, each with the time at which it was recorded, 0 where nobody says."""
        return self._source.entries(self.place.entry)

    def _take(self, entry: Entry, recorded_ns: int) -> None:
        before_ns = self.reader.now_ns
        if self.replayer is not None:
            self.replayer.take(entry.body)
        ticks = self.reader.add(entry.body, recorded_ns)
        self.place = replace(self.place, entry=entry.sequence)
        if isinstance(entry.body, DecisionBatch) and self.caught_up and self.reader.now_ns != before_ns:
            self.place = replace(self.place, apart_ns=max(0, self._clock.now_ns() - (self.reader.now_ns or 0)))
        self._closed(ticks)

    def _at_end(self, before: int) -> None:
        """Take in what the journal does not hold: dead letters, and that time passes without events."""
        self.caught_up = True
        letters, place = self._source.letters, self.place
        if letters is not None:
            found, at = letters.read(place.letters_at)
            if found:
                self.reader.refuse(found)
            self.place = replace(self.place, letters_at=at)
        apart = self.place.apart_ns
        if place.entry == before and apart is not None and apart < _LIVE_NS:
            self._closed(self.reader.pass_time(self._clock.now_ns() - apart - _PATIENCE_NS))

    def _closed(self, ticks: Sequence[Tick]) -> None:
        """Let ticks wait until there are enough for a block, or until all are measured before a save."""
        for tick in ticks:
            if self._waiting and self._is_quiet(tick) != self._is_quiet(self._waiting[0]):
                self._measure()
            self._waiting.append(tick)
            self._rows_waiting += len(tick)
            if len(self._waiting) >= _BLOCK_TICKS or self._rows_waiting >= _BLOCK_ROWS:
                self._measure()

    def _is_quiet(self, tick: Tick) -> bool:
        """Whether the signals of a tick were handed on before."""
        return self._quiet_ns is not None and tick.end_ns <= self._quiet_ns

    def _measure(self) -> None:
        """Take the ticks that wait."""
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        self._measured_ns = self._clock.monotonic_ns()
        if not waiting:
            return
        block = block_of(waiting)
        self.place = replace(self.place, ticks=self.place.ticks + len(block))
        if self._is_quiet(waiting[0]):
            self._heard |= {one.series.key: one for signals in self.loop.learn(block) for one in signals}
            return
        over = [] if self._quiet_ns is None else self._end_quiet()
        self._keeper.catch_up(waiting[0].end_ns)
        for noticed in self.loop.on_block(block, over):
            self._signals += noticed.signals
            self._incidents += noticed.incidents
            self.place = replace(self.place, signals=self.place.signals + len(noticed.signals))
        self.place = replace(self.place, reached_ns=waiting[-1].end_ns)

    def _is_due(self, at_end: bool) -> bool:
        since_ns = self._clock.monotonic_ns() - self._saved_ns
        is_worth_it = self._worked_ns > _QUIET_SHARE * self._save_takes_ns
        if self._signals or self._incidents:
            return at_end or since_ns > (_SAVE_NS if is_worth_it else _SAVE_NS_MAX)
        return self.place.ticks != self._saved.ticks and is_worth_it

    def _make(self) -> None:
        """Make reader, replayer and loop, which know nothing yet."""
        prepared, app = self._source.prepared, self._source.prepared.app
        self.reader = TickReader(tick_form(app, prepared.features, prepared.coding))
        self.replayer = None
        if self._source.replays and "serving" not in app.maintain.off:
            maker = f"{app.app}-{fingerprint(app)}"
            self.replayer = WindowReplayer(app, prepared.features, prepared.coding, maker)
        self.loop = maintenance_of(app, prepared.features, self.replayer)

    def _why_not(self, memory: Memory, fresh: Place) -> str:
        """Why a memory can't be gone on from; empty where it can."""
        place, journal = memory.place, self._source.journal
        if place.coded != fresh.coded:
            return "another journal has taken the place of the one that was read"
        if place.meaning != fresh.meaning:
            return "the app has changed"
        if place.entry > journal.last:
            return f"the journal holds {journal.last:,} entries, and {place.entry:,} were read: it was restored"
        stated = self._source.stated(place.entry) if place.entry else None
        if stated is not None and stated != place.digest:
            return f"entry {place.entry:,} of the journal is not the one that was read"
        return ""

    def _begin_again(self, memory: Memory | None, fresh: Place, why: str) -> None:
        """Learn from the journal's beginning. Nothing is noticed a second time, and incidents go on."""
        self._make()
        was = Place() if memory is None else memory.place
        if memory is not None:
            mark = "loop/grouping/"
            kept = {key.removeprefix(mark): value for key, value in memory.state.items() if key.startswith(mark)}
            try:
                self.loop.grouping.restore(kept)
            except (ValueError, KeyError, IndexError, TypeError):
                self._make()
        self._quiet_ns = was.reached_ns if was.reached_ns else self._newest_ns()
        self.place = replace(
            fresh, seen=was.seen, signals=was.signals, reached_ns=was.reached_ns, letters_at=was.letters_at
        )
        self._say(f"{why}: what maintenance has learned is made again from the journal")

    def _newest_ns(self) -> int:
        """The time up to which signals were raised, as far as those that are stored say it."""
        return max((kept.signal.at_ns for kept in self._source.store.signals(1000)), default=0)

    def _end_quiet(self) -> list[Signal]:
        """The signals of open incidents that hold no longer, or of which nothing is known any more, as ended ones."""
        self._quiet_ns = None
        store = self._source.store
        open_ = store.list([phase for phase in Phase if phase != Phase.CLOSED], _OPEN_MAX)
        over = []
        for one in store.signals_of({id for kept in open_ for id in kept.incident.signals}):
            heard = self._heard.get(one.series.key)
            if one.still and (heard is None or not heard.still):
                over.append(replace(one, still=False))
        return over
