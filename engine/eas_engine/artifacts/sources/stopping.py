"""Ending what takes long: one ``Stop`` for everything that a fetch does, whichever thread does it.

Whoever waits or loops asks the stop: ``check`` raises once it is set, ``pause`` is the only way to wait, and
a connection that is ``watched`` is shut down, so that nobody waits for a server that says nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

from eas_engine.errors import StartError


class InterruptedStartError(StartError):
    """A signal ended the start; the exit status is the shell's for it (130 for Ctrl-C, 143 for SIGTERM)."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name} while the artifacts were being fetched; "
            "what has come is kept, and the next start goes on from there"
        )
        self.exit_status = 128 + number  # type: ignore[misc]


class StoppedError(Exception):
    """The stop was set while this ran."""


class Stop:
    """Set once, from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._branches: list[Stop] = []
        self._lock = threading.Lock()
        self._watched: set[socket.socket] = set()

    def set(self) -> None:
        """End everything; returns at once. Also what a signal handler may call."""
        self._event.set()
        for branch in tuple(self._branches):
            branch.set()
        for one in tuple(self._watched):  # without the lock: the thread that a signal interrupts may hold it
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def branch(self) -> Stop:
        """One for a part of the work: it can be set alone, and is set with this one."""
        made = Stop()
        self._branches.append(made)
        if self._event.is_set():
            made.set()
        return made

    @property
    def is_set(self) -> bool:
        """Whether it was."""
        return self._event.is_set()

    def check(self) -> None:
        """Errors: StoppedError once it is set."""
        if self._event.is_set():
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """Wait so long. Errors: StoppedError as soon as it is set."""
        self._event.wait(max(0.0, seconds))
        self.check()

    def watch(self, connection: socket.socket) -> None:
        """Shut it down when the stop is set."""
        with self._lock:
            self._watched.add(connection)
        if self._event.is_set():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def forget(self, connection: socket.socket) -> None:
        """It is about to be closed."""
        with self._lock:
            self._watched.discard(connection)


class _Told(BaseException):
    """A signal came: nothing on the way out may take it for an error that it knows."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def ended_by_signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT end what runs inside: the stop is set, and this raises in the main thread.

    A second signal ends the process at once. Only for the main thread.

    Raises:
        InterruptedStartError: a signal came.
    """

    def told(number: int, _: FrameType | None) -> None:
        if stop.is_set:
            os._exit(128 + number)
        stop.set()
        raise _Told(number)

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except _Told as error:
        raise InterruptedStartError(error.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
