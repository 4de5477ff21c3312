"""Small answers go straight to the socket, and to the transport what the socket doesn't take, in order."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from support.parts import Parts
from support.transport import Browser, post
from support.wire_host import WireHost


class Line:
    """A client on a real socket; what the connection writes to its transport instead arrives there."""

    def __init__(self, parts: Parts) -> None:
        self.browser = Browser(parts)
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.browser.socket = self.ours

    def fill(self) -> int:
        """Until the socket takes no more; how many bytes."""
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += self.ours.send(bytes(1000))
        return filled

    def arrived(self, count: int = 1 << 30) -> bytes:
        """What lies in the client's socket."""
        got = b""
        with contextlib.suppress(BlockingIOError):
            while len(got) < count:
                more = self.theirs.recv(count - len(got))
                if not more:
                    break
                got += more
        return got

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts()
    yield parts
    parts.close()


@pytest.fixture
def line(parts: Parts) -> Iterator[Line]:
    line = Line(parts)
    yield line
    line.close()


def serve(parts: Parts, host: WireHost, answer: bytes) -> None:
    parts.loop.turn()
    host.read()
    host.serve(answer)
    parts.loop.turn()


def test_a_small_answer_and_a_refusal_are_on_the_wire_and_not_in_the_transport(
    parts: Parts, line: Line
) -> None:
    host = parts.host()
    line.browser.send(post(b"a"))
    serve(parts, host, b"answer")
    assert line.arrived().endswith(b"\r\n\r\nanswer")
    parts.gate.drain()
    line.browser.send(post(b"b"))
    assert line.arrived().startswith(b"HTTP/1.1 503 ")
    assert not line.browser.got


def test_nothing_overtakes_what_the_transport_still_has(parts: Parts, line: Line) -> None:
    host = parts.host()
    line.browser.reads = False
    line.browser.unsent += b"before"
    line.browser.send(post(b"a"))
    serve(parts, host, b"answer")
    assert line.arrived() == b""
    assert line.browser.unsent.startswith(b"beforeHTTP/1.1 200")


@pytest.mark.parametrize("full", [True, False])
def test_what_the_socket_does_not_take_goes_to_the_transport(parts: Parts, line: Line, *, full: bool) -> None:
    host = parts.host()
    line.browser.reads = False
    line.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    filled = line.fill() if full else 0
    line.browser.send(post(b"a"))
    serve(parts, host, bytes(15_000))
    sent = line.arrived()[filled:]
    assert bool(sent) is not full
    assert line.browser.unsent
    whole = sent + bytes(line.browser.unsent)
    assert whole.startswith(b"HTTP/1.1 200")
    assert whole.endswith(b"\r\n\r\n" + bytes(15_000))


def test_a_client_that_is_gone_is_the_transports_business(parts: Parts, line: Line) -> None:
    host = parts.host()
    line.browser.send(post(b"a"))
    line.theirs.close()
    serve(parts, host, b"answer")
    assert bytes(line.browser.got).endswith(b"answer")
