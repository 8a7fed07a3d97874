"""Why a thing was refused, overridden or answered by a fallback. Each name is also a metric label."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """A declared cause. Ordinary answers carry no reason."""

    # Why an event went to the dead-letter journal.
    MALFORMED = "malformed"  # Not a JSON object, broken UTF-8, nested too deep.
    MISSING = "missing"  # A required field is absent.
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    BAD_TIME = "bad_time"
    TOO_LATE = "too_late"
    TOO_EARLY = "too_early"  # Further ahead of the clock than declared.
    AMBIGUOUS = "ambiguous"  # Its id or key has the hash of another text, which it must not be taken for.
    UNKNOWN_EVENT = "unknown_event"  # An outcome for an event that was never decided.
    UNKNOWN_NAME = "unknown_name"  # No event is a dead letter for it: it was taken, without this member.
    UNDECIDABLE = "undecidable"  # It brought about a fault of ours.
    # Why an answer is not what the models alone would have given.
    RULE = "rule"
    BREAKER = "breaker"
    BUDGET = "budget"
    HOLDOUT = "holdout"
    DUPLICATE = "duplicate"
    # Which part failed, in a fallback.
    SCORER_FAILED = "scorer_failed"
    SCORER_LATE = "scorer_late"
    SCORER_SHED = "scorer_shed"  # By the settings: it was not asked.
    SCORERS_ABSENT = "scorers_absent"
    POLICY_FAILED = "policy_failed"
    POLICY_LATE = "policy_late"
    JOURNAL_FAILED = "journal_failed"
    DEADLINE = "deadline"
    LEARNING_FAILED = "learning_failed"
    FEATURES_STALE = "features_stale"
    FEATURES_ABSENT = "features_absent"
    STREAM_FAILED = "stream_failed"


class Fallback:
    """Bits of a decision's `fallback` column; 0 means that every part answered."""

    SCORER_FAILED = 1
    SCORER_LATE = 2
    SCORERS_ABSENT = 4
    POLICY_FAILED = 8
    POLICY_LATE = 16
    DEADLINE = 32
    FEATURES_STALE = 64
    FEATURES_ABSENT = 128

    NAMES: ClassVar[dict[int, Reason]] = {
        SCORER_FAILED: Reason.SCORER_FAILED,
        SCORER_LATE: Reason.SCORER_LATE,
        SCORERS_ABSENT: Reason.SCORERS_ABSENT,
        POLICY_FAILED: Reason.POLICY_FAILED,
        POLICY_LATE: Reason.POLICY_LATE,
        DEADLINE: Reason.DEADLINE,
        FEATURES_STALE: Reason.FEATURES_STALE,
        FEATURES_ABSENT: Reason.FEATURES_ABSENT,
    }

    @classmethod
    def text(cls, bits: int) -> str:
        """The causes of `bits`, joined by '+'; empty when nothing fell back.

        >>> Fallback.text(3)
        'scorer_failed+scorer_late'
        """
        return "+".join(name.value for bit, name in cls.NAMES.items() if bits & bit)
