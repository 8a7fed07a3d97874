"""One chart of each kind, and some that are hard to draw. `python -m tests.charts.samples` draws them into golden/."""

from __future__ import annotations

from math import exp, sin
from pathlib import Path

from homeostat.charts import (
    Axis,
    Bar,
    Chart,
    Dots,
    HeatMap,
    Histogram,
    Intervals,
    Line,
    Mark,
    Scatter,
    Series,
    Values,
    svg,
)  # fmt: skip

GOLDEN = Path(__file__).parent / "golden"
DAYS = tuple(f"2026-11-{day:02}" for day in range(1, 25))


def _wave(name: str, shift: float) -> Series:
    x = tuple(float(n) for n in range(24))
    y: list[float | None] = [round(0.8 + 0.05 * sin(n / 3 + shift), 4) for n in range(24)]
    y[9] = None if shift else y[9]
    low = tuple(None if v is None else round(v - 0.03, 4) for v in y)
    high = tuple(None if v is None else round(v + 0.03, 4) for v in y)
    return Series(name, x, tuple(y), low, high)


SAMPLES: dict[str, Chart] = {
    "line": Line(
        "Average precision by day", (_wave("version 3", 0.0), _wave("version 4", 2.0)), "On matured outcomes.",
        Axis("day", names=DAYS), Axis("average precision", low=0.7),
        (Mark(0.75, "target"), Mark(12.0, "deployed", "x")),
    ),
    "step": Line(
        "Reviewers on duty", (Series("reviewers", (0.0, 6.0, 14.0, 22.0, 24.0), (2.0, 5.0, 8.0, 3.0, 3.0)),),
        x=Axis("hour"), y=Axis(low=0.0), kind="step",
    ),
    "bar": Bar(
        "Decisions by action", ("allow", "challenge", "review", "block"),
        (Values("as decided", (8210.0, 940.0, 310.0, 120.0)), Values("rules alone", (9100.0, 280.0, None, 200.0)),
         Values("difference", (-890.0, 660.0, 310.0, -80.0))), y=Axis("decisions"),
    ),
    "scatter": Scatter(
        "Cost and recall of versions",
        (Series("kept", (0.2, 0.4, 0.55, 0.7), (0.9, 0.7, 0.65, 0.6)),
         Series("left", (0.3, 0.5), (1.1, 0.95), (1.0, 0.9), (1.2, 1.0))), x=Axis("recall"), y=Axis("cost", "EUR"),
    ),
    "histogram": Histogram(
        "Latency", tuple(float(50 * n) for n in range(21)),
        (Values("decisions", tuple(float(round(4000 * exp(-n / 3))) for n in range(20))),),
        x=Axis("latency", "us"), y=Axis("decisions", log=True), marks=(Mark(800.0, "deadline", "x"),),
    ),
    "two-histograms": Histogram(
        "Risk", tuple(n / 10 for n in range(11)),
        (Values("negatives", (90.0, 60.0, 30.0, 12.0, 6.0, 4.0, 2.0, 1.0, 0.0, 0.0)),
         Values("positives", (1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 18.0))), x=Axis("risk"), y=Axis("events"),
    ),
    "heat-map": HeatMap(
        "Recall by amount and hour", ("below 10", "10 to 100", "above 100"), ("night", "morning", "day", "evening"),
        ((0.1, 0.25, 0.4, None), (0.33, 0.5, 0.62, 0.7), (0.71, 0.8, 0.93, 0.97)), value=Axis("recall"),
    ),
    "dots": Dots(
        "Worst slices", ("all", "country = NL", "hour < 6", "amount > 1,000 and a long name of a slice"),
        (Intervals("version 3", (0.82, 0.61, 0.7, 0.5), (0.8, 0.5, 0.62, 0.31), (0.84, 0.72, 0.78, 0.69)),
         Intervals("version 4", (0.84, 0.66, 0.69, None), (0.82, 0.55, 0.6, None), (0.86, 0.77, 0.78, None))),
        x=Axis("average precision"), marks=(Mark(0.82, "all", "x"),),
    ),
    "empty": Line("Nothing yet", ()),
    "hostile": Bar(
        "</title><script>alert(1)</script>", ('"><img src=x onerror=alert(1)>', "\x00\u202egpj", "&amp;"),
        (Values("<b>", (1.0, 2.0, float("nan"))), Values("' onload='x", (1e308, -1e308, 5e-324))), "]]><!-- {{7*7}}",
    ),
}  # fmt: skip


def write() -> None:
    """Draw every sample, to be read and committed."""
    GOLDEN.mkdir(exist_ok=True)
    for name, chart in SAMPLES.items():
        (GOLDEN / f"{name}.svg").write_text(svg(chart), "utf-8")


if __name__ == "__main__":
    write()
