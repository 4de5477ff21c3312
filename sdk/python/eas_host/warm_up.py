"""Warm-up: what ``warm_up_data_path`` holds goes through the processor before the instance is ready.

``path`` is a file or a directory (an archive was unpacked by the engine).

* ``*.txt``: one request a line, its bytes as they are, whatever their encoding. Lines end with LF or CRLF,
  the last one may lack it; empty lines and a byte order mark at the beginning are no requests.
* Every other file (``*.bin``): its bytes are one request, an empty file the request without a body.
* A directory: all files in and below it, in the order of their paths, byte by byte; files and directories
  whose names begin with a dot, and ``__MACOSX``, are left out. Neither file nor directory is an error.
* No request at all is an error: nothing would be warm.
* Lines are read one by one, other files whole: the largest request must fit into memory.

Each request is sent ``times`` times, the next one when the last answer was 200. An exception, another status,
and a call that takes longer than twice ``rpc.keepalive`` are failures (contract: warm-up), and there are no
others: what the answers say is nobody's business. The calls are made by one thread like a worker's, through
the same ``handle``; a native processor can tell them by the field ``X-EAS-Warm-Up: 1``.

The engine is told of each call before it is made: a call that holds the interpreter's lock for ever must be
ended from outside.
"""

from __future__ import annotations

import os
import queue
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

from eas_host import dump
from eas_host.load import Failed, failure
from eas_sdk.request import Request

if TYPE_CHECKING:
    from eas_host.adapters import Handle

STAGE = "warm_up"
PROGRESS_SECONDS = 10.0
"""A line of progress goes into the log this often."""

SHOWN_BYTES = 200
"""Of an answer that isn't 200, in the reason."""

_BOM = b"\xef\xbb\xbf"
_SKIPPED_DIRECTORY = "__MACOSX"


class Sample(NamedTuple):
    """One request of the data."""

    name: str
    """Where it comes from, for a person: ``digits.txt, line 3``."""
    body: bytes


class Plan(NamedTuple):
    """What is to be done, from the start message and the ``load`` message."""

    path: str
    times: int
    keepalive_ms: int
    service: str

    @property
    def patience(self) -> float:
        """Seconds that one call may take."""
        return 2 * self.keepalive_ms / 1000


class Late(Exception):
    """A call didn't end in time."""


class Caller:
    """The thread that calls the processor.

    Another thread than the main one because that is where the processor will be called later, and because a
    call that never returns can only be given up by somebody else.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._asked: queue.SimpleQueue[Optional[Request]] = queue.SimpleQueue()
        self._answers: queue.Queue[Tuple[Any, Optional[BaseException]]] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="warm-up", daemon=True)
        self._thread.start()

    def call(self, request: Request, patience: float) -> Tuple[int, Any, bytes]:
        """The processor's answer; raises what it raised, or ``Late``."""
        self._asked.put(request)
        try:
            answer, error = self._answers.get(timeout=patience)
        except queue.Empty:
            raise Late from None
        if error is not None:
            raise error
        status, body, headers = answer
        return status, body, headers

    def leave(self) -> None:
        """There are no more calls: the thread ends, unless one never does."""
        self._asked.put(None)

    def _work(self) -> None:
        while True:
            request = self._asked.get()
            if request is None:
                return
            try:
                self._answers.put((self._handle(request), None))
            except BaseException as error:  # noqa: BLE001 - whatever a processor raises is its failure
                self._answers.put((None, error))


class Run:
    """One warm-up.

    Args:
        plan: what is to be done.
        handle: the adapter's.
        begin: told before each call, with the seconds that it may take.
        stopping: whether there is no more use in going on.
        dump_threads: the adapter's, for a call that never ends.
    """

    def __init__(
        self,
        plan: Plan,
        handle: Handle,
        begin: Callable[[float], None],
        stopping: Callable[[], bool] = lambda: False,
        dump_threads: Optional[Callable[[], str]] = None,
    ) -> None:
        self._plan = plan
        self._begin = begin
        self._stopping = stopping
        self._dump_threads = dump_threads
        self._caller = Caller(handle)
        self._calls = 0
        self._began = self._told = time.monotonic()

    def run(self) -> None:
        """Send everything. ``Failed`` (stage ``warm_up``) at the first answer that isn't 200."""
        requests = 0
        try:
            for sample in samples(self._plan.path):
                requests += 1
                for attempt in range(1, self._plan.times + 1):
                    if self._stopping():
                        return
                    self._send(sample, attempt)
        except OSError as error:
            raise Failed(STAGE, f"can't read warm_up_data_path: {error}") from error
        finally:
            self._caller.leave()
        if not requests:
            raise Failed(STAGE, f"there is no request in warm_up_data_path ({self._plan.path})")
        took = time.monotonic() - self._began
        _tell(f"warm-up: done, {_many(requests, 'request')}, each {self._plan.times} times, in {took:.2f} s")

    def _send(self, sample: Sample, attempt: int) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            done = f"{_many(self._calls, 'call')} in {now - self._began:.0f} s"
            _tell(f"warm-up: {done}, now {sample.name}")
        plan = self._plan
        self._calls += 1
        flags = bytearray(1)
        head = (
            f"POST /api/predict/{plan.service} HTTP/1.1\r\nX-EAS-Warm-Up: 1\r\n"
            f"Content-Length: {len(sample.body)}\r\n\r\n"
        ).encode("latin-1", "replace")
        request = Request(head, sample.body, now + plan.patience, "warm-up", self._calls, flags, 0)
        self._begin(plan.patience)
        where = f"{sample.name}, try {attempt} of {plan.times}"
        try:
            status, body, _ = self._caller.call(request, plan.patience)
        except Late:
            flags[0] = 1  # the processor may look at `cancelled`
            _tell("warm-up: a call doesn't end; the stacks of all threads:")
            dump.now(self._dump_threads)
            raise Failed(
                STAGE, f"{where}: no answer within {plan.patience:g} s (twice rpc.keepalive)"
            ) from None
        except BaseException as error:
            raised = failure(STAGE, error)
            raise Failed(STAGE, f"{where}: {raised.message}", raised.trace) from error
        if status != 200:
            raise Failed(STAGE, f"{where}: answered {status}: {shown(body)}")


def run(
    plan: Plan,
    handle: Handle,
    begin: Callable[[float], None],
    stopping: Callable[[], bool],
    dump_threads: Optional[Callable[[], str]],
) -> None:
    """See ``Run``."""
    Run(plan, handle, begin, stopping, dump_threads).run()


def samples(path: str) -> Iterator[Sample]:
    """The requests of a file or a directory, in order; ``OSError`` when something can't be read."""
    if not os.path.isdir(path):
        yield from _of_file(path, os.path.basename(path))
        return
    for name in _files(path):
        yield from _of_file(os.path.join(path, name), name)


def _files(root: str) -> List[str]:
    """The files in and below a directory, relative to it, sorted by the bytes of their paths."""
    found: List[str] = []

    def complain(error: OSError) -> None:
        raise error

    for directory, directories, names in os.walk(root, onerror=complain):
        directories[:] = [each for each in directories if _counts(each)]
        found += [os.path.relpath(os.path.join(directory, name), root) for name in names if _counts(name)]
    return sorted(found, key=os.fsencode)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != _SKIPPED_DIRECTORY


def _of_file(path: str, name: str) -> Iterator[Sample]:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{path} is neither a file nor a directory")
    with open(path, "rb") as file:
        if not name.lower().endswith(".txt"):
            yield Sample(_printable(name), file.read())
            return
        for number, line in enumerate(file, 1):
            text = line[len(_BOM) :] if number == 1 and line.startswith(_BOM) else line
            body = text.rstrip(b"\n")
            body = body[:-1] if body.endswith(b"\r") else body
            if body:
                yield Sample(f"{_printable(name)}, line {number}", body)


def shown(body: Any) -> str:
    """An answer's body on one line, shortened."""
    try:
        data = bytes(memoryview(body).cast("B")[: SHOWN_BYTES + 1])
    except TypeError:
        return f"a body of type {type(body).__name__}"
    if not data:
        return "(empty)"
    text = " ".join(data[:SHOWN_BYTES].decode("utf-8", "replace").split())
    return _printable(text) + (" ..." if len(data) > SHOWN_BYTES else "")


def _printable(text: str) -> str:
    encoded = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(each if each.isprintable() else "?" for each in encoded)


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
