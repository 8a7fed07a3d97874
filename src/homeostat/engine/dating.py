"""The times of events and outcomes, held against this machine's clock."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.decide.intake.border import Texts


def stepped(now_ns: int, ahead_max_ns: int) -> int:
    """The time against which event times are held, in steps of a 24th of how far ahead they may be.

    So the latest time allowed, which the HTTP interface publishes, holds for a while and not for an instant.
    """
    step_ns = ahead_max_ns // 24
    return now_ns - now_ns % step_ns if step_ns else now_ns


def dated(outcome: object, names: tuple[str, ...], now_ns: int) -> object:
    """An outcome that says when it became known: now, where it does not."""
    if not isinstance(outcome, Mapping) or any(outcome.get(name) not in (None, "") for name in names):
        return outcome
    known = {names[0]: str(np.datetime64(now_ns, "ns"))}
    return Texts({**outcome, **known}) if isinstance(outcome, Texts) else {**outcome, **known}
