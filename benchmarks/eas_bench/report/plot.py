"""What every plot has in common: how it looks, and the same figures as a table beside it.

Colours of text, axes and background come with the page (``page.js``), which knows whether it is dark; those
of the series are legible on both. Everything that a record says is escaped before it becomes a name in a
plot: plotly reads HTML in names.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

from eas_bench import units

SERIES: Final = (
    "#3b82c4",
    "#d07a1f",
    "#2f9e77",
    "#b5579c",
    "#7f74d9",
    "#c2524b",
    "#6f9130",
    "#1f9fb5",
    "#a8792f",
    "#7d8794",
)
GREY: Final = "#7d8794"
_CLASSES: Final = {  # of statuses, by their first digit
    "1": (GREY,),
    "2": ("#2f9e77", "#6fb89c"),
    "3": ("#3b82c4", "#7fb0dd"),
    "4": ("#d9a127", "#b9770e", "#e3c170", "#8f5d0a"),
    "5": ("#c93f36", "#8f2a3f", "#e07a6f", "#6b1f1f"),
}
PERCENTILES: Final = {
    "p50": ("#2a9d8f", "solid"),
    "p90": ("#4a86e8", "solid"),
    "p99": ("#c97a0a", "solid"),
    "p99.9": ("#d6483f", "solid"),
    "max": ("#8a8f98", "dot"),
}
_UNITS: Final = (("s", 1, 300), ("min", 60, 3 * 3600), ("h", 3600, 4 * 86_400), ("d", 86_400, math.inf))
ROWS: Final = 20  # of a table
POINTS: Final = 600  # of a line: as many as there are pixels


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in words: the first column says of what."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with what belongs to it."""

    key: str  # of the element on the page, unique within a run
    title: str
    caption: str  # how to read it
    figure: go.Figure
    table: Table
    wide: bool = False  # takes the whole width of the page


def figure(x: str, y: str, **layout: Any) -> go.Figure:
    """Empty, with the titles of its axes; ``layout`` is plotly's."""
    shown = go.Figure()
    shown.update_layout(
        template=go.layout.Template(),
        height=340,
        margin={"l": 64, "r": 18, "t": 44, "b": 48},
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        font={"family": "system-ui, sans-serif", "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=True,
    )
    title = {"font": {"size": 12}, "standoff": 8}
    shown.update_xaxes(title={"text": x, **title}, zeroline=False, ticks="outside", automargin=True)
    shown.update_yaxes(title={"text": y, **title}, zeroline=False, rangemode="tozero", automargin=True)
    shown.update_layout(**layout)
    return shown


def timed(shown: go.Figure, end: float) -> go.Figure:
    """Its x axis, where there are seconds until now: the time from 0 to ``end``, in the unit that fits."""
    unit, scale = next((name, scale) for name, scale, most in _UNITS if end <= most)
    for trace in shown.data:
        trace.x = [at / scale for at in trace.x]
    shown.update_xaxes(title="", ticksuffix=f" {unit}", hoverformat=",.4~g", range=[0, end / scale])
    return shown


def logarithmic(shown: go.Figure) -> go.Figure:
    """Its y axis, where there are seconds: logarithmic, and marked in the units that people use."""
    values = [value for trace in shown.data for value in trace.y if value is not None]
    decades = math.log10(max(values) / min(values))
    digits = (1,) if decades > 4 else (1, 2, 5) if decades > 0.8 else (1, 1.5, 2, 3, 4, 5, 7)
    at = [digit * 10.0**power for power in range(-6, 4) for digit in digits]
    shown.update_yaxes(
        type="log",
        rangemode="normal",
        tickvals=at,
        ticktext=[units.micros(round(value * 1e6, 1)) for value in at],
        hoverformat=".3s",
        ticksuffix="s",
    )
    return shown


def line(
    name: str, x: Sequence[float], y: Sequence[float | None], colour: str, *, dash: str = "solid", **more: Any
) -> go.Scatter:
    """Points joined; where there are few, or one alone, they are seen as points."""
    mode = "lines+markers" if len(x) <= 40 else "lines"
    return go.Scatter(
        name=label(name),
        x=list(x),
        y=list(y),
        mode=mode,
        line={"color": colour, "width": 2, "dash": dash},
        marker={"size": 5},
        **more,
    )


def layer(
    name: str, x: Sequence[float], y: Sequence[float], colour: str, *, pattern: str = "", **more: Any
) -> go.Scatter:
    """One of a stack."""
    area: dict[str, Any] = {"fillcolor": faded(colour)}
    if pattern:
        area["fillpattern"] = {"shape": pattern, "fgcolor": colour, "size": 6, "solidity": 0.35}
    return go.Scatter(
        name=label(name),
        x=list(x),
        y=list(y),
        mode="lines",
        stackgroup="all",
        line={"color": colour, "width": 1.2},
        **area,
        **more,
    )


def stepped(starts: Sequence[float], end: float, values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Stretches as steps: each value holds until the next begins, the last until ``end``."""
    return [*starts, end], [*values, *values[-1:]]


def label(text: str) -> str:
    """A name as plotly takes it: on one line, and no markup."""
    return html.escape(units.plain(text), quote=False)


def faded(colour: str) -> str:
    """The same, mostly see-through, for areas."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.55)"


def of_statuses(statuses: Iterable[str]) -> dict[str, str]:
    """A colour for each: good is green wherever it stands."""
    seen: dict[str, int] = {}
    given = {}
    for status in sorted(statuses):
        shades = _CLASSES.get(status[:1], (GREY,))
        given[status] = shades[seen.get(status[:1], 0) % len(shades)]
        seen[status[:1]] = seen.get(status[:1], 0) + 1
    return given


def colours(names: Sequence[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """One for each name, in turns where there are more names than colours."""
    given = dict(known or {})
    return {name: given.get(name, SERIES[at % len(SERIES)]) for at, name in enumerate(names)}
