"""Decides what becomes of a group of strange rows, by their labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.models.healing.contest import score, tail
from homeostat.records.arrays import Float, Mask
from homeostat.records.verdicts import Verdict

ROWS_MIN = 20  # Labelled rows of a group before anything is concluded.
MARGIN = 0.05  # More wrong rows than promised that a group may have and still be as good as other rows.
_SURE = 0.01  # Chance of a treatment's wins over the rows as they are, if it did not help.


def treat(losses: Mapping[str, Float], wrong: Mapping[str, Mask], promise: float) -> tuple[str, Verdict]:
    """The action for a group of rows, and whether its labels have shown that it is right.

    losses, wrong : by action (none: the rows as they are, repair, impute), the champion's on the group's rows
    promise : the share of wrong rows that the champion promised

    >>> import numpy as np
    >>> bad, good = np.ones(40, dtype=bool), np.zeros(40, dtype=bool)
    >>> treat({"none": bad * 1.0, "repair": good * 1.0}, {"none": bad, "repair": good}, 0.05)
    ('repair', <Verdict.PASS: 'PASS'>)
    """
    rows = len(wrong["none"])
    if rows < ROWS_MIN:
        return "quarantine", Verdict.INCONCLUSIVE
    share = {action: float(found.mean()) for action, found in wrong.items()}
    error = {action: float(np.sqrt(max(at * (1 - at), 0.5 / rows) / rows)) for action, at in share.items()}
    allowed = promise + MARGIN
    if "repair" in share and share["repair"] <= allowed and tail(*score(losses["repair"], losses["none"])) < _SURE:
        return "repair", Verdict.PASS
    if rows >= 2 * ROWS_MIN and share["none"] + error["none"] <= allowed:
        return "none", Verdict.PASS
    if "impute" in share and tail(*score(losses["impute"], losses["none"])) < _SURE:
        return "impute", Verdict.PASS
    lost = all(share[action] - 2 * error[action] > allowed for action in share)
    return "quarantine", Verdict.PASS if lost else Verdict.INCONCLUSIVE
