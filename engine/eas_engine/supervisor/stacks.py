"""When a host is done with writing the stacks of its threads.

The engine sends ``DUMP_SIGNAL``, the host's handler writes the stacks in C, in whatever thread it came to
(``eas_host/dump.py``), and says nothing when it is done. But the kernel knows: until a thread takes the
signal it is *pending*, and while the handler runs the signal is *blocked* in that thread. When neither is so
any more, everything is in the pipe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eas_engine.supervisor.causes import DUMP_SIGNAL

_MASKS = re.compile(r"^(SigPnd|ShdPnd|SigBlk):\s*([0-9a-f]+)$", re.MULTILINE)


def masks(status: str) -> dict[str, int]:
    """The signal sets of a ``/proc/<pid>/task/<tid>/status``, by name."""
    return {name: int(bits, 16) for name, bits in _MASKS.findall(status)}


class Dump:
    """One dump of one host: make it before the signal is sent.

    Args:
        pid: of a child that isn't reaped.
        number: the signal.
    """

    def __init__(self, pid: int, number: int = DUMP_SIGNAL, *, proc: Path = Path("/proc")) -> None:
        self._tasks = proc / str(pid) / "task"
        self._bit = 1 << (number - 1)
        self._deaf = {name for name, seen in self._read() if seen.get("SigBlk", 0) & self._bit}

    def __repr__(self) -> str:
        return f"<Dump {self._tasks} {'going on' if self.going_on() else 'done'}>"

    def going_on(self) -> bool:
        """Whether the signal still waits for a thread, or a thread is at it."""
        for name, seen in self._read():
            if (seen.get("SigPnd", 0) | seen.get("ShdPnd", 0)) & self._bit:
                return True
            if seen.get("SigBlk", 0) & self._bit and name not in self._deaf:
                return True
        return False

    def _read(self) -> Iterator[tuple[str, dict[str, int]]]:
        try:
            tasks = list(self._tasks.iterdir())
        except OSError:
            return
        for task in tasks:
            try:
                yield task.name, masks((task / "status").read_text())
            except OSError:  # the thread has ended
                continue
