"""The first request, when what listens there isn't what was expected."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from eas_bench.client.first import first_answer
from eas_bench.client.measuring import NotMeasured
from eas_bench.target import Wanted


@contextlib.contextmanager
def hanging_up(last_words: bytes, *, reset: bool) -> Iterator[int]:
    """Somebody who takes a request and hangs up, with a reset or in order, as ports of TLS do; the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(last_words)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("last_words", "reset"),
    [(b"", True), (b"", False), (b"\x15\x03\x03\x00\x02\x02\x28", False)],
    ids=["a reset", "nothing", "an alert of TLS"],
)
def test_who_hangs_up_on_http_may_want_https(last_words: bytes, *, reset: bool) -> None:
    with hanging_up(last_words, reset=reset) as port, pytest.raises(NotMeasured) as told:
        first_answer(Wanted(f"http://127.0.0.1:{port}/x"), 30.0)
    assert str(told.value).endswith("; is it an https:// URL?")
