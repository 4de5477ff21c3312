"""Reports: runs as one HTML file with plots, to look at, to print, to send to somebody.

The plots are pure functions of a run, one module for a family: ``latencies``, ``rates``, ``server``, and
``several`` for some runs together; ``page`` puts them into a document.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hdrh.codec import HdrCookieException, HdrHistogramSettingsException, HdrLengthException

from eas_bench import kept, latency, writing
from eas_bench.record import NoRecord, Run

_BROKEN: Final = (
    HdrCookieException,
    HdrHistogramSettingsException,
    HdrLengthException,
    LookupError,
    ValueError,
    zlib.error,
)


def read(path: Path) -> Run:
    """The one run that a file holds, with histograms that are some; raises NoRecord."""
    return _sound(kept.run(path), path)


def read_all(path: Path) -> kept.Runs:
    """The runs that a file holds: of a sweep those of its curve; raises NoRecord."""
    found = kept.runs(path)
    for run in found.runs:
        _sound(run, path)
    return found


def write(runs: Sequence[Run], path: Path, notes: Sequence[str] = ()) -> None:
    """A report of one run or several, in the order given, into a file; raises OSError.

    ``notes``: what is to be said of all of them together.
    """
    from eas_bench.report.page import page  # noqa: PLC0415 - plotly takes a second to import

    writing.write(path, page(runs, notes))


def _sound(run: Run, path: Path) -> Run:
    for key, text in run.latency.items():
        try:
            latency.decoded(text)
        except _BROKEN:
            raise NoRecord(f"{path}: is no record of a run: latency.{key}: is no HDR histogram") from None
    return run
