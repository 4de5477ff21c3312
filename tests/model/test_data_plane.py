"""Everything that can happen to requests, in any order: the real gate, backlog, pool, links and bodies.

Only the network, the processors and the time are played. What must hold whatever happens:

* every admitted ticket ends exactly once, and a request is begun at most once; with ``rpc.retry_on_crash``
  twice, if its first host died with it, and then alone in the second as long as its client waits;
* nobody is convicted (``poison_request``) but who was alone in a host that died;
* who left or was answered before a processor began is never begun;
* the gate never lets in more than its capacity, and its count is exact at every moment;
* nothing waits while a thread is free, and no host is reserved without a suspect;
* at the end every place, byte, extent and slot has been given back.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eas_engine.admission.gate import Fleet
from eas_engine.batching.cut import Rules
from eas_engine.errors import InstanceCrashed, InstanceStopped, Refusal
from eas_engine.request import Ticket
from eas_host import wire
from support.parts import HEAD, Asker, Parts
from support.wire_host import Call, WireHost

QUEUE, THREADS, KEEPALIVE = 6, 2, 5.0
SIZES = st.sampled_from([0, 1, 700, wire.SPILL_BYTES - 1, wire.SPILL_BYTES, wire.SPILL_BYTES + 1])
pick = st.integers(0, 50)
seldom = st.integers(0, 3).map(lambda n: n == 3)


class DataPlane(RuleBasedStateMachine):
    """The machine; its model is `waiting`: whose ticket hasn't ended, and `inside`: who must be counted."""

    retry = False
    batching: Rules | None = None

    def __init__(self) -> None:
        super().__init__()
        self.parts = Parts(
            queue=QUEUE,
            threads=THREADS,
            keepalive=KEEPALIVE,
            memory=8 << 20,
            retry=self.retry,
            batching=self.batching,
        )
        self.tickets: dict[int, tuple[Asker, Ticket]] = {}
        self.uploading: dict[Ticket, int] = {}
        self.begun: set[int] = set()
        self.died: set[int] = set()  # begun, and their host died
        self.again: dict[int, WireHost] = {}  # begun a second time, and where

    @initialize(hosts=st.sampled_from([1, 2, 0]))
    def start(self, hosts: int) -> None:
        for _ in range(hosts):
            self.parts.host(THREADS)
        self.see()

    def see(self) -> None:
        """What the supervisor tells the gate."""
        self.parts.gate.observe(Fleet(live=max(1, len(self.parts.hosts)), ever_ready=True))
        if self.retry:
            self.parts.quarantine.hosts = max(self.parts.quarantine.hosts, len(self.parts.hosts))

    def waiting(self) -> list[tuple[Asker, Ticket]]:
        return [pair for pair in self.tickets.values() if pair[0].ending is None]

    # -- clients

    @rule(size=SIZES, slow=seldom, late=st.sampled_from([0.0] * 6 + [1.0, 6.0]), stays=seldom)
    def arrive(self, size: int, slow: bool, late: float, stays: bool) -> None:
        gate, asker = self.parts.gate, Asker()
        before = gate.count
        first = self.parts.loop.now - late if late else 0.0
        ticket = gate.admit(asker, HEAD, first, self.parts.loop.now)
        if isinstance(ticket, Refusal):
            assert gate.count == before
            assert ticket.code in ("queue_full", "deadline_exceeded", "draining")
            assert (ticket.code == "queue_full") <= (before >= gate.capacity)
            return
        assert before < gate.capacity
        assert not gate.draining
        self.tickets[ticket.number] = (asker, ticket)
        if slow:
            self.uploading[ticket] = size
        else:
            self.submit(ticket, size)
        if not stays:
            self.parts.loop.turn()

    def submit(self, ticket: Ticket, size: int) -> None:
        self.parts.upload(ticket, bytes([ticket.number % 256]) * size)

    def uploads(self) -> list[Ticket]:
        return [ticket for ticket in self.uploading if ticket.client is not None]

    @precondition(lambda self: self.uploads())
    @rule(n=pick)
    def body_complete(self, n: int) -> None:
        uploads = self.uploads()
        ticket = uploads[n % len(uploads)]
        self.submit(ticket, self.uploading.pop(ticket))

    @precondition(lambda self: self.waiting())
    @rule(n=pick)
    def client_leaves(self, n: int) -> None:
        waiting = self.waiting()
        asker, ticket = waiting[n % len(waiting)]
        self.parts.gone(asker, ticket)

    # -- hosts

    def calls(self, *, began: bool) -> list[tuple[WireHost, Call]]:
        return [(h, c) for h in self.parts.hosts for c in h.read() if c.began is began]

    @precondition(lambda self: self.calls(began=False))
    @rule(n=pick)
    def thread_takes(self, n: int) -> None:
        calls = self.calls(began=False)
        self.begin(*calls[n % len(calls)])

    def begin(self, host: WireHost, call: Call) -> None:
        asker, ticket = self.tickets[call.number]
        ended = asker.ending is not None
        if host.begin(call):
            assert not ended, "nobody waits for it"
            if call.number in self.begun:
                assert self.retry
                assert call.number in self.died, "begun twice, without need"
                assert call.number not in self.again, "begun three times"
                assert [one.number for one in host.read()] == [call.number], "not alone"
                self.again[call.number] = host
            assert call.body == bytes([call.number % 256]) * len(call.body)
            assert call.deadline == ticket.deadline
            self.begun.add(call.number)

    @precondition(lambda self: self.calls(began=True))
    @rule(n=pick, size=SIZES, us=st.sampled_from([1, 1, 1, 40, 5000]), raises=seldom, stays=seldom)
    def processor_returns(self, n: int, size: int, us: int, raises: bool, stays: bool) -> None:
        calls = self.calls(began=True)
        host, call = calls[n % len(calls)]
        if raises:
            host.fail(call, b"no")
        else:
            host.answer(call, bytes(size), us=us)
        if not stays:
            self.parts.loop.turn()

    @precondition(lambda self: len(self.parts.hosts) < 3)
    @rule()
    def host_opens(self) -> None:
        self.parts.host(THREADS)
        self.see()

    @precondition(lambda self: self.parts.hosts)
    @rule(n=pick, turned=st.booleans(), stopped=seldom)
    def host_dies(self, n: int, turned: bool, stopped: bool) -> None:
        if turned:
            self.parts.loop.turn()
        host = self.parts.hosts[n % len(self.parts.hosts)]
        inside = self.begun_in(host)
        waited = {number for number in inside if self.tickets[number][0].ending is None}
        self.died |= set(inside)
        self.parts.kill(host, InstanceStopped() if stopped else InstanceCrashed())
        self.see()
        for number in waited:
            self.check_ending(number, alone=len(inside) == 1, stopped=stopped)

    def begun_in(self, host: WireHost) -> list[int]:
        """The requests that the host's processor is at work on."""
        return [call.number for call in host.read() if call.began]

    def check_ending(self, number: int, *, alone: bool, stopped: bool) -> None:
        """How a request ended, if it did, whose host died with it; its answer may have left before."""
        code = self.tickets[number][0].code
        if number in self.again:
            assert code in ("instance_stopped" if stopped else "poison_request", 200, "processor_exception")
            assert alone
        elif self.retry and not stopped:
            assert code in (None, 200, "processor_exception")
        else:
            assert code in ("instance_stopped" if stopped else "instance_crashed", 200, "processor_exception")

    @precondition(lambda self: self.parts.hosts)
    @rule(n=pick, drained=st.booleans())
    def taken_back(self, n: int, drained: bool) -> None:
        link = self.parts.hosts[n % len(self.parts.hosts)].link
        if drained:
            link.drain()
            self.parts.lanes.settle()  # the supervisor tells the plane
        else:
            link.take_back()

    # -- the engine

    @rule()
    def loop_turns(self) -> None:
        self.parts.loop.turn()

    @rule(seconds=st.sampled_from([0.0005, 0.001, 0.002, 0.003, 1.0, 4.9, 5.1]), late=st.booleans())
    def time_passes(self, seconds: float, late: bool) -> None:
        (self.parts.loop.jump if late else self.parts.loop.advance)(seconds)
        for asker, ticket in self.waiting():
            assert ticket.deadline > self.parts.loop.now - 1e-6, f"{asker} should have had its 408"

    @precondition(
        lambda self: len(self.tickets) > 12
    )  # else nearly every run would be about nothing but this
    @rule()
    def engine_drains(self) -> None:
        self.parts.gate.drain()
        self.see()

    # -- what must hold

    @invariant()
    def count_is_exact(self) -> None:
        left = [t for asker, t in self.tickets.values() if asker.ending is not None and t.holder is not None]
        # Who left while the processor had it keeps its place until the processor returns; who left while its
        # slot was on its way back may.
        running = [
            ticket
            for ticket in left
            if ticket.number in (self.again if ticket.number in self.died else self.begun)
        ]
        count = self.parts.gate.count - len(self.waiting())
        assert len(running) <= count <= len(left)
        for _, ticket in self.waiting():
            assert ticket.client is not None

    @invariant()
    def the_line_is_in_order(self) -> None:
        queued = [ticket.queued for ticket in self.parts.backlog.line]
        assert queued == sorted(queued)

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        if self.parts.backlog:
            assert all(host.link.room() <= 0 for host in self.parts.hosts)
            assert all(
                host.link.count or not host.link.serving or self.kept_for_suspects(host)
                for host in self.parts.hosts
            )

    def kept_for_suspects(self, host: WireHost) -> bool:
        return self.retry and self.parts.quarantine.reserved is host.link

    @invariant()
    def a_suspect_that_is_waited_for_is_alone(self) -> None:
        for number, host in self.again.items():
            asker, ticket = self.tickets[number]
            if asker.ending is None and host in self.parts.hosts:
                assert {call.number for call in host.read()} <= {number}  # or its answer is on its way
                assert host.link.count == 1
                assert ticket.holder is host.link

    @invariant()
    def no_host_is_reserved_in_vain(self) -> None:
        if self.retry and self.parts.quarantine.reserved is not None:
            assert self.parts.quarantine.count()
            assert self.parts.quarantine.reserved.serving

    @invariant()
    def bytes_are_counted(self) -> None:
        held = sum(
            ticket.size
            for asker, ticket in self.tickets.values()
            if asker.ending is None or ticket.holder is not None
        )
        assert self.parts.bodies.budget.used == held

    def teardown(self) -> None:
        for ticket in self.uploads():
            self.submit(ticket, 0)
        self.finish()
        self.parts.close()

    def finish(self) -> None:
        self.parts.host(THREADS)
        self.parts.loop.turn()
        for step in range(200):
            if not self.parts.gate.count and not any(host.read() for host in self.parts.hosts):
                break
            for host in self.parts.hosts:
                host.serve()
            self.parts.loop.advance(0.01 if step < 100 else 0.1)  # suspects may have to wait
        for host in self.parts.hosts:
            host.read()
        assert not self.waiting()
        self.parts.check_empty()


DataPlane.TestCase.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, report_multiple_bugs=False
)
TestDataPlane = DataPlane.TestCase


class Retrying(DataPlane):
    """The same with ``rpc.retry_on_crash``."""

    retry = True

    @precondition(lambda self: self.parts.hosts)
    @rule(n=pick, opens=st.booleans())
    def host_dies_with_all_it_has_begun(self, n: int, opens: bool) -> None:
        """Chance alone brings this about too seldom."""
        self.parts.loop.turn()
        host = self.parts.hosts[n % len(self.parts.hosts)]
        while unbegun := [call for call in host.read() if not call.began]:
            self.begin(host, unbegun[0])
        if opens and len(self.parts.hosts) < 3:
            self.host_opens()
        self.host_dies(self.parts.hosts.index(host), turned=False, stopped=False)

    @precondition(lambda self: self.parts.quarantine.reserved is not None)
    @rule(dies=st.booleans())
    def suspect_is_tried(self, dies: bool) -> None:
        self.parts.loop.turn()
        for host in self.parts.hosts:
            if host.link is self.parts.quarantine.reserved:
                for call in [call for call in host.read() if not call.began]:
                    self.begin(host, call)
                if dies:
                    self.host_dies(self.parts.hosts.index(host), turned=True, stopped=False)
                return


Retrying.TestCase.settings = DataPlane.TestCase.settings
TestRetrying = Retrying.TestCase
