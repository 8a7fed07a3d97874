"""Charts of any values and texts are well-formed, inside their frame, the same each time, readable in both themes."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import fields, replace
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.charts.samples import GOLDEN, SAMPLES

from homeostat.charts import (
    STYLE,
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
    figure,
    svg,
    thinned,
)
from homeostat.charts.scales import Bands, scale
from homeostat.charts.shapes import dash, dot
from homeostat.charts.style import (
    DARK,
    HEAT_DARK,
    HEAT_LIGHT,
    LIGHT,
    SERIES_DARK,
    SERIES_LIGHT,
    Tokens,
    contrast,
    heat_ink,
)
from homeostat.charts.text import width
from homeostat.charts.thinning import POINTS_MAX, SIDE_MAX

SVG = "{http://www.w3.org/2000/svg}"
MAX = sys.float_info.max
EDGES = [None, float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 5e-324, -5e-324, 1e-300, 1e308, -1e308, MAX, -MAX]
values = st.one_of(st.sampled_from(EDGES), st.floats(-1e6, 1e6), st.floats())
HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><a href=x>",
    "]]>",
    "<!--",
    "&#0;",
    "\x00\x1b\ud800\ufffe",
    "\u202eabc",
    "",
    " ",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.text(st.characters(), max_size=5))
axes = st.builds(Axis, texts, texts, st.booleans(), values, values)
marks = st.lists(st.builds(Mark, st.floats(), texts, st.sampled_from(["x", "y"])), max_size=2).map(tuple)


def column(n: int) -> st.SearchStrategy[tuple[float | None, ...]]:
    return st.lists(values, min_size=n, max_size=n).map(tuple)


@st.composite
def series(draw: st.DrawFn) -> Series:
    n = draw(st.integers(0, 6))
    banded = draw(st.booleans())
    return Series(draw(texts), draw(column(n)), draw(column(n)), *(draw(column(n)) for _ in range(2 * banded)))


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    kind, n = draw(st.sampled_from("line step scatter bar histogram heat dots".split())), draw(st.integers(0, 5))
    title, said, x, y = draw(texts), draw(texts), draw(axes), draw(axes)
    names = tuple(draw(st.lists(texts, min_size=n, max_size=n)))
    count = draw(st.integers(0, 3))
    if kind in ("line", "step"):
        x = replace(x, names=names, log=x.log and not names)
        return Line(title, tuple(draw(st.lists(series(), max_size=3))), said, x, y, draw(marks), kind=kind)
    if kind == "scatter":
        return Scatter(title, tuple(draw(st.lists(series(), max_size=3))), said, x, y, draw(marks))
    if kind == "heat":
        columns = tuple(draw(st.lists(texts, max_size=5)))
        return HeatMap(title, names, columns, tuple(draw(column(len(columns))) for _ in names), said, x, y, draw(axes))
    if kind == "dots":
        dots = tuple(Intervals(draw(texts), *(draw(column(n)) for _ in range(3))) for _ in range(count))
        return Dots(title, names, dots, said, x, draw(marks))
    if kind == "bar":
        bars = tuple(Values(draw(texts), draw(column(n))) for _ in range(count))
        return Bar(title, names, bars, said, x, y, draw(marks))
    finite = st.floats(allow_nan=False, allow_infinity=False)
    edges = tuple(sorted(draw(st.sets(finite, min_size=n + 1, max_size=n + 1))))
    bars = tuple(Values(draw(texts), draw(column(n))) for _ in range(count))
    return Histogram(title, edges, bars, said, x, y, draw(marks))


def places(root: ET.Element) -> tuple[list[float], list[float]]:
    """Every x and every y of what is drawn; of paths only where they begin."""
    across, down = [], []
    for element in root.iter():
        at = {
            name: float(element.attrib[name]) for name in element.attrib if re.fullmatch("[xy][12]?|width|height", name)
        }
        across += [at[name] for name in ("x", "x1", "x2") if name in at]
        down += [at[name] for name in ("y", "y1", "y2") if name in at]
        if element.tag == f"{SVG}rect":
            across.append(at["x"] + at["width"])
            down.append(at["y"] + at["height"])
        for pair in element.get("points", "").split() + re.findall(r"M(-?[\d.]+,-?[\d.]+)", element.get("d", "")):
            across.append(float(pair.split(",")[0]))
            down.append(float(pair.split(",")[1]))
    return across, down


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_drawn_as_it_was(name: str) -> None:
    """`python -m tests.charts.samples` draws them again. Look at them before you commit."""
    assert svg(SAMPLES[name]) == (GOLDEN / f"{name}.svg").read_text("utf-8")


def test_there_is_a_sample_of_every_kind_and_no_golden_file_without_a_sample() -> None:
    kinds = {chart.kind for chart in SAMPLES.values()}
    assert kinds == {"line", "step", "bar", "scatter", "histogram", "heat map", "dots"}
    assert {path.stem for path in GOLDEN.iterdir()} == set(SAMPLES)


@settings(max_examples=100, deadline=None)
@given(charts())
def test_any_values_and_texts_give_a_whole_picture_inside_its_frame(chart: Chart) -> None:
    text = svg(chart)
    root = ET.fromstring(text)
    assert text == svg(chart)
    assert not re.search(r"\b(nan|inf)\b", re.sub(r">[^<]*<", "><", text).replace(STYLE, ""))
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    across, down = places(root)
    assert all(0 <= x <= width for x in across) and all(0 <= y <= height for y in down)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "style", "text", "line", "polyline", "polygon", "rect", "path",
    }  # fmt: skip
    assert root[0].tag == f"{SVG}title" and root[1].tag == f"{SVG}desc" and root.attrib["role"] == "img"


class Page(HTMLParser):
    """The tags, attributes and cells of a page. Fails where a tag is not closed by its own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.rows += tag == "tr"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@settings(max_examples=60, deadline=None)
@given(charts())
def test_a_figure_is_whole_and_its_texts_make_no_element_and_no_attribute(chart: Chart) -> None:
    page = Page()
    page.feed(figure(chart, "one"))
    page.close()
    assert page.open == []
    assert page.tags <= {
        "figure", "svg", "title", "desc", "text", "line", "polyline", "polygon", "rect", "path", "figcaption",
        "details", "summary", "div", "table", "caption", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert not {name for name in page.attributes if name.startswith("on")} | page.attributes & {"href", "src", "style"}


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_points_out_of_a_chart_and_nothing_runs_in_it(name: str) -> None:
    text = svg(SAMPLES[name]).replace('xmlns="http://www.w3.org/2000/svg"', "")
    outside = re.sub(r">[^<]*<", "><", text)  # A label may say anything.
    assert not re.search(r"https?:|url\(|@import|href|<script|<foreignObject| on\w+=", outside + STYLE)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "empty"])
def test_the_table_has_a_row_for_all_that_is_drawn(name: str) -> None:
    chart = SAMPLES[name]
    page = Page()
    page.feed(figure(chart, "one"))
    match chart:
        case Line() | Scatter():
            rows = sum(len(one.x) for one in chart.series)
        case Histogram():
            rows = len(chart.edges) - 1
        case HeatMap():
            rows = len(chart.rows)
        case Bar():
            rows = len(chart.categories)
        case Dots():
            rows = len(chart.categories) * len(chart.series)
    assert page.rows == rows + 1


def test_the_description_says_lowest_highest_last_and_what_is_missing() -> None:
    text = svg(Line("t", (Series("cost", (0.0, 1.0, 2.0, 3.0), (3.0, float("nan"), 1.0, 2.0)),), "Per day."))
    said = ET.fromstring(text).findtext(f"{SVG}desc")
    assert said == "Per day. cost: 3 values, from 1 to 3, last 2. 1 of 4 values are missing."
    assert ">1 of 4 values are missing.</text>" in text


def test_a_missing_value_interrupts_its_line_and_a_lone_point_is_a_dot() -> None:
    whole = svg(Line("t", (Series("a", (0.0, 1.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0)),)))
    gap = svg(Line("t", (Series("a", (0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 2.0, None, 4.0, 5.0)),)))
    lone = svg(Line("t", (Series("a", (0.0, 1.0, 2.0), (1.0, None, 3.0)),)))
    assert [text.count("<polyline") for text in (whole, gap, lone)] == [1, 2, 0]
    assert [text.count("<path") for text in (whole, gap, lone)] == [0, 0, 2]


def test_a_step_holds_its_height_until_the_next() -> None:
    root = ET.fromstring(svg(Line("t", (Series("a", (0.0, 1.0, 2.0), (1.0, 2.0, 2.0)),), kind="step")))
    corners = [tuple(map(float, p.split(","))) for p in root.find(f"{SVG}polyline").attrib["points"].split()]
    assert len(corners) == 5
    assert corners[0][1] == corners[1][1] and corners[1][0] == corners[2][0] and corners[2][1] == corners[3][1]


def heights(chart: Chart) -> list[float]:
    return [float(bar.attrib["height"]) for bar in ET.fromstring(svg(chart)).iter(f"{SVG}rect")]


def test_bars_are_as_high_as_their_values_and_the_lowest_is_seen_on_a_log_scale() -> None:
    one, two, minus = heights(Bar("t", ("a", "b", "c"), (Values("v", (50.0, 100.0, -50.0)),)))
    assert one == pytest.approx(two / 2, abs=0.1) and minus == pytest.approx(one, abs=0.1)
    lowest, highest = heights(Bar("t", ("a", "b"), (Values("v", (10.0, 1000.0)),), y=Axis(log=True)))
    assert 5 < lowest < highest


def test_a_log_scale_has_no_place_below_0_and_says_so() -> None:
    text = svg(Line("t", (Series("a", (1.0, 2.0, 3.0), (0.0, 10.0, 1000.0)),), y=Axis("cost", log=True)))
    assert "1 of 3 values are not above 0: a logarithmic axis has no place for them." in text
    assert "cost, logarithmic" in text


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_a_log_scale_keeps_ratios(low: float, high: float) -> None:
    on = scale(Axis(log=True), (low, high))
    assume(high > low * 1.001)
    middle = on.at((low**0.5) * (high**0.5))
    assert middle == pytest.approx(0.5, abs=1e-6)


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
def test_ticks_rise_inside_the_axis_and_no_two_have_the_same_text(low: float, high: float, log: bool) -> None:
    on = scale(Axis(log=log), (low, high))
    ticks = on.ticks(560)
    assert len(ticks) <= 12
    assert all(-1e-6 <= share <= 1 + 1e-6 for share, _ in ticks)
    assert [share for share, _ in ticks] == sorted(share for share, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


@pytest.mark.parametrize("found", [(MAX,), (-MAX,), (MAX, -MAX), (MAX, 0.0), (1e308, MAX)])
@pytest.mark.parametrize("log", [False, True])
def test_the_largest_numbers_are_on_their_axis(found: tuple[float, ...], log: bool) -> None:
    on = scale(Axis(log=log), found, room=0.03)
    assert all(-1e-9 <= share <= 1 + 1e-9 for value in found if (share := on.at(value)) is not None)
    assert all(0 <= tick.share <= 1 + 1e-9 for pixels in (60.0, 200.0, 600.0) for tick in on.ticks(pixels))


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, unique=True), st.booleans())
def test_a_scale_keeps_the_order_of_values(found: list[float], zero: bool) -> None:
    on = scale(Axis(), found, zero)
    at = [on.at(value) for value in sorted(found)]
    assert at == sorted(at) and at[0] >= 0 and at[-1] <= 1 + 1e-12


@pytest.mark.parametrize("count", [1, 2, 7, 30, 400, 1000])
def test_no_two_texts_of_an_axis_overlap(count: int) -> None:
    names = tuple(f"merchant {n}" for n in range(count))
    found = tuple(float(n) for n in range(count))
    for chart in (Bar("t", names, (Values("a", found),)), Line("t", (Series("a", found, found),), x=Axis(names=names))):
        texts = [t for t in ET.fromstring(svg(chart)).iter(f"{SVG}text") if (t.text or "").startswith("merchant")]
        ends = [(float(t.attrib["x"]), width(t.text or "") / 2) for t in texts]
        assert ends[0][0] - ends[0][1] >= 0 and ends[-1][0] + ends[-1][1] <= 640
        assert all(x + half < following - its for (x, half), (following, its) in pairwise(ends))


def test_a_thousand_categories_are_all_drawn_under_a_few_names() -> None:
    names = tuple(f"merchant {n}" for n in range(1000))
    text = svg(Bar("t", names, (Values("a", tuple(float(n) for n in range(1000))),)))
    assert text.count("<rect") == 1000
    assert 2 <= sum(f">{name}</text>" in text for name in names) <= 12
    page = Page()
    page.feed(figure(Bar("t", names, (Values("a", tuple(float(n) for n in range(1000))),)), "one"))
    assert page.rows == 1001
    assert len(Bands(names).ticks(1000 * 18.0, upright=True)) == 1000


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), st.integers(POINTS_MAX + 1, 9000))
def test_a_thinned_line_keeps_its_ends_its_extremes_and_its_gaps(seed: int, n: int) -> None:
    y: list[float | None] = [float((k * 7919 + seed) % 1009) for k in range(n)]
    y[n // 2], y[n // 3], y[n // 5] = None, 1e6, -1e6
    chart = Line("t", (Series("a", tuple(map(float, range(n))), tuple(y)),))
    few = thinned(chart).series[0]
    assert thinned(chart).decimated and len(few.x) <= POINTS_MAX
    assert (few.x[0], few.x[-1]) == (0.0, n - 1.0) and None in few.y
    there = [value for value in few.y if value is not None]
    assert (min(there), max(there)) == (-1e6, 1e6)
    assert set(zip(few.x, few.y)) <= set(zip(chart.series[0].x, y))
    assert f"{len(few.x):,} of {n:,} values are drawn." in svg(chart)


def test_whatever_is_large_is_thinned_once_and_small_charts_are_left_as_they_are() -> None:
    many = tuple(map(float, range(5000)))
    names = tuple(map(str, range(5000)))
    large: list[Chart] = [
        Scatter("t", (Series("a", many, many),)), Bar("t", names, (Values("a", many),)),
        Dots("t", names, (Intervals("a", many, many, many),)), HeatMap("t", names, ("a",), tuple((v,) for v in many)),
    ]  # fmt: skip
    for chart in large:
        few = thinned(chart)
        assert few.decimated and thinned(few) == few
        assert "values are drawn." in svg(chart) and "Not every value is drawn." in svg(few)
    assert len(thinned(large[3]).rows) == SIDE_MAX
    assert all(thinned(chart) is chart for chart in SAMPLES.values())


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "hostile"])
def test_a_spec_passes_through_json_unchanged(name: str) -> None:
    kind = TypeAdapter(Chart)
    chart = SAMPLES[name]
    assert kind.validate_json(kind.dump_json(chart)) == chart
    json.dumps(kind.json_schema())
    assert fields(chart)[0].name == "title"


@pytest.mark.parametrize("wrong", [
    lambda: Series("a", (1.0,), (1.0, 2.0)), lambda: Series("a", (1.0,), (1.0,), (1.0,)),
    lambda: Intervals("a", (1.0,), (), ()), lambda: Bar("t", ("a",), (Values("b", ()),)),
    lambda: Dots("t", ("a",), (Intervals("b", (), (), ()),)), lambda: HeatMap("t", ("a",), ("b",), ((1.0, 2.0),)),
    lambda: HeatMap("t", ("a",), ("b",), ()), lambda: Histogram("t", (0.0, 1.0), (Values("a", ()),)),
    lambda: Histogram("t", (0.0, 0.0), (Values("a", (1.0,)),)),
    lambda: Histogram("t", (0.0, float("inf")), (Values("a", (1.0,)),)),
    lambda: Histogram("t", tuple(map(float, range(3000))), ()), lambda: Axis(log=True, names=("a",)),
    lambda: figure(SAMPLES["empty"], "A b"), lambda: figure(SAMPLES["empty"], 'a" onload="x'),
])  # fmt: skip
def test_a_spec_that_contradicts_itself_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"has|finite"):
        wrong()  # type: ignore[operator]


def test_the_page_has_every_kind_and_field_and_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "charts.md").read_text("utf-8")
    for chart in SAMPLES.values():
        assert f"| `{chart.kind}` |" in page
        assert all(f"`{field.name}`" in page for field in fields(chart) if field.name != "kind")
    assert all(field.name in page for part in (Axis, Mark, Series) for field in fields(part))
    monkeypatch.chdir(tmp_path)
    exec(re.search("```python\n(.*?)```", page, re.DOTALL)[1], {})
    assert ET.parse("precision.svg").getroot().tag == f"{SVG}svg"


THEMES = [(LIGHT, SERIES_LIGHT, HEAT_LIGHT), (DARK, SERIES_DARK, HEAT_DARK)]


@pytest.mark.parametrize(("tokens", "colours", "heat"), THEMES, ids=["light", "dark"])
def test_colours_contrast_with_the_paper(tokens: Tokens, colours: tuple[str, ...], heat: tuple[str, ...]) -> None:
    assert contrast(tokens.ink, tokens.paper) >= 7 and contrast(tokens.soft, tokens.paper) >= 4.5
    assert min(contrast(colour, tokens.paper) for colour in colours) >= 3
    assert min(contrast(heat_ink(k, heat, tokens), colour) for k, colour in enumerate(heat)) >= 4.5
    steps = [contrast(colour, tokens.paper) for colour in heat]
    assert steps == sorted(steps) and steps[-1] >= 3  # Lightness alone carries the order.


# Viénot, Brettel and Mollon (1999), Color Research and Application 24, 243: red and green as dichromats see them.
BLIND = {
    "protan": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "deutan": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
    "usual": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}


def lab(colour: str, seen: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """CIELAB of a colour as it is seen."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    r, g, b = (min(max(sum(m * v for m, v in zip(row, linear)), 0.0), 1.0) for row in seen)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("seen", BLIND)
@pytest.mark.parametrize("colours", [SERIES_LIGHT, SERIES_DARK], ids=["light", "dark"])
def test_no_two_colours_look_the_same_to_people_who_see_fewer(colours: tuple[str, ...], seen: str) -> None:
    points = {colour: lab(colour, BLIND[seen]) for colour in colours}
    near = {
        (one, other): sum((a - b) ** 2 for a, b in zip(points[one], points[other])) ** 0.5
        for one, other in combinations(colours, 2)
    }
    assert min(near.values()) >= 25, min(near, key=near.__getitem__)


def test_series_differ_without_their_colours() -> None:
    looks = [(k % 6, dash(k)) for k in range(36)]
    assert len(set(looks)) == 36
    shapes = [re.sub(r"class=\S+", "", dot(0, 0, k)) for k in range(6)]
    assert len({dash(k) for k in range(6)}) == 6 and len(set(shapes)) == 6


def test_the_style_sheet_follows_the_reader_and_the_page() -> None:
    for part in (
        "prefers-color-scheme:dark",
        "[data-theme=dark]",
        "[data-theme=light]",
        "forced-colors:active",
        "print",
    ):
        assert part in STYLE
    # A theme that the page chose is stronger than a lone `.chart`: it would stay in print and over forced colours.
    for media in ("print", "forced-colors:active"):
        assert re.search(rf"@media \(?{media}\)?{{\.chart,\[data-theme\] \.chart{{", STYLE)
        assert STYLE.index("[data-theme=dark]") < STYLE.index(media)
    used = set(re.findall(r"var\(--(\w+)\)", STYLE))
    assert used == set(re.findall(r"--(\w+):", STYLE))


def test_the_label_of_a_straight_line_above_rows_does_not_touch_the_title() -> None:
    excess, marks = Intervals("excess", (1.0, 2.0), (None, None), (None, None)), (Mark(0.0, "the rest", "x"),)
    root = ET.fromstring(svg(Dots("Segments by squared error", ("a", "b"), (excess,), marks=marks)))
    texts = {one.text: float(one.attrib["y"]) for one in root.iter(f"{SVG}text")}
    assert texts["the rest"] - 11 > 22 + 4  # The title stands on 22, and its letters reach below.


def test_a_bound_on_one_side_is_drawn_up_to_the_dot() -> None:
    one_sided = Intervals("x", (1.0, 2.0, 3.0), (0.5, None, None), (None, 2.5, None))
    both = Intervals("x", (1.0, 2.0, 3.0), (0.5, 2.0, None), (1.0, 2.5, None))
    drawn = [svg(Dots("Bounds", ("low", "high", "none"), (one,))) for one in (one_sided, both)]
    lines = [re.findall('<line[^>]*class="s0"[^>]*>', one) for one in drawn]
    assert lines[0] == lines[1] and len(lines[0]) == 2
    for tip in ("low, x: 1, at least 0.5", "high, x: 2, at most 2.5", "none, x: 3, without bounds"):
        assert f"<title>{tip}</title>" in drawn[0]
