"""The data plane without a network: gate, bodies, backlog, pool and links over a loop that a test turns."""

from __future__ import annotations

from typing import Any

from eas_engine.admission.backlog import Backlog
from eas_engine.admission.gate import Fleet, Gate, Limits
from eas_engine.batching.batcher import Batcher
from eas_engine.batching.cut import Rules as BatchRules
from eas_engine.errors import InstanceCrashed, Refusal
from eas_engine.gateway.front import Front, Rules
from eas_engine.request import Body, Client, Ticket
from eas_engine.telemetry.counters import Counters
from eas_engine.workers.batch_pool import BatchPool
from eas_engine.workers.bodies import Bodies
from eas_engine.workers.lane import Ground
from eas_engine.workers.lanes import Lanes
from eas_engine.workers.pool import Pool
from eas_engine.workers.quarantine import Quarantine
from support.loop import FakeLoop
from support.threads import FakeThreads
from support.wire_host import WireHost

HEAD = b"POST /api/predict/digits HTTP/1.1\r\nHost: h\r\n\r\n"


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))


class Asker(Client):
    """A ``request.Client`` that remembers how its ticket ended; a second ending is a failure."""

    def __init__(self) -> None:
        self.ending: tuple[Any, ...] | None = None

    def __repr__(self) -> str:
        return f"<Asker {self.ending!r:.60}>"

    def _end(self, *ending: Any) -> None:
        assert self.ending is None, f"{self.ending} and then {ending}"
        self.ending = ending

    def succeeded(self, ticket: Ticket, body: bytes, now: float, begun: float, process_us: int) -> None:
        self._end(200, b"", bytes(body))

    def answered(  # noqa: PLR0917 - see request.Client
        self, ticket: Ticket, status: int, headers: bytes, body: Body, now: float, sent: Any
    ) -> None:
        self._end(status, headers, bytes(body))
        if sent is not None:
            sent()

    def refused(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        self._end(refusal.code, str(refusal))

    def leave(self) -> None:
        self._end("gone")

    @property
    def code(self) -> Any:
        return None if self.ending is None else self.ending[0]


class Parts:
    """One service's data plane."""

    def __init__(
        self,
        *,
        queue: int = 8,
        threads: int = 2,
        rate: float = 0.0,
        keepalive: float = 5.0,
        memory: int = 64 << 20,
        token: str = "",
        max_body: int = 32 << 20,
        any_path: bool = False,
        retry: bool = False,
        batching: BatchRules | None = None,
        decompressor: str = "",
        local_only: bool = False,
    ) -> None:
        self.loop = FakeLoop()
        self.threads = FakeThreads(self.loop)
        self.answer_threads = FakeThreads(self.loop)
        self.counters = Counters()
        self.bodies = Bodies(memory)
        loop: Any = self.loop
        self.gate = Gate(
            Limits(queue, threads, rate, keepalive, batching.max_batch_size if batching else 1),
            loop=loop,
            clock=self.loop.time,
            refuse=self._refuse,
        )
        self.log = Lines()
        self.ground = Ground(
            gate=self.gate,
            bodies=self.bodies,
            counters=self.counters,
            loop=loop,
            clock=self.loop.time,
            request_prefix="test",
            broken=lambda name, why: self.broken.append((name, why)),
        )
        self.lanes = Lanes(self.ground, batching, retry=retry, log=self.log)
        self.front = Front(
            Rules("digits", token, max_body, any_path, decompressor, local_only),
            gate=self.gate,
            bodies=self.bodies,
            counters=self.counters,
            submit=self.pool.submit,
            look=self.pool.look,
            loop=loop,
            log=self.log,
            request_prefix="test",
            threads=self.threads,
            answer_threads=self.answer_threads,
        )
        self.lanes.lead = self.front.lead
        self.broken: list[tuple[str, str]] = []
        self.hosts: list[WireHost] = []
        self.gate.observe(Fleet(live=1, ever_ready=True))

    def _refuse(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        self.front.expire(ticket, refusal, now)

    @property
    def pool(self) -> Pool:
        """The main lane's."""
        return self.lanes.main.pool

    @property
    def backlog(self) -> Backlog:
        """The main lane's."""
        return self.lanes.main.backlog

    @property
    def batcher(self) -> Batcher | None:
        """The main lane's."""
        return self.pool.batcher if isinstance(self.pool, BatchPool) else None

    def host(self, threads: int = 2, *, opened: bool = True, release: int = 0) -> WireHost:
        """One more host, ready for work."""
        host = WireHost(self.lanes.link(f"digits-{len(self.hosts)}", release))
        self.hosts.append(host)
        if opened:
            host.link.open(threads)
            self.lanes.settle()
        return host

    def see(self, live: int) -> None:
        """So many instances admit or start."""
        self.gate.observe(Fleet(live=live, ever_ready=True))

    def ask(self, body: bytes = b"") -> tuple[Asker, Ticket | Refusal]:
        """One request with its whole body. The loop isn't turned."""
        asker = Asker()
        ticket = self.gate.admit(asker, HEAD, 0.0, self.loop.now)
        if isinstance(ticket, Ticket):
            self.upload(ticket, body)
        else:
            asker.refused(ticket, ticket, self.loop.now)  # type: ignore[arg-type]
        return asker, ticket

    def upload(self, ticket: Ticket, body: bytes) -> None:
        """The body of an admitted request is here."""
        assert self.bodies.budget.take(ticket, len(body), lambda: None)
        ticket.size = len(body)
        ticket.offset, place = self.bodies.place(len(body))
        place[:] = body
        ticket.body = place
        ticket.queued = self.loop.now
        self.front._enter(ticket)

    def gone(self, asker: Asker, ticket: Ticket) -> None:
        """The client leaves."""
        asker.leave()
        self.front.left(ticket)

    def kill(self, host: WireHost, crash: InstanceCrashed | None = None) -> None:
        """The host dies, and the supervisor sees it."""
        self.hosts.remove(host)
        host.die()
        host.link.lost(crash)
        self.lanes.settle()

    @property
    def quarantine(self) -> Quarantine:
        """Where suspects are; only with `retry`."""
        assert self.lanes.quarantine is not None
        return self.lanes.quarantine

    def serve_all(self) -> None:
        """Every host answers what it gets until nothing waits."""
        self.loop.turn()
        while sum(host.serve() for host in self.hosts):
            self.loop.turn()
        self.loop.turn()

    def check_empty(self) -> None:
        """Nothing is left of any request."""
        assert self.gate.count == 0, self.gate
        assert len(self.gate.deadlines) == 0
        assert len(self.backlog) == 0
        assert self.bodies.budget.used == 0, self.bodies
        assert not self.bodies.budget.waiting
        assert self.bodies.arena is None or self.bodies.arena.used == 0
        for host in self.hosts:
            assert host.link.count == 0, host.link
            assert host.link.free_threads() in (0, host.link.credit.threads)
            assert host.link.idle()
            assert host.arena.used == 0

    def close(self) -> None:
        """Give the descriptors back."""
        for host in tuple(self.hosts):
            self.kill(host)
        self.gate.deadlines.close()
        self.lanes.shut()
        self.bodies.close()
