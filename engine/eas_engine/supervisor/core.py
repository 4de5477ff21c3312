"""Core files: that a host may leave one, where it lies, and if there is none, why.

``core(5)``: the kernel writes a core file where ``/proc/sys/kernel/core_pattern`` says, by default ``core``
in the working directory, up to the process's RLIMIT_CORE. A pattern that begins with ``|`` hands it to a
program instead, which may keep it in its own way (``coredumpctl`` of systemd).
"""

from __future__ import annotations

import contextlib
import resource
import signal
from pathlib import Path

_PATTERN = Path("/proc/sys/kernel/core_pattern")
_WITH_PID = Path("/proc/sys/kernel/core_uses_pid")
_WITHOUT_SHARED = "0x31"
"""``/proc/<pid>/coredump_filter`` without anonymous shared memory: a core file holds what the processor had,
and not the arenas of bodies, whose address space is a thousand times larger than their memory."""

MOST_BYTES = 1 << 30
"""Of a core file: what a debugger needs comes first in it, and writing more keeps clients waiting, because a
process isn't dead before its core file is written (a JVM's was 8 GB)."""

_LEAVES_ONE = frozenset(
    {
        signal.SIGQUIT,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGSEGV,
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGSYS,
    }
)


def configure(pid: int, *, wanted: bool) -> None:
    """Of a child that was just executed: never the shared arenas; with ``wanted`` up to ``MOST_BYTES``."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/coredump_filter").write_text(_WITHOUT_SHARED)
    if wanted:
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_CORE)
            most = MOST_BYTES if hard == resource.RLIM_INFINITY else min(hard, MOST_BYTES)
            resource.prlimit(pid, resource.RLIMIT_CORE, (most, hard))


def find(status: int, pid: int, directory: Path, since: float) -> tuple[Path | None, str]:
    """The core file of a dead child, or why there is none.

    Args:
        status: as in ``Popen``.
        pid: what it was.
        directory: where it worked.
        since: when it was started, seconds since the epoch: older files aren't its.
    """
    pattern, with_pid = _text(_PATTERN), _text(_WITH_PID) not in ("", "0")
    if status >= 0 or -status not in _LEAVES_ONE:
        return None, "such an end leaves none"
    if pattern.startswith("|"):
        return None, f"kernel.core_pattern hands core files to a program: {pattern}"
    if not pattern:
        return None, "kernel.core_pattern is empty"
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        return None, "the hard limit of RLIMIT_CORE is 0"
    glob = glob_of(pattern, pid, with_pid=with_pid)
    path = directory / glob  # an absolute one stays as it is
    try:
        found = [one for one in path.parent.glob(path.name) if one.stat().st_mtime >= since - 1]
    except (OSError, ValueError, NotImplementedError) as error:
        return None, f"{path.parent} can't be searched: {error}"
    if not found:
        return None, f"none was found at {path}"
    return max(found, key=lambda one: one.stat().st_mtime), ""


def glob_of(pattern: str, pid: int, *, with_pid: bool) -> str:
    """A glob for the core files of a process: what only the kernel knows becomes ``*``."""
    made, letters = "", iter(pattern)
    seen_pid = False
    for letter in letters:
        if letter != "%":
            made += f"[{letter}]" if letter in "*?[" else letter
            continue
        kind = next(letters, "")
        if kind in ("p", "P"):  # %P is the number in the first pid namespace
            seen_pid = True
        made += {"%": "%", "p": str(pid), "": ""}.get(kind, "*")
    if with_pid and not seen_pid:
        made += f".{pid}"
    return made


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
