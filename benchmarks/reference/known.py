"""A server whose latencies are known: what it takes for each request, and when it does nothing at all.

``python -m reference.known '{"fast": 0.02, "slow": 0.2, "every": 8, "stall": [4, 1.5]}'``: requests take
``fast`` seconds, each ``every``-th of them ``slow`` ones, all beside each other. In the stall (``[after,
length]`` seconds from the first request) nothing is answered; what is due in it is answered at its end.

``GET /log`` tells of each request, in the order of their coming, when it came and when its answer was handed
to the kernel: nanoseconds of time.monotonic_ns(). That, and not the plan, is what a load tester must find.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

from reference.listening import BACKLOG, announce, listen

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
_EMPTY = b"\r\n\r\n"


@dataclass
class Plan:
    """Seconds."""

    fast: float
    slow: float
    every: int
    stall: tuple[float, float]
    log: list[list[int]] = field(default_factory=list)

    def wait(self, now: float) -> tuple[int, float]:
        """The number of a request that came now (of time.monotonic()), and until when it waits."""
        number = len(self.log)
        self.log.append([time.monotonic_ns(), 0])
        due = now + (self.slow if number % self.every == self.every - 1 else self.fast)
        begins = self.log[0][0] / 1e9 + self.stall[0]
        ends = begins + self.stall[1]
        return number, ends if begins <= due < ends else due


class Known(asyncio.Protocol):
    """Requests are short, come whole, and one after the other."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Loop: somebody came."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Loop: bytes came."""
        self._received += data
        head, empty, body = self._received.partition(_EMPTY)
        if not empty or len(body) < _length(head):
            return
        self._received = b""
        if head.startswith(b"GET /log"):
            self._write(json.dumps(self._plan.log).encode())
            return
        loop = asyncio.get_running_loop()
        number, until = self._plan.wait(time.monotonic())
        loop.call_at(until, self._answer, number)

    def _answer(self, number: int) -> None:
        self._plan.log[number][1] = time.monotonic_ns()
        self._write(b"ok")

    def _write(self, body: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - for the type checker
        self._transport.write(_ANSWER % (len(body), body))


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def main() -> None:
    """Serve until killed."""
    plan = Plan(**json.loads(sys.argv[1]))
    listener = listen()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Known(plan), sock=listener, backlog=BACKLOG)
    announce(listener)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
