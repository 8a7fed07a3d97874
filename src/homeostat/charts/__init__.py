"""Charts as typed specs, drawn as SVG without a script, a network or a dependency.

`spec` has the kinds, `svg` draws a file that stands alone, `figure` a part of an HTML page.
"""

from homeostat.charts.drawing import figure, svg
from homeostat.charts.spec import (
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
)
from homeostat.charts.style import STYLE
from homeostat.charts.thinning import thinned

__all__ = [
    "STYLE",
    "Axis",
    "Bar",
    "Chart",
    "Dots",
    "HeatMap",
    "Histogram",
    "Intervals",
    "Line",
    "Mark",
    "Scatter",
    "Series",
    "Values",
    "figure",
    "svg",
    "thinned",
]
