"""Plots as SVG: everything that was measured is in them, and nothing that changes by itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from eas_bench.plots import Bar, Bars, Line, Lines, Point, svg

pytest.importorskip("matplotlib", reason="only `make bench` and the extras install it")

RATES = Bars(
    title="echo, 64 connections",
    unit="requests/s",
    bars=[Bar("bare loop", 110_000, 100_000, 112_000), Bar("eas-engine", 68_000, 66_000, 71_000, ours=True)],
    logarithmic=True,
    limit=66_000,
)
CURVE = Lines(
    title="idle connections",
    x_title="connections",
    y_title="us",
    lines=[
        Line("engine", [Point(0, 10, 9, 11), Point(1000, 10.5, 10, 11)], fit=[(0, 10), (1000, 11)]),
        Line("bare loop", [Point(0, 5, 4, 6)]),
    ],
    logarithmic_x=True,
)


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_titles_labels_units_and_values_are_text_in_the_picture() -> None:
    told = texts(svg([RATES, CURVE]))
    for text in (RATES.title, "requests/s", "bare loop", "eas-engine", "110,000", "68,000", "connections"):
        assert text in told


def test_the_same_figures_give_the_same_bytes() -> None:
    assert svg([RATES, CURVE]) == svg([RATES, CURVE])
    assert svg([RATES]) != svg([CURVE])


def test_panels_fill_rows_of_so_many_columns() -> None:
    def size(panels: int, columns: int) -> tuple[float, float]:
        root = ET.fromstring(svg([CURVE] * panels, columns=columns))
        return float(root.attrib["width"].removesuffix("pt")), float(root.attrib["height"].removesuffix("pt"))

    wide, high = size(1, 2)
    assert size(3, 2) == pytest.approx((2 * wide, 2 * high))
    assert size(3, 1) == pytest.approx((wide, 3 * high))


def test_more_curves_than_colours_are_all_drawn() -> None:
    many = [Line(f"curve {number}", [Point(1, 1, 1, 1)]) for number in range(9)]
    told = texts(svg([Lines(title="t", x_title="x", y_title="y", lines=many, logarithmic_y=True)]))
    assert [text for text in told if text.startswith("curve")] == [line.label for line in many]


def test_few_points_have_a_mark_each_and_many_have_not() -> None:
    def marks(*places: float) -> list[str]:
        line = Line("a", [Point(x, 1, 1, 1) for x in places])
        return texts(svg([Lines(title="t", x_title="x", y_title="y", lines=[line], logarithmic_x=True)]))

    assert {"64", "1k", "64k", "1M"} <= set(marks(64, 1024, 65536, 1 << 20))
    assert {"0", "1k", "10k"} <= set(marks(0, 1000, 10_000))
    assert "0" in marks(0)
    assert "7" not in marks(*range(1, 10))


def test_a_whisker_on_the_wrong_side_of_its_value_is_left_out() -> None:
    assert "3" in texts(svg([Bars(title="t", unit="u", bars=[Bar("a", 3, 4, 2)])]))


def test_a_picture_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a panel"):
        svg([])
