"""The processor's threads: take a request from the link, call the processor, send the answer.

Theory of operation
-------------------
There is one link to the engine and there are `threads` worker threads. A thread that finds nothing to do
becomes the *reader* (``role``): it sends what is waiting to be sent, reads the link, and puts the requests
that came on a deque from which every thread takes. While the processor is fast, one system call so brings
many requests and another one takes many answers back.

As a rule the reader lets go of its role before it works, and the next idle thread takes it. While calls take
less than ``_FAST`` seconds, waking that thread would cost more than the call: then the reader keeps the role
and works alone; and if a call takes long after all, the *watch*, one more thread, takes the role away from
it.

Guarantees
~~~~~~~~~~
* A request waits only while every worker thread is inside the processor; or, when a call is slow right after
  many fast ones, for the millisecond or two until the watch has noticed.
* An answer is sent at once when there is nothing else to do, when it took longer than ``_SLOW`` seconds, and
  when ``_MANY`` are waiting. One that was held back because more work was at hand, while that work turns out
  to be slow, is sent by any idle thread, and if there is none, by the watch.
* Just before the processor is called the slot's begun mark is set, and a request that was withdrawn by then
  is skipped. Setting first and looking second is what makes a withdrawal exact (see ``wire``).
"""

from __future__ import annotations

import collections
import contextlib
import mmap
import os
import socket
import sys
import threading
import time
import traceback
from typing import Any, Callable, Deque, Dict, List, NoReturn, Optional, Tuple

from eas_host import wire
from eas_host.adapters import Raised
from eas_host.arena import map_read_only
from eas_host.outbox import Outbox
from eas_host.role import Hold, Role
from eas_sdk.request import Request

_FAST = 20e-6
_SLOW = 100e-6
_MANY = 32
_PATIENCE = 0.001  # seconds between two looks of the watch
_LOOKS = 50  # without anything new to see, before it sleeps
_LONGEST_MESSAGE = 16 * 1024
_SOFTWARE = 70  # sysexits.h
LONGEST_CALL = 4000.0  # seconds that fit into the field of microseconds
_CANCELLED = wire.CANCELLED
_now = time.monotonic

#: What an adapter gives: status, body, header lines (each ending in CRLF).
Answer = Tuple[int, Any, bytes]
Handle = Callable[[Request], Answer]


class Stopped(Exception):
    """There will be no more work."""


class Server:
    """The worker threads of one host."""

    def __init__(self, handle: Handle, channel: Dict[str, Any], threads: int) -> None:
        self._handle = handle
        self._link = socket.socket(fileno=channel["link"])
        self._link.setblocking(True)
        self._prefix = str(channel["request_prefix"])
        self._board = memoryview(mmap.mmap(channel["board"]["fd"], wire.BOARD_BYTES))
        arena = channel["requests"]
        self._bodies = map_read_only(arena["fd"], arena["size"]) if arena else memoryview(b"")
        self._outbox = Outbox(self._link, channel)
        self._todo: Deque[wire.Frame] = collections.deque()
        self._inbox = wire.Inbox(wire.REQUEST)
        self._role = Role()
        self._idle: List[None] = []  # an element for each thread that waits to be the reader
        self._usual = 1.0  # seconds that a call takes lately
        self.since = 0.0  # when the last call began
        self._bell = threading.Semaphore(0)
        self._watching = False
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(threads)
        ]
        self._watch = threading.Thread(target=self._keep_watch, name="watch", daemon=True)

    def __repr__(self) -> str:
        return f"<Server {len(self._threads)} threads, {len(self._todo)} to do, {self._outbox!r}>"

    def start(self) -> None:
        """Begin to take requests."""
        self._watch.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take nothing new. The engine says so only when nothing of it is in here any more."""
        self._stopping = True
        with contextlib.suppress(OSError):  # the engine closed it first
            self._link.shutdown(socket.SHUT_RD)

    def join(self, timeout: Optional[float] = None) -> None:
        """Wait for the calls that are running."""
        for thread in self._threads:
            thread.join(timeout)

    # -- one thread

    def _work(self) -> None:
        take, call, outbox = self._todo.popleft, self._caller(), self._outbox
        hold: Optional[Hold] = None  # the role of reader, while this thread keeps it
        try:
            while True:
                try:
                    fields, payload = take()
                except IndexError:
                    hold = self._read(hold)
                    continue
                took = call(fields, payload)
                self._usual += (took - self._usual) * 0.1
                if took > _SLOW:
                    self._usual = took
                    self._let_go(hold)
                    hold = None
                    outbox.flush()
                elif len(outbox.frames) >= _MANY:
                    outbox.flush()
                elif self._todo and not self._idle and not self._watching:
                    self._call_watch()
        except (Stopped, BrokenPipeError, ConnectionResetError):
            self._let_go(hold)  # no more work; or the engine is gone, and the control socket's watcher acts
        except BaseException:  # noqa: BLE001 - a thread that ended unnoticed would be missed by every request
            with contextlib.suppress(Exception):
                traceback.print_exc()
            os._exit(_SOFTWARE)

    def _read(self, hold: Optional[Hold]) -> Optional[Hold]:
        """Be the reader until something came. Returns the role if this thread keeps it.

        Raises:
            Stopped: nothing will come any more.
        """
        self._outbox.flush()
        if hold is None or not self._role.regain(hold):
            hold = self._become_reader()
            if hold is None:
                return None
        # From now on nobody finds work that isn't read here first, so nobody holds an answer back.
        count = 0 if self._stopping else self._link.recv_into(self._inbox.space())
        if not count:
            self._role.release()
            raise Stopped
        for frame in self._inbox.feed(count):
            if frame[0][1] == wire.RELEASE:
                self._outbox.release(wire.EXTENT.unpack(frame[1])[0])
            else:
                self._todo.append(frame)
        if self._usual >= _FAST:
            self._role.release()
            return None
        self._role.lend(hold)
        if not self._watching:
            self._call_watch()
        return hold

    def _become_reader(self) -> Optional[Hold]:
        """Wait for the role; None: there is work already, so the role is free again."""
        self._idle.append(None)
        hold = self._role.acquire()
        self._idle.pop()
        self._outbox.flush()  # also what others held back, counting on this thread
        if self._todo:
            self._role.release()
            return None
        self._outbox.flush()
        return hold

    def _let_go(self, hold: Optional[Hold]) -> None:
        """Give up the role, if this thread keeps it and nobody took it away."""
        if hold is not None and self._role.regain(hold):
            self._role.release()

    # -- the watch

    def _call_watch(self) -> None:
        """Somebody must look in a moment whether a call takes long after all."""
        self._watching = True
        self._bell.release()

    def _keep_watch(self) -> None:
        try:
            while True:
                self._bell.acquire()
                self._look_around()
                self._watching = False
                if self._role.lent or self._todo or self._outbox.frames:  # since the last look
                    self._call_watch()
        except OSError:
            return  # the engine is gone

    def _look_around(self) -> None:
        """While there is something to see: answers that wait, or a role that is lent, behind a long call."""
        seen, quiet = 0.0, 0
        while quiet < _LOOKS:
            time.sleep(_PATIENCE)
            if _now() - self.since > _PATIENCE / 2:
                self._role.revoke()
                self._outbox.flush()
            quiet = quiet + 1 if self.since == seen else 0
            seen = self.since

    def _caller(self) -> Callable[[Tuple[Any, ...], bytes], float]:
        """What runs the processor once, made for one thread."""
        return self._call

    def _call(self, fields: Tuple[Any, ...], payload: bytes) -> float:
        """Run the processor once; how long it took, in seconds."""
        _, kind, slot, head_size, number, deadline = fields
        board = self._board
        mark = slot + slot
        board[mark] = 1
        if board[mark + 1]:
            self._outbox.put(wire.SKIPPED, slot, 0, 0, 0.0, b"")
            return 0.0
        if kind == wire.CALL:
            request = Request(
                payload[:head_size],
                payload[head_size:],
                deadline,
                self._prefix,
                number,
                board,
                _CANCELLED + slot,
            )
        else:
            offset, size = wire.EXTENT.unpack_from(payload)
            body = self._bodies[offset : offset + size]
            request = Request(
                payload[wire.EXTENT.size :], body, deadline, self._prefix, number, board, _CANCELLED + slot
            )
        begun = self.since = _now()
        try:
            status, answer, headers = self._handle(request)
            if answer.__class__ is not bytes:
                answer = memoryview(answer).cast("B")
            kind = wire.REPLY
        except (SystemExit, KeyboardInterrupt) as leaving:
            self._outbox.flush()
            leave(leaving)
        except BaseException as error:  # noqa: BLE001 - whatever else a processor raises is its answer
            kind, status, headers = wire.RAISED, 400, b""
            answer = describe(error, request.request_id)
        took = _now() - begun
        took_us = microseconds(took)
        if headers or len(answer) >= wire.SPILL_BYTES:
            self._outbox.put_full(slot, status, took_us, begun, headers, answer)
        else:
            self._outbox.put(kind, slot, status, took_us, begun, answer)
        return took

    def raised(
        self, fields: Tuple[Any, ...], payload: bytes, took: float, begun: float, error: Exception
    ) -> None:
        """Queue the failure of a request that no ``Request`` was made of: its frame, and what was raised."""
        _, kind, slot, head_size, number, deadline = fields
        start = wire.EXTENT.size if kind == wire.CALL_AT else 0
        head = payload[start : start + head_size]
        request = Request(head, b"", deadline, self._prefix, number, self._board, _CANCELLED + slot)
        text = describe(error, request.request_id)
        self._outbox.put(wire.RAISED, slot, 400, microseconds(took), begun, text)


def microseconds(took: float) -> int:
    """As an answer says how long the call took."""
    return int(took * 1e6) if took < LONGEST_CALL else 0xFFFFFFFF


def describe(error: BaseException, request_id: str) -> bytes:
    """The trace into the log, the message to the client; neither can fail, whatever was raised."""
    with contextlib.suppress(Exception):  # the processor may have closed stderr
        trace = error.trace if isinstance(error, Raised) else _trace(error)
        sys.stderr.write(f"request {request_id} raised\n{trace}")
        sys.stderr.flush()
    message = ""
    with contextlib.suppress(Exception):  # its __str__ is the processor's code, too
        message = str(error)
    return (message or type(error).__name__).encode("utf-8", "replace")[:_LONGEST_MESSAGE]


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def leave(leaving: BaseException) -> NoReturn:
    """``sys.exit`` in a processor ends the instance, as it would end any program."""
    code = leaving.code if isinstance(leaving, SystemExit) else 1
    with contextlib.suppress(Exception):
        if not isinstance(code, int) and code is not None:
            sys.stderr.write(f"{code}\n")
        if not isinstance(leaving, SystemExit):
            traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)


def serve(handle: Handle, channel: Dict[str, Any], threads: int) -> Server:
    """Start `threads` worker threads that answer the channel's requests with `handle`.

    A handle that needs no ``Request`` may have a ``server(channel, threads)`` of its own (``cpp_server``).
    """
    make = getattr(handle, "server", None)
    server: Server = Server(handle, channel, threads) if make is None else make(channel, threads)
    server.start()
    return server
