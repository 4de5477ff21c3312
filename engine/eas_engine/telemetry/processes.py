"""What the operating system says about a process and everything that it started."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over some processes and their descendants. Zero for what is gone."""

    memory: int = 0  # bytes resident; pages shared by two of them count twice
    cpu: float = 0.0  # seconds of processor time, user and system
    processes: int = 0
    threads: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.memory + other.memory,
            self.cpu + other.cpu,
            self.processes + other.processes,
            self.threads + other.threads,
        )


def figures(pids: Iterable[int]) -> Figures:
    """Of these processes and all their descendants. Takes milliseconds: not on the gateway's loop."""
    total = Figures()
    for pid in pids:
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
        for member in family:
            total += of_one(member)
    return total


def of_one(process: psutil.Process) -> Figures:
    """Of one process, without its descendants."""
    try:
        with process.oneshot():
            times = process.cpu_times()
            return Figures(process.memory_info().rss, times.user + times.system, 1, process.num_threads())
    except psutil.Error:
        return Figures()


def open_files(process: psutil.Process) -> int:
    """Open file descriptors; 0 when they can't be counted."""
    try:
        return process.num_fds()
    except psutil.Error:
        return 0
