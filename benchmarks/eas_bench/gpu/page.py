"""What was measured on a card: a table on the terminal and in the documentation, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from rich.console import Console
from rich.table import Table

from eas_bench import marked
from eas_bench.gpu.bars import Line
from eas_bench.gpu.session import Results

BEGIN: Final = "<!-- figures of eas-bench gpu-check: begin -->"
END: Final = "<!-- figures of eas-bench gpu-check: end -->"
_STYLES: Final = {"holds": "green", "doesn't hold": "bold red", "not measured": "yellow", "told": "dim"}
_ROW: Final = 22  # pixels of a picture
_LABEL: Final = 380
_SCALE: Final = 220  # pixels from nothing to the limit


def show(console: Console, results: Results) -> None:
    """On the terminal."""
    table = Table(
        title=f"{results.card}, torch {results.torch}, {results.seconds:.0f} s", title_justify="left"
    )
    for column in ("", "figure", "asked", ""):
        table.add_column(column)
    for line in results.lines:
        outcome = f"[{_STYLES[line.outcome]}]{line.outcome}[/]"
        table.add_row(escape(line.bar.words, quote=False), value(line), asked(line), outcome)
    console.print(table)
    for words in remarks(results.lines):
        console.print(words, markup=False, soft_wrap=True)


def remarks(lines: Sequence[Line]) -> list[str]:
    """What is wrong with them, each once: bars of one check that failed have one reason."""
    told: dict[str, list[str]] = {}
    for line in lines:
        for fault in (*line.verdict.faults, *line.verdict.doubts) if line.verdict else (line.why,):
            told.setdefault(fault, []).append(line.bar.key)
    return [f"{', '.join(keys)}: {fault}" for fault, keys in told.items()]


def value(line: Line) -> str:
    """The figure, with the spread of its rounds."""
    if line.verdict is None:
        return ""
    samples = line.verdict.samples
    spread = f" ({min(samples):.3g} to {max(samples):.3g})" if len(samples) > 1 else ""
    return f"{line.verdict.value:.3g}{spread} {line.bar.unit}".strip()


def asked(line: Line) -> str:
    """What the bar says."""
    if line.bar.limit is None:
        return ""
    return f"{line.bar.sense} {line.bar.limit:g} {line.bar.unit}".strip()


def markdown(results: Results) -> str:
    """For docs/performance.md."""
    rows = [
        f"| {line.bar.words} | {value(line)} | {asked(line)} | {line.outcome} |" for line in results.lines
    ]
    head = f"On one {results.card}, torch {results.torch}, {results.taken[:10]}:"
    return "\n".join((head, "", "| | figure | asked | |", "|---|---|---|---|", *rows))


def update(page: str, text: str) -> str:
    """The page with a text between its two lines. Errors: ValueError: it has no such lines."""
    return marked.between(page, BEGIN, END, text)


def picture(lines: Sequence[Line]) -> str:
    """An SVG: how each figure stands to its limit, which is a line that all share."""
    told = [
        (line, line.verdict.value / line.bar.limit)
        for line in lines
        if line.verdict is not None and line.bar.limit
    ]
    height = _ROW * (len(told) + 1)
    size = f'width="{_LABEL + 2 * _SCALE + 60}" height="{height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">']
    for at, (line, ratio) in enumerate(told):
        y = _ROW * at
        colour = "#1f6fb4" if line.outcome == "holds" else "#c0392b"
        width = round(min(ratio, 2.0) * _SCALE)
        parts += [
            f'<text x="0" y="{y + 15}">{escape(f"{line.bar.key}: {asked(line)}")}</text>',
            f'<rect x="{_LABEL}" y="{y + 4}" width="{width}" height="{_ROW - 8}" fill="{colour}"/>',
            f'<text x="{_LABEL + width + 4}" y="{y + 15}">{escape(value(line))}</text>',
        ]
    x = _LABEL + _SCALE
    parts.append(f'<line x1="{x}" y1="0" x2="{x}" y2="{height}" stroke="#c0392b" stroke-dasharray="3"/>')
    return "\n".join((*parts, "</svg>", ""))
