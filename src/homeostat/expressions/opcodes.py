"""The instructions of the stack machine.

An instruction is four 32-bit integers: the operation and up to three operands. Their numbers are never reused or
changed: compiled kernels are cached, and a new number must come with a change of the kernel's file to be seen.
"""

from __future__ import annotations

# Push.
CONSTANT = 0  # constants[a]
COLUMN = 1  # frame[row, a]
HOUR = 2
MINUTE = 3
WEEKDAY = 4  # Monday is 0.
DAY = 5  # Of the month, from 1.
ENTITY_IS = 6  # The key in column a is literal b.
ENTITY_SAME = 7  # The keys in columns a and b are one.
ENTITY_AMONG = 8  # The key in column a is one of the literals b to b + c.
ENTITY_LISTED = 9  # The key in column a is in the list at members[:, b:c] at the event's time
ENTITY_MISSING = 10
ENTITY_IS_NOT = 11
ENTITY_DIFFERS = 12
ENTITY_NOT_AMONG = 13
ENTITY_NOT_LISTED = 14
ENTITY_CODE = 15  # The key in column a as 52 bits of a keyed hash, which a float holds exactly.

# Replace the top.
NEGATE = 20
NOT = 21
TRUTH = 22
MISSING = 23
ABS = 24
LOG = 25
LOG1P = 26
EXP = 27
EXPM1 = 28
SQRT = 29
FLOOR = 30
CEIL = 31
SIGMOID = 32
LOGIT = 33
AMONG = 34  # The top is one of constants[a : a + b].
LISTED = 35  # The top, a category, is in the list at members[:, b:c] at the event's time.
NOT_AMONG = 36
NOT_LISTED = 37

# Replace the top two.
ADD = 40
SUBTRACT = 41
MULTIPLY = 42
DIVIDE = 43
FLOOR_DIVIDE = 44
MODULO = 45
POWER = 46
MIN = 47
MAX = 48
AND = 49
OR = 50
DEFAULT = 51
LESS = 52
LESS_EQUAL = 53
GREATER = 54
GREATER_EQUAL = 55
EQUAL = 56
NOT_EQUAL = 57

# In a chain of comparisons: puts the result below the right side, which the next comparison needs.
CHAIN_LESS = 62
CHAIN_LESS_EQUAL = 63
CHAIN_GREATER = 64
CHAIN_GREATER_EQUAL = 65
CHAIN_EQUAL = 66
CHAIN_NOT_EQUAL = 67
CHAIN_STEP = 10  # From a comparison to its chained form.

# Replace the top three: what is returned if so, the condition, what is returned if not.
SELECT = 70

# Pop.
STORE = 80  # frame[row, a] = top

STACK_MAX = 64
"""Values that an expression may have pending."""


def effect(operation: int) -> int:
    """How many values an operation adds to the stack.

    >>> effect(ADD), effect(CONSTANT), effect(NEGATE)
    (-1, 1, 0)
    """
    if operation < NEGATE:
        return 1
    if operation < ADD:
        return 0
    if CHAIN_LESS <= operation < SELECT:
        return 0
    return -2 if operation == SELECT else -1
