"""The files of a control group: small texts that are read and written whole."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

PROCESSES = "cgroup.procs"


class Files(Protocol):
    """Making, reading and writing; tests have a kernel of their own. Errors: ``OSError``."""

    def make(self, group: Path) -> None:
        """Make a group."""
        ...

    def remove(self, group: Path) -> None:
        """Remove one that has neither groups nor processes."""
        ...

    def write(self, file: Path, text: str) -> None:
        """Write to a file of a group; it must be there."""
        ...


class KernelFiles:
    """The real ones."""

    def make(self, group: Path) -> None:
        """See ``Files``."""
        group.mkdir(mode=0o755)

    def remove(self, group: Path) -> None:
        """See ``Files``."""
        group.rmdir()

    def write(self, file: Path, text: str) -> None:
        """See ``Files``."""
        handle = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)


def number(file: Path) -> int | None:
    """What a file holds; None when it isn't there, or holds ``max``."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def table(file: Path) -> Mapping[str, int]:
    """A file of lines ``name number``; empty when it isn't there."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            if value.strip().isdigit():
                found[name] = int(value)
    return found


def processes(group: Path) -> list[int]:
    """Those that are in the group itself; none when it is gone. 0 is one of another pid namespace."""
    try:
        return [int(word) for word in (group / PROCESSES).read_text().split()]
    except OSError:
        return []


def below(group: Path) -> list[Path]:
    """The group and all groups in it, innermost first."""
    found = [group]
    with contextlib.suppress(OSError):
        found = [inner for one in sorted(group.iterdir()) if one.is_dir() for inner in below(one)] + found
    return found


def kill(group: Path) -> bool:
    """SIGKILL to all processes in the group and below it. Says whether there were any."""
    any_left = False
    for one in below(group):
        for pid in processes(one):
            any_left = True
            if pid > 0:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
    return any_left
