"""The host's end of the control socket: one JSON object a line, each with a ``type``.

A daemon thread reads it from the first moment, because the end of the stream means that the engine is dead,
and then this process and everything it started must go at once, whatever it is doing. All other messages go
to a queue, from which the main thread takes them where it expects them, but for those that ``on`` and
``follow`` name.

Guarantee: ``send`` is whole lines, from any thread.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import threading
import traceback
from contextlib import suppress
from typing import Any, Callable, Dict

Message = Dict[str, Any]


class Stopped(Exception):
    """The engine said ``stop`` while something else was awaited."""


class Control:
    """The conversation with the engine over the inherited descriptor ``fd``; ``watch`` begins it."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fd)
        self._received: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._stop = threading.Event()
        self._over = False
        self._actions: Dict[str, Callable[[], None]] = {}
        self._following = threading.Lock()
        self._latest: Dict[str, Message] = {}
        self._followers: Dict[str, Callable[[Message], None]] = {}

    def watch(self) -> None:
        """Begins to read."""
        threading.Thread(target=self._read, name="control", daemon=True).start()

    def send(self, kind: str, /, **fields: object) -> None:
        """Tells the engine; an engine that is gone is the reading thread's business."""
        line = json.dumps({"type": kind, **fields}).encode() + b"\n"
        with self._sending, suppress(OSError):
            self._socket.sendall(line)

    def wait(self, kind: str) -> Message:
        """Waits for a message of this type, skipping others; ``Stopped`` once a stop has come."""
        while True:
            message = self._received.get()
            if message.get("type") == kind:
                return message
            if self._stop.is_set():
                raise Stopped

    def wait_stop(self) -> None:
        """Waits until the engine says stop."""
        self._stop.wait()

    def stopping(self) -> bool:
        """Whether the engine has said stop."""
        return self._stop.is_set()

    def on(self, kind: str, action: Callable[[], None]) -> None:
        """From now on messages of this type start ``action``, in a thread of its own, instead of waiting."""
        self._actions[kind] = action

    def follow(self, kind: str, action: Callable[[Message], None]) -> None:
        """Calls ``action`` with the latest message of this type that has come, and with each one to come.

        One after the other, in the order in which they came; it must be quick.
        """
        with self._following:
            self._followers[kind] = action
            if kind in self._latest:
                action(self._latest[kind])

    def finish(self, kind: str, /, **fields: object) -> None:
        """The last message: the process leaves by itself now, so the engine may hang up."""
        self._over = True
        self.send(kind, **fields)

    def _tell(self, kind: str, message: Message) -> None:
        """To whoever follows such messages, now or later."""
        with self._following:
            self._latest[kind] = message
            action = self._followers.get(kind)
            if action is not None:
                action(message)

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    kind = message.get("type")
                    if kind == "stop":
                        self._stop.set()
                    self._tell(kind, message)
                    if kind in self._actions:
                        threading.Thread(target=self._actions[kind], name=kind, daemon=True).start()
                    else:
                        self._received.put(message)
        except OSError:
            pass  # reset by the engine's death
        except Exception:  # noqa: BLE001 - whatever it is: without the engine's word there is no safe way on
            traceback.print_exc()
        if not self._over:
            end_group()


def end_group() -> None:
    """Kills this process and all of its group at once."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)  # started by hand, in somebody else's group
