"""Reports: runs as one HTML file with plots, to look at, to print, to send to somebody.

The plots are pure functions of a run, one module for a family: ``latencies``, ``rates``, ``server``, and
``several`` for some runs together; ``page`` puts them into a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eas_bench.record import Run


def write(runs: Sequence[Run], path: Path) -> None:
    """A report of one run or several, in the order given, into a file; raises OSError."""
    from eas_bench.report.page import page  # noqa: PLC0415 - plotly takes a second to import

    path.write_text(page(runs), encoding="utf-8")
