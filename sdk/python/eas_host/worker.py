"""The processor's threads: take a request from the link, call the processor, send the answer.

Theory of operation
-------------------
There is one link to the engine and there are `threads` worker threads, and no thread in between. A thread
that finds nothing to do becomes the *reader* (one at a time, under ``_reading``): it sends what is waiting to
be sent, reads the link, and puts the requests that came on a deque from which every thread takes. While the
processor is fast, one system call so brings many requests and another one takes many answers back.

Guarantees
~~~~~~~~~~
* A request waits only while every worker thread is inside the processor: the reader lets go of ``_reading``
  before it works, and the next idle thread looks at the deque before it reads.
* An answer is sent at once when there is nothing else to do, when it took longer than ``_SLOW`` seconds, and
  when ``_MANY`` are waiting. One that was held back because more work was at hand, while that work turns out
  to be slow, is sent by any idle thread, and if there is none, by the *postman* after about a millisecond.
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
from eas_host.arena import Arena, map_read_only
from eas_sdk.request import Request

_SLOW = 100e-6
_MANY = 32
_PATIENCE = 0.001
_LONGEST_MESSAGE = 16 * 1024
_LONGEST_CALL = 4000.0  # seconds that fit into the field of microseconds
_now = time.monotonic
_pack, _HEADER_SIZE = wire.ANSWER.pack, wire.ANSWER.size

#: What an adapter gives: status, body, header lines (each ending in CRLF).
Answer = Tuple[int, Any, bytes]
Handle = Callable[[Request], Answer]


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
        self._outbox = _Outbox(self._link, channel)
        self._todo: Deque[wire.Frame] = collections.deque()
        self._inbox = wire.Inbox(wire.REQUEST)
        self._reading = threading.Lock()
        self._idle: List[None] = []
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(threads)
        ]
        self._postman = threading.Thread(target=self._outbox.deliver_late, name="postman", daemon=True)

    def __repr__(self) -> str:
        return f"<Server {len(self._threads)} threads, {len(self._todo)} to do, {self._outbox!r}>"

    def start(self) -> None:
        """Begin to take requests."""
        self._postman.start()
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
        take, call, outbox = self._todo.popleft, self._call, self._outbox
        try:
            while True:
                try:
                    fields, payload = take()
                except IndexError:
                    if not self._read():
                        return
                    continue
                took = call(fields, payload)
                if took > _SLOW or len(outbox.frames) >= _MANY:
                    outbox.flush()
                elif self._todo and not self._idle:
                    outbox.call_postman()
        except (BrokenPipeError, ConnectionResetError):
            return  # the engine is gone, and the control socket's watcher ends this process
        except wire.CorruptFrame:
            traceback.print_exc()
            os._exit(70)

    def _read(self) -> bool:
        """Become the reader until something came; False when no more will."""
        self._outbox.flush()
        self._idle.append(None)
        with self._reading:
            self._idle.pop()
            self._outbox.flush()  # also what others held back, counting on this thread
            if self._todo:
                return True
            # From now on nobody finds work that isn't read here first, so nobody holds an answer back.
            self._outbox.flush()
            count = 0 if self._stopping else self._link.recv_into(self._inbox.space())
            if not count:
                return False
            for frame in self._inbox.feed(count):
                if frame[0][1] == wire.RELEASE:
                    self._outbox.release(wire.EXTENT.unpack(frame[1])[0])
                else:
                    self._todo.append(frame)
            return True

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
                payload[:head_size], payload[head_size:], deadline, self._prefix, number, board, mark + 1
            )
        else:
            offset, size = wire.EXTENT.unpack_from(payload)
            body = self._bodies[offset : offset + size]
            request = Request(
                payload[wire.EXTENT.size :], body, deadline, self._prefix, number, board, mark + 1
            )
        begun = _now()
        try:
            status, answer, headers = self._handle(request)
            if answer.__class__ is not bytes:
                answer = memoryview(answer).cast("B")
            kind = wire.REPLY
        except Exception as error:  # noqa: BLE001 - whatever a processor raises is its answer
            kind, status, headers = wire.RAISED, 400, b""
            answer = _describe(error, request.request_id)
        except BaseException as error:  # noqa: BLE001 - sys.exit and the like
            self._outbox.flush()
            _leave(error)
        took = _now() - begun
        took_us = int(took * 1e6) if took < _LONGEST_CALL else 0xFFFFFFFF
        if headers or len(answer) >= wire.SPILL_BYTES:
            self._outbox.put_full(slot, status, took_us, begun, headers, answer)
        else:
            self._outbox.put(kind, slot, status, took_us, begun, answer)
        return took


class _Outbox:
    """Answers on their way to the engine: many at a time, whole, in any order of threads."""

    def __init__(self, link: socket.socket, channel: Dict[str, Any]) -> None:
        arena = channel["answers"]
        self._send = link.sendall
        self._arena = Arena(arena["fd"], arena["size"]) if arena else None
        self.frames: List[bytes] = []
        self._lock = threading.Lock()  # around sending, so that frames stay whole
        self._allocation = threading.Lock()
        self._bell = threading.Semaphore(0)
        self._called = False

    def __repr__(self) -> str:
        return f"<Outbox {len(self.frames)} frames waiting>"

    def put(  # noqa: PLR0917 - the hot path passes no keywords
        self, kind: int, slot: int, status: int, took_us: int, begun: float, body: Any
    ) -> None:
        """Queue an answer without header lines."""
        head = _pack(_HEADER_SIZE + len(body), kind, slot, status, took_us, begun)
        # One append: another thread may flush between two of them.
        self.frames.append(b"".join((head, body)))

    def put_full(  # noqa: PLR0917 - as `put`
        self, slot: int, status: int, took_us: int, begun: float, headers: bytes, body: Any
    ) -> None:
        """Queue an answer with header lines, or one so large that it goes into the arena of answers."""
        size = len(body)
        extent = self._spill(body) if size >= wire.SPILL_BYTES else None
        if extent is None:
            kind, parts = wire.FULL, (wire.LINES.pack(len(headers)), headers, body)
        else:
            kind, parts = wire.FULL_AT, (extent, headers, b"")
        whole = _HEADER_SIZE + sum(map(len, parts))
        head = _pack(whole, kind, slot, status, took_us, begun)
        self.frames.append(b"".join((head, *parts)))

    def _spill(self, body: Any) -> Optional[bytes]:
        if self._arena is None:
            return None
        size = len(body)
        with self._allocation:
            offset = self._arena.take(size)
        if offset is None:
            return None
        self._arena.view[offset : offset + size] = body
        return wire.EXTENT.pack(offset, size)

    def release(self, offset: int) -> None:
        """The engine has sent the answer that lay at `offset`."""
        if self._arena is not None:
            with self._allocation:
                self._arena.give(offset)

    def flush(self) -> None:
        """Send what is waiting. Threads append meanwhile, so only what was seen is taken off the list."""
        if not self.frames:
            return
        with self._lock:
            ready = self.frames[:]
            if ready:
                del self.frames[: len(ready)]
                self._send(b"".join(ready))

    def call_postman(self) -> None:
        """Somebody must look in a moment whether the answers are still here."""
        if not self._called:
            self._called = True
            self._bell.release()

    def deliver_late(self) -> None:
        """The postman's thread."""
        try:
            while True:
                self._bell.acquire()
                time.sleep(_PATIENCE)
                self._called = False
                self.flush()
        except OSError:
            return  # the engine is gone


def _describe(error: Exception, request_id: str) -> bytes:
    """The trace into the log, the message to the client."""
    text = f"request {request_id} raised\n{traceback.format_exc()}"
    sys.stderr.write(text)
    sys.stderr.flush()
    message = str(error) or type(error).__name__
    return message.encode("utf-8", "replace")[:_LONGEST_MESSAGE]


def _leave(error: BaseException) -> NoReturn:
    """``sys.exit`` in a processor ends the instance, as it would end any program."""
    code = error.code if isinstance(error, SystemExit) else 1
    if not isinstance(code, int):
        if code is not None:
            sys.stderr.write(f"{code}\n")
        code = 0 if code is None else 1
    if not isinstance(error, SystemExit):
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve(handle: Handle, channel: Dict[str, Any], threads: int) -> Server:
    """Start `threads` worker threads that answer the channel's requests with `handle`."""
    server = Server(handle, channel, threads)
    server.start()
    return server
