"""The loop around the decision, with a clock that jumps and an engine that obeys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from eas_engine.supervisor.autoscale.document import document
from eas_engine.supervisor.autoscale.driver import MOST_DECISIONS, Scaler
from eas_engine.supervisor.autoscale.sample import Count, Sample, between
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings
from support.clock import FakeClock, settle
from support.scaling import settings


@dataclass
class Service:
    """Counts requests of a steady load, and has as many instances as it is told to."""

    clock: FakeClock
    wanted: int = 1
    qps: float = 0.0
    applied: list[int] = field(default_factory=list)
    logged: list[dict[str, Any]] = field(default_factory=list)
    before: Count | None = None
    begun: float = 0.0

    def count(self) -> Count:
        now = self.clock.now()
        self.begun += self.qps * (now - self.before.time if self.before else 0.0)
        return Count(
            time=now,
            wall=self.clock.wall(),
            requests=round(self.begun),
            ready=self.wanted,
            wanted=self.wanted,
        )

    def sample(self) -> Sample:
        before = self.before or Count(time=self.clock.now() - 1, wall=self.clock.wall() - 1, requests=0)
        self.before = self.count()
        return between(before, self.before)

    def apply(self, instances: int) -> None:
        self.applied.append(instances)
        self.wanted = instances

    def log(self, event: str, **facts: Any) -> None:
        self.logged.append({"event": event, **facts})


@asynccontextmanager
async def running(
    given: AutoscaleSettings | None, wanted: int = 1
) -> AsyncIterator[tuple[Scaler, Service, FakeClock]]:
    clock = FakeClock()
    service = Service(clock, wanted)
    scaler = Scaler(given, service.sample, service.apply, clock, service.log)
    task = asyncio.create_task(scaler.run())
    await settle()
    try:
        yield scaler, service, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), "it runs until it is cancelled"


async def test_it_looks_every_second_and_tells_what_it_does() -> None:
    async with running(settings()) as (scaler, service, clock):
        service.qps = 40.0
        await clock.advance(20.0)
        assert service.wanted == 4
        assert service.applied == sorted(service.applied)
        assert len(scaler.samples()) == 21
        last = service.logged[-1]
        assert (last["event"], last["instances"]) == ("autoscaled", 4)
        assert "threshold 10, asks for 4" in last["reason"]
        assert repr(scaler) == "<Scaler 4 wanted>"


async def test_the_first_request_at_zero_is_answered_to_in_the_same_turn() -> None:
    async with running(settings(low=0, zero_grace=30.0, activation=2)) as (scaler, service, clock):
        await clock.advance(31.0)
        assert service.applied == [0]
        await clock.advance(0.5)
        scaler.wake()
        assert service.applied == [0, 2], "no turn of the loop, no second of the clock"
        scaler.wake()
        await clock.advance(10.0)
        assert service.applied == [0, 2], "the second request finds it awake"


async def test_waking_what_is_awake_or_not_scaled_does_nothing() -> None:
    async with running(settings()) as (scaler, service, _):
        scaler.wake()
        (begun,) = scaler.decisions()
        assert (service.applied, begun.count) == ([], 1)
    clock = FakeClock()
    service = Service(clock, 0)
    for given in (None, settings(low=0)):
        Scaler(given, service.sample, service.apply, clock, service.log).wake()
    assert service.applied == []


async def test_new_settings_hold_at_once_and_no_second_later() -> None:
    async with running(settings(), wanted=5) as (scaler, service, clock):
        await clock.advance(10.5)
        scaler.configure(settings(high=2))
        await settle()
        assert service.applied == [2]
        scaler.configure(settings(low=3))
        scaler.configure(settings(low=4))
        await settle()
        assert service.applied == [2, 4]
        assert scaler.settings == settings(low=4)


async def test_what_was_recommended_under_older_settings_still_counts() -> None:
    async with running(settings(thresholds={"qps": 10.0}), wanted=4) as (scaler, service, clock):
        service.qps = 40.0
        await clock.advance(100.0)
        scaler.configure(settings(thresholds={"qps": 40.0}))
        await clock.advance(250.0)
        assert service.applied == [], "one would do, but four were asked for in the last 300 s"
        await clock.advance(60.0)
        assert service.applied == [1]


async def test_without_settings_it_decides_nothing_and_records_all_the_same() -> None:
    async with running(None) as (scaler, service, clock):
        service.qps = 100.0
        await clock.advance(30.0)
        assert (service.applied, scaler.decisions()) == ([], ())
        assert len(scaler.samples()) == 31
        assert repr(scaler) == "<Scaler nothing decided yet, off>"
        scaler.configure(settings())
        await settle()
        assert service.applied == [10]
        scaler.configure(None)
        service.qps = 0.0
        await clock.advance(1000.0)
        assert service.applied == [10], "switched off, the number is left as it is"


async def test_decisions_are_every_change_and_the_newest_reason_between_two() -> None:
    async with running(settings(down_window=20.0)) as (scaler, service, clock):
        await clock.advance(50.0)
        (still,) = scaler.decisions()
        assert still.count == 51
        assert still.newest.at - still.since == 50
        service.qps = 30.0
        await clock.advance(50.0)
        service.qps = 0.0
        await clock.advance(100.0)
        numbers = [(one.newest.current, one.newest.wanted) for one in scaler.decisions()]
        assert numbers[0] == (1, 1)
        assert (3, 3) in numbers
        assert numbers[-1] == (1, 1)
        for before, after in pairwise(numbers):
            assert before[1] == after[0], "one goes on from the other"
            assert before != after or before[0] != before[1]


async def test_only_the_last_hundred_are_kept() -> None:
    async with running(settings(down_window=0.0), wanted=1) as (scaler, service, clock):
        for _ in range(80):
            service.qps = 100.0 - service.qps
            await clock.advance(20.0)
        assert len(scaler.decisions()) == MOST_DECISIONS
        assert scaler.decisions()[-1].newest.at == clock.wall()
        assert len(scaler.samples()) == 600


async def test_the_document_has_settings_decisions_and_samples() -> None:
    async with running(settings(thresholds={"qps": 10.0, "cpu": 50.0})) as (scaler, service, clock):
        service.qps = 25.0
        await clock.advance(20.0)
        found = document(scaler.settings, scaler.decisions(), scaler.samples())
    assert found["settings"] == {
        "min": 1,
        "max": 10,
        "thresholds": {"qps": 10.0, "cpu": 50.0},
        "scale_up_window_seconds": 0.0,
        "scale_down_window_seconds": 300.0,
        "zero_grace_seconds": 600.0,
        "activation_replicas": 1,
        "cpus_per_instance": 1.0,
        "jobs": [],
        "excluded_dates": [],
    }
    decisions: Any = found["decisions"]
    last = decisions[-1]
    assert (last["instances_before"], last["instances"], last["cause"]) == (3, 3, "steady")
    assert last["metrics"][0] == {
        "metric": "qps",
        "per_instance": last["metrics"][0]["per_instance"],
        "threshold": 10.0,
        "desired": 3,
        "note": "",
    }
    assert last["metrics"][1]["note"] == "no instance has a figure"
    samples: Any = found["samples"]
    assert [one["seconds"] for one in samples] == [1000.0 + n for n in range(21)]
    assert document(None, (), ()) == {"settings": None, "decisions": [], "samples": []}
