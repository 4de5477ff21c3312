"""The cards of a server: read off its metrics one by one, and drawn one line a card."""

from __future__ import annotations

from types import MappingProxyType

from eas_bench.readings import parse
from eas_bench.record import Card, Reading, Run
from eas_bench.report import cards
from eas_bench.report.plot import Plot
from eas_engine.devices.inventory import Inventory
from eas_engine.devices.readings import reading
from eas_engine.devices.watch import Seen, View
from eas_engine.telemetry.counters import Counters
from eas_engine.telemetry.metrics import Metrics
from eas_engine.telemetry.status import Load
from eas_engine.telemetry.window import Window
from support.bench_runs import a_run
from support.clock import FakeClock
from support.nvml import ScriptedNvml, Slice, card


def exposed(nvml: ScriptedNvml, *, xids: int = 0) -> str:
    """What an engine exports of these cards."""
    inventory, counters = Inventory(nvml), Counters()
    seen = {}
    for gpu in inventory.devices():
        figures = reading(nvml, inventory, gpu)
        assert figures is not None
        seen[gpu.uuid] = Seen(figures)
    faults = {("GPU-0", 13): xids, ("GPU-0", 31): 1}
    view = View(MappingProxyType(seen), MappingProxyType(faults), frozenset({"GPU-gone"}))
    window = Window(FakeClock(), counters)
    made = Metrics(counters, Load, window, version="0", labels={"service": "s"}, cards=lambda: view)
    return made.render()[0].decode()


def test_each_card_is_read_by_itself() -> None:
    parts = [Slice(uuid="MIG-a", processes={5_000_007: 5})]
    nvml = ScriptedNvml(card(0, utilization=70, celsius=70, throttle=0x24), card(1, celsius=40, slices=parts))
    scrape = parse(exposed(nvml, xids=2))
    first, second, part = scrape.cards
    assert first == Card(
        uuid="GPU-0",
        name="NVIDIA Scripted 100",
        memory_bytes=0,
        memory_total_bytes=80 << 30,
        utilization=0.7,
        watts=70,
        celsius=70,
        clock_hertz=1.98e9,
        throttles=["sw_power_cap", "sw_thermal_slowdown"],
        xid_errors=3,
    )
    assert (second.uuid, second.celsius, second.utilization) == ("GPU-1", 40, None)
    assert (part.uuid, part.memory_bytes, part.watts) == ("MIG-a", 5, None)
    assert not [name for name in {**scrape.gauges, **scrape.requests} if name.startswith("gpu_")]


def test_a_server_without_cards_has_none() -> None:
    scrape = parse(exposed(ScriptedNvml()))
    assert scrape.cards == []
    run = a_run(seconds=2, readings=[Reading(at=0), Reading(at=1)])
    for plot in (cards.utilization, cards.memory, cards.power, cards.temperature, cards.clock):
        assert plot(run) is None


def drawn(plot: Plot | None) -> Plot:
    assert plot is not None
    return plot


def looked(*looks: list[Card]) -> Run:
    readings = [Reading(at=float(at), cards=look) for at, look in enumerate(looks)]
    return a_run(seconds=len(looks), readings=readings)


def test_a_card_has_a_line_and_a_gap_where_it_was_lost() -> None:
    one, two = Card(uuid="GPU-0", name="A", watts=100), Card(uuid="GPU-1", name="B", watts=200)
    plot = drawn(cards.power(looked([one, two], [one], [one, two])))
    lines = {trace.name: list(trace.y) for trace in plot.figure.data}
    assert lines == {"A": [100, 100, 100], "B": [200, None, 200]}
    assert plot.table.head == ("time", "A", "B")
    assert plot.table.rows[1][1:] == ("100 W", "-")


def test_cards_of_one_model_are_told_apart() -> None:
    run = looked([Card(uuid=f"GPU-{n}", name="A", celsius=50) for n in range(2)])
    assert [trace.name for trace in drawn(cards.temperature(run)).figure.data] == ["A GPU-0", "A GPU-1"]


def test_why_clocks_were_lowered_and_which_errors_came_is_told() -> None:
    cool = Card(uuid="GPU-0", name="A", clock_hertz=2e9, celsius=50, xid_errors=5)
    hot = cool.model_copy(update={"throttles": ["sw_power_cap"], "xid_errors": 7.0})
    assert "A: sw_power_cap at 2 of 3 looks" in drawn(cards.clock(looked([cool], [hot], [hot]))).caption
    assert "Never lowered" in drawn(cards.clock(looked([cool]))).caption
    assert "Xid errors during the run: A: 2." in drawn(cards.temperature(looked([cool], [hot]))).caption
    assert "Xid" not in drawn(cards.temperature(looked([hot], [hot]))).caption
