"""Where things lie: the columns of the tables that kernels read, and the words of an entity's state.

Memory is two arrays of 64-bit words, each seen as integers and as floats: one holds the state of each entity, one
holds their logs. An entity's log is one block of rows, so that what a window adds and removes lies together:

    time | values the entity's windows need | label | tag | masks | links of ordered streams

Before the logs lies one scratch row, then what `pool` keeps; blocks of limbs lie among the logs.

Events are numbered from 0 in each log; the number stays when older rows are dropped (only late events shift it).

Four things follow from a plan, each a table of one row per thing:

    head     a delay: the position up to which events are old enough to be seen
    span     a head and a length: the position from which events are young enough to be seen
    stream   a head and a filter and a value: the events it admits, and their values
    account  a span and a stream: what is known of the stream's events in the span
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

LAYOUT = 2
"""The number of the layout that snapshots hold; it changes with the words of a state or a row."""

# The program: this, then the tables, entities first. A kernel knows a row by the place where it begins.
G_LATENESS, G_ENTITIES_FROM, G_ENTITIES_TO, G_OWN_TIME, G_POOL, G_PLACES, G_WORDS = range(7)

# Entities: one row per key column.
(
    P_ROW_WORDS,
    P_STATE_WORDS,
    P_HEAD_FROM,
    P_HEAD_TO,
    P_SPAN_FROM,
    P_SPAN_TO,
    P_STREAM_FROM,
    P_STREAM_TO,
    P_ACCOUNT_FROM,
    P_ACCOUNT_TO,
    P_EMIT_FROM,
    P_EMIT_TO,
    P_COPY_FROM,
    P_COPY_TO,
    P_REACH,  # max(delay + length)
    P_RETAIN,  # P_REACH + lateness: what is older than this behind the newest event is never looked at.
    P_LABEL,  # The label's word in a row; -1 when no window depends on labels.
    P_TAG,  # The tag's; -1 where neither labels nor other writers ask for it.
    P_MASKS,  # The masks' word in a row; -1 when no window is masked.
    P_LINKS,  # The first word of a row that holds a link.
    P_DISTINCTS,  # Number of streams whose distinct values are counted.
    P_SUMS,  # Number of accounts with a sum, and with a sum of squares.
    P_SQUARES,
    P_COLUMNS,
) = range(24)

H_DELAY, H_POSITION, H_STREAM_FROM, H_STREAM_TO, H_COLUMNS = range(5)

S_LENGTH, S_DELAY, S_TAIL, S_ACCOUNT_FROM, S_ACCOUNT_TO, S_POSITION, S_COLUMNS = range(7)

(
    R_PLAIN,  # Neither mask nor label decides: the value's word is all that must be read.
    R_MASK,
    R_FILTER,
    R_VALUE,  # The value's word in a row, 0 for none.
    R_LABEL,
    R_MASKS,
    R_UNKNOWN_IS_ZERO,
    R_NEEDS,
    R_TOP,  # State: the newest event admitted, -1 for none.
    R_POSITIVE,  # State: the newest event with a positive label, then the events admitted since.
    R_MIN,  # Row: the next older event that is smaller, the next newer one, both as distances.
    R_MAX,
    R_SAME,  # Row: the next older and newer event of the same value, then the next older of the same bucket.
    R_DISTINCT,  # Which of the entity's bucket lists.
    R_ACCOUNT_FROM,
    R_ACCOUNT_TO,
    R_POSITION,  # State: the head's position.
    R_COLUMNS,
) = range(18)

A_STREAM, A_NEEDS, A_N, A_SUM, A_SQUARES, A_MIN, A_MAX, A_FIRST, A_DISTINCT, A_TAIL, A_COLUMNS = range(11)

M_KIND, M_SLOT, M_ACCOUNT, M_STREAM, M_SPAN, M_SELF, M_COLUMNS = range(7)

NEED_SUM = 1
NEED_SQUARES = 2
NEED_MIN = 4
NEED_MAX = 8
NEED_DISTINCT = 16
NEED_TOP = 32
NEED_FIRST = 64
NEED_SINCE = 128
NEED_LINKS = NEED_MIN | NEED_MAX
NEED_MORE = NEED_MIN | NEED_MAX | NEED_DISTINCT | NEED_TOP | NEED_SINCE
"""The values that a stream keeps beyond counts and sums when its head passes an event."""

# The state of one entity: this, then heads, tails, streams and accounts.
(
    E_KEY,
    E_CHECK,
    E_ENTITY,
    E_BLOCK,
    E_CAPACITY,
    E_BASE,
    E_END,
    E_TIME,
    E_GROUP,  # Its number among the entities of a batch, -1 between batches; one that has a number is never dropped.
    E_KNOWN,  # Rows read of a log that others write too; see `follow`.
    E_WORDS,
) = range(11)

# Counters that kernels share with the engine.
(
    C_NEWEST,  # The time that the events have reached: the watermark before lateness.
    C_STATE_USED,
    C_LOG_USED,
    C_ENTITIES,
    C_TOO_LATE,
    C_UNMATCHED,
    C_STATE_NEEDED,
    C_LOG_NEEDED,
    C_POOL_NEEDED,  # Words of log that free blocks need: the log's array then becomes longer, and nothing moves.
    C_RESUME,  # The entity of a batch to go on with then, of how many; 0 at its beginning.
    C_GROUPS,
    C_COUNTERS,
) = range(12)

# The words between the scratch row and the first log, from p[G_POOL] on: lists of free blocks of limbs, each as its
# first block (0 for none) and their number, then words that nothing keeps.
POOL_SUMS, POOL_SQUARES, POOL_FREE = 0, 2, 4

NEVER = -(2**62)
"""Before every event: the year 1823, far enough from the end of 64 bits to subtract spans from."""


class Memory(NamedTuple):
    """All state. The integer and the float array of a pair are the same memory."""

    state: Ints
    state_floats: Floats
    log: Ints
    log_floats: Floats
    hash_keys: Ints
    hash_states: Ints  # (position in state) * ENTITIES_MAX + the entity's row in the program, or -1.
    counters: Ints


class Words(NamedTuple):
    """The words of `Memory` that most kernels work on: `state` and `log`, each as integers and as floats."""

    state: Ints
    state_floats: Floats
    log: Ints
    log_floats: Floats


class At(NamedTuple):
    """Where an entity lies: its words of state begin at `offset`; event q of its log is the row at base + q * width.

    Kernels take it and `Words` as one argument each. That costs nothing: Numba passes their members in registers, as
    it did when each was a letter.
    """

    offset: int
    base: int
    width: int


PROGRAM_MAX = 2**16
"""Where the last entity's row may begin: it shares a word of the hash map with a position."""


class RowColumns(NamedTuple):
    """Rows as columns; see `Windows.advance`."""

    time_ns: Ints
    keys: Ints
    checks: Ints
    values: Floats
    masks: Bytes
    label: Floats
    tag: Ints
    kind: Bytes
    reach_ns: Ints


def words(count: int) -> tuple[Ints, Floats]:
    """(count,) 64-bit words, as integers and as floats; zero, so that equal states are equal snapshots."""
    as_integers: Ints = np.zeros(count, dtype=np.int64)
    as_floats: Any = as_integers.view(np.float64)
    return as_integers, as_floats
