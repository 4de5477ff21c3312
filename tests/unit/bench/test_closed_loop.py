"""The load client in C, against a server that does as its script says.

Nothing must be taken for an answer that is none, and no announced end for a reset.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eas_bench.scenarios.figures import ClosedRun
from eas_bench.scenarios.load import build

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev"
)

REQUEST = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FULL = b"HTTP/1.1 450 \r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull"
Script = Callable[[socket.socket], None]


class Server:
    """One connection at a time, treated as the script says until the client has gone."""

    def __init__(self, script: Script) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.requests = 0
        self._script = script
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self._talk(connection)
                except OSError:
                    continue

    def _talk(self, connection: socket.socket) -> None:
        held = b""
        while piece := connection.recv(65536):
            held += piece
            while held.startswith(REQUEST):
                held = held.removeprefix(REQUEST)
                self.requests += 1
                self._script(connection)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("native") / "closed_loop"
    build(path)
    return path


@pytest.fixture
def load(program: Path, tmp_path: Path) -> Iterator[Callable[[Script], ClosedRun]]:
    servers: list[Server] = []

    def run(script: Script) -> ClosedRun:
        servers.append(Server(script))
        (tmp_path / "request").write_bytes(REQUEST)
        command = [str(program), str(servers[-1].port), str(tmp_path / "request"), "1", "0", "0.2"]
        return ClosedRun.parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    yield run
    for server in servers:
        server.stop()


def test_answers_are_counted_on_one_connection(load: Callable[[Script], ClosedRun]) -> None:
    told = load(lambda connection: connection.sendall(OK))
    assert set(told.statuses) == {200}
    assert told.statuses[200].count > 1
    assert 0 < told.statuses[200].p50_ms <= told.statuses[200].p99_ms <= told.statuses[200].max_ms
    assert (told.broken, told.reconnects) == (0, 0)


def test_an_answer_in_pieces_is_one_answer(load: Callable[[Script], ClosedRun]) -> None:
    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in OK:
            connection.sendall(bytes([byte]))

    told = load(script)
    assert set(told.statuses) == {200}
    assert told.broken == 0


def test_an_announced_end_is_no_fault_and_is_followed_by_a_new_connection(
    load: Callable[[Script], ClosedRun],
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(FULL)
        connection.shutdown(socket.SHUT_WR)

    told = load(script)
    assert set(told.statuses) == {450}
    assert told.broken == 0
    assert told.reconnects >= told.statuses[450].count - 1 > 0


def test_a_reset_is_a_reset_even_after_a_whole_answer(load: Callable[[Script], ClosedRun]) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(FULL)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    told = load(script)
    assert told.resets > 0
    assert told.cut == 0


@pytest.mark.parametrize("answer", [b"", OK[:-1], OK[:20]])
def test_an_end_in_the_midst_of_an_answer_is_a_cut(
    load: Callable[[Script], ClosedRun], answer: bytes
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    told = load(script)
    assert told.cut > 0
    assert (told.resets, told.statuses) == (0, {})


def test_who_gets_no_answer_is_seen_waiting(load: Callable[[Script], ClosedRun]) -> None:
    told = load(lambda connection: None)
    assert told.statuses == {}
    assert told.oldest_ms >= 200


def test_a_port_without_a_listener_refuses(program: Path, tmp_path: Path) -> None:
    (tmp_path / "request").write_bytes(REQUEST)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        command = [str(program), str(unused.getsockname()[1]), str(tmp_path / "request"), "2", "0", "0.1"]
        told = ClosedRun.parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert told.refused > 0
    assert (told.resets, told.statuses) == (0, {})
