"""The data plane as a whole: what the supervisor says of the fleet, and settings that change at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from eas_engine import overview
from eas_engine.admission.gate import Limits
from eas_engine.batching.cut import Rules as BatchRules
from eas_engine.errors import ServiceStopped
from eas_engine.gateway.front import Rules
from eas_engine.plane import Plane, PlaneSettings, Reports
from eas_engine.request import Ticket
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import FleetSnapshot, HostSnapshot, InstanceSnapshot, Seat
from eas_engine.workers.batch_link import BatchLink
from eas_engine.workers.lane import Beside, Canary, Shadow
from support.clock import FakeClock
from support.parts import HEAD, Asker, Lines
from support.wire_host import WireHost

SETTINGS = PlaneSettings(
    Rules("digits", "", 1 << 20), Limits(queue=4, threads=2, rate=0.0, keepalive=5.0), inflight=1 << 20
)
BATCHES = BatchRules(4, 0.05, when_idle=True)


class Service:
    """A plane whose hosts are the test's; the supervisor is played."""

    def __init__(self, settings: PlaneSettings) -> None:
        self.clock = FakeClock()
        self.plane = Plane(settings, prefix="test", clock=self.clock, log=Lines(), descriptors=1 << 20)
        self.hosts: list[WireHost] = []
        self.states: dict[str, State] = {}

    def host(self, name: str, release: int = 0, threads: int = 2) -> WireHost:
        host = WireHost(self.plane.channel(name, release))
        self.hosts.append(host)
        host.link.open(threads)
        self.states[name] = State.READY
        self.tell()
        return host

    def kill(self, host: WireHost, *, gone: bool = False) -> None:
        self.hosts.remove(host)
        host.die()
        host.link.lost()
        self.states[host.link.name] = State.CRASHED
        if gone:
            del self.states[host.link.name]
        self.tell()

    def tell(self, *, asleep: bool = False, stopped: bool = False, ever_ready: bool = True) -> None:
        """What the supervisor says after each change."""
        self.plane.observe(self.fleet(asleep=asleep, stopped=stopped, ever_ready=ever_ready))

    def fleet(self, *, asleep: bool = False, stopped: bool = False, ever_ready: bool = True) -> FleetSnapshot:
        instances = tuple(
            InstanceSnapshot(
                name,
                (HostSnapshot(Seat(place, 0), name, name, state, threads=2, next_start=math.inf),),
                self.clock.now(),
            )
            for place, (name, state) in enumerate(self.states.items())
        )
        wanted = 0 if asleep or stopped else 1
        return FleetSnapshot("digits", instances, ever_ready, wanted=wanted, stopped=stopped)

    def ask(self) -> Asker:
        asker = Asker()
        ticket = self.plane.gate.admit(asker, HEAD, 0.0, self.clock.now())
        if isinstance(ticket, Ticket):
            self.plane.front.submit(ticket)
        else:
            asker.refused(ticket, ticket, 0.0)  # type: ignore[arg-type]
        return asker

    async def answer_all(self) -> None:
        while self.plane.gate.count:
            for host in self.hosts:
                host.serve()
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(settings: PlaneSettings = SETTINGS) -> AsyncIterator[Service]:
    service = Service(settings)
    service.tell()
    yield service
    for host in tuple(service.hosts):
        service.kill(host, gone=True)
    await service.plane.close()


# -- the fleet


async def test_a_sleeping_service_is_woken_by_the_first_request_and_answers_it() -> None:
    async with serving() as service:
        woken = asyncio.Event()
        service.plane.on_wake = woken.set
        service.tell(asleep=True, ever_ready=False)
        asker = service.ask()
        await woken.wait()
        service.states["digits-0"] = State.STARTING
        service.tell(ever_ready=False)
        other = service.ask()
        assert (asker.code, other.code) == (None, None), "it was asleep: who comes while it starts waits, too"
        service.host("digits-0")
        await service.answer_all()
        assert (asker.code, other.code) == (200, 200)


async def test_a_stopped_service_refuses_who_comes_and_ends_who_waits_when_its_hosts_are_gone() -> None:
    async with serving() as service:
        host = service.host("digits-0", threads=1)
        inside, waits = service.ask(), service.ask()
        assert host.begin(host.read()[0])
        service.tell(stopped=True)
        assert service.ask().code == "service_stopped"
        assert waits.code is None
        host.answer(host.read()[0])
        host.link.drain()
        await host.link.wait_idle()
        host.die()
        host.link.lost()
        service.hosts.clear()
        service.states.clear()
        service.tell(stopped=True)
        assert [inside.code, waits.code] == [200, "service_stopped"]
        assert service.plane.gate.count == 0


async def test_a_drained_service_says_so_and_is_stopped_not_about_to_end() -> None:
    """``draining`` closes the connection, for the engine ends; this one comes back."""
    async with serving() as service:
        service.host("digits-0")
        service.plane.pause(paused=True)
        refusal = service.plane.gate.admit(Asker(), HEAD, 0.0, service.clock.now())
        assert isinstance(refusal, ServiceStopped)
        assert str(refusal) == "an operator drained or stopped the service: it takes nothing new"


async def test_a_shadows_instances_hold_no_requests() -> None:
    async with serving() as service:
        service.host("digits-0")
        assert service.plane.gate.capacity == 6
        service.plane.open_lane(2, Shadow(1.0), None)
        shadow = service.host("digits-1", 2)
        assert service.plane.gate.capacity == 6
        service.kill(shadow)
        assert service.plane.gate.capacity == 6
        service.host("digits-1", 2)
        service.plane.merge_lane(2)
        service.tell()
        assert service.plane.gate.capacity == 12


async def test_a_shadow_alone_serves_nobody() -> None:
    async with serving() as service:
        main = service.host("digits-0")
        service.plane.open_lane(2, Shadow(1.0), None)
        service.host("digits-1", 2)
        service.kill(main)
        assert service.ask().code == "no_instance", "digits-0 will not be started again, and a shadow is none"


async def test_the_quarantine_counts_hosts_that_answer_clients() -> None:
    async with serving(replace(SETTINGS, retry=True)) as service:
        quarantine = service.plane.lanes.quarantine
        assert quarantine is not None
        service.host("digits-0")
        service.plane.open_lane(2, Canary(0.5), None)
        service.kill(service.host("digits-1", 2))
        assert quarantine.hosts == 1
        service.plane.close_lane(2)
        service.host("digits-1", 2)
        assert quarantine.hosts == 2


async def test_calls_that_never_end_are_found_in_every_lane() -> None:
    async with serving(replace(SETTINGS, stuck_ms=1000)) as service:
        stuck: list[str] = []
        service.plane.report_to(Reports(stuck.append, lambda _name, _why: None))
        main = service.host("digits-0")
        service.plane.open_lane(2, Shadow(1.0), None)
        shadow = service.host("digits-1", 2)
        ticking = asyncio.ensure_future(service.plane.tick())
        service.ask()
        for host in (main, shadow):
            assert host.begin(host.read()[0])
        await service.clock.advance(3.0)
        assert set(stuck) == {"digits-0", "digits-1"}
        ticking.cancel()


async def test_an_instance_that_hangs_is_ready_and_says_what_is_the_matter_with_it() -> None:
    """``stuck`` comes after ten keepalives: until then the status said "ready" and no reason."""
    async with serving() as service:
        hanging = service.host("digits-0")
        ticking = asyncio.ensure_future(service.plane.tick())
        for _ in range(2):
            service.ask()
        for call in hanging.read():
            assert hanging.begin(call)
        said = [overview.load(service.fleet(), service.plane).instances[0].reason]
        for seconds in (4.0, 3.0):
            await service.clock.advance(seconds)
            one = overview.load(service.fleet(), service.plane).instances[0]
            assert one.state == "READY"
            said.append(one.reason)
        hangs = "2 requests have been in it for longer than rpc.keepalive (5 s); ended as stuck after 50 s"
        assert said == ["", "", hangs]
        hanging.answer(hanging.read()[0])
        await service.clock.advance(1.0)
        assert overview.load(service.fleet(), service.plane).instances[0].reason.startswith("1 request has ")
        ticking.cancel()


async def test_load_counts_every_lane_but_copies() -> None:
    async with serving() as service:
        service.host("digits-0", threads=1)
        service.plane.open_lane(2, Canary(0.5), None)
        service.host("digits-1", 2, threads=1)
        for _ in range(6):
            service.ask()
        assert service.plane.lanes.waiting() == 6
        service.plane.drain()
        await service.answer_all()
        await service.plane.wait_empty()


# -- settings


async def test_all_limits_change_at_once() -> None:
    async with serving() as service:
        host = service.host("digits-0")
        gate = service.plane.gate
        changed = replace(
            SETTINGS,
            limits=Limits(queue=1, threads=99, rate=1.0, keepalive=2.0),
            inflight=100,
            stuck_ms=700,
            retry=True,
            io_threads=3,
        )
        service.plane.configure(changed)
        assert service.plane.settings == changed
        assert gate.capacity == 3, "how many threads there are is the hosts' to say"
        assert gate.keepalive == 2.0
        assert service.plane.bodies.budget.limit == service.plane.front.max_body == 100
        assert (service.plane.io_threads.count, service.plane.answer_threads.count) == (3, 3)
        assert [service.ask().code for _ in range(2)] == [None, "rate_limited"]
        assert host.begin(host.read()[0])
        service.kill(host)
        assert service.plane.lanes.quarantine is not None
        assert service.plane.lanes.quarantine.count() == 1


@pytest.mark.parametrize(
    ("given", "told", "effective"), [(True, 9000, 5.0), (False, 9000, 9.0), (False, None, 5.0)]
)
async def test_a_processors_own_keepalive_counts_where_none_is_set(
    given: bool, told: int | None, effective: float
) -> None:
    async with serving(replace(SETTINGS, keepalive_given=given)) as service:
        if told is not None:
            service.plane.keep_alive(told)
        assert service.plane.gate.keepalive == effective


async def test_a_keepalive_that_is_set_or_taken_away_while_it_runs_counts_at_once() -> None:
    async with serving(replace(SETTINGS, keepalive_given=False)) as service:
        plane, found = service.plane, list[float]()
        acts: list[Callable[[], None]] = [
            lambda: plane.keep_alive(9000),
            lambda: plane.configure(replace(SETTINGS, limits=replace(SETTINGS.limits, keepalive=2.0))),
            lambda: plane.keep_alive(9000),  # a host that starts says it again
            lambda: plane.configure(replace(SETTINGS, keepalive_given=False)),
        ]
        for act in acts:
            act()
            found.append(plane.gate.keepalive)
        assert found == [9.0, 2.0, 2.0, 9.0]


async def test_rules_of_batching_reach_the_lanes_that_batch() -> None:
    async with serving() as service:
        service.host("digits-0")
        service.plane.open_lane(2, Beside(), BATCHES)
        batching = service.host("digits-1", 2)
        assert isinstance(batching.link, BatchLink)
        service.plane.configure(replace(SETTINGS, batching=replace(BATCHES, max_batch_size=2)))
        rules = [lane.batching for lane in service.plane.lanes.serving()]
        assert rules == [None, replace(BATCHES, max_batch_size=2)]
        service.plane.configure(SETTINGS)
        assert [lane.batching for lane in service.plane.lanes.serving()] == rules


async def test_what_is_not_tried_out_cannot_be_compared() -> None:
    async with serving() as service:
        acts: list[Callable[[int], object]] = [
            service.plane.comparison,
            service.plane.merge_lane,
            service.plane.close_lane,
        ]
        for act in acts:
            with pytest.raises(LookupError, match="release 2"):
                act(2)
