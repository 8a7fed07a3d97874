"""Watches the settings outside of the deciding thread: makes ready what changed, and hands it over."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from homeostat.adapters.process.turns import short_turns
from homeostat.config.variants import Inapplicable
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.setups import Setups
from homeostat.errors import Unavailable
from homeostat.ports import Clock
from homeostat.ports.settings import REPORT_EVERY_S, Applied, Settings, SettingsError, expire
from homeostat.records.changes import Change

POLL_S = 0.05  # A look takes 6 us, and waking up for it 160 more on a busy machine: 0.3 % of a core.
AGAIN_NS = 5_000_000_000  # Between two attempts at changes that can't be applied: a version may come meanwhile.
_REPORT_NS = int(REPORT_EVERY_S * 1e9)


def name_of(folder: Path) -> str:
    """The name of the process that has this folder, among its like: the same after a restart, and no other's."""
    return f"{socket.gethostname()}-{sha256(str(folder.absolute()).encode()).hexdigest()[:8]}"


class Watcher:
    """See the module. `close` ends it.

    process : the name under which it reports; empty to report nothing
    trouble : why changes are not applied, in a sentence; empty where they are
    on_ready : called, in the watching thread, when something waits to be put in force
    """

    def __init__(
        self, settings: Settings, setups: Setups, loop: DecisionLoop, clock: Clock, process: str = "",
        poll_s: float = POLL_S,
    ) -> None:  # fmt: skip
        self.settings, self.process, self.trouble = settings, process, ""
        self.on_ready: Callable[[], None] = lambda: None
        self._setups, self._loop, self._clock, self._poll_s = setups, loop, clock, poll_s
        self._refused, self._again_ns = 0, 0  # The last number at which something was refused, and when to try again.
        self._compared = False
        self._reported: Applied | None = None
        self._tried = False  # Whether changes were tried since the last report: people wait for the outcome.
        self._looking, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def last(self) -> int:
        """The number of the last change there is. Raises Unavailable, SettingsError."""
        return self.settings.last

    def notes(self) -> list[str]:
        """The notices for people: the trouble, in a sentence."""
        applied = self._loop.stages.settings
        return [f"decides under change {applied} of the settings: {self.trouble}"] if self.trouble else []

    def start(self) -> None:
        """Watch from now on, in a thread."""
        if self._thread is None and not self._stop.is_set():
            self.report()  # From the first moment on, who changes something knows that there is somebody to wait for.
            self._thread = threading.Thread(target=self._watch, name="settings", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """One look at the settings. Changes that can't be applied, and stores that are away, become the trouble."""
        with self._looking:
            try:
                self._look()
            except Unavailable as error:
                self.trouble = f"the settings can't be read: {error}"
            except SettingsError as error:
                self.trouble = str(error)

    def report(self, every_ns: int = _REPORT_NS) -> None:
        """Say how far this process has come, where that is news or was last reported long ago."""
        if not self.process:
            return
        now_ns, was = self._clock.now_ns(), self._reported
        applied = Applied(self.process, self._loop.stages.settings, now_ns, self.trouble)
        same = was is not None and not self._tried and (was.number, was.trouble) == (applied.number, applied.trouble)
        if same and was is not None and 0 <= now_ns - was.at_ns < every_ns:
            return
        try:
            self.settings.report(applied)
        except (Unavailable, SettingsError):  # The next round says it; whoever waits for it sees that it is missing.
            return
        self._reported, self._tried = applied, False

    def close(self) -> None:
        """End the watching, and take this process out of the reports."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._reported is not None:
            try:
                self.settings.leave(self.process)
            except (Unavailable, SettingsError):
                return

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.look()
            self.report()

    def _look(self) -> None:
        number, before = self._loop.next_settings()
        self._expire(before)
        last = self.settings.last
        if not self._compared and not self._agrees(number, before, last):
            return
        if last <= number:
            self.trouble, self._refused = "", 0
            return
        now_ns = self._clock.monotonic_ns()
        if last != self._refused or now_ns >= self._again_ns:
            self._again_ns = now_ns + AGAIN_NS
            with short_turns():  # Loading a version takes a second of the interpreter, beside events.
                self._apply(before, self.settings.since(number))

    def _expire(self, before: Sequence[Change]) -> None:
        ends = [change.expires_ns for change in before if change.expires_ns is not None]
        if ends and min(ends) <= self._clock.now_ns():
            expire(self.settings, self._clock.now_ns())

    def _agrees(self, number: int, before: Sequence[Change], last: int) -> bool:
        """Whether the changes that the journal holds are those of the store; asked once."""
        wrong = next((change for change in before if self.settings.since(change.number - 1, 1) != [change]), None)
        if last < number or wrong is not None:
            which = "ends with change" if wrong is None else "holds another change"
            self.trouble = (
                f"the store {which} {last if wrong is None else wrong.number}, but the journal has applied change "
                f"{number}: the settings are of another history. Restore them from a backup"
            )
            return False
        self._compared = True
        return True

    def _apply(self, before: Sequence[Change], changes: Sequence[Change]) -> None:
        """Hand over as many of the changes as can be applied together."""
        trouble = ""
        for end in range(len(changes), 0, -1):
            try:
                setup = self._setups.setup(before, changes[:end])
                self._setups.warm(setup)
            except Inapplicable as error:
                trouble = str(error)
                continue
            if self._loop.hand_over(setup):
                self.on_ready()
            break
        self.trouble, self._refused, self._tried = trouble, changes[-1].number if trouble else 0, True
