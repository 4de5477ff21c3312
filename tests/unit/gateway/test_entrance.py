"""Who accepts connections, in a crowd and otherwise, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from eas_engine.admission.gate import Fleet, Gate, Limits
from eas_engine.errors import Refusal
from eas_engine.gateway.access import AccessLog
from eas_engine.gateway.entrance import CROWD, LOOK_EVERY, Entrance
from eas_engine.gateway.front import Front, Rules
from eas_engine.gateway.http import Connection
from eas_engine.gateway.threads import IoThreads
from eas_engine.request import Ticket
from eas_engine.telemetry.counters import Counters
from eas_engine.workers.bodies import Bodies
from support.clock import FakeClock, settle
from support.parts import Lines

PLACES = 3
REQUEST = b"POST /api/predict/digits HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"


class Service:
    """A front with `PLACES` places, and a processor that answers when it is told to."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.clock = FakeClock()
        self.bodies = Bodies(1 << 20)
        self.counters = Counters()
        self.gate = Gate(Limits(PLACES - 1, 1, 0.0, 60.0), loop=loop, clock=loop.time, refuse=self._refuse)
        self.gate.observe(Fleet(ever_ready=True))
        self.waiting: list[Ticket] = []
        self.front = Front(
            Rules("digits", "", 1 << 20),
            gate=self.gate,
            bodies=self.bodies,
            counters=self.counters,
            submit=self.waiting.append,
            look=lambda: None,
            loop=loop,
            log=Lines(),
            request_prefix="test",
            threads=IoThreads(1, loop),
            answer_threads=IoThreads(1, loop),
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.entrance = Entrance(self.listener, self.front, self.clock)
        self.clients: list[socket.socket] = []
        self.made = 0
        self.front.connection = self._connection  # type: ignore[method-assign]

    def _connection(self) -> Connection:
        self.made += 1
        return Connection(self.front)

    def _refuse(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        self.front.expire(ticket, refusal, now)

    def answer(self) -> None:
        """The processor is done with whoever has waited longest."""
        ticket = self.waiting.pop(0)
        client = ticket.client
        self.bodies.release(ticket)
        self.gate.settle(ticket)
        if client is not None:
            client.succeeded(ticket, b"done", 0.0, 0.0, 0)

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.listener.getsockname())
        client.setblocking(False)
        self.clients.append(client)
        return client

    def ask(self, request: bytes = REQUEST) -> socket.socket:
        client = self.connect()
        client.send(request)
        return client

    async def fill(self) -> list[socket.socket]:
        clients = [self.ask() for _ in range(PLACES)]
        await until(lambda: self.gate.full)
        return clients

    async def look(self, refused: int) -> None:
        """So many were refused since the last look; then the next one."""
        self.front.turned_away += refused
        self.clock.jump(LOOK_EVERY)
        await settle()


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody sets an event when it comes true
        await asyncio.sleep(0)


async def whole(client: socket.socket) -> bytes:
    """Everything up to the server's end of the connection."""
    got, loop = b"", asyncio.get_running_loop()
    while piece := await loop.sock_recv(client, 65536):
        got += piece
    return got


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    await service.entrance.open()
    running = asyncio.create_task(service.entrance.run())
    try:
        await until(lambda: service.clock.sleepers)
        yield service
    finally:
        running.cancel()
        await asyncio.wait([running])
        service.entrance.close()
        for client in service.clients:
            client.close()
        await until(lambda: not service.front.connections)
        service.listener.close()
        service.gate.deadlines.close()
        service.bodies.close()


@pytest.fixture
def run() -> Callable[[Any], None]:
    def run(test: Callable[[Service], Any]) -> None:
        async def main() -> None:
            async with serving() as service:
                await test(service)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    return run


def test_many_refusals_are_a_crowd_and_few_are_none(run: Any) -> None:
    async def test(service: Service) -> None:
        seen = []
        for refused in (CROWD - 1, CROWD, CROWD, 0):
            await service.look(refused)
            seen.append(service.entrance.crowded)

        assert seen == [False, True, True, False]

    run(test)


def test_in_a_crowd_a_refused_client_never_becomes_a_connection(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        await service.look(CROWD)
        made, number = service.made, service.gate.number

        answer = await whole(service.ask())

        assert answer.startswith(b"HTTP/1.1 450 Queue Full\r\n")
        assert b"\r\nConnection: close\r\n" in answer
        assert b"\r\nX-EAS-Error: queue_full\r\n" in answer
        assert b"\r\nX-Request-Id: test-%04x\r\n" % (number + 1) in answer
        assert service.made == made
        assert service.counters.accepted == PLACES + 1
        assert service.counters.refusals["queue_full"] == service.counters.statuses[450] == 1

    run(test)


def test_it_is_the_answer_that_a_connection_gets(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        from_connection = await whole(service.ask())
        await service.look(CROWD)
        at_the_entrance = await whole(service.ask())

        assert at_the_entrance == from_connection.replace(b"test-0004", b"test-0005")

    run(test)


def test_whoever_finds_a_place_in_a_crowd_is_served(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        await service.look(CROWD)
        service.answer()
        client = service.ask()
        await until(lambda: len(service.waiting) == PLACES)
        assert service.waiting[-1].body == b"body"
        service.answer()
        service.answer()
        service.answer()

        answer = await asyncio.get_running_loop().sock_recv(client, 65536)

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\ndone")

    run(test)


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (b"", REQUEST),
        (REQUEST[:20], REQUEST[20:]),
        (REQUEST[:-1], REQUEST[-1:]),
        (REQUEST.replace(b"Host: h", b"Host: other"), b""),
    ],
    ids=["nothing yet", "half a head", "half a body", "another head"],
)
def test_what_cannot_be_answered_at_once_becomes_a_connection(run: Any, first: bytes, rest: bytes) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        await service.look(CROWD)
        client = service.ask(first)
        await until(lambda: len(service.front.connections) > PLACES or service.counters.statuses[450])
        client.send(rest)

        answer = await whole(client)

        assert answer.startswith(b"HTTP/1.1 450 Queue Full\r\n")
        assert service.counters.accepted == PLACES + 1

    run(test)


def test_in_a_crowd_who_has_sent_nothing_is_nobody_yet(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        await service.look(CROWD)
        deferring = (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT)
        assert service.listener.getsockopt(*deferring)
        service.listener.setsockopt(*deferring, 60)  # seconds, however slow this machine is
        silent = service.ask(b"")  # connected first

        assert (await whole(service.ask())).startswith(b"HTTP/1.1 450 ")
        assert len(service.front.connections) + len(service.entrance._welcomes) == PLACES
        silent.send(REQUEST)
        assert (await whole(silent)).startswith(b"HTTP/1.1 450 ")
        assert len(service.front.connections) == PLACES

        await service.look(0)
        assert not service.listener.getsockopt(*deferring)
        service.ask(b"")
        await until(lambda: len(service.front.connections) > PLACES)

    run(test)


def test_more_than_one_request_is_left_to_a_connection(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        await service.look(CROWD)

        answer = await whole(service.ask(REQUEST + REQUEST))

        assert answer.count(b"HTTP/1.1 450 ") == 1  # it closes behind the first

    run(test)


def test_a_client_that_resets_in_a_crowd_harms_nobody(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        await service.look(CROWD)
        client = service.ask()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

        assert (await whole(service.ask())).startswith(b"HTTP/1.1 450 ")

    run(test)


def test_who_waits_to_be_accepted_stays_in_line_when_the_two_take_turns(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        service.front.turned_away += CROWD
        waiting = [service.ask() for _ in range(20)]
        service.clock.jump(LOOK_EVERY)  # the entrance changes before the loop has seen them
        waiting += [service.ask() for _ in range(20)]
        for client in waiting:
            assert (await whole(client)).startswith(b"HTTP/1.1 450 ")
        await service.look(0)
        assert (await whole(service.ask())).startswith(b"HTTP/1.1 450 ")

    run(test)


class Poor:
    """A listening socket in a process that has no descriptor left."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def accept(self) -> Any:
        self.asked += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_without_descriptors_it_asks_once_between_two_looks(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        listener = Poor(service.listener)
        service.entrance._listener = listener  # type: ignore[assignment]
        await service.look(CROWD)
        client = service.ask()
        await settle()
        assert listener.asked == 1
        await service.look(CROWD)
        assert listener.asked == 2
        await service.look(0)  # the loop accepts again
        assert (await whole(client)).startswith(b"HTTP/1.1 450 ")

    run(test)


def test_who_is_logged_becomes_a_connection_in_a_crowd_too(run: Any, tmp_path: Path) -> None:
    """The access log has a line for each answer."""

    async def test(service: Service) -> None:
        file = tmp_path / "access_log"
        with AccessLog(str(file), service.clock) as service.front.access:
            await service.fill()
            await service.look(CROWD)
            answer = await whole(service.ask())
            assert answer.startswith(b"HTTP/1.1 450 Queue Full\r\n")
        (line,) = [json.loads(line) for line in file.read_text().splitlines()]
        assert (line["status"], line["error"]) == (450, "queue_full")
        assert f"X-Request-Id: {line['request_id']}\r\n".encode() in answer
        service.front.access = None

    run(test)


def test_where_descriptors_are_few_no_more_are_taken_in_a_turn_than_there_is_room_for(run: Any) -> None:
    async def test(service: Service) -> None:
        await service.fill()
        await service.look(CROWD)
        service.front.room.limit = PLACES
        taken, accept = [], service.entrance._listener.accept

        class Counted:
            def accept(self) -> Any:
                taken.append(1)
                return accept()

        service.entrance._listener = Counted()  # type: ignore[assignment]
        answers = [service.ask() for _ in range(4)]
        service.entrance._accept()
        service.entrance._listener = service.listener
        assert len(taken) == 1
        assert [(await whole(one))[:12] for one in answers] == [b"HTTP/1.1 450"] * 4

    run(test)
