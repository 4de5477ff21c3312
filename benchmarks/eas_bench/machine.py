"""Where it runs: the machine as the record names it, and which cores are whose."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PACKAGES = ("eas-engine", "uvloop", "httptools")


class Missing(Exception):
    """A tool isn't installed; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Who may run where. With a single core all share it."""

    server: frozenset[int]
    load: frozenset[int]
    every: frozenset[int]

    @classmethod
    def of_this_process(cls) -> Self:
        """The first core that we may use for servers, the last for load: on most machines no siblings."""
        every = sorted(os.sched_getaffinity(0))
        return cls(frozenset(every[:1]), frozenset(every[-1:]), frozenset(every))

    @property
    def text(self) -> str:
        """For the report."""
        if self.server == self.load:
            return "nothing is pinned: there is one core for all"
        server, load = next(iter(self.server)), next(iter(self.load))
        return f"server (engine and its hosts) on core {server}, load and probes on core {load}"


@contextlib.contextmanager
def running_on(cores: frozenset[int]) -> Iterator[None]:
    """What is started by this thread within the block is bound to ``cores`` from its first instruction."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tool(name: str, package: str) -> str:
    """The path of a command. Errors: Missing."""
    path = shutil.which(name)
    if path is None:
        raise Missing(
            f"{name} isn't installed. On Debian and Ubuntu: apt-get install {package} "
            "(as root). Elsewhere it is in the package of the same name."
        )
    return path


def describe() -> dict[str, Any]:
    """What a reader of the figures must know about the machine."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions(wrk: str) -> dict[str, str]:
    """Of everything that has a part in the figures."""
    told = {name: importlib.metadata.version(name) for name in PACKAGES}
    printed = subprocess.run([wrk, "-v"], capture_output=True, text=True, check=False).stdout  # exits with 1
    return {**told, "wrk": printed.split(" [")[0].removeprefix("wrk ").strip() or "unknown"}


def load_average() -> list[float]:
    """Processes that want to run, averaged over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def taken_by_others(ours: Ours) -> float:
    """Cores that others used since ``ours`` was made, on average; an idle machine gives 0."""
    seconds = time.monotonic() - ours.at
    return max(0.0, (_busy() - ours.busy - (_own() - ours.own)) / seconds) if seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Ours:
    """A moment's accounts, in seconds of processor time; see ``taken_by_others``."""

    at: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> Self:
        """Children count once they have ended, so start and end them in between."""
        return cls(time.monotonic(), _busy(), _own())


def _busy() -> float:
    fields = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _waiting, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Hardware")):
            return line.split(":", 1)[1].strip()
    return platform.machine()
