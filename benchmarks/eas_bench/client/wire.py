"""The sockets of one generator process, and its clock: all that the loop asks of the system.

Edge-triggered: a descriptor is watched once, for everything, and costs no further call. Whoever got fewer
bytes than fit has read all there was; more bytes are a new event.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

READY: Final = select.EPOLLIN | select.EPOLLOUT  # an answer came, and the way for the next request is free
READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
ENDED: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR

BUFFER: Final = 512 * 1024  # bytes; what one read may bring
_EVENTS: Final = 64  # of one look: what is due is sent between two of them
_WATCHED: Final = READY | select.EPOLLRDHUP | select.EPOLLET
_COARSE: Final = 2_000_000  # ns; epoll waits whole milliseconds


class Wire(Protocol):
    """What the loop needs; tests have one in which time is theirs."""

    buffer: bytearray
    """Where received bytes lie until the next receive."""
    into: list[bytearray]
    """The buffer, as receive takes it."""

    def clock(self) -> int:
        """Nanoseconds; the measured part begins at 0."""

    def cpu(self) -> float:
        """Seconds of processor time that this process used."""

    def connect(self) -> int:
        """A new connection's descriptor; it may not be connected yet. Raises OSError."""

    def send(self, descriptor: int, data: bytes | memoryview, /) -> int:
        """How many bytes were taken. Raises OSError; BlockingIOError: none."""

    def receive(self, descriptor: int, into: list[bytearray], /) -> int:
        """How many bytes came; 0: the end. Raises OSError; BlockingIOError: none."""

    def close(self, descriptor: int) -> None:
        """No more of it."""

    def fault(self, descriptor: int) -> int:
        """The errno of what went wrong with it; 0: nothing."""

    def wait(self, until: int) -> list[tuple[int, int]]:
        """Descriptors and what is up with them; empty when ``until`` is there, or a little before."""


class Sockets:
    """Real ones, to one address. ``start``: the moment of time.monotonic_ns() that the clock calls 0."""

    def __init__(self, family: int, address: tuple[Any, ...], start: int) -> None:
        self._family = family
        self._address = address
        self._start = start
        self._open: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        self.buffer = bytearray(BUFFER)
        self.into = [self.buffer]
        self.send: Callable[[int, bytes | memoryview], int] = os.write
        self.receive: Callable[[int, list[bytearray]], int] = os.readv

    def clock(self) -> int:
        """Nanoseconds since the start."""
        return time.monotonic_ns() - self._start

    def cpu(self) -> float:
        """Of all its threads."""
        return time.process_time()

    def connect(self) -> int:
        """Without waiting for it."""
        made = socket.socket(self._family, socket.SOCK_STREAM)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fault = made.connect_ex(self._address)
        if fault not in {0, errno.EINPROGRESS}:
            made.close()
            raise OSError(fault, os.strerror(fault))
        self._poll.register(made, _WATCHED)
        self._open[made.fileno()] = made
        return made.fileno()

    def close(self, descriptor: int) -> None:
        """And forget it."""
        self._open.pop(descriptor).close()

    def fault(self, descriptor: int) -> int:
        """What the system remembers of it."""
        return self._open[descriptor].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def wait(self, until: int) -> list[tuple[int, int]]:
        """Microseconds matter in open loop, and epoll knows only milliseconds: so the last ones by select."""
        left = until - self.clock()
        if left > _COARSE:
            return self._poll.poll((left - _COARSE // 2) // 1_000_000 / 1000, _EVENTS)
        events = self._poll.poll(0, _EVENTS)
        if events or left <= 0:
            return events
        select.select([self._poll], [], [], left / 1e9)
        return self._poll.poll(0, _EVENTS)
