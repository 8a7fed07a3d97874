"""Troubles are reported at once, now and then while they last, and when they are over."""

from __future__ import annotations

from homeostat.adapters.process.standing import SAY_AGAIN_S, Standing


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def now_ns(self) -> int:
        return int(self.at_s * 1e9)

    monotonic_ns = now_ns


def test_a_trouble_is_said_once_at_once_then_at_intervals_and_when_it_is_over() -> None:
    said, clock = [], Clock()
    standing = Standing(said.append, clock, "well again")
    standing.now("")
    assert said == []
    for _ in range(int(3 * SAY_AGAIN_S * 8)):
        standing.now("the disk is full")
        clock.at_s += 0.125
    assert said[0] == "the disk is full" and len(said) == 3
    assert all(line.startswith("the disk is full (for ") for line in said[1:])
    standing.now("")
    standing.now("")
    assert said[3:] == ["well again, after 3 min"]
    standing.now("the disk is full")
    assert said[4:] == ["the disk is full"]


def test_another_trouble_is_said_too_but_not_each_time_that_the_wording_changes() -> None:
    said, clock = [], Clock()
    standing = Standing(said.append, clock)
    for second in range(30):
        clock.at_s += 1
        standing.now(f"{second} rows wait")
    assert [line.split(" (")[0] for line in said] == ["0 rows wait", "10 rows wait", "20 rows wait"]
