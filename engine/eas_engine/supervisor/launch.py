"""Executes one host and watches it until it is gone.

*Death* is the exit status; the end of the control socket alone is none (a child forked by the processor may
hold it open, and the host may close it by mistake). The status is learnt from a pidfd, and
``subprocess.Popen`` is used rather than asyncio's subprocesses for one reason: they reap a child before they
tell of it, and its process group can only be killed safely while the dead leader still holds the number. So
here: the pidfd becomes readable, the whole group gets SIGKILL, and only then is the leader reaped.

*Main thread*: PDEATHSIG, which the host sets, fires when the *thread* that started it ends, so ``execute``
must be called from the thread that lives as long as the engine. It blocks for the milliseconds that fork and
exec take.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from eas_engine.supervisor.control import Conversation, Message
from eas_engine.supervisor.output import OutputReader

_NOT_FOR_PROCESSORS = ("OSS_", "EAS_")
"""Credentials and the engine's own settings."""

_UNSAFE_PATH = "PYTHONSAFEPATH"
"""Set, it would keep ``python -m eas_host`` from being found in its working directory."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is executed for every host of a service.

    Attributes:
        interpreter: the processor's Python, or the engine's.
        sdk_directory: the host's working directory at first (``sdk.sdk_directory``).
        environment: ``processor_envs``; wins over what the engine was started with.
    """

    interpreter: str
    sdk_directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Listener(Protocol):
    """Who is told what a host does; everything is called on the loop, synchronously."""

    def on_message(self, message: Message) -> None:
        """The host said something."""
        ...

    def on_control_end(self, why: str) -> None:
        """Nothing more will be said, though the host may live."""
        ...

    def on_line(self, stream: str, line: str) -> None:
        """The processor printed a line; ``stream`` is stdout or stderr."""
        ...

    def on_exit(self, status: int) -> None:
        """The host is dead and reaped, its group killed, its last words delivered. Status as in ``Popen``."""
        ...


class Running(Protocol):
    """A host that was executed."""

    @property
    def pid(self) -> int:
        """Also the number of its process group and session."""
        ...

    def send(self, message: Mapping[str, object]) -> None:
        """Say something to it."""
        ...

    def terminate(self) -> None:
        """SIGTERM to the processor's main process alone."""
        ...

    def kill(self) -> None:
        """SIGKILL to the whole group. ``on_exit`` follows."""
        ...

    def end(self) -> None:
        """Kill and wait, now, if it isn't dead: for when the engine's own task is cancelled. Idempotent."""
        ...


class Execute(Protocol):
    """Executes a host; raises ``OSError`` when it can't. ``execute`` is the real one."""

    def __call__(self, program: Program, fds: tuple[int, ...], listener: Listener) -> Running:
        """Execute it; ``fds`` are inherited under the same numbers."""
        ...


def environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """A host's environment: the engine's without its secrets and settings, plus ``processor_envs``."""
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(_NOT_FOR_PROCESSORS) and name != _UNSAFE_PATH
    }
    return {**kept, **extra}


def execute(program: Program, fds: tuple[int, ...], listener: Listener) -> Running:
    """Execute a host, on the running loop. Raises ``OSError``; nothing is left behind then."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    lifeline, their_lifeline = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    arguments = ["--control", str(theirs.fileno()), "--lifeline", str(their_lifeline.fileno())]
    try:
        with theirs, their_lifeline:
            popen = subprocess.Popen(
                [program.interpreter, "-u", "-m", "eas_host", *arguments],
                cwd=program.sdk_directory,
                env=environment(os.environ, program.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(), their_lifeline.fileno(), *fds),
                start_new_session=True,
            )
    except BaseException:
        ours.close()
        lifeline.close()
        raise
    return HostProcess(popen, ours, lifeline, listener)


class HostProcess:
    """The real ``Running``."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        control: socket.socket,
        lifeline: socket.socket,
        listener: Listener,
    ) -> None:
        self._popen = popen
        self._lifeline = (
            lifeline  # nothing is ever written: its end, with this process, kills the host's group
        )
        self._listener = listener
        self._reaped = False
        self._control = Conversation(control, listener.on_message, listener.on_control_end)
        self._outputs = [_reader(popen, stream, listener) for stream in ("stdout", "stderr")]
        self._exit = ExitWatch(popen.pid, self._exited)
        self._control.open()
        for output in self._outputs:
            output.open()

    @property
    def pid(self) -> int:
        """See ``Running``."""
        return self._popen.pid

    def send(self, message: Mapping[str, object]) -> None:
        """See ``Running``."""
        self._control.send(message)

    def terminate(self) -> None:
        """See ``Running``."""
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """See ``Running``."""
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """See ``Running``."""
        self.kill()
        self._exited()

    def _exited(self) -> None:
        if self._reaped:
            return
        self.kill()
        status = self._popen.wait()
        self._reaped = True
        self._exit.close()
        self._control.read_rest()
        self._control.close()
        self._lifeline.close()
        for output in self._outputs:
            output.finish()
        self._listener.on_exit(status)


def _reader(popen: subprocess.Popen[bytes], stream: str, listener: Listener) -> OutputReader:
    pipe = getattr(popen, stream)
    fd = os.dup(pipe.fileno())
    pipe.close()
    return OutputReader(fd, lambda line: listener.on_line(stream, line))


def _pidfd_open(pid: int) -> int:
    if not hasattr(os, "pidfd_open"):  # interpreters built on old systems
        raise OSError(errno.ENOSYS, "this interpreter has no pidfd_open")
    return os.pidfd_open(pid)


class ExitWatch:
    """Calls ``on_exit`` on the running loop once the child is dead, and leaves it to be reaped.

    By a pidfd; where the interpreter or the kernel has none, by a thread that waits without reaping.
    """

    def __init__(
        self,
        pid: int,
        on_exit: Callable[[], None],
        *,
        pidfd_open: Callable[[int], int] = _pidfd_open,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_exit = on_exit
        self._fd = -1
        self._closed = False
        try:
            self._fd = pidfd_open(pid)
        except OSError:  # an old interpreter or kernel, or a sandbox that doesn't know the call
            self._fd = -1
        if self._fd >= 0:
            self._loop.add_reader(self._fd, on_exit)
        else:
            threading.Thread(target=self._wait, args=(pid,), name=f"exit of {pid}", daemon=True).start()

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if not self._closed and self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
        self._closed = True

    def _wait(self, pid: int) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the news any more
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if not self._closed:
            self._on_exit()
