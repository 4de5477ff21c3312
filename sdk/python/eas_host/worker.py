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
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Final, List, NoReturn, Optional, Tuple

from eas_host import wire
from eas_host.adapters import OfBody
from eas_host.arena import map_read_only
from eas_host.outbox import Outbox
from eas_host.role import Hold, Role
from eas_host.traces import Traces
from eas_sdk.request import Request

if TYPE_CHECKING:
    from eas_host.gpu_faults import Faults

_FAST: Final = 20e-6
_SLOW: Final = 100e-6
_MANY: Final = 32
_PATIENCE: Final = 0.001  # seconds between two looks of the watch
_LOOKS: Final = 50  # without anything to see, before it sleeps
_LONGEST_MESSAGE: Final = 16 * 1024
_SOFTWARE: Final = 70  # sysexits.h
LONGEST_CALL: Final = 4000.0  # seconds that fit into the field of microseconds
_CANCELLED: Final = wire.CANCELLED
_now: Final = time.monotonic

#: What an adapter gives: status, body, header lines (each ending in CRLF).
Answer = Tuple[int, Any, bytes]
Handle = Callable[[Request], Answer]
Caller = Callable[[Tuple[Any, ...], bytes], float]
"""Answers one frame of the link; how long the processor took, in seconds."""


class Stopped(Exception):
    """There will be no more work."""


class Server:
    """The worker threads of one host.

    For those that call a processor in a way of their own (``serve``):

    Attributes:
        board: as in ``wire``.
        marks: the same memory, as a mapping, whose bytes are read and written faster than a view's.
        bodies: the arena of requests, read-only; empty without one.
        outbox: where answers go.
        prefix: first part of made request ids.
        since: when the last call began; to be set just before each.
        traces: what the log is told of exceptions.
        faults: looks at what a processor raises where there may be a GPU behind it; None: there is none.
    """

    faults: Optional[Faults] = None

    def __init__(self, handle: Handle, channel: Dict[str, Any], threads: int) -> None:
        self._handle = handle
        self._of_body = handle.call if isinstance(handle, OfBody) else None
        self._link = socket.socket(fileno=channel["link"])
        self._link.setblocking(True)
        self.prefix = str(channel["request_prefix"])
        self.marks = mmap.mmap(channel["board"]["fd"], wire.BOARD_BYTES)
        self.board = memoryview(self.marks)
        arena = channel["requests"]
        self.bodies = map_read_only(arena["fd"], arena["size"]) if arena else memoryview(b"")
        self.outbox = Outbox(self._link, channel)
        self._todo: Deque[wire.Frame] = collections.deque()
        self._inbox = wire.Inbox(wire.REQUEST)
        self._role = Role()
        self._idle: List[None] = []  # an element for each thread that waits to be the reader
        self._usual = 1.0  # seconds that a call takes lately
        self.since = 0.0
        self._bell = threading.Semaphore(0)
        self._watching = False
        self._stopping = False
        self.traces = Traces()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(threads)
        ]
        self._watch = threading.Thread(target=self._keep_watch, name="watch", daemon=True)

    def __repr__(self) -> str:
        return f"<Server {len(self._threads)} threads, {len(self._todo)} to do, {self.outbox!r}>"

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

    def watch_gpu(self, faults: Faults) -> None:
        """Let these look at what the processor raises. Before the engine is told that the host is ready."""
        self.faults = faults
        faults.last_steps = self.give_up

    def give_up(self) -> None:
        """Take nothing new, and drop what isn't begun: the process is about to end."""
        self.stop()
        self._todo.clear()
        with contextlib.suppress(OSError):  # the engine is gone
            self.outbox.flush()

    def join(self, timeout: Optional[float] = None) -> None:
        """Wait for the calls that are running."""
        for thread in self._threads:
            thread.join(timeout)

    # -- one thread

    def _work(self) -> None:
        take, call, outbox = self._todo.popleft, self._caller(), self.outbox
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
        self.outbox.flush()
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
                self.outbox.release(wire.EXTENT.unpack(frame[1])[0])
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
        self.outbox.flush()  # also what others held back, counting on this thread
        if self._todo:
            self._role.release()
            return None
        self.outbox.flush()
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
                if self._role.lent or self.outbox.frames:  # since the last look
                    self._call_watch()
        except OSError:
            return  # the engine is gone

    def _look_around(self) -> None:
        """While there is something to see: answers that wait, or a role that is lent, behind a long call.

        Where calls are slow there isn't, however many follow each other: each sends its answer itself.
        """
        quiet = 0
        while quiet < _LOOKS:
            time.sleep(_PATIENCE)
            if not self._role.lent and not self.outbox.frames:
                quiet += 1
                continue
            quiet = 0
            if _now() - self.since > _PATIENCE / 2:
                self._role.revoke()
                self.outbox.flush()

    # -- one call

    def _caller(self) -> Caller:
        """What runs the processor once, made for one thread."""
        make = getattr(self._handle, "caller", None)
        return self.call if make is None else make(self)

    def call(self, fields: Tuple[Any, ...], payload: bytes) -> float:
        """Run the processor once; how long it took, in seconds."""
        kind: int = fields[1]
        slot: int = fields[2]
        mark = slot + slot
        marks = self.marks
        marks[mark] = 1
        if marks[mark + 1]:
            return self.skip(slot)
        handle: Callable[[Any], Answer]
        given: Any
        if kind == wire.CALL and self._of_body is not None:
            handle, given = self._of_body, payload[fields[3] :]
        else:
            handle, given = self._handle, self._request(fields, payload)
        begun = self.since = _now()
        try:
            status, answer, headers = handle(given)
            if answer.__class__ is not bytes:
                answer = memoryview(answer).cast("B")
        except (SystemExit, KeyboardInterrupt) as leaving:
            self.outbox.flush()
            leave(leaving)
        except BaseException as error:  # noqa: BLE001 - whatever else a processor raises is its answer
            took = _now() - begun
            self.raised(fields, payload, took, begun, error)
            return took
        took = _now() - begun
        if headers or len(answer) >= wire.SPILL_BYTES:
            self.outbox.put_full(slot, status, microseconds(took), begun, headers, answer)
        else:
            self.outbox.put(wire.REPLY, slot, status, microseconds(took), begun, answer)
        return took

    def _request(self, fields: Tuple[Any, ...], payload: bytes) -> Request:
        """What a frame says."""
        _, kind, slot, head_size, number, deadline = fields
        head: bytes
        body: Any
        if kind == wire.CALL:
            head, body = payload[:head_size], payload[head_size:]
        else:
            offset, size = wire.EXTENT.unpack_from(payload)
            head, body = payload[wire.EXTENT.size :], self.bodies[offset : offset + size]
        return Request(head, body, deadline, self.prefix, number, self.board, _CANCELLED + slot)

    def skip(self, slot: int) -> float:
        """The request was withdrawn before it was begun."""
        self.outbox.put(wire.SKIPPED, slot, 0, 0, 0.0, b"")
        return 0.0

    def raised(
        self, fields: Tuple[Any, ...], payload: bytes, took: float, begun: float, error: BaseException
    ) -> None:
        """Queue the failure of a request: its frame, and what was raised."""
        status, text = self.blame(error, self._request(fields, payload).request_id)
        self.outbox.put(wire.RAISED, fields[2], status, microseconds(took), begun, text)

    def blame(self, error: BaseException, request_id: str) -> Tuple[int, bytes]:
        """Status and text for the client of a request that failed; the trace goes into the log."""
        text = describe(error, request_id, self.traces)
        lacking = self.faults.look(error) if self.faults is not None else ""
        return (500, lacking.encode("utf-8", "replace")[:_LONGEST_MESSAGE]) if lacking else (400, text)


def microseconds(took: float) -> int:
    """As an answer says how long the call took."""
    return int(took * 1e6) if took < LONGEST_CALL else 0xFFFFFFFF


def describe(error: BaseException, request_id: str, traces: Traces) -> bytes:
    """The trace into the log, the message to the client; neither can fail, whatever was raised."""
    with contextlib.suppress(Exception):  # the processor may have closed stderr
        sys.stderr.write(traces.text(error, request_id))
        sys.stderr.flush()
    message = ""
    with contextlib.suppress(Exception):  # its __str__ is the processor's code, too
        message = str(error)
    return (message or type(error).__name__).encode("utf-8", "replace")[:_LONGEST_MESSAGE]


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

    A handle that needs no ``Request`` may have a ``caller(server)`` of its own, which makes, for one thread,
    what answers one frame (``Caller``; ``cpp_server``); one that batches has a ``server(channel, threads)``.
    """
    make = getattr(handle, "server", None)
    server: Server = Server(handle, channel, threads) if make is None else make(channel, threads)
    server.start()
    return server
