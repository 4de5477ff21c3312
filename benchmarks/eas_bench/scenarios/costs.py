"""The processor time of servers: of a process, its threads, and everything that it has started.

``/proc/PID/task/TID/schedstat`` counts nanoseconds, ``/proc/PID/stat`` hundredths of a second; so the former
is taken where the kernel has it. What a thread spent that ends meanwhile is lost: servers keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

Accounts = Mapping[tuple[int, int], float]
"""Seconds of processor time so far, by process and thread."""


@dataclass(slots=True)
class Spent:
    """What a server spent while a block ran; known at its end."""

    seconds: float = 0.0


@contextmanager
def spending(pid: int) -> Iterator[Spent]:
    """Seconds of processor time of ``pid`` and its descendants while the block runs."""
    spent, before = Spent(), accounts(pid)
    yield spent
    spent.seconds = difference(before, accounts(pid))


def difference(before: Accounts, after: Accounts) -> float:
    """What was spent between the two: threads that are new began with nothing."""
    return sum(seconds - before.get(thread, 0.0) for thread, seconds in after.items())


def accounts(pid: int) -> Accounts:
    """Of ``pid`` and its descendants; nothing when it is gone."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return {}
    precise = Path("/proc/self/schedstat").exists()
    told: dict[tuple[int, int], float] = {}
    for process in family:
        told.update(_of_threads(process.pid) if precise else _of_process(process))
    return told


def _of_threads(pid: int) -> Iterator[tuple[tuple[int, int], float]]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return  # it has gone
    for task in tasks:
        try:
            text = (task / "schedstat").read_text()
        except OSError:
            continue
        yield (pid, int(task.name)), int(text.split()[0]) / 1e9


def _of_process(process: psutil.Process) -> Iterator[tuple[tuple[int, int], float]]:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return
    yield (process.pid, process.pid), float(times.user + times.system)
