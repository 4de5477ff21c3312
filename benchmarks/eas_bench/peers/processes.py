"""A server as everything that came of one command: found by a mark, measured in /proc, and ended whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from eas_bench.interrupts import held
from eas_bench.machine import running_on

_MARK = "EAS_BENCH_MARK"  # in the environment of every process of a server
_ENDS_WITHIN = 15.0  # seconds
_LOOK_EVERY = 0.05


@contextlib.contextmanager
def marked() -> Iterator[str]:
    """What is started within the block bears this mark, and so do its children."""
    mark, before = secrets.token_hex(8), os.environ.get(_MARK)
    os.environ[_MARK] = mark
    try:
        yield mark
    finally:
        if before is None:
            del os.environ[_MARK]
        else:
            os.environ[_MARK] = before


def census() -> dict[str, dict[int, psutil.Process]]:
    """Who bears which mark, by mark and pid; children belong to their parents, whatever these did to them."""
    found: dict[str, dict[int, psutil.Process]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mark = process.environ().get(_MARK)
            if mark and process.pid != os.getpid():
                family = found.setdefault(mark, {})
                family[process.pid] = process
                family.update({child.pid: child for child in process.children(recursive=True)})
    return found


def usages(families: Sequence[Family]) -> list[Usage]:
    """What each has used until now."""
    found = census()
    return [Usage.of(found.get(family.mark, {}).values()) for family in families]


@dataclass(frozen=True, slots=True)
class Family:
    """All processes of one server."""

    mark: str

    def members(self) -> list[psutil.Process]:
        """Those that live."""
        return [process for process in census().get(self.mark, {}).values() if _lives(process)]

    def beyond(self, cores: frozenset[int]) -> list[str]:
        """The names of members that may run on other cores."""
        strays = []
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                if not set(process.cpu_affinity() or ()) <= cores:
                    strays.append(process.name())
        return strays

    def end(self, first: psutil.Process | None = None) -> None:
        """SIGTERM to ``first``, the one that was started, which ends the others; SIGKILL to who is left."""
        if first is not None:
            with contextlib.suppress(psutil.Error):
                first.send_signal(signal.SIGTERM)
            self._gone(_ENDS_WITHIN)
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._gone(_ENDS_WITHIN)

    def _gone(self, within: float) -> None:
        """Wait for it."""
        until = time.monotonic() + within
        while time.monotonic() < until and self.members():
            time.sleep(_LOOK_EVERY)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@dataclass(frozen=True, slots=True)
class Usage:
    """The accounts of a family at one moment."""

    seconds: Mapping[int, float]  # of processor time, by pid
    resident: int  # bytes; what processes share counts in each of them

    @classmethod
    def of(cls, members: Iterable[psutil.Process]) -> Self:
        """Now."""
        seconds, resident = {}, 0
        for process in members:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds[process.pid] = times.user + times.system
                resident += process.memory_info().rss
        return cls(seconds, resident)

    def since(self, before: Usage) -> float:
        """Seconds of processor time; a process that is new counts from its start."""
        return sum(seconds - before.seconds.get(pid, 0.0) for pid, seconds in self.seconds.items())


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    cores: frozenset[int],
    log: Path,
) -> Iterator[tuple[Family, subprocess.Popen[bytes]]]:
    """A command with a session of its own; all that came of it is ended with the block."""
    with contextlib.ExitStack() as stack:
        with held(), marked() as mark, log.open("wb") as output, running_on(cores):
            process = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            family = Family(mark)
            stack.callback(_end, family, process)
        yield family, process


def _end(family: Family, process: subprocess.Popen[bytes]) -> None:
    """All of them."""
    family.end(psutil.Process(process.pid) if process.poll() is None else None)
    process.kill()
    process.wait()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
