"""Plots for the documentation, as SVG: figures side by side with the spread of their rounds, and curves.

matplotlib draws them. Only measurements of this project, which run from a checkout, make such plots, so it
belongs to what `make bench` installs and not to the package's extra. The same data gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eas_bench.machine import Missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OURS: Final = "#1f6fb4"
_OTHERS: Final = "#9aa5b1"
_LIMIT: Final = "#c0392b"
_COLOURS: Final = (_OURS, "#d9822b", "#3d9970", "#8e5ea2", "#7f8c8d", "#c0392b")
_STYLE: Final = {
    "svg.hashsalt": "eas-bench",  # ids of elements are random otherwise
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9.0,
}
_WIDTH: Final = 4.6  # inches of one panel
_HEIGHT: Final = 2.9
_ROW: Final = 0.27  # inches of one bar
_AROUND: Final = 0.9  # inches for a panel's title and axis
_TICKS: Final = 8  # as many points get a mark of their own


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure: the median of its rounds, and the lowest and highest of them."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False  # stands out


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A panel of figures side by side, the first on top."""

    title: str
    unit: str
    bars: Sequence[Bar]
    logarithmic: bool = False
    limit: float | None = None  # a line: what is asked


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve, with the spread of its rounds."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; ``fit`` is drawn dashed beside it."""

    label: str
    points: Sequence[Point]
    fit: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A panel of curves over a common x."""

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    logarithmic_x: bool = False  # zero still has its place on the left
    logarithmic_y: bool = False


def svg(panels: Sequence[Bars | Lines], *, columns: int = 2) -> str:
    """All panels in one picture, row by row. Errors: Missing: no matplotlib; ValueError: no panel."""
    if not panels:
        raise ValueError("a picture needs a panel")
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only who draws needs it
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise Missing(
            "matplotlib isn't installed: pip install matplotlib, or let `make bench` do it"
        ) from None
    rows = [panels[at : at + columns] for at in range(0, len(panels), columns)]
    heights = [max(_height(panel) for panel in row) for row in rows]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH * min(columns, len(panels)), sum(heights)), layout="constrained")
        grid = figure.subplots(
            len(rows), min(columns, len(panels)), squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for index, axes in enumerate(grid.flat):
            if index < len(panels):
                _draw(axes, panels[index])
            else:
                axes.set_axis_off()
        out = io.StringIO()
        figure.savefig(out, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _height(panel: Bars | Lines) -> float:
    return _AROUND + _ROW * len(panel.bars) if isinstance(panel, Bars) else _HEIGHT


def _draw(axes: Axes, panel: Bars | Lines) -> None:
    axes.set_title(panel.title, fontsize=9.5, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="x" if isinstance(panel, Bars) else "both", color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    if isinstance(panel, Bars):
        _draw_bars(axes, panel)
    else:
        _draw_lines(axes, panel)


def _draw_bars(axes: Axes, panel: Bars) -> None:
    places = range(len(panel.bars))
    values = [bar.value for bar in panel.bars]
    whiskers = [
        [max(0.0, bar.value - bar.low) for bar in panel.bars],
        [max(0.0, bar.high - bar.value) for bar in panel.bars],
    ]
    colours = [_OURS if bar.ours else _OTHERS for bar in panel.bars]
    error: Any = {"ecolor": "#333333", "elinewidth": 1.0, "capsize": 2.5}
    axes.barh(places, values, xerr=whiskers, color=colours, height=0.68, error_kw=error)
    if panel.logarithmic:
        axes.set_xscale("log")
        axes.tick_params(axis="x", which="minor", labelbottom=False)  # they would lie on each other
    if panel.limit is not None:
        axes.axvline(panel.limit, color=_LIMIT, linewidth=1.2, linestyle="--")
    axes.set_yticks(list(places), [bar.label for bar in panel.bars])
    axes.invert_yaxis()
    axes.set_xlabel(panel.unit)
    for place, bar in zip(places, panel.bars, strict=True):
        axes.annotate(
            _number(bar.value),
            (max(bar.value, bar.high), place),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=8,
        )
    axes.margins(x=0.14)


def _draw_lines(axes: Axes, panel: Lines) -> None:
    for line, colour in zip(panel.lines, _COLOURS * (len(panel.lines) // len(_COLOURS) + 1), strict=False):
        xs, ys = [point.x for point in line.points], [point.y for point in line.points]
        whiskers = [
            [max(0.0, point.y - point.low) for point in line.points],
            [max(0.0, point.high - point.y) for point in line.points],
        ]
        axes.errorbar(
            xs,
            ys,
            yerr=whiskers,
            label=line.label,
            color=colour,
            marker="o",
            markersize=3.5,
            linewidth=1.4,
            capsize=2.5,
        )
        if line.fit:
            axes.plot(*zip(*line.fit, strict=True), color=colour, linewidth=1.0, linestyle="--", alpha=0.7)
    places = sorted({point.x for line in panel.lines for point in line.points})
    if panel.logarithmic_x and places[-1] > 0:
        axes.set_xscale("symlog", linthresh=min(x for x in places if x > 0))
    if len(places) <= _TICKS:
        axes.set_xticks(places, [_short(x) for x in places])
        axes.set_xticks([], minor=True)
    if panel.logarithmic_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.15 * max(point.high for line in panel.lines for point in line.points))
    axes.set_xlabel(panel.x_title)
    axes.set_ylabel(panel.y_title)
    if len(panel.lines) > 1:
        axes.legend(fontsize=8, frameon=False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _short(value: float) -> str:
    for unit, size in (("M", 1 << 20), ("k", 1 << 10), ("M", 10**6), ("k", 10**3)):
        if value >= size and value % size == 0:
            return f"{value / size:.0f}{unit}"
    return f"{value:g}"
