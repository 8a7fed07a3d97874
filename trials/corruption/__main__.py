"""`python -m trials.corruption ROAD --count N`: many cases, and what became of them."""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

import numpy as np

from trials.corruption.redis_keys import RedisKeys
from trials.corruption.road import Road
from trials.corruption.roads import ROADS

ALL = {**ROADS, "redis": RedisKeys}
HANG_S = 30  # Of processor time: far beyond what any case takes; one that reaches it hangs.
WAIT_S = 900  # Of time: one that waits for so long for whatever it is, even on a machine that does much else, hangs.
TELL_S = 60


class Hangs(BaseException):
    """A case did not come to an end."""


def run(road: Road, seed: int, numbers: range) -> tuple[Counter[str], list[int], float]:
    """How the cases ended, the numbers of those that failed, and the processor time of the longest in seconds."""
    ended: Counter[str] = Counter()
    failed: list[int] = []
    longest, told = 0.0, time.monotonic()
    signal.signal(signal.SIGALRM, _hangs)
    signal.signal(signal.SIGPROF, _hangs)
    for number in numbers:
        begun = time.process_time()
        signal.alarm(WAIT_S)
        signal.setitimer(signal.ITIMER_PROF, HANG_S)
        try:
            ended[road.case(number, np.random.default_rng([seed, number]))] += 1
        except (Exception, Hangs):
            failed.append(number)
            print(f"--only {number} --seed {seed}:", file=sys.stderr)
            traceback.print_exc()
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        longest = max(longest, time.process_time() - begun)
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            print(f"through {number:,}, {len(failed)} failed", file=sys.stderr, flush=True)
    return ended, failed, longest


def _hangs(number: int, frame: FrameType | None) -> None:
    raise Hangs(f"no end after {HANG_S} s of processor time, or {WAIT_S} s")


def main() -> None:
    """Parse arguments, run, print, and exit 1 where a case failed."""
    parser = argparse.ArgumentParser(prog="python -m trials.corruption", description=__doc__)
    parser.add_argument("road", choices=sorted(ALL))
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    given = parser.parse_args()
    first = given.first if given.only is None else given.only
    count = given.count if given.only is None else 1
    with tempfile.TemporaryDirectory() as folder:
        road: Road = ALL[given.road](Path(folder))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            ended, failed, longest = run(road, given.seed, range(first, first + count))
        finally:
            getattr(road, "close", lambda: None)()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{given.road}: {count:,} cases, {dict(ended)}, {len(failed)} failed {failed[:20]}")
    print(f"longest {longest:.2f} s of processor time, memory grew by at most {grown / 1024:.0f} MB")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
