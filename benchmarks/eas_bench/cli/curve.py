"""What a sweep tells on the terminal: each run when it is over, the curve of all, the answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench.sweep import Found, Point

_BARS = 12


def tell_point(point: Point, console: Console) -> None:
    """A run that is over."""
    from rich.text import Text

    from eas_bench import units

    result = point.trial.result.value
    style = {"met": "green", "missed": "red"}.get(result, "yellow")
    why = "; ".join(point.run.generator.invalid) if result == "generator" else str(point.verdict)
    rate = units.rate(point.trial.rate)
    console.print(Text.assemble((f"{result:<9}", style), f"{rate:>12}  ", (why, "dim")), soft_wrap=True)


def show(found: Found, console: Console) -> None:
    """The curve, and the answer."""
    from rich.table import Table
    from rich.text import Text

    from eas_bench import slo, units

    curve = [(point, slo.figures(point.run)) for point in found.curve]
    top = max((figures.p99 for _, figures in curve if figures is not None), default=1)
    table = Table("sent", "good", "p50", "p99", "p99.9", "errors", "", "p99 (log)", box=None, padding=(0, 1))
    for point, figures in curve:
        run = point.run
        late = (
            [units.micros(figures.p50), units.micros(figures.p99), units.micros(figures.p999)]
            if figures
            else ["-"] * 3
        )
        table.add_row(
            units.rate(point.trial.rate),
            units.rate(run.good / run.seconds),
            *late,
            units.share(run.errors, run.answers + sum(run.tally.failures.values())),
            point.trial.result.value,
            _bar(figures.p99 if figures else top, top),
        )
    console.print()
    console.print(table)
    style = "red" if found.done.rate is None else "bold green"
    console.print(Text(found.told, style), soft_wrap=True)


def _bar(value: float, top: float) -> str:
    """As long as the logarithm, from 100 us to ``top``."""
    share = math.log(max(value, 100) / 100) / max(math.log(max(top, 200) / 100), 1e-9)
    return "\N{FULL BLOCK}" * max(1, round(_BARS * min(1.0, share)))
