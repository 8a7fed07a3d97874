"""The garbage collector beside a large suite: what was collected lives as long as the run, and is not walked again."""

from __future__ import annotations

import gc


def set_aside() -> None:
    """Keep all objects that there are out of later walks of the garbage collector.

    The collector walks everything once a quarter as many objects were added as its last full walk found. So one more
    walk follows, which finds almost none. Without it half a million objects of tests held back full walks, and what
    tests had left in cycles stayed in memory, arrays included.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
