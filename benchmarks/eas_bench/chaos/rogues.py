"""Clients that behave badly: they leave at any moment, send nonsense, or are very slow.

Each deed takes a connection of its own and knows how it must end; anything else is a fault. What they do must
not be felt by the crowd beside them, whose every answer is checked (``clients``).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from eas_bench.chaos import bad_input
from eas_bench.chaos.clients import HANGS_AFTER, Answer, Tally, judge, read_answer
from eas_bench.servers import Target

_LARGE: Final = 400_000
_SMALL: Final = 2_000
_WINDOW: Final = 4096
"""Bytes that the system takes in for a slow reader: a large answer then waits in the server."""
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Unexpected(Exception):
    """The server did what it must not; the message says what."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """One connection and what is to be asked on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request_id: str
    body: bytes
    request: bytes

    @property
    def head_length(self) -> int:
        """Bytes of the request before its body."""
        return len(self.request) - len(self.body)

    async def send(self, data: bytes) -> None:
        """All of it. Errors: OSError."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        """The next one. Errors: Unexpected: there is none in time; as `read_answer`."""
        try:
            async with asyncio.timeout(HANGS_AFTER):
                return await read_answer(self.reader)
        except TimeoutError:
            raise Unexpected(f"no answer after {HANGS_AFTER:.0f} s") from None

    async def rest(self) -> bytes:
        """What still comes until the end of the connection. Errors: Unexpected: it doesn't end."""
        try:
            async with asyncio.timeout(HANGS_AFTER):
                return await self.reader.read()
        except ConnectionError:
            return b""
        except TimeoutError:
            raise Unexpected(f"the connection is still open after {HANGS_AFTER:.0f} s") from None


@dataclass(slots=True)
class Rogues:
    """So many of them, one deed after the other each.

    Attributes:
        tally: what became of the requests that deserve an answer, and the faults.
        done: how often each deed was done.
        refusals: by deed and answer.
    """

    target: Target
    clients: int
    seed: int = 0
    tally: Tally = field(default_factory=Tally)
    done: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    _over: bool = False

    async def run(self) -> None:
        """Until `stop`; what was begun is ended."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.clients):
                tasks.create_task(self._one(number))

    def stop(self) -> None:
        """Begin nothing new."""
        self._over = True

    async def _one(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)  # noqa: S311 - nothing secret
        for count in itertools.count():
            if self._over:
                return
            name = chance.choice(list(DEEDS))
            await self._do(name, f"r{number}-{count}", chance)
            await asyncio.sleep(chance.uniform(0, 0.02))

    async def _do(self, name: str, request_id: str, chance: random.Random) -> None:
        """One deed on a connection of its own."""
        large = name in _LARGE_ONES
        body = request_id.encode() + b" " + chance.randbytes(_LARGE if large else chance.randrange(_SMALL))
        try:
            reader, writer = await _connect(self.target.port, narrow=large)
        except OSError as error:
            self.tally.fault(f"connecting: {error!r}")
            await asyncio.sleep(0.1)
            return
        named = Target(
            self.target.port, self.target.path, (*self.target.headers, f"X-Request-Id: {request_id}")
        )
        try:
            await DEEDS[name](self, Meeting(reader, writer, request_id, body, named.request(body)), chance)
        except (Unexpected, OSError, EOFError, ValueError) as error:
            told = str(error) if isinstance(error, Unexpected) else repr(error)
            self.tally.fault(f"{request_id} ({name.replace('_', ' ')}): {told}")
        finally:
            writer.close()
        self.done[name.replace("_", " ")] += 1

    # -- they leave

    async def left_in_the_head(self, meeting: Meeting, chance: random.Random) -> None:
        """Some of the head."""
        await meeting.send(meeting.request[: chance.randrange(1, meeting.head_length)])
        await _leave(meeting, chance)

    async def left_in_the_body(self, meeting: Meeting, chance: random.Random) -> None:
        """The head and some of the body."""
        await meeting.send(meeting.request[: chance.randrange(meeting.head_length, len(meeting.request))])
        await _leave(meeting, chance)

    async def left_before_the_answer(self, meeting: Meeting, chance: random.Random) -> None:
        """All of it, and away: while it waits, is inside, or is about to be answered."""
        await meeting.send(meeting.request)
        await _leave(meeting, chance)

    async def left_in_the_answer(self, meeting: Meeting, chance: random.Random) -> None:
        """While a large answer is being sent; what was read of it is right."""
        await meeting.send(meeting.request)
        start = await meeting.reader.readuntil(b"\r\n\r\n")
        if start.startswith(b"HTTP/1.1 200 "):
            read = await meeting.reader.readexactly(chance.randrange(_LARGE // 2))
            if (
                f"x-request-id: {meeting.request_id}\r\n".encode() not in start.lower()
                or read != meeting.body[: len(read)]
            ):
                raise Unexpected(f"the beginning of an answer is wrong: {start + read[:40]!r}")
        await _leave(meeting, chance)

    # -- they send nonsense

    async def bad_input(self, meeting: Meeting, chance: random.Random) -> None:
        """What must be refused, and ends the connection unless the next request can be told from it."""
        bad = bad_input.one(self.target, meeting.request_id, chance)
        sending = asyncio.create_task(_sent(meeting, bad.data))
        try:
            answer = await meeting.answer()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        self.refusals[f"{bad.name}: {answer.status} {answer.code}"] += 1
        if answer.status not in bad.statuses or not answer.code:
            raise Unexpected(f"{bad.name} was answered {answer.status} {answer.code}: {bad.data[:200]!r}")
        if bad.closes and (not answer.closes or await meeting.rest()):
            raise Unexpected(f"{bad.name} was refused, but the connection went on: {bad.data[:200]!r}")
        if not answer.closes:
            await self._expect(meeting, meeting.request)

    async def longer_than_it_said(self, meeting: Meeting, chance: random.Random) -> None:
        """More than its Content-Length: the request is served, the rest is no request."""
        await self._expect(meeting, meeting.request + b"\0" + chance.randbytes(20) + b"\r\n\r\n")
        with contextlib.suppress(EOFError, OSError):
            answer = await meeting.answer()
            if answer.status != 400:
                raise Unexpected(f"what came behind a body was answered {answer.status}")

    async def shorter_than_it_said(self, meeting: Meeting, chance: random.Random) -> None:
        """Less than its Content-Length, and the end of the sending: it must not be served."""
        await meeting.send(meeting.request[: chance.randrange(meeting.head_length, len(meeting.request))])
        await self._nothing(meeting)

    async def cut_chunks(self, meeting: Meeting, chance: random.Random) -> None:
        """A body in chunks that ends before its last: it must not be served."""
        size = f"{len(meeting.body):x}\r\n".encode()
        whole = (
            bad_input.head(self.target, f"X-Request-Id: {meeting.request_id}", "Transfer-Encoding: chunked")
            + (size + meeting.body + b"\r\n") * 2
        )
        await meeting.send(whole[: len(whole) - chance.randrange(len(meeting.body) + len(size))])
        await self._nothing(meeting)

    # -- they are slow

    async def slow_head(self, meeting: Meeting, chance: random.Random) -> None:
        """A few bytes at a time."""
        await _dribble(meeting, meeting.request[: meeting.head_length], chance)
        await self._expect(meeting, meeting.body)

    async def slow_body(self, meeting: Meeting, chance: random.Random) -> None:
        """The same with the body."""
        await meeting.send(meeting.request[: meeting.head_length])
        await _dribble(meeting, meeting.body, chance)
        await self._expect(meeting, b"")

    async def slow_reader(self, meeting: Meeting, chance: random.Random) -> None:
        """A large answer that isn't read for a while, and then through a small window."""
        await meeting.send(meeting.request)
        await asyncio.sleep(chance.uniform(0, 1))
        await self._expect(meeting, b"")

    # -- within

    async def _expect(self, meeting: Meeting, data: bytes) -> None:
        """Send that and get the right answer, or one that the engine may give in trouble."""
        await meeting.send(data)
        judge(self.tally, await meeting.answer(), meeting.request_id, meeting.body)

    async def _nothing(self, meeting: Meeting) -> None:
        """End the sending: there may be an answer that refuses, and must be no other."""
        meeting.writer.write_eof()
        data = await meeting.rest()
        if data and data.split(b" ", 2)[1] not in {b"400", b"408"}:
            raise Unexpected(f"half a request was answered: {data[:100]!r}")


Deed = Callable[[Rogues, Meeting, random.Random], Awaitable[None]]

DEEDS: Final[dict[str, Deed]] = {
    deed.__name__: deed
    for deed in (
        Rogues.left_in_the_head,
        Rogues.left_in_the_body,
        Rogues.left_before_the_answer,
        Rogues.left_in_the_answer,
        Rogues.bad_input,
        Rogues.longer_than_it_said,
        Rogues.shorter_than_it_said,
        Rogues.cut_chunks,
        Rogues.slow_head,
        Rogues.slow_body,
        Rogues.slow_reader,
    )
}
_LARGE_ONES: Final = {Rogues.left_in_the_answer.__name__, Rogues.slow_reader.__name__}


async def _connect(port: int, *, narrow: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """``narrow``: little is taken in that isn't read. Errors: OSError."""
    one = socket.socket()
    try:
        if narrow:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        one.setblocking(False)
        await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=one, limit=_WINDOW if narrow else 1 << 16)
    except BaseException:
        one.close()
        raise


async def _leave(meeting: Meeting, chance: random.Random) -> None:
    """After a moment, with a reset or in order."""
    await asyncio.sleep(chance.choice((0.0, 0.002, 0.005, 0.01)))
    if chance.random() < 0.5:
        meeting.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    meeting.writer.transport.abort()


async def _sent(meeting: Meeting, data: bytes) -> None:
    """As much as the server takes: it may refuse, and close, before it has seen all."""
    with contextlib.suppress(OSError):
        await meeting.send(data)


async def _dribble(meeting: Meeting, data: bytes, chance: random.Random) -> None:
    """In a hundred pieces at most, a moment between them."""
    size = max(1, len(data) // chance.randint(20, 100))
    for at in range(0, len(data), size):
        await meeting.send(data[at : at + size])
        await asyncio.sleep(0.005)
