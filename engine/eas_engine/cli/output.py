"""Tables on a terminal, the same tables unfolded in a pipe, JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eas_engine.telemetry.logs import printable

_FOLDED = 40  # columns: narrower text is hard to read
_PIPE_WIDTH = 240  # columns: a line of a table stays one line for grep


def console() -> Console:
    """For stdout; no colours and no folding where it isn't a terminal."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def print_json(value: Any) -> None:
    """Indented, UTF-8."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Cells are text as it is: no markup, no control characters. No header when all its names are empty."""
    result = Table(box=None, pad_edge=False, show_header=any(columns))
    for column in columns:
        result.add_column(column, overflow="fold", header_style="bold")
    for row in rows:
        result.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return result


def listing(out: Console, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table if it can be read in this width, else one paragraph a row: its first cell, the others below.

    The last column may be folded, but never to less than ``_FOLDED`` columns.
    """
    cells = [[cell if isinstance(cell, Text) else plain(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(row[n].cell_len for row in cells)]) for n, name in enumerate(columns)]
    needed = sum(widths[:-1]) + min(widths[-1], _FOLDED) + 2 * (len(widths) - 1)
    if not out.is_terminal or needed <= out.width:
        out.print(table(columns, cells))
        return
    label = max(len(name) for name in columns[1:])
    for row in cells:
        out.print(Text(row[0].plain, style="bold"))
        below = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        below.add_column(min_width=label + 2, no_wrap=True, style="dim")
        below.add_column(overflow="fold")
        for name, cell in zip(columns[1:], row[1:], strict=True):
            if cell.plain:
                below.add_row(f"  {name}", cell)
        out.print(below)


def plain(value: object, style: str = "") -> Text:
    """Any value as a cell."""
    return Text(printable("" if value is None else str(value)), style=style)


def when(seconds: float) -> str:
    """An instant since the epoch, in this machine's time."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def size(count: float) -> str:
    """Bytes for a person."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float | None) -> str:
    """Seconds for a person, from microseconds to days."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms" if seconds else "0"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return (
        f"{minutes} min"
        if hours == 0
        else f"{hours} h {minutes % 60} min"
        if hours < 48
        else f"{hours // 24} days"
    )
