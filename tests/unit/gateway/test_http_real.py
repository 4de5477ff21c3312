"""A connection over real transports: that uvloop calls it as the one in `support` does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import uvloop

from eas_engine.admission.gate import Fleet, Gate, Limits
from eas_engine.errors import Refusal
from eas_engine.gateway.front import Front, Rules
from eas_engine.gateway.threads import IoThreads
from eas_engine.request import Ticket
from eas_engine.telemetry.counters import Counters
from eas_engine.workers.bodies import Bodies
from support.parts import Lines

START = b"POST /api/predict/digits HTTP/1.1\r\nHost: h\r\n"
LARGE = 300_000


class Service:
    """A front whose processor answers at once, with as many bytes as the request's body says."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.lent = 0
        self.bodies = Bodies(64 << 20)
        counters = Counters()
        self.gate = Gate(Limits(1000, 1, 0.0, 60.0), loop=loop, clock=loop.time, refuse=self._refuse)
        self.gate.observe(Fleet(ever_ready=True))
        self.front = Front(
            Rules("digits", "", 32 << 20),
            gate=self.gate,
            bodies=self.bodies,
            counters=counters,
            submit=lambda ticket: loop.call_soon(self._answer, ticket),  # type: ignore[arg-type]
            look=lambda: None,
            loop=loop,
            log=Lines(),
            request_prefix="test",
            threads=IoThreads(1, loop),
            answer_threads=IoThreads(1, loop),
        )

    def _refuse(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        self.front.expire(ticket, refusal, now)

    def _answer(self, ticket: Ticket) -> None:
        client, body = ticket.client, bytes(ticket.body or b"")
        self.bodies.release(ticket)
        self.gate.settle(ticket)
        if client is None:
            return
        size = int(body.rstrip(b" ") or b"0")
        if size < LARGE:
            client.succeeded(ticket, b"x" * size, 0.0, 0.0, 0)
        else:
            self.lent += 1
            client.answered(ticket, 200, b"", memoryview(b"x" * size), 0.0, self._sent)

    def _sent(self) -> None:
        self.lent -= 1


def request(size: int, *, padding: int = 0) -> bytes:
    body = b"%d" % size + b" " * padding
    return START + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.fixture
def run() -> Callable[[Any], None]:
    """Serve on a real socket, and run the test against it."""

    def run(test: Callable[[Service, socket.socket], Any]) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            service = Service(loop)
            server = await loop.create_server(service.front.connection, "127.0.0.1", 0)
            client = socket.socket()
            with ExitStack() as stack:
                stack.callback(server.close)
                stack.callback(client.close)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
                client.setsockopt(
                    socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024
                )  # the kernel must not take it all
                client.setblocking(False)
                await loop.sock_connect(client, server.sockets[0].getsockname())
                await test(service, client)
            service.gate.deadlines.close()
            service.bodies.close()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    return run


async def read(client: socket.socket, wanted: Callable[[bytes], bool]) -> bytes:
    loop, got = asyncio.get_running_loop(), bytearray()
    while not wanted(bytes(got[-64:])) and (piece := await loop.sock_recv(client, 65536)):
        got += piece
    return bytes(got)


async def until(condition: Callable[[], object]) -> None:
    """Turn the loop until it holds."""
    while not condition():  # noqa: ASYNC110 - nobody sets an event when it comes true
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [50_000, LARGE])
def test_who_sends_and_does_not_read_is_held_up(run: Callable[[Any], None], size: int) -> None:
    async def test(service: Service, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        count = 400
        requests = b"".join(request(size, padding=20_000) for _ in range(count))
        sending = asyncio.ensure_future(loop.sock_sendall(client, requests))
        await until(lambda: any(connection.stalled for connection in service.front.connections))
        (connection,) = service.front.connections
        for _ in range(300):
            await asyncio.sleep(0)
            assert connection._transport.get_write_buffer_size() < 4 * size
        assert not sending.done()
        left = count * size
        while left > 0:
            got = await loop.sock_recv(client, 1 << 20)
            assert got
            left -= got.count(b"x")
        await sending
        assert left == 0
        assert service.lent == 0
        assert service.gate.count == 0

    run(test)


def test_the_last_answer_arrives_whole_though_the_client_goes_on_sending(run: Callable[[Any], None]) -> None:
    async def test(service: Service, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        service.gate.drain()
        sending = asyncio.ensure_future(
            loop.sock_sendall(client, START + b"Content-Length: 30000000\r\n\r\n" + bytes(30_000_000))
        )
        got = await read(client, lambda end: False)  # to the end: the half-close
        await sending
        assert got.startswith(b"HTTP/1.1 503 ")
        assert got.endswith(b"the service is shutting down\n")

    run(test)


def test_waiting_for_room_holds_the_client_up(run: Callable[[Any], None]) -> None:
    async def test(service: Service, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        assert service.front.budget.take("somebody", 64 << 20, lambda: None)
        data = request(7, padding=20_000_000)
        sending = asyncio.ensure_future(loop.sock_sendall(client, data))
        await until(lambda: service.front.budget.waiting)
        for _ in range(300):
            await asyncio.sleep(0)
        assert not sending.done()
        service.front.budget.give(64 << 20)
        await sending
        got = await read(client, lambda end: end.endswith(b"xxxxxxx"))
        assert got.startswith(b"HTTP/1.1 200 ")
        assert service.front.budget.used == 0

    run(test)


def test_closing_for_room_and_refusing_inside_connection_made(run: Callable[[Any], None]) -> None:
    async def test(service: Service, client: socket.socket) -> None:
        loop, front = asyncio.get_running_loop(), service.front
        await until(lambda: front.connections)
        front.room.limit = 2
        with ExitStack() as stack:
            more = [stack.enter_context(socket.socket()) for _ in range(3)]
            for one in more:
                one.setblocking(False)
            for one in more[:2]:
                await loop.sock_connect(one, client.getpeername())
                await loop.sock_sendall(one, b"POST")
            assert await loop.sock_recv(client, 1) == b"", "it was idle"
            await until(lambda: not any(connection.spare for connection in front.connections))
            await loop.sock_connect(more[2], client.getpeername())
            with suppress(ConnectionResetError):
                assert await loop.sock_recv(more[2], 1) == b""
            await until(lambda: len(front.connections) == 2)
        assert front.counters.refused_connections == 1
        assert front.counters.closed_for_room == 1

    run(test)
