"""A simulation drawn as SVG, and as a page with its figures: one file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from eas_engine.cli.autoscale.panels import buckets
from eas_engine.cli.output import duration
from eas_engine.supervisor.autoscale.simulate import Outcome, Step

WIDTH, PANEL, GAP, LEFT, RIGHT = 1000, 130, 42, 70, 40
_MOST_POINTS = 1500
_STYLE = (
    "text{font:13px sans-serif;fill:#333}.axis{stroke:#bbb}.grid{stroke:#eee}"
    "path{stroke-width:1.2;fill-opacity:.25}"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px sans-serif;max-width:64em;margin:2em auto;color:#222}}svg{{width:100%;height:auto}}
td,th{{padding:.15em 1.2em .15em 0;text-align:left;vertical-align:top}}</style></head>
<body><h1>{title}</h1>
{svg}
<h2>Figures</h2>
<table>{figures}</table>
<h2>Changes</h2>
<table><tr><th>second</th><th>instances</th><th>reason</th></tr>{changes}</table>
</body></html>
"""


class _Panel(NamedTuple):
    title: str
    colour: str
    value: Callable[[Step], float]


_PANELS = (
    _Panel("requests per second", "#0284c7", lambda step: step.arrived),
    _Panel("instances, those that start included", "#16a34a", lambda step: step.ready + step.starting),
    _Panel("requests that wait", "#ca8a04", lambda step: step.queue),
    _Panel("requests lost per second (450, 429, 408)", "#dc2626", lambda step: step.lost),
)


def svg(outcome: Outcome) -> str:
    """The four panels, one under the other."""
    height = len(_PANELS) * (PANEL + GAP) + 30
    columns = buckets(outcome.steps, _MOST_POINTS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for index, panel in enumerate(_PANELS):
        parts += _panel(panel, [max(panel.value(step) for step in one) for one in columns], _top(index))
    parts += _times(len(outcome.steps), height - 12)
    return "\n".join([*parts, "</svg>"])


def page(title: str, outcome: Outcome, figures: Mapping[str, float]) -> str:
    """The drawing with the figures and every change."""
    rows = "".join(_row(name, f"{value:,g}") for name, value in figures.items())
    changes = "".join(
        _row(str(second), f"{one.current} to {one.wanted}", one.reason) for second, one in outcome.changes
    )
    return _PAGE.format(title=html.escape(title), svg=svg(outcome), figures=rows, changes=changes)


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _top(index: int) -> int:
    return GAP - 12 + index * (PANEL + GAP)


def _panel(panel: _Panel, values: Sequence[float], top: int) -> list[str]:
    most = max(values)
    bottom, right = top + PANEL, WIDTH - RIGHT
    return [
        f'<text x="{LEFT}" y="{top - 8}">{panel.title}</text>',
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{top}" y2="{top}"/>',
        f'<text x="{LEFT - 8}" y="{top + 5}" text-anchor="end">{most:.4g}</text>',
        f'<text x="{LEFT - 8}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<path d="{_outline(values, most, bottom)}" stroke="{panel.colour}" fill="{panel.colour}"/>',
        f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>',
    ]


def _outline(values: Sequence[float], most: float, bottom: int) -> str:
    """Steps from left to right, closed along the axis; points on a level line are left out."""
    wide = (WIDTH - LEFT - RIGHT) / len(values)
    parts, last = [f"M{LEFT} {bottom}"], None
    for index, value in enumerate(values):
        if value != last:
            y = bottom - (PANEL * value / most if most else 0)
            parts.append(f"H{LEFT + index * wide:.1f}V{y:.1f}")
            last = value
    return "".join([*parts, f"H{WIDTH - RIGHT}V{bottom}Z"])


def _times(seconds: int, y: int) -> list[str]:
    return [
        f'<text x="{LEFT + share * (WIDTH - LEFT - RIGHT):.0f}" y="{y}" text-anchor="middle">'
        f"{duration(share * seconds)}</text>"
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
