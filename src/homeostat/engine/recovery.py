"""How a loop comes to where its journal ends: of its snapshot where that still means the same, of the journal else.

The journal is the truth. A snapshot saves the time of doing all of it again, and only for those parts whose state means
what it meant when it was saved; each other part is made by doing again all that the journal holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.tables import LEARNED_UNTIL
from homeostat.adapters.journals.entries import JournalError
from homeostat.config.variants import Inapplicable
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.redo import Changes, Diverged, redo
from homeostat.engine.answers import time_text
from homeostat.engine.setups import Setups
from homeostat.ports import Entry, Snapshot, Snapshots
from homeostat.records.changes import Change
from homeostat.records.meaning import Meaning, follows
from homeostat.records.renaming import Unnamed, is_same_field
from homeostat.records.software import VERSION
from homeostat.records.vocabulary import Vocabulary

SOFTWARE = f"homeostat {VERSION}"
Progress = Callable[[str, float], None]
Tell = Callable[[str], None]


class _Unfit(Exception):
    """A snapshot says that it fits, and does not: another build of the same version made it."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The steps of a recovery.

    entries, unnamed : how many entries the journal holds, and how many of them are of a version that kept no names
    snapshot : the one that is used; None where all is made of the journal
    passed_over : why snapshots are not used
    rebuilt : the parts whose state is made of the journal though there is a snapshot, each with what is different
    renamed : how the app's names differ from those of the newest decision
    learned_until_ns : the moment before which a replay decided nothing, as it learned; None where it began at once
    """

    entries: int
    unnamed: int
    snapshot: Snapshot | None
    passed_over: tuple[str, ...]
    rebuilt: dict[str, tuple[str, ...]]
    renamed: tuple[str, ...]
    learned_until_ns: int | None = None

    @property
    def again(self) -> int:
        """How many entries are done again."""
        return self.entries - (0 if self.snapshot is None or self.rebuilt else self.snapshot.sequence)

    @property
    def is_ordinary(self) -> bool:
        """Whether nothing of it needs a notice."""
        said = self.passed_over or self.rebuilt or self.renamed or self.unnamed or self.learned_until_ns is not None
        return not said

    def sentences(self) -> list[str]:
        """All of it, for people."""
        said = [f"the app was changed since the newest decision: {'; '.join(self.renamed)}"] if self.renamed else []
        if self.learned_until_ns is not None:
            said.append(
                f"the windows know no event before {time_text(self.learned_until_ns)}: the replay that made this "
                "folder learned from those and decided none. To fill them, replay all events with --bundle, without "
                "--train-until, and serve on that folder"
            )
        if self.unnamed:
            said.append(
                f"entries 1 to {self.unnamed} were written by a version that kept no names: they are shown with those "
                "that the app had when a later version first opened the journal"
            )
        said += [f"a snapshot is ignored: {why}" for why in self.passed_over]
        for part, differences in self.rebuilt.items():
            said.append(f"{part}: rebuilt from the journal, since {'; '.join(differences)}")
        if self.snapshot is not None and self.rebuilt:
            said.append("all else that is remembered follows from the snapshot")
        if self.again == 0:
            said.append(f"nothing is done again: the snapshot is of the journal's last entry, {self.entries}")
        elif self.snapshot is None or self.rebuilt:
            said.append(f"all {self.entries:,} entries of the journal are done again")
        else:
            said.append(f"{self.again:,} of {self.entries:,} entries are done again, those since the snapshot")
        return said


def plan(
    loop: DecisionLoop, journal: SqliteJournal, snapshots: Snapshots | None, setups: Setups | None = None
) -> Recovery:
    """The steps that `recover` would take now.

    setups : what changes in the journal are made of; without it none can be put in force
    Raises JournalError, Unavailable.
    """
    last = journal.last

    def refused(found: Snapshot) -> str:
        if found.sequence > last:
            return f"is of entry {found.sequence}, beyond the journal's last, {last}"
        if found.history != journal.history(found.sequence):
            return f"is of another history than this journal's first {found.sequence} entries"
        at = _number(journal.changes(found.sequence))
        if found.settings != at:
            return f"was made under change {found.settings}, but the journal's last up to there is {at}"
        return f"was made by {found.software or 'another program'}" if found.software != SOFTWARE else ""

    snapshot = None if snapshots is None else snapshots.load(refused)
    skipped = () if snapshots is None else tuple(snapshots.skipped)
    rebuilt: dict[str, tuple[str, ...]] = {}
    meaning: Mapping[str, Meaning] = loop.stages.meaning
    if snapshot is not None and snapshot.settings:
        try:
            meaning = _made_with(setups).meaning(journal.changes(snapshot.sequence))
        except Inapplicable as error:
            skipped, snapshot = (*skipped, f"it was made under other settings: {error}"), None
    if snapshot is not None:
        for part in loop.parts:
            now, was = meaning.get(part), snapshot.meaning.get(part)
            if now is not None and not follows(part, now, was):
                rebuilt[part] = ("it is new",) if was is None else tuple(now.differences(was))
        if rebuilt.keys() >= set(loop.parts):
            snapshot = None
    newest = journal.newest()
    renamed = () if newest is None else tuple(renamings(newest.words, loop.stages.words))
    learned = journal.about(LEARNED_UNTIL)
    return Recovery(
        last, journal.unnamed, snapshot, skipped, rebuilt, renamed, None if learned is None else int(learned)
    )


def recover(
    make: Callable[[], DecisionLoop],
    journal: SqliteJournal,
    snapshots: Snapshots | None,
    progress: Progress | None = None,
    tell: Tell = lambda text: None,
    setups: Setups | None = None,
) -> DecisionLoop:
    """A loop that stands where its journal ends.

    make : a loop that has seen nothing yet
    setups : what changes in the journal are made of
    tell : is given each sentence that the owner should read
    Raises JournalError, Unavailable.
    """
    loop = make()
    planned = plan(loop, journal, snapshots, setups)
    if not planned.is_ordinary:
        for sentence in planned.sentences():
            tell(sentence)

    try:
        try:
            _redo(loop, journal, planned, progress, _Changing(setups, tell), stand=False)
        except (Diverged, _Unfit) as error:
            tell(str(error))
            loop.close()
            loop, planned = make(), replace(planned, snapshot=None)
            _redo(loop, journal, planned, progress, _Changing(setups, tell), stand=isinstance(error, Diverged))
    except Unnamed as error:
        loop.close()
        raise JournalError(
            f"{journal.path} has entries of a version that kept no names, and they don't fit the app: {error}. Start "
            "once with the app file as it was when they were written, or begin a new history (--history new)"
        ) from error
    except BaseException:
        loop.close()
        raise
    return loop


class _Changing:
    """Puts the changes of a journal in force. One that can't be waits, and those after it wait with it.

    A later one alone would make a loop that says it is under all of them, decides without one, and never tries again.
    Decisions that were made under those that wait stand as they were made.
    """

    def __init__(self, setups: Setups | None, tell: Tell) -> None:
        self._setups, self._tell = setups, tell
        self._waiting: tuple[Change, ...] = ()

    def __call__(self, loop: DecisionLoop, changes: tuple[Change, ...]) -> None:
        together = (*self._waiting, *changes)
        try:
            _made_with(self._setups).change(loop, together)
        except Inapplicable as error:
            if not self._waiting:
                self._tell(str(error))
            self._waiting = together
        else:
            self._waiting = ()


def _redo(
    loop: DecisionLoop,
    journal: SqliteJournal,
    planned: Recovery,
    progress: Progress | None,
    change: Changes,
    stand: bool,
) -> None:
    total, done = max(1, planned.again), 0

    def entries(after: int, through: int) -> Iterator[Entry]:
        nonlocal done
        for entry in journal.read(after):
            if entry.sequence > through:
                return
            if progress is not None:
                progress("recovering", done / total)
            done += 1
            yield entry

    snapshot = planned.snapshot
    after = 0 if snapshot is None else snapshot.sequence
    if snapshot is not None:
        if planned.rebuilt:
            redo(loop, entries(0, after), stand, change)
        elif snapshot.settings:
            loop.rebuilds = False  # The snapshot has the windows as they were made.
            change(loop, tuple(journal.changes(after)))
            loop.rebuilds = True
        if loop.stages.settings != snapshot.settings:
            raise _Unfit(f"the snapshot was made under change {snapshot.settings}: all is made of the journal")
        try:
            again = {*planned.rebuilt, *(["canary"] if "fusion" in planned.rebuilt else [])}
            loop.restore(snapshot.state, [part for part in loop.parts if part not in again])
        except (KeyError, ValueError) as error:
            raise _Unfit(f"the snapshot does not fit this program ({error}): all is made of the journal") from error
    redo(loop, entries(after, planned.entries), stand, change)


def _number(changes: Sequence[Change]) -> int:
    return changes[-1].number if changes else 0


def _made_with(setups: Setups | None) -> Setups:
    if setups is None:
        raise Inapplicable(None, "nothing says which models and parts they are about")
    return setups


def renamings(was: Vocabulary, now: Vocabulary) -> Iterator[str]:
    """How an app's names differ from earlier ones, in words.

    >>> list(renamings(Vocabulary(actions=("go", "stop")), Vocabulary(actions=("go", "wait"))))
    ['the action wait is new', 'the action stop is no more']
    """
    if was.nameless:
        return
    old, new = dict(was.fields), dict(now.fields)
    for name in new.keys() & old.keys():
        if not is_same_field(old[name], new[name]):
            yield f"the field {name} is of type {new[name]}, and was of type {old[name]}: its past values are absent"
    pairs, pairs_now = dict(was.entities), dict(now.entities)
    for name in pairs.keys() & pairs_now.keys():
        if pairs[name] != pairs_now[name]:
            yield f"the entity {name} is another pair than it was"
    for what, before, after in (
        ("entity", pairs, pairs_now), ("field", old, new), ("action", was.actions, now.actions),
        ("rule", dict(was.rules), dict(now.rules)),
    ):  # fmt: skip
        yield from (f"the {what} {name} is new" for name in after if name not in before)
        yield from (f"the {what} {name} is no more" for name in before if name not in after)
