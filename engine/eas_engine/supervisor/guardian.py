"""Ends the hosts' process groups when the engine dies without having ended them.

A host dies with the engine (PDEATHSIG), but what its processor forked doesn't: the signal goes to the host
alone, and takes it before it could end its group. So the engine has one small process beside it that does
nothing but read the numbers of the living groups from a pipe. Whatever ends the engine ends the pipe, and
then the guardian ends the groups and itself. It is in a session of its own and deaf to signals meant for the
engine.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys

_SCRIPT = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guardian:
    """The engine's side. Its process is started with the first group, and again should it have died."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """See that its process runs. Raises ``OSError`` when it can't be started."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SCRIPT],
            bufsize=0,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for group in self._groups:
            self._tell(f"+{group}")

    def watch(self, group: int) -> None:
        """The group is to die with the engine."""
        self._groups.add(group)
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """The group was killed; its number may soon be another's."""
        self._groups.discard(group)
        self._tell(f"-{group}")

    def close(self) -> None:
        """End its process, which ends the groups that are left. Idempotent."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # someone killed it; the next start makes another
                self._process.stdin.write(line.encode() + b"\n")
