"""Clients that trust nothing: every answer is compared with what was asked, byte for byte.

Each has one request on its way at a time, on a connection that it keeps. Every request has an id of its own,
which the engine repeats: so an answer too many, or one that belongs to somebody else, is seen.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from eas_bench.servers import Target

HANGS_AFTER = 90.0
"""Seconds without an answer that count as none: three times the keepalive of the service."""

DOCUMENTED = frozenset({408, 450, 500, 503})
"""What an engine in trouble may answer (docs/errors.md)."""

_SMALL, _LARGE = 2_000, 400_000
_SHARE_OF_LARGE = 0.02
_KEPT = 20


@dataclass(slots=True)
class Tally:
    """What all clients have seen."""

    answers: Counter[str] = field(default_factory=Counter)
    """By what they were: ``200``, or status and ``X-EAS-Error``; those to poison separately."""
    faults: list[str] = field(default_factory=list)
    """What must never happen; the first twenty in words."""
    faulty: int = 0
    longest: float = 0.0
    """Seconds that the slowest answer took."""

    def fault(self, what: str) -> None:
        """Remember one."""
        self.faulty += 1
        if len(self.faults) < _KEPT:
            self.faults.append(what)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int
    code: str
    request_id: str
    closes: bool
    body: bytes


class Crowd:
    """Many clients of one service."""

    def __init__(self, target: Target, *, clients: int, poison: float, seed: int = 0) -> None:
        """`poison`: the share of requests that end the process that takes them."""
        self.tally = Tally()
        self.outstanding: set[str] = set()
        """Ids of requests that have no answer yet."""
        self._target, self._clients, self._poison, self._seed = target, clients, poison, seed
        self._over = False

    async def run(self) -> None:
        """Until `stop`; every request that was sent is waited for."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._clients):
                tasks.create_task(self._one(number))

    def stop(self) -> None:
        """Begin nothing new."""
        self._over = True

    async def _one(self, number: int) -> None:
        """One client, on one connection after another."""
        wishes = self._wishes(number)
        loop = asyncio.get_running_loop()
        while not self._over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._target.port)
            except OSError as error:
                self.tally.fault(f"connecting: {error!r}")
                await asyncio.sleep(0.1)
                continue
            try:
                keeps = True
                while keeps and not self._over:
                    request_id, body = next(wishes)
                    began = loop.time()
                    keeps = await self._ask(reader, writer, request_id, body)
                    self.tally.longest = max(self.tally.longest, loop.time() - began)
            finally:
                writer.close()

    def _wishes(self, number: int) -> Iterator[tuple[str, bytes]]:
        chance = random.Random(self._seed * 1000 + number)  # noqa: S311 - nothing secret
        for count in itertools.count():
            request_id = f"c{number}-{count}"
            if chance.random() < self._poison:
                yield request_id, b"poison " + request_id.encode()
                continue
            most = _LARGE if chance.random() < _SHARE_OF_LARGE else _SMALL
            yield request_id, request_id.encode() + b" " + chance.randbytes(chance.randrange(most))

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request_id: str, body: bytes
    ) -> bool:
        """One request; whether the connection lives on."""
        target = self._target
        named = Target(target.port, target.path, (*target.headers, f"X-Request-Id: {request_id}"))
        self.outstanding.add(request_id)
        try:
            writer.write(named.request(body))
            await writer.drain()
            async with asyncio.timeout(HANGS_AFTER):
                answer = await read_answer(reader)
        except TimeoutError:
            self.tally.fault(f"{request_id}: no answer after {HANGS_AFTER:.0f} s")
            return False
        except (OSError, EOFError, ValueError) as error:
            self.tally.fault(f"{request_id}: {error!r} instead of an answer")
            return False
        finally:
            self.outstanding.discard(request_id)
        judge(self.tally, answer, request_id, body)
        return not answer.closes


def judge(tally: Tally, answer: Answer, request_id: str, body: bytes) -> None:
    """Count an answer, and see whether it is one that this request may have."""
    poison = body.startswith(b"poison ")
    told = f"{answer.status} {answer.code}".strip()
    tally.answers[f"poison: {told}" if poison else told] += 1
    if answer.request_id != request_id:
        tally.fault(f"{request_id}: got the answer to {answer.request_id}")
    elif answer.status == 200:
        if answer.body != body or answer.code or poison:
            tally.fault(f"{request_id}: 200 with the wrong body ({answer.body[:40]!r})")
    elif answer.status not in DOCUMENTED or not answer.code:
        tally.fault(f"{request_id}: {told}, which isn't one of the engine's answers")


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer. Errors: EOFError or OSError at the end of the connection, ValueError: it is none."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    version, status, _ = first.split(" ", 2)
    if version != "HTTP/1.1":
        raise ValueError(first)
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(fields["content-length"]))
    return Answer(
        int(status),
        fields.get("x-eas-error", ""),
        fields.get("x-request-id", ""),
        fields.get("connection") == "close",
        body,
    )
