"""What a host's process tree uses. Reads /proc: call it from a thread, not from the loop."""

from __future__ import annotations

import contextlib

import psutil

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and all its descendants."""

    memory_bytes: int
    """Resident; pages shared between processes count in each."""
    cpu_seconds: float
    """User and system time since their starts; two readings make a load."""
    processes: int


def usage(pid: int) -> Usage | None:
    """None if there is no such process (any more)."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return None
    memory, cpu, count = 0, 0.0, 0
    for process in tree:
        with contextlib.suppress(psutil.Error):  # gone in the meantime
            with process.oneshot():
                times = process.cpu_times()
                memory += process.memory_info().rss
            cpu += times.user + times.system
            count += 1
    return Usage(memory, cpu, count) if count else None
