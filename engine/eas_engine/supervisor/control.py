"""The conversation with one host: JSON objects, one a line, over a socket pair.

``parse`` knows what a host may say and touches no socket. ``Conversation`` owns our end of the pair itself
instead of giving it to an asyncio transport: when a host has died, what it said last (``failed``, above all)
must be read *now*, before its end is judged, and a transport can't be asked for that.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from eas_engine.records import dataclass

MAX_MESSAGE = 1 << 20
"""Bytes of one message of a host. A traceback is the longest thing it has to say."""

_READ = 1 << 16


class ControlViolation(Exception):
    """The host said something that it may not say; the text is one line."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The processor object exists and tells what its code asks for."""

    python: str = ""
    kind: str = ""
    threads: int | None = None
    processes: int = 1
    batch: bool = False
    warnings: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    mounts: str | None = None
    """Why its mounts aren't visible; empty when they are, None when it was given none."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """What holds it within its limits (``group``, ``shm``, ``tmp``): why it isn't there; empty: it is."""


@dataclass(frozen=True, slots=True)
class Warming:
    """A call of the warm-up begins; the host gives it up after so many seconds, if it can."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Dumped:
    """The answer to ``dump``: what the adapter knows of its threads is in the log."""


@dataclass(frozen=True, slots=True)
class Ready:
    """``initialize()`` and the warm-up are done."""

    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The processor can't be had; the host leaves with status 1."""

    stage: str
    message: str
    traceback: str = ""
    passing: bool = False
    """Another try may succeed: the GPU had no memory left, for example."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The GPU is lost to its process, which leaves at once."""

    message: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """``close()`` was called; the host leaves with status 0."""


Message = Hello | Warming | Dumped | Ready | Failed | Fault | Stopped


def _hello(said: dict[str, Any]) -> Hello:
    threads = said.get("threads")
    return Hello(
        python=str(said.get("python", "")),
        kind=str(said.get("kind", "")),
        threads=None if threads is None else max(1, int(threads)),
        processes=max(1, int(said.get("processes") or 1)),
        batch=bool(said.get("batch", False)),
        warnings=tuple(str(warning) for warning in said.get("warnings", ())),
        properties=_properties(said),
        mounts=_mounts(said.get("mounts")),
        limits={str(name): str(why) for name, why in dict(said.get("limits") or {}).items()},
    )


def _mounts(said: dict[str, Any] | None) -> str | None:
    return None if said is None else "" if said["visible"] else str(said["reason"])


def _properties(said: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in dict(said.get("properties") or {}).items()}


def _failed(said: dict[str, Any]) -> Failed:
    return Failed(
        str(said["stage"]),
        str(said["message"]),
        str(said.get("traceback") or ""),
        passing=bool(said.get("passing", False)),
    )


def _warming(said: dict[str, Any]) -> Warming:
    seconds = float(said["seconds"])
    if not 0 <= seconds < math.inf:
        raise ValueError(seconds)
    return Warming(seconds)


_KINDS: Mapping[str, Callable[[dict[str, Any]], Message]] = {
    "hello": _hello,
    "warming": _warming,
    "dumped": lambda _said: Dumped(),
    "ready": lambda said: Ready(_properties(said)),
    "failed": _failed,
    "fault": lambda said: Fault(str(said["message"])),
    "stopped": lambda _said: Stopped(),
}


def parse(line: bytes) -> Message:
    """One line of a host. Raises ``ControlViolation``."""
    try:
        said = json.loads(line)
        return _KINDS[said["type"]](said)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ControlViolation(f"not a message of a host: {line[:80]!r} ({type(error).__name__})") from error


def encode(message: Mapping[str, object]) -> bytes:
    """One message of ours as it goes over the wire."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _ignore(_why: str) -> None:
    pass


class Conversation:
    """Our end of one host's control socket, on the running loop.

    Args:
        end: our end; owned from now on.
        on_message: called with each message, synchronously.
        on_end: called once with why nothing more will come (end of file, or a violation); not after
            ``close``.
    """

    def __init__(
        self, end: socket.socket, on_message: Callable[[Message], None], on_end: Callable[[str], None]
    ) -> None:
        end.setblocking(False)
        self._socket = end
        self._on_message = on_message
        self._on_end = on_end
        self._unread = bytearray()
        self._unsent = bytearray()
        self._reading = False
        self._closed = False
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        """Begin to listen."""
        self._reading = True
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def send(self, message: Mapping[str, object]) -> None:
        """Say something; never waits. A host that is gone is noticed elsewhere, so that is no error here."""
        if self._closed:
            return
        idle = not self._unsent
        self._unsent += encode(message)
        if idle:
            self._flush()
            if self._unsent:
                self._loop.add_writer(self._socket.fileno(), self._flush)

    def read_rest(self) -> None:
        """Take what the host, now dead, has left in the socket; its end is no news any more."""
        self._on_end = _ignore
        while self._reading and self._readable():
            pass

    def close(self) -> None:
        """Hang up. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._stop_reading()
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._socket.fileno())

    def _readable(self) -> bool:
        """Read once. Says whether there may be more."""
        try:
            data = self._socket.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # a reset: the host died with unread messages of ours
            data = b""
        if not data:
            self._end("the host closed its control socket")
            return False
        self._unread += data
        try:
            self._take_lines()
        except ControlViolation as violation:
            self._end(str(violation))
        return self._reading

    def _take_lines(self) -> None:
        while self._reading and (end := self._unread.find(b"\n")) >= 0:
            line = bytes(self._unread[:end])
            del self._unread[: end + 1]
            if line:
                self._on_message(parse(line))
        if len(self._unread) > MAX_MESSAGE:
            raise ControlViolation(f"a message of more than {MAX_MESSAGE} bytes")

    def _end(self, why: str) -> None:
        self._stop_reading()
        self._on_end(why)

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent, socket.MSG_NOSIGNAL)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unsent.clear()
        self._loop.remove_writer(self._socket.fileno())
