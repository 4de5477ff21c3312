"""Does a server's process grow under steady load? Pure arithmetic over readings.

The first third of the time is for growing: caches, buffers, the first large bodies. Through the rest a line
is laid. A process grows when the line rises faster than it may *and* the last third lies above the middle
third by more than such a figure always wavers; so a minute's waver isn't taken for a leak of megabytes an
hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eas_bench.record import Process, Reading
from eas_bench.trend import LEAST, Trend, trend

WAVER: Final = {"memory": 2e6, "descriptors": 4.0, "threads": 1.0}
_MOST_OF: Final = 0.8
"""The share of the time that a process must have lived through to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How fast each process may grow: bytes, descriptors and threads in an hour."""

    memory: float = 16e6
    descriptors: float = 16
    threads: float = 4


@dataclass(frozen=True, slots=True)
class Growth:
    """How one figure of one process went."""

    process: str
    pid: int
    figure: str
    trend: Trend
    most: float
    """What it may grow in an hour."""

    @property
    def grew(self) -> bool:
        """Faster than it may, and by more than it wavers."""
        return self.trend.per_hour > self.most and self.trend.growth > WAVER[self.figure]

    @property
    def word(self) -> str:
        """For a table: that it grew, or why a slope above the limit is none; else empty."""
        if self.grew:
            return "grew"
        if self.trend.per_hour <= self.most:
            return ""
        unit = 1e6 if self.figure == "memory" else 1.0
        waver = WAVER[self.figure] / unit
        return f"no growth: {self.trend.growth / unit:+.1f} from third to third, up to {waver:g} is waver"

    def __str__(self) -> str:
        unit, name = (1e6, "MB of memory") if self.figure == "memory" else (1.0, self.figure)
        middle, last, slope, most = (
            value / unit for value in (self.trend.middle, self.trend.last, self.trend.per_hour, self.most)
        )
        return (
            f"{self.process} (pid {self.pid}): {middle:.1f} -> {last:.1f} {name}, {slope:+.1f} an hour; "
            f"{most:g} is allowed"
        )


def growths(readings: Sequence[Reading], limits: Limits) -> list[Growth]:
    """Of each process that lived nearly all the time; in the order in which they were first seen."""
    during = [reading for reading in readings if reading.at >= 0]
    lives: dict[tuple[int, str], list[tuple[float, Process]]] = {}
    for reading in during:
        for process in reading.processes:
            lives.setdefault((process.pid, process.name), []).append((reading.at, process))
    return [
        growth
        for (pid, name), life in lives.items()
        if len(life) >= max(LEAST, _MOST_OF * len(during))
        for growth in _of_one(name, pid, life, limits)
    ]


def short_lived(readings: Sequence[Reading]) -> list[str]:
    """Processes that came or went meanwhile, and so can't be judged."""
    during = [reading for reading in readings if reading.at >= 0]
    seen: dict[tuple[int, str], int] = {}
    for reading in during:
        for process in reading.processes:
            seen[process.pid, process.name] = seen.get((process.pid, process.name), 0) + 1
    return [
        f"{name} (pid {pid})"
        for (pid, name), count in seen.items()
        if count < max(LEAST, _MOST_OF * len(during))
    ]


def _of_one(name: str, pid: int, life: Sequence[tuple[float, Process]], limits: Limits) -> list[Growth]:
    times = [at for at, _ in life]
    series = {
        "memory": [float(process.memory_bytes) for _, process in life],
        "threads": [float(process.threads) for _, process in life],
        "descriptors": [float(process.descriptors) for _, process in life if process.descriptors is not None],
    }
    return [
        Growth(name, pid, figure, trend(times, values), getattr(limits, figure))
        for figure, values in series.items()
        if len(values) == len(times)
    ]
