"""The autoscaler's figures of GPUs: of instances that are ready, and only where there are some."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from eas_engine.gauge import Gauge
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import FleetSnapshot, HostSnapshot, InstanceSnapshot, Seat
from eas_engine.telemetry.counters import Counters
from support.clock import FakeClock


def instance(number: int, state: State = State.READY) -> InstanceSnapshot:
    name = f"digits-{number}"
    return InstanceSnapshot(name, (HostSnapshot(Seat(number, 0), name, name, state, 100 + number),), 0.0)


def gauge(fleet: FleetSnapshot, percents: dict[str, float]) -> Gauge:
    plane: Any = SimpleNamespace(
        counters=Counters(),
        gate=SimpleNamespace(number=0, count=0),
        lanes=SimpleNamespace(waiting=lambda: 0),
    )
    return Gauge(plane, lambda: fleet, lambda _: None, FakeClock(), gpu=lambda one: percents.get(one.name))


def test_the_use_of_gpus_is_asked_for_only_where_it_is_wanted() -> None:
    fleet = FleetSnapshot("digits", (instance(0), instance(1), instance(2), instance(3, State.STARTING)))
    made = gauge(fleet, {"digits-0": 40.0, "digits-1": 60.0, "digits-3": 5.0})
    assert made.count().gpu_percent == {}
    made.measures_gpu = True
    assert made.count().gpu_percent == {"digits-0/100": 40.0, "digits-1/101": 60.0}


def test_a_sample_has_their_sum_and_their_number() -> None:
    made = gauge(FleetSnapshot("digits", (instance(0), instance(1))), {"digits-0": 40.0, "digits-1": 60.0})
    made.measures_gpu = True
    made._clock.jump(1.0)  # type: ignore[attr-defined]
    sample = made.sample()
    assert (sample.gpu, sample.gpus) == (100.0, 2)
