"""A host that does what its start message says: speaks the control protocol, imports nothing of ours.

It is put as ``eas_host.py`` into an SDK directory, so it is executed exactly as the real one. The script is
the ``model_config`` of the start message: a JSON list of steps ``[verb, argument]``.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Control:
    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.lines = self.socket.makefile("rb")

    def say(self, message: dict[str, Any]) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self, kind: str) -> dict[str, Any]:
        """The next message of that type; the end of the engine is ours."""
        for line in self.lines:
            message: dict[str, Any] = json.loads(line)
            if message["type"] == kind:
                return message
        os.killpg(0, signal.SIGKILL)
        raise AssertionError


def forever() -> None:
    while True:
        time.sleep(3600)


def wait_while(path: Path) -> None:
    """Until there is no such file."""
    while path.exists():
        time.sleep(0.005)


def fork_a_child_that_holds_everything() -> None:
    """It inherits stdout, stderr, the control socket; ``pid`` goes to the log."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        forever()


def show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def flood(lines: int) -> None:
    for number in range(lines):
        sys.stdout.write(f"line {number}\n")


def die_with_the_engine() -> None:
    lifeline = int(sys.argv[sys.argv.index("--lifeline") + 1])
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(lifeline, 10, signal.SIGKILL)  # F_SETSIG
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)


def hang_up(control: Control) -> None:
    control.lines.close()
    control.socket.close()


VERBS: dict[str, Callable[[Control, Any], Any]] = {
    "say": lambda control, message: control.say(message),
    "hear": lambda control, kind: control.hear(kind),
    "print": lambda _, text: show(text),
    "flood": lambda _, lines: flood(lines),
    "environment": lambda *_: show(json.dumps(dict(os.environ)) + "\n"),
    "fds": lambda *_: show(json.dumps([fd.name for fd in Path("/proc/self/fd").iterdir()]) + "\n"),
    "fork": lambda *_: fork_a_child_that_holds_everything(),
    "die with the engine": lambda *_: die_with_the_engine(),
    "on SIGTERM exit": lambda _, status: signal.signal(signal.SIGTERM, lambda *_: os._exit(status)),
    "ignore SIGTERM": lambda *_: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "hang up": lambda control, _: hang_up(control),
    "exit": lambda _, status: sys.exit(status),
    "signal": lambda _, number: os.kill(os.getpid(), number),
    "wait for": lambda _, gone: wait_while(Path(gone)),
    "forever": lambda *_: forever(),
}


def main() -> None:
    control = Control(int(sys.argv[sys.argv.index("--control") + 1]))
    start = control.hear("start")
    assert threading.active_count() == 1
    for verb, argument in json.loads(start["model_config"]):
        VERBS[verb](control, argument)


if __name__ == "__main__":
    main()
