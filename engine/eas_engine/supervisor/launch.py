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
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Protocol

from eas_engine.records import dataclass
from eas_engine.supervisor import core
from eas_engine.supervisor.causes import DUMP_SIGNAL, Condemned
from eas_engine.supervisor.control import Conversation, Message
from eas_engine.supervisor.limits.enforcer import Enforcer
from eas_engine.supervisor.limits.lodging import Stay
from eas_engine.supervisor.limits.report import Enforcement
from eas_engine.supervisor.memory import OomCounter
from eas_engine.supervisor.mounts import CUDA, WORKSPACE, Mount, lent, toolkit_mounts
from eas_engine.supervisor.output import OutputReader
from eas_engine.supervisor.place import Limits, Needs, Quarters
from eas_engine.supervisor.stacks import Dump

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
        core_files: a crash should leave one, as large as the hard limit allows.
        mounts: what the host sees at places of its own.
        toolkit: the directory of the CUDA toolkit that it sees in the usual place; None: the machine's.
        needs: what all hosts share and read.
    """

    interpreter: str
    sdk_directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    core_files: bool = False
    mounts: tuple[Mount, ...] = ()
    toolkit: Path | None = None
    needs: Needs = field(default_factory=Needs)


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

    def on_over_limit(self, why: Condemned) -> None:
        """Its instance uses more than it may."""
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

    def dump(self) -> None:
        """Let it write the stacks of its threads to stderr."""
        ...

    def dumping(self) -> bool:
        """Whether it is still at that."""
        ...

    def oom_kills(self) -> int:
        """How many processes of its cgroup the kernel has killed for want of memory since its start."""
        ...

    def memory(self) -> tuple[int, int] | None:
        """The most bytes that its instance had, and its limit, if that is enforced by a cgroup of its own."""
        ...

    def settle(self, told: Mapping[str, str]) -> Enforcement:
        """The host said hello, and what of its limits it could not have, by name; what holds it now."""
        ...

    def enforcement(self) -> Enforcement | None:
        """What enforces its limits; None before ``settle``."""
        ...

    def end(self) -> None:
        """Kill and wait, now, if it isn't dead: for when the engine's own task is cancelled. Idempotent."""
        ...


class Execute(Protocol):
    """Executes a host; raises ``OSError`` when it can't. ``execute`` is the real one."""

    def __call__(
        self,
        program: Program,
        fds: tuple[int, ...],
        listener: Listener,
        quarters: Quarters | None = None,
    ) -> Running:
        """Execute it; ``fds`` are inherited under the same numbers, ``quarters`` are its instance's."""
        ...


def environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """A host's environment: the engine's without its secrets and settings, plus ``processor_envs``."""
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(_NOT_FOR_PROCESSORS) and name != _UNSAFE_PATH
    }
    return {**kept, **extra}


@dataclass(frozen=True, slots=True)
class Ends:
    """Our ends of what joins us to one host."""

    control: socket.socket
    lifeline: socket.socket
    """Nothing is ever written: its end, with this process, kills the host's group."""
    stdout: int
    stderr: int


def execute(
    program: Program,
    fds: tuple[int, ...],
    listener: Listener,
    quarters: Quarters | None = None,
    *,
    enforcer: Enforcer | None = None,
) -> Running:
    """Execute a host, on the running loop. Raises ``OSError``; nothing is left behind then.

    ``enforcer`` holds it within the limits of its quarters; without one they must have none.
    """
    # All descriptors are made first: where they lack, there must be no process that nobody watches.
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
        ends, control, lifeline, stdout, stderr = _join(undo, theirs)
        stay = _stay(quarters, program.needs, listener, enforcer)
        if stay is not None:
            undo.callback(stay.ended)
        inside = {**(stay.mounts if stay else {}), CUDA: toolkit_mounts(program.toolkit)}
        told = theirs.enter_context(lent({**inside, WORKSPACE: program.mounts}))
        entrances = theirs.enter_context(stay.entrances()) if stay else ()
        arguments = ["--control", str(control), "--lifeline", str(lifeline)]
        arguments += [word for fd in told for word in ("--mounts", str(fd))]
        arguments += ["--groups", ",".join(map(str, entrances))] if entrances else []
        own = {**(stay.variables if stay else {}), **program.environment, **(stay.cards if stay else {})}
        popen = subprocess.Popen(
            [program.interpreter, "-u", "-m", "eas_host", *arguments],
            cwd=program.sdk_directory,
            env=environment(os.environ, own),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(control, lifeline, *told, *entrances, *fds),
            start_new_session=True,
        )
        undo.callback(_abandon, popen)
        theirs.close()
        core.configure(popen.pid, wanted=program.core_files)
        host = HostProcess(popen, ends, listener, stay)
        undo.pop_all()
    return host


def _stay(
    quarters: Quarters | None, needs: Needs, listener: Listener, enforcer: Enforcer | None
) -> Stay | None:
    """Its place within the instance's limits; None when nobody enforces any."""
    if enforcer is not None and quarters is not None:
        return enforcer.stay(quarters, listener.on_over_limit, needs)
    if quarters is not None and quarters.limits != Limits():
        raise ValueError(f"{quarters.instance} has limits, and nobody to enforce them")
    return None


def _join(undo: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[Ends, int, int, int, int]:
    """Our ends, closed by ``undo``, and the numbers of the host's, closed by ``theirs``."""
    sockets = []
    for _ in range(2):
        our_socket, their_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        undo.callback(our_socket.close)
        theirs.callback(their_socket.close)
        sockets.append((our_socket, their_socket.fileno()))
    pipes = []
    for _ in range(2):
        our_end, their_end = os.pipe()
        undo.callback(os.close, our_end)
        theirs.callback(os.close, their_end)
        pipes.append((our_end, their_end))
    (control, their_control), (lifeline, their_lifeline) = sockets
    (stdout, their_stdout), (stderr, their_stderr) = pipes
    return Ends(control, lifeline, stdout, stderr), their_control, their_lifeline, their_stdout, their_stderr


def _abandon(popen: subprocess.Popen[bytes]) -> None:
    """A host that can't be watched must not be."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, signal.SIGKILL)
    popen.wait()


class HostProcess:
    """The real ``Running``."""

    def __init__(
        self, popen: subprocess.Popen[bytes], ends: Ends, listener: Listener, stay: Stay | None = None
    ) -> None:
        self._popen = popen
        self._stay = stay
        self._lifeline = ends.lifeline
        self._listener = listener
        self._reaped = False
        self._oom = OomCounter(popen.pid)
        self._dump: Dump | None = None
        self._exit = ExitWatch(popen.pid, self._exited)
        self._control = Conversation(ends.control, listener.on_message, listener.on_control_end)
        self._outputs = [
            OutputReader(fd, partial(listener.on_line, stream))
            for fd, stream in ((ends.stdout, "stdout"), (ends.stderr, "stderr"))
        ]
        self._control.open()
        for output in self._outputs:
            output.open()
        if stay is not None:
            stay.begun(popen.pid)

    @property
    def pid(self) -> int:
        """See ``Running``."""
        return self._popen.pid

    def send(self, message: Mapping[str, object]) -> None:
        """See ``Running``."""
        if message.get("type") == "stop" and self._stay is not None:
            self._stay.remember()
        self._control.send(message)

    def terminate(self) -> None:
        """See ``Running``."""
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """See ``Running``."""
        if not self._reaped:
            if self._stay is not None:
                self._stay.remember()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def dump(self) -> None:
        """See ``Running``."""
        if not self._reaped and self._dump is None:
            self._dump = Dump(self.pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, DUMP_SIGNAL)

    def dumping(self) -> bool:
        """See ``Running``."""
        return self._dump is not None and not self._reaped and self._dump.going_on()

    def oom_kills(self) -> int:
        """See ``Running``."""
        own = self._stay.oom_kills() if self._stay else 0
        # what is counted where the engine is may be other instances'
        return own if own or (self._stay and self._stay.inside) else self._oom.rise()

    def memory(self) -> tuple[int, int] | None:
        """See ``Running``."""
        return self._stay.memory() if self._stay else None

    def settle(self, told: Mapping[str, str]) -> Enforcement:
        """See ``Running``."""
        return self._stay.settle(told) if self._stay else Enforcement()

    def enforcement(self) -> Enforcement | None:
        """See ``Running``."""
        return self._stay.enforcement() if self._stay else None

    def end(self) -> None:
        """See ``Running``."""
        self.kill()
        self._exited()

    def _exited(self) -> None:
        if self._reaped:
            return
        self.kill()
        if self._stay is not None:
            self._stay.kill()
        status = self._popen.wait()
        self._reaped = True
        self._exit.close()
        self._control.read_rest()
        self._control.close()
        self._lifeline.close()
        for output in self._outputs:
            output.finish()
        self._listener.on_exit(status)
        if self._stay is not None:
            self._stay.ended()


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
