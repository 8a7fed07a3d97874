"""The three answers of a judgement."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """PASS and FAIL need evidence. Silence, missing data and small samples are INCONCLUSIVE."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
