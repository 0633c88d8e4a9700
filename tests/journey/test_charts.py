"""Charts, against coordinates worked out by hand."""

import re

from markupsafe import Markup

from tests.journey.page import read_page
from waman.journey import charts
from waman.journey.charts import Axis, Level, Line, Mark, Point, Row

X = Axis("tokens")
Y = Axis("loss")


def numbers(chart: Markup, pattern: str) -> list[float]:
    found = re.search(pattern, chart)
    assert found is not None
    return [float(one) for one in found.groups()]


def test_a_straight_line_ends_in_the_corners_of_its_frame() -> None:
    chart = charts.line_chart([Line("a", (Point(0, 0), Point(10, 1)))], x=X, y=Y)
    x1, y1, x2, y2 = numbers(chart, r'class="line" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"')
    assert (x1, x2) == (charts.LEFT, charts.WIDTH - charts.RIGHT)
    inner = charts.HEIGHT - charts.BOTTOM - charts.TOP
    # a twentieth of the reach is left free on either side
    assert abs(y1 - (charts.HEIGHT - charts.BOTTOM - inner * 0.05 / 1.1)) < 0.06
    assert abs(y2 - (charts.TOP + inner * 0.05 / 1.1)) < 0.06


def test_a_level_lies_between_what_is_above_and_below_it() -> None:
    chart = charts.line_chart([Line("a", (Point(0, 0), Point(10, 1)))], [Level("half", 0.5)], x=X, y=Y)
    [y1, y2] = numbers(chart, r'class="level" x1="[\d.]+" y1="([\d.]+)" x2="[\d.]+" y2="([\d.]+)"')
    assert y1 == y2 == (charts.TOP + charts.HEIGHT - charts.BOTTOM) / 2


def test_every_place_to_point_at_names_all_values_and_intervals() -> None:
    line = Line("model", (Point(0, 0.25, 0.2, 0.3), Point(8, 0.5, 0.45, 0.55)))
    text = read_page(charts.line_chart([line], [Level("chance", 0.25)], x=X, y=Y)).text
    assert "8 tokens\nmodel: 0.5 [0.45 to 0.55]\nchance: 0.25" in text


def test_a_long_line_is_drawn_as_means_of_equal_runs() -> None:
    points = tuple(Point(float(x), float(x % 2)) for x in range(charts.MAX_DRAWN * 4))
    chart = charts.line_chart([Line("a", points), Line("b", (Point(0, 0), Point(959, 1)))], x=X, y=Y)
    path = re.search(r'class="line" d="([^"]+)"', chart)
    assert path is not None
    assert path[1].count("L") == charts.MAX_DRAWN - 1
    heights = {place.split()[1] for place in path[1][1:].split("L")}
    assert heights == {f"{(charts.TOP + charts.HEIGHT - charts.BOTTOM) / 2:.1f}"}
    assert chart.count('class="strip"') == charts.MAX_HOVER


def test_a_single_point_and_equal_values_have_a_place() -> None:
    chart = charts.line_chart([Line("a", (Point(0, 0),))], x=X, y=Y)
    assert "nan" not in chart
    assert chart.count("<circle") == 2  # the dot, and the one under the pointer


def test_band_and_labels_take_the_colour_of_their_line() -> None:
    line = Line("model", (Point(0, 0.2, 0.1, 0.3), Point(1, 0.4, 0.3, 0.5)), colour=3)
    elements = read_page(charts.line_chart([line], x=X, y=Y)).elements
    styles = {
        element.attributes["class"]: element.attributes.get("style")
        for element in elements
        if "class" in element.attributes
    }
    assert styles["band"] == styles["name"] == "fill:var(--c3)"
    assert styles["line"] == "stroke:var(--c3)"


def test_marks_stand_at_their_share_with_a_title_of_their_interval() -> None:
    row = Row(
        "seen", "300 questions", (Mark("after", 0.5, 0.25, 0.75, 1), Mark("before", 0.0, 0.0, 0.1, 1, hollow=True))
    )
    chart = charts.interval_chart([row], label="accuracy")
    left, right = charts.ROW_LEFT, charts.WIDTH - charts.ROW_RIGHT
    low, high = numbers(chart, r'class="reach" x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"')
    assert (low, high) == (left + (right - left) / 4, left + (right - left) * 3 / 4)
    assert f'<circle cx="{(left + right) / 2:.1f}"' in chart
    page = read_page(chart)
    assert "after: 50.0% [25.0% to 75.0%]" in page.text
    assert len(page.find("g", "hollow")) == 1


def test_names_in_a_chart_are_escaped() -> None:
    chart = charts.line_chart([Line("<script>", (Point(0, 0), Point(1, 1)))], [Level('"><b>', 0.5)], x=X, y=Y)
    assert not read_page(chart).find("script")
    assert not read_page(chart).find("b")
