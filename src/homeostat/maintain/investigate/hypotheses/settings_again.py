"""The shared test of deploys and settings: the same events with and without the changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from homeostat.maintain.investigate.inquiry import DAY_NS, Answer, Inquiry
from homeostat.records.changes import Change
from homeostat.records.plans import Alteration

_SAME = 1e-6  # Risks that differ by less are the same.


def undone(inquiry: Inquiry, changes: Sequence[Change], words: str, least: float) -> Iterator[Answer]:
    """Decide the events since changes twice, with and without them, and count what comes out otherwise.

    Both are replays, so that features that were served otherwise, or were away, make no difference.

    changes : newest first
    least : the share of risks, or a tenth of it of actions, from which on the changes decide otherwise
    """
    now = inquiry.recent.now_ns
    span = max(min(one.at_ns for one in changes), now - DAY_NS), now
    before = {one.where: Alteration(one.kind, one.scope, one.before) for one in changes}
    with_them = inquiry.replayed("decisions with all changes", *span)
    without = inquiry.replayed(f"decisions {words}", *span, list(before.values()))
    if with_them is None or without is None:
        return
    kept = with_them.kept & without.kept
    if not kept.any():
        return
    moved = float((np.abs(without.risk[kept] - with_them.risk[kept]) > _SAME).mean())
    other = float((without.action[kept] != with_them.action[kept]).mean())
    differs = moved > least or other > least / 10
    command = f"homeostat settings show {changes[0].number}"
    yield Answer(f"risks that differ {words}", moved, "share", 2.5 if moved > least else 0.0, False, command)
    yield Answer(f"actions that differ {words}", other, "share", 3.5 if differs else -6.0, differs, command)
