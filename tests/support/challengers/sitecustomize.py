"""Lets a `homeostat shadow` or `maintain` process of a test have its share of the processor, and misbehave.

Otherwise it would wait for the tests beside it, which leave no processor idle. Other processes are left alone.
"""

import os
import sys

_LEAKED = []


def _misbehave(how: str) -> None:
    import numpy as np

    from homeostat.decide.panel import Panel

    score = Panel.score

    def hang(panel, features):
        while True:
            pass

    def leak(panel, features):
        while True:
            _LEAKED.append(np.ones(8 << 20))

    def fail(panel, features):
        raise RuntimeError("no")

    def answer(value):
        def lie(panel, features):
            scores = score(panel, features)
            scores.values[:] = value
            return scores

        return lie

    ways = {"hangs": hang, "leaks": leak, "raises": fail, "answers NaN": answer(np.nan), "lies": answer(7.0)}
    Panel.score = ways[how]


if {"shadow", "maintain"} & set(sys.orig_argv):
    from homeostat.adapters.process import background

    background.give_way = lambda: None
    if os.environ.get("MISBEHAVES"):
        _misbehave(os.environ["MISBEHAVES"])
