"""Whether the kernel killed a process for want of memory.

Two witnesses, because neither is always there:

* The counter ``oom_kill`` of the process's cgroup (v2: ``memory.events``; v1: ``memory.oom_control``). It
  counts the victims in this cgroup, whatever limit was hit, the machine's own included. Other processes in
  the same cgroup count too, so a rise means *probably it*; the root of a hierarchy has no counter.
* The kernel log, which names the victim. Only the superuser may read it, as a rule, and its numbers of
  processes are those of the first pid namespace, so it is believed there alone.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of the kernel
_LOG_LIMIT = 20_000  # records; the kernel keeps fewer
_LOG_SLACK = 60.0
"""Seconds by which the clock of the log may differ from the monotonic one."""

_VICTIM = re.compile(r"^\d+,\d+,(\d+),[^;]*;(.*Killed process (\d+) \(.*)", re.DOTALL)


class OomCounter:
    """The counter of a process's cgroup, from now on.

    Args:
        pid: of a child that isn't reaped.
        proc, cgroups: where the kernel's files are.
    """

    def __init__(
        self, pid: int, *, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
    ) -> None:
        self._file = _counter_file(proc / str(pid) / "cgroup", cgroups)
        self._before = self._read()

    def __repr__(self) -> str:
        return f"<OomCounter {self._file} {self._before}>"

    def rise(self) -> int:
        """How many processes were killed since."""
        return max(0, self._read() - self._before)

    def _read(self) -> int:
        return 0 if self._file is None else count_of(_text(self._file))


def count_of(text: str) -> int:
    """``oom_kill`` of ``memory.events`` or ``memory.oom_control``; 0 when it isn't there."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return 0


def _counter_file(membership: Path, cgroups: Path) -> Path | None:
    """The file with the counter of the cgroup that ``/proc/<pid>/cgroup`` names."""
    for line in _text(membership).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        below = path.lstrip("/")
        if controllers == "":
            candidates = [cgroups / below / "memory.events", cgroups / "unified" / below / "memory.events"]
        elif "memory" in controllers.split(","):
            # In a container the path may be the machine's, and what is mounted only its end.
            root = cgroups / "memory"
            candidates = [root / below / "memory.oom_control", root / "memory.oom_control"]
        else:
            continue
        for file in candidates:
            if file.exists():
                return file
    return None


def kernel_says(pid: int, since: float, *, log: Path = Path("/dev/kmsg"), first: bool | None = None) -> str:
    """The kernel's line about killing this process after ``since`` (monotonic); ``""`` if there is none."""
    if not (_in_first_pid_namespace() if first is None else first):
        return ""
    try:
        file = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _search(file, pid, since)
    finally:
        os.close(file)


def _search(file: int, pid: int, since: float) -> str:
    found = ""
    for _ in range(_LOG_LIMIT):
        try:
            record = os.read(file, 8192)
        except BrokenPipeError:  # it was overwritten while we read
            continue
        except OSError:  # the end
            break
        if not record:
            break
        for line in record.decode("utf-8", "replace").splitlines():
            match = _VICTIM.match(line)
            if match and int(match[3]) == pid and int(match[1]) / 1e6 >= since - _LOG_SLACK:
                found = match[2].strip()
    return found


def _in_first_pid_namespace() -> bool:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino == _FIRST_PID_NAMESPACE
    except OSError:
        return False


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(errors="replace")
    return ""
