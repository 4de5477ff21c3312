"""Echoes, and misbehaves on demand: every request says in its query what the processor does with it.

    curl --data hello 'http://.../api/predict/NAME?do=sleep&seconds=2'

``do`` is one of ``ACTIONS`` below; each one's docstring says what it does and what it takes from the query.
Without a query the same may stand in the body (``--data 'do=sleep&seconds=2'``). Without ``do`` the answer is
the request's body. ``once=FILE`` beside any action: it happens only if FILE isn't there yet, and leaves it
behind; otherwise the body is the answer.

Environment (``processor_envs`` of service.json)::

    FAULTS_JOURNAL        a file: one line of JSON for each request that reaches the processor, and for what
                          some actions have seen; so a test can say what did and what didn't get here
    FAULTS_AT_IMPORT      an action, written like a query (``do=exit&code=3``), while the file is imported
    FAULTS_AT_CONSTRUCT   the same, in the constructor
    FAULTS_AT_INITIALIZE  the same, in ``initialize``
    FAULTS_AT_CLOSE       the same, in ``close``

Python 3.8 or later, standard library only, so that it runs in any interpreter that a package brings.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Callable, Mapping  # noqa: UP035 - Python 3.8 can subscript no others
from urllib.parse import parse_qsl, urlencode

import eas_sdk

LOOK = 0.002  # seconds between two looks at something outside this process
LONG = 3600.0


class Call:
    """One action: what it was told, and the request that told it (None at start)."""

    def __init__(self, processor: Faults | None, told: str, request: eas_sdk.Request | None) -> None:
        self.processor = processor
        self.request = request
        self.told: Mapping[str, str] = dict(parse_qsl(told, keep_blank_values=True))

    def text(self, name: str, default: str = "") -> str:
        """An argument as it is."""
        return self.told.get(name, default)

    def number(self, name: str, default: float) -> float:
        """An argument as a number."""
        return float(self.told.get(name, default))

    def body(self) -> bytes:
        """The request's body."""
        return b"" if self.request is None else bytes(self.request.body)


Action = Callable[[Call], "eas_sdk.Response | bytes"]


# -- answers


def echo(call: Call) -> bytes:
    """The body."""
    return call.body()


def answer(call: Call) -> eas_sdk.Response:
    """``size`` bytes of ``fill`` (one character) with ``status``; ``header=Name:value`` adds a field."""
    size = call.told.get("size")
    body = call.body() if size is None else call.text("fill", "x").encode() * int(size)
    name, _, value = call.text("header").partition(":")
    headers = {name: value} if name else None
    return eas_sdk.Response(body, int(call.number("status", 200)), headers)


def tell(call: Call) -> bytes:
    """JSON of the request as the processor sees it."""
    request = call.request
    if request is None:
        return b""
    seen = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": dict(request.headers),
        "request_id": request.request_id,
        "remaining": request.remaining(),
        "cancelled": request.cancelled,
        "size": len(request.body),
        "sha256": hashlib.sha256(request.body).hexdigest(),
        "body_type": type(request.body).__name__,
        "pid": os.getpid(),
        "python": sys.version.split()[0],
        "thread": threading.current_thread().name,
    }
    return json.dumps(seen).encode()


def pid(_call: Call) -> bytes:
    """The process that answers."""
    return b"%d" % os.getpid()


def environment(_call: Call) -> bytes:
    """JSON of the environment."""
    return json.dumps(dict(os.environ)).encode()


# -- slowness


def sleep(call: Call) -> bytes:
    """``seconds`` without the GIL, then echo."""
    time.sleep(call.number("seconds", 1.0))
    return call.body()


def wait(call: Call) -> bytes:
    """Until ``file`` exists, then echo: whoever makes the file decides how long this takes."""
    while not os.path.exists(call.text("file")):  # noqa: PTH110 - pathlib costs start-up time
        time.sleep(LOOK)
    return call.body()


def spin(call: Call) -> bytes:
    """``seconds`` of pure Python, or until ``file`` exists; competes for the GIL all the time."""
    until = time.monotonic() + call.number("seconds", LONG)
    file, number = call.text("file"), 0
    while time.monotonic() < until:
        for _ in range(20_000):
            number += 1
        if file and os.path.exists(file):  # noqa: PTH110
            break
    return call.body()


def hold_gil(call: Call) -> bytes:
    """``seconds`` in C without letting go of the GIL: no other thread of the process runs meanwhile."""
    ctypes.PyDLL(None).usleep(int(call.number("seconds", 1.0) * 1e6))
    return call.body()


def hang(_call: Call) -> bytes:
    """For ever."""
    threading.Event().wait()
    return b""


def meet(call: Call) -> bytes:
    """Until ``parties`` requests are in here at the same time; raises after ``seconds``."""
    if call.processor is None:
        return b""
    call.processor.meeting(int(call.number("parties", 2))).wait(call.number("seconds", 30.0))
    return call.body()


def watch(call: Call) -> bytes:
    """Until the request is cancelled, or ``seconds`` are over; which of the two goes into the journal."""
    request = call.request
    until = time.monotonic() + call.number("seconds", 30.0)
    while request is not None and not request.cancelled and time.monotonic() < until:
        time.sleep(LOOK)
    journal("watched", request, cancelled=request is not None and request.cancelled)
    return call.body()


# -- failure


def fail(call: Call) -> bytes:
    """Raises ``ValueError`` with ``message``."""
    raise ValueError(call.text("message", "told to fail"))


def leave(call: Call) -> bytes:
    """``sys.exit(code)``."""
    sys.exit(int(call.number("code", 0)))


def vanish(call: Call) -> bytes:
    """``os._exit(code)``: the process is gone without a word."""
    os._exit(int(call.number("code", 1)))


def kill(call: Call) -> bytes:
    """Sends ``signal`` (a name such as SIGABRT) to the own process."""
    os.kill(os.getpid(), getattr(signal, call.text("signal", "SIGKILL")))
    time.sleep(LONG)
    return b""


def segfault(_call: Call) -> bytes:
    """Reads address 0."""
    ctypes.string_at(0)
    return b""


def later(call: Call) -> bytes:
    """Echoes, and does ``then`` after ``seconds``, when no request is in here any more."""

    def act_later() -> None:
        time.sleep(call.number("seconds", 1.0))
        ACTIONS[call.text("then")](Call(None, urlencode(call.told), None))

    threading.Thread(target=act_later, daemon=True).start()
    return call.body()


def leak(call: Call) -> bytes:
    """Keeps ``size`` bytes for ever, every page of them touched."""
    if call.processor is not None:
        call.processor.leaked.append(b"x" * int(call.number("size", 1 << 20)))
    return call.body()


def fork(call: Call) -> bytes:
    """A child that does nothing for ``seconds``; answers with its pid.

    ``raw=1`` forks behind Python's back, as a library in C does: the child keeps every descriptor.
    ``session=1`` takes it out of the host's process group.
    """
    # PyDLL holds the GIL over the fork, so the child's only thread has it.
    child = int(ctypes.PyDLL(None).fork()) if call.text("raw") else os.fork()
    if child == 0:
        if call.text("session"):
            os.setsid()
        time.sleep(call.number("seconds", 60.0))
        os._exit(0)
    return b"%d" % child


def scribble(call: Call) -> bytes:
    """Sends nonsense to the engine on the socket of requests (``to=link``) or the others (``to=control``)."""
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - pathlib costs start-up time
        try:
            end = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with end:  # the engine gives the socket of requests a buffer larger than any default
            large = end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > 1 << 20
            if large is (call.text("to", "link") == "link"):
                end.send(b"\xff" * 64 + b"\n")
    time.sleep(LONG)
    return b""


ACTIONS: Mapping[str, Action] = {
    "echo": echo,
    "answer": answer,
    "tell": tell,
    "pid": pid,
    "environment": environment,
    "sleep": sleep,
    "wait": wait,
    "spin": spin,
    "hold_gil": hold_gil,
    "hang": hang,
    "meet": meet,
    "watch": watch,
    "fail": fail,
    "exit": leave,
    "vanish": vanish,
    "kill": kill,
    "segfault": segfault,
    "later": later,
    "leak": leak,
    "fork": fork,
    "scribble": scribble,
}


def journal(event: str, request: eas_sdk.Request | None, **facts: object) -> None:
    """One line into the journal, if there is one; whole, whoever else writes."""
    path = os.environ.get("FAULTS_JOURNAL")
    if not path:
        return
    line = {"event": event, "id": request.request_id if request else "", "pid": os.getpid(), **facts}
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


def act(call: Call) -> eas_sdk.Response | bytes:
    """Do what the call was told."""
    name = call.text("do", "echo")
    action = ACTIONS.get(name)
    if action is None:
        raise ValueError(f"there is no action {name!r}; there are {', '.join(ACTIONS)}")
    if call.text("once") and not _first(call.text("once")):
        return call.body()
    return action(call)


def _first(path: str) -> bool:
    """Whether the file wasn't there; it is now."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _told(request: eas_sdk.Request) -> str:
    """What a request asks for: its query, or else its body."""
    if not request.query and bytes(request.body[:3]) == b"do=":
        return bytes(request.body).decode("latin-1")
    return request.query


def at(moment: str) -> None:
    """What the environment asks for at this moment of the processor's life."""
    told = os.environ.get(f"FAULTS_AT_{moment}")
    if told:
        journal(moment.lower(), None)
        act(Call(None, told, None))


class Faults(eas_sdk.Processor):
    """Does what each request says."""

    def __init__(self) -> None:
        self.leaked: list[bytes] = []
        self._meetings: dict[int, threading.Barrier] = {}
        self._lock = threading.Lock()
        at("CONSTRUCT")

    def initialize(self, model_entry: str, model_config: str) -> None:
        """Prints what it got."""
        print(f"model_entry={model_entry!r} model_config={model_config!r}")  # noqa: T201 - the log is the point
        at("INITIALIZE")

    def process(self, request: eas_sdk.Request) -> eas_sdk.Response | bytes:
        """Writes the request into the journal and does what it says."""
        told = _told(request)
        journal("process", request, query=told)
        return act(Call(self, told, request))

    def close(self) -> None:
        """As told."""
        at("CLOSE")

    def meeting(self, parties: int) -> threading.Barrier:
        """Where so many requests wait for each other."""
        with self._lock:
            return self._meetings.setdefault(parties, threading.Barrier(parties))


at("IMPORT")
