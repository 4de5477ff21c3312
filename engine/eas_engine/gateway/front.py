"""What all connections of one service share: its rules, its limits, and the second hand of its clock."""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from eas_engine.admission.gate import QUEUE_FULL
from eas_engine.gateway import head as heads
from eas_engine.gateway.callers import is_ours
from eas_engine.gateway.compressing import Compression
from eas_engine.gateway.http import Connection
from eas_engine.gateway.reply import IDLE_ANNOUNCED, Replies
from eas_engine.gateway.room import Room
from eas_engine.gateway.screen import Screen
from eas_engine.gateway.unread import Unread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.admission.budget import Budget
    from eas_engine.admission.gate import Gate
    from eas_engine.errors import Refusal
    from eas_engine.gateway.access import AccessLog
    from eas_engine.gateway.head import Head
    from eas_engine.gateway.threads import Threads
    from eas_engine.request import Ticket
    from eas_engine.telemetry.counters import Counters

_BUFFER: Final = 64 * 1024
_HEAD_BUFFER: Final = 8 * 1024
"""What is read at once while a head is expected: what comes along of a large body is copied."""
_IDLE_SECONDS: Final = IDLE_ANNOUNCED + 5
_LOGGED_A_SECOND: Final = 10
_LOOK_EVERY: Final = 4
_REMEMBERED: Final = 256
_REMEMBERED_SIZE: Final = 4096
_LOGGED: Final = frozenset({408, 500})


class Bodies(Protocol):
    """Memory for request bodies."""

    budget: Budget

    def place(self, size: int) -> tuple[int, memoryview]:
        """Room to receive `size` bytes into: (offset in the arena or -1, view)."""

    def release(self, ticket: Ticket) -> None:
        """Nobody reads the ticket's body any more."""

    def free(self, offset: int) -> None:
        """Nobody needs the extent any more, which `place` gave and no ticket has."""


class Log(Protocol):
    """Where the few lines go that requests cause."""

    def warning(self, event: str, **fields: object) -> None:
        """One line."""


@dataclass(frozen=True)
class Rules:
    """Which requests are for this service. ``any_path``: all (a processor that was started by hand).

    ``decompressor``: what their bodies are compressed with (``codecs``); empty: nothing. ``local_only``: who
    may call at all are loopback, private and link-local addresses (``networking.disable_internet_endpoint``).
    """

    name: str
    token: str
    max_body: int
    any_path: bool = False
    decompressor: str = ""
    local_only: bool = False

    @property
    def path(self) -> bytes:
        """Where predictions are asked for."""
        return b"/api/predict/" + self.name.encode()


class Front:
    """The gateway of one service."""

    def __init__(
        self,
        rules: Rules,
        *,
        gate: Gate,
        bodies: Bodies,
        counters: Counters,
        submit: Callable[[Ticket], None],
        look: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
        log: Log,
        request_prefix: str,
        threads: Threads,
        answer_threads: Threads,
        descriptors: int = 1 << 30,
        access: AccessLog | None = None,
    ) -> None:
        """``descriptors``: how many the whole process may have; clients get their share (``room``).

        ``threads``: for long work on requests' bodies. With ``rules.decompressor`` they are inflated on their
        way to ``submit``. ``answer_threads``: for long work on answers.
        """
        self.gate = gate
        self.bodies, self.budget = bodies, bodies.budget
        self.counters = counters
        self.submit = self._enter = submit
        self._look = look
        self._threads = threads
        self.compression = Compression(answer_threads, counters)
        self.turned_away = 0  # requests that were refused at the gate
        self.loop = loop
        self.replies = Replies(request_prefix)
        # A mapping, because a slice of it is bytes at once, without a view in between.
        self.received = mmap.mmap(-1, _BUFFER, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.buffer = memoryview(self.received)
        self.head_buffer = self.buffer[:_HEAD_BUFFER]
        self.closing = False  # every answer says Connection: close
        self.connections: set[Connection] = set()
        self._known: dict[bytes, Head] = {}
        self._decompressor = ""
        self._log = log
        self._logged = 0
        self.room = Room(descriptors, counters, log)
        self.access = access
        self.unread = Unread(self.budget.limit, counters)
        self._cut = 0
        self.configure(rules)

    def __repr__(self) -> str:
        return f"<Front {self._screen!r} {len(self.connections)} connections, {self.gate!r}>"

    def configure(self, rules: Rules) -> None:
        """Other rules, or another budget, from now on: no head that was let in before is known any more.

        Whoever was admitted stays. A body is inflated, or isn't, as is the rule when its last byte comes.
        """
        self.max_body = min(rules.max_body, self.budget.limit)
        self.unread.limit = self.budget.limit
        self._screen = Screen(rules, self.max_body)
        if self.access is not None:
            self.access.hide(rules.token)
        if rules.decompressor != self._decompressor:
            self._decompressor = rules.decompressor
            self.submit = self._inflated(rules.decompressor) if rules.decompressor else self._enter
        self.local_only = rules.local_only
        self._known.clear()
        for connection in self.connections:
            connection.screen_anew(local_only=rules.local_only)

    def lead(self, submit: Callable[[Ticket], None], look: Callable[[], None]) -> None:
        """Where tickets with complete bodies go from now on, and who takes the answers that are here."""
        self._enter, self._look = submit, look
        if not self._decompressor:
            self.submit = submit

    def _pass_on(self, ticket: Ticket) -> None:
        """The ticket's body is inflated."""
        self._enter(ticket)

    def _inflated(self, codec: str) -> Callable[[Ticket], None]:
        """What inflates bodies and then submits them."""
        # The library of the codecs is for services that have one: 5 ms of every other start.
        from eas_engine.gateway.codecs import CODECS  # noqa: PLC0415
        from eas_engine.gateway.inflating import Inflation  # noqa: PLC0415

        return Inflation(CODECS[codec], self, self._threads, self._pass_on).submit

    def connection(self) -> Any:
        """The protocol for a client that has just connected; what a loop's ``create_server`` calls.

        To uvloop a class with these methods is an ``asyncio.BufferedProtocol`` (asyncio's own loops ask for
        the base class, too, but that would cost the compiled connection its fast attributes).
        """
        return Connection(self)

    def read_head(self, raw: bytes, *, foreign: bool = False) -> tuple[Head, Refusal | None]:
        """Parse and screen a head, unless another connection has sent the very same lately.

        Only heads that passed are remembered, so nobody without the token can crowd them out; and not those
        that won't come again (a signature, an id of the client's). ``foreign``: its sender may not call.

        Raises:
            Refusal: it can't be read.
        """
        known = self._known.get(raw)
        if known is not None and not foreign:
            return known, None
        head = heads.parse(raw[:-4])
        refusal = self._screen.refusal(head, foreign=foreign)
        signed = head.authorization is not None and head.authorization.startswith(b"EAS ")
        if not (refusal or signed or head.request_id or len(raw) > _REMEMBERED_SIZE):
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[raw] = head
        return head, refusal

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        self.connections.add(connection)
        self.counters.connections += 1
        self.counters.accepted += 1
        if self.counters.connections > self.room.limit:
            self.room.make(connection, self.connections)

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""
        self.connections.discard(connection)
        self.counters.connections -= 1

    def turn_away(self, data: bytes, address: object) -> bytes | None:
        """The whole 450 for a client that isn't a connection yet, and whose whole request is `data`.

        None: it must become a connection. Call it only while the gate is full. `address`: the client's.
        """
        end = data.find(b"\r\n\r\n") + 4
        head = self._known.get(data[:end])
        if head is None or not head.plain or len(data) - end != head.length:
            return None
        if self.local_only and not is_ours(address):
            return None
        now = monotonic()
        self.counters.accepted += 1
        self.refused(QUEUE_FULL, None, now)
        return self.replies.refusal(QUEUE_FULL, head, self.next_number(), None, now, close=True)

    def next_number(self) -> int:
        """A number for a request that gets no ticket."""
        self.gate.number += 1
        return self.gate.number

    def left(self, ticket: Ticket) -> None:
        """The client is gone before its answer."""
        self.counters.client_gone += 1
        self.drop(ticket)

    def drop(self, ticket: Ticket) -> None:
        """The ticket has ended without the processor."""
        self.gate.abandon(ticket)
        if ticket.holder is None:
            self.bodies.release(ticket)

    def expire(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        """The engine ends the ticket, wherever it is."""
        client = ticket.client
        self.gate.abandon(ticket)
        if client is not None:  # first: else what the ticket gives back would be given to its own upload
            client.refused(ticket, refusal, now)
        if ticket.holder is None:
            self.bodies.release(ticket)

    def refused(self, refusal: Refusal, ticket: Ticket | None, now: float) -> None:
        """Count an answer that the engine made, and log the few kinds that somebody must look into."""
        counters = self.counters
        counters.statuses[refusal.status] += 1
        counters.refusals[refusal.code] += 1
        if ticket is None:
            # Under a flood a turn of the loop is many refusals long; worker threads mustn't wait for its end.
            self.turned_away += 1
            if not self.turned_away % _LOOK_EVERY:
                self._look()
            return
        took = int((now - ticket.arrived) * 1e6)
        counters.total_us += took
        counters.total[took.bit_length()] += 1
        if refusal.status in _LOGGED:
            self._logged += 1
            if self._logged <= _LOGGED_A_SECOND:
                request_id = f"{self.replies.prefix.decode()}-{ticket.number:04x}"
                self._log.warning(
                    str(refusal), code=refusal.code, request_id=request_id, seconds=round(took / 1e6, 3)
                )

    def writing(self) -> bool:
        """Whether an answer is still on its way to a client."""
        return self.compression.busy > 0 or any(connection.unsent for connection in self.connections)

    def tick(self) -> None:
        """Once a second: the date, connections that were idle for too long, log lines that were left out."""
        self.replies.refresh(time.time())
        self._tell()
        now = monotonic()
        self.room.tick(now, self.connections)
        oldest = now - _IDLE_SECONDS
        for connection in [c for c in self.connections if c.active < oldest]:
            if connection.stalled:
                connection.look_whether_it_reads()
            elif connection.idle:
                connection.hang_up()

    def _tell(self) -> None:
        """What was counted since the last time, and isn't logged one by one."""
        if self._logged > _LOGGED_A_SECOND:
            self._log.warning("requests failed, not logged one by one", count=self._logged - _LOGGED_A_SECOND)
        self._logged = 0
        cut = self.counters.answers_cut - self._cut
        if cut:
            self._cut += cut
            self._log.warning(
                "answers that clients didn't read took more than rpc.max_inflight_bytes: cut off",
                connections=cut,
                limit=self.unread.limit,
            )
