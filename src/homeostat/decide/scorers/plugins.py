"""Scorers that other packages bring along, by entry point.

    [project.entry-points."homeostat.scorers"]
    graph = "their_package:make_scorer"

The factory takes (name, settings, feature names) and returns a `decide.contracts.Scorer`. It may carry the type of its
settings as `make_scorer.settings_type`.

Such code is held apart from the decisions: it is imported, made and asked in a thread of its own, which nobody waits
for longer than declared; it sees a copy of the features that can't be written to; its answers are copied.
"""

from __future__ import annotations

import gc
import locale
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import copy_context
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import numpy as np

from homeostat.decide.aside import Aside
from homeostat.decide.contracts import ContributingScorer, Scorer
from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float
from homeostat.records.features import Features

GROUP = "homeostat.scorers"
START_NS = 10 * 10**9  # How long a plug-in may take until it is ready, where its app says nothing.
_SLOW: set[str] = set()  # Entry points that kept a start waiting once: no other start of this process waits for them.
_HANG_S, _HANG_ROW_S = 60.0, 0.01  # Where nothing is to be decided in time, this much for a batch and for each row.
Factory = Callable[[str, Any, tuple[str, ...]], Scorer]
T = TypeVar("T")


class PluginError(HomeostatError, ValueError):
    """A plug-in scorer can't be had; the text says why."""

    why = "a plug-in is code of its own, which is loaded by the name in the app file"
    remedy = "Install or mend the plug-in, or leave its scorer out of the app file"


class PluginFailure(PluginError):
    """A plug-in's code raised something; the text says what and where."""


class NotReady(PluginError):
    """A plug-in scorer is still being imported or made."""


class NoAnswer(PluginError):
    """A plug-in scorer has not answered, long after everything else would have."""


def entry_point(kind: str, name: str, found: Sequence[EntryPoint] | None = None) -> EntryPoint:
    """The one entry point of a kind. Raises PluginError when no package, or more than one, offers it."""
    offered = list(entry_points(group=GROUP)) if found is None else list(found)
    return only(
        offered, kind, f"scorer {name!r}: no plug-in offers the kind {kind!r}", f"scorer {name!r}: the kind {kind!r}"
    )


def only(offered: Sequence[EntryPoint], name: str, missing: str, asked: str) -> EntryPoint:
    """The one entry point of a name.

    missing : begins the sentence where there is none; asked : where there are several
    Raises PluginError.
    """
    fitting = [point for point in offered if point.name == name]
    if not fitting:
        near = get_close_matches(name, [point.name for point in offered], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "install the package that brings it"
        raise PluginError(f"{missing}; {hint}")
    if len({point.value for point in fitting}) > 1:
        where = " and ".join(sorted(point.value for point in fitting))
        raise PluginError(f"{asked} is offered twice, by {where}; remove one")
    return fitting[0]


class PluginScorer:
    """A scorer of a plug-in, held apart; itself a `ContributingScorer`.

    aside : the thread in which everything of the plug-in runs
    where : the entry point's value
    made : the plug-in's own scorer, once it is there
    """

    def __init__(
        self, point: EntryPoint, name: str, settings: Any, features: Sequence[str], start_ns: int | None = None
    ) -> None:
        """Begin to import and make it; nobody waits yet."""
        self.name = name
        self.where = point.value
        self.start_ns = START_NS if start_ns is None else start_ns
        self.aside = Aside(f"scorer {name}")
        self.made: Future[Scorer] | None = self.aside.ask(partial(_made, point, name, settings, tuple(features)))

    @property
    def ready(self) -> bool:
        """Whether it is made, or has failed."""
        return self.made is not None and self.made.done()

    @property
    def inner(self) -> Scorer:
        """The plug-in's own scorer. Raises NotReady, PluginError."""
        assert self.made is not None
        if not self.made.done():
            raise NotReady(f"{self.where} is not ready after {self.start_ns / 1e9:g} s, and may become so later")
        error = self.made.exception()
        if error is not None:
            raise self._failed(error)
        made: Scorer = self.made.result()
        return made

    def _failed(self, error: BaseException) -> PluginError:
        verb = "" if type(error) is PluginError else "failed: "
        return PluginError(f"scorer {self.name!r}: {self.where} {verb}{error}")

    def answer(self, features: Features) -> tuple[Float, Float]:
        """The plug-in's answer, copied; called in its own thread, or by those who trust it not to hang."""
        n = len(features)
        answer = _foreign(self.inner.score, _copied(features))
        values, confidence = _foreign(_two, answer)
        return _foreign(_own, values, (n,)), _foreign(_own, confidence, (n,))

    def parts(self, features: Features) -> tuple[Float, float]:
        """Each feature's contribution by the plug-in, copied; zeros where it says nothing. Called like `answer`."""
        shape = (len(features), len(features.names))
        if not isinstance(self.inner, ContributingScorer):
            return np.zeros(shape), 0.0
        moved, baseline = _foreign(_two, _foreign(self.inner.contributions, _copied(features)))
        return _foreign(_own, moved, shape), float(_foreign(_own, baseline, ()))

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and (n,) confidences. Raises NoAnswer where it hangs, and whatever else it fails with."""
        return self._awaited(partial(self.answer, features), len(features))

    def contributions(self, features: Features) -> tuple[Float, float]:
        """(n, features) and the baseline. Raises NoAnswer where it hangs, and whatever else it fails with."""
        return self._awaited(partial(self.parts, features), len(features))

    def _awaited(self, call: Callable[[], T], n: int) -> T:
        pending: Future[T] | None = self.aside.ask(call)
        if pending is None:
            raise NoAnswer(f"scorer {self.name!r}: {self.where} still works on something else, or hangs")
        limit_s = hang_limit_s(n)
        try:
            return pending.result(limit_s)
        except TimeoutError:
            if pending.done():
                return pending.result()
            raise NoAnswer(f"scorer {self.name!r}: {self.where} has not answered for {limit_s:.0f} s") from None


def wait_for(scorers: Sequence[PluginScorer]) -> None:
    """Wait until all are made, as long as the slowest's start may take. One that is not ready then joins when it is.

    Raises PluginError where one of them fails.
    """
    fresh = [scorer for scorer in scorers if scorer.where not in _SLOW]
    limit_ns = max((scorer.start_ns for scorer in fresh), default=0)
    wait([made for scorer in scorers if (made := scorer.made) is not None], limit_ns / 1e9)
    for scorer in scorers:
        if scorer.ready:
            _ = scorer.inner
        else:
            _SLOW.add(scorer.where)


def hang_limit_s(n: int) -> float:
    """After how many seconds a plug-in counts as hanging where nobody waits for a decision on n rows."""
    return _HANG_S + _HANG_ROW_S * n


def plugin_scorer(
    kind: str,
    name: str,
    settings: Any,
    features: Sequence[str],
    found: Sequence[EntryPoint] | None = None,
    start_ns: int | None = None,
) -> PluginScorer:
    """Make the plug-in scorer of a kind; `found` stands in for the installed entry points.

    One that is not ready within `start_ns` is returned all the same, and joins when it is. Raises PluginError when no
    package, or more than one, offers the kind, or the factory fails.
    """
    scorer = PluginScorer(entry_point(kind, name, found), name, settings, features, start_ns)
    wait_for([scorer])
    return scorer


def settings_type(kind: str, start_ns: int | None = None) -> Any:
    """The type that a plug-in declares for its settings; None where it declares none, or can't be had in time."""
    try:
        point = entry_point(kind, kind)
    except PluginError:
        return None
    if point.value in _SLOW:
        return None
    return apart(point.value, lambda: getattr(_loaded(point), "settings_type", None), start_ns)


def apart(where: str, call: Callable[[], T], start_ns: int | None = None) -> T | None:
    """The answer of a stranger's code, in a thread of its own; None where it fails, or says nothing in time.

    Building the scorer will say why.
    """
    aside = Aside(f"plug-in {where}")
    pending: Future[T] | None = aside.ask(call)
    assert pending is not None
    try:
        return pending.result((START_NS if start_ns is None else start_ns) / 1e9)
    except Exception:
        if not pending.done():
            _SLOW.add(where)
        return None
    finally:
        aside.close()


def _made(point: EntryPoint, name: str, settings: Any, features: tuple[str, ...]) -> Scorer:
    with _as_it_was():
        scorer = _foreign(_loaded(point), name, settings, features)
        if not callable(getattr(scorer, "score", None)) or getattr(scorer, "name", None) != name:
            raise PluginError("did not return a scorer of that name")
    made: Scorer = scorer
    return made


def _loaded(point: EntryPoint) -> Any:
    with _as_it_was():
        return _foreign(point.load)


def _foreign(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a stranger's code. Any exception, SystemExit and its like too, becomes an ordinary failure here.

    The error itself goes no further: even its text is made by the stranger's code, which may hang or raise.
    """
    try:
        return copy_context().run(call, *arguments)  # NumPy's error state, for one, is a context's.
    except BaseException as error:
        raise PluginFailure(_said(error)) from None


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what a package may set for the whole process while it is imported: that is neither its nor our business."""
    filters: Any = warnings.filters
    kept, where, collects = list(filters), locale.setlocale(locale.LC_ALL), gc.isenabled()
    folder = None
    with suppress(OSError):
        folder = os.getcwd()
    try:
        yield
    finally:
        filters[:] = kept
        warnings.filters = filters
        with suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, where)
        if folder is not None:
            with suppress(OSError):
                os.chdir(folder)
        if collects:
            gc.enable()


def _copied(features: Features) -> Features:
    """The same on memory of its own, which no flag makes writable: numbers over bytes."""
    return Features(features.names, _fixed(features.values), _fixed(features.freshness), features.fallback)


def _fixed(array: Any) -> Any:
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _two(answer: Any) -> tuple[Any, Any]:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise TypeError(f"answered with a {type(answer).__name__} instead of two arrays")
    return answer[0], answer[1]


def _own(array: Any, shape: tuple[int, ...]) -> Float:
    """An answer as an array that nobody else has. Raises ValueError for another shape, TypeError for no numbers."""
    given = np.shape(array) if isinstance(array, np.ndarray) else None
    if given is not None and given != shape:  # Before it is converted: it may be huge.
        raise ValueError(f"answered with shape {given} instead of {shape}")
    found = np.asarray(array, np.float64)
    if found.shape != shape:
        raise ValueError(f"answered with shape {found.shape} instead of {shape}")
    own = np.empty(shape)
    own[...] = found
    return own


def _said(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {str(error)[:500]}".removesuffix(": ")
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    except BaseException:
        return "an error that can't say what it is"
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text
