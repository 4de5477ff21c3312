"""An engine and somebody beside it, asked the same in turns: as a rule the least that could answer it.

Figures, for each number of connections: ``rate-N`` and ``p50-N``, the engine's requests a second and median
latency over the reference's, ``cpu-N``, its processor time a request over the reference's (engine and hosts
together); ``alone-N``, its requests a second where there is nobody beside it. ``probe-p99``: of what was
asked of the admin plane meanwhile, in ms. ``open-p50``, ``open-p99``: the engine's latency in ms when
requests come at a fixed rate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from eas_bench import places, servers, watch
from eas_bench.scenarios import opened
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.costs import spending
from eas_bench.scenarios.figures import Pair, WrkRun, median, percentile, ratios, take_turns, wavering
from eas_bench.scenarios.files import Turns
from eas_bench.scenarios.load import build_echo, build_java_echo
from eas_bench.scenarios.setting import WARM, Result, Setting, noise
from eas_bench.servers import Target

_BUILDERS = {"cpp": build_echo, "java": build_java_echo}


@dataclass(frozen=True, slots=True)
class Side:
    """A server, and the process that costs are counted from."""

    name: str
    target: Target
    pid: int


@dataclass(slots=True)
class _Running:
    """What has been started for a scenario, and what is seen of it meanwhile."""

    engine: Side
    other: Side | None
    admin_port: int
    scrapes: watch.Seen
    probes: list[watch.Seen] = field(default_factory=list)


def measure(scenario: Turns, setting: Setting) -> Result:
    """Run it. Errors: NotServing, NoFigures, Missing, OSError."""
    result = Result()
    body = noise(scenario.body_bytes)
    for processor in (scenario.processor, scenario.beside):
        _build(processor)
    with _started(scenario, setting, result.faults) as running:
        sides = [side for side in (running.other, running.engine) if side]
        for side in sides:
            side.target.expect(body, body[: scenario.answer_bytes])
            setting.clients.run_wrk(side.target, body, max(scenario.connections), WARM)
        for connections in scenario.connections:
            _at(connections, scenario, setting, running, result)
        if scenario.open_loop and running.other:
            targets = (running.other.target, running.engine.target)
            rate = rates_of(result, scenario.open_loop.connections)
            calm = opened.measure(scenario.open_loop, setting, rate, targets)
            result.figures.update(calm.figures)
            result.raw.update(calm.raw)
        if scenario.probes:
            result.figures["probe-p99"] = _probed(running.probes)
    result.raw["scrapes"] = len(running.scrapes.seconds)
    return result


@contextmanager
def _started(scenario: Turns, setting: Setting, faults: list[str]) -> Iterator[_Running]:
    launch = setting.launch(setting.cores.server)
    with ExitStack() as stack:
        engine = stack.enter_context(servers.engine(launch, scenario.processor, faults))
        other = None
        if scenario.reference:
            bare = stack.enter_context(
                setting.reference(scenario.reference, like=engine.target, cores=setting.cores.server)
            )
            other = Side("bare loop", bare, bare.pid)
        elif scenario.beside:
            beside = stack.enter_context(servers.engine(launch, scenario.beside, faults))
            other = Side(scenario.beside, beside.target, beside.pid)
        scrapes = stack.enter_context(watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY))
        yield _Running(
            Side(scenario.processor if scenario.beside else "engine", engine.target, engine.pid),
            other,
            engine.admin_port,
            scrapes,
        )


def _at(connections: int, scenario: Turns, setting: Setting, running: _Running, result: Result) -> None:
    """All rounds over so many connections."""
    body = noise(scenario.body_bytes)

    def run(side: Side) -> WrkRun:
        with ExitStack() as stack:
            if scenario.probes and side is running.engine:
                asking = watch.asking(running.admin_port, scenario.probes, watch.PROBE_EVERY)
                running.probes.append(stack.enter_context(asking))
            return run_costed(setting, side, body, connections)

    name = f"{connections} connection{'' if connections == 1 else 's'}"
    if running.other is None:
        runs = []
        for number in range(setting.rounds):
            runs.append(run(running.engine))
            setting.tell(f"{name}, round {number + 1} of {setting.rounds}: {told(running.engine, runs[-1])}")
        result.raw.setdefault("alone", {})[str(connections)] = [one.as_json() for one in runs]
        faults = [*running.scrapes.faults, *failures(runs)]
        result.figures[f"alone-{connections}"] = Measured(samples=[one.rate for one in runs], faults=faults)
        return
    pairs = against(setting, name, (running.other, running.engine), run)
    result.raw.setdefault("pairs", {})[str(connections)] = raw(pairs)
    for kind, of in (("rate", requests_a_second), ("p50", p50), ("cpu", cpu)):
        result.figures[f"{kind}-{connections}"] = compared(pairs, of, running.scrapes.faults)


def run_costed(setting: Setting, side: Side, body: bytes, connections: int) -> WrkRun:
    """One run, and what it cost the server."""
    with spending(side.pid) as spent:
        run = setting.clients.run_wrk(side.target, body, connections, setting.seconds)
    return run.costing(spent.seconds)


def against(
    setting: Setting, name: str, sides: tuple[Side, Side], run: Callable[[Side], WrkRun]
) -> list[Pair[WrkRun]]:
    """Both sides in turns, the reference first, and each pair told."""
    reference, engine = sides
    pairs: list[Pair[WrkRun]] = []
    for number in range(setting.rounds):
        pairs += take_turns(1, lambda: run(reference), lambda: run(engine))
        setting.tell(
            f"{name}, round {number + 1} of {setting.rounds}: "
            f"{told(reference, pairs[-1].reference)}, {told(engine, pairs[-1].engine)}"
        )
    return pairs


def told(side: Side, run: WrkRun) -> str:
    """For progress."""
    return f"{side.name} {run.rate:,.0f}/s p50 {run.p50_ms:.3f} ms {run.cpu_us:.1f} us of CPU"


def requests_a_second(run: WrkRun) -> float:
    """Of the whole run."""
    return run.rate


def p50(run: WrkRun) -> float:
    """Milliseconds."""
    return run.p50_ms


def cpu(run: WrkRun) -> float:
    """Microseconds of processor time a request."""
    return run.cpu_us


def failures(runs: Sequence[WrkRun]) -> list[str]:
    """In words, if there were any."""
    failed = sum(run.failed for run in runs)
    return [f"{failed} requests of the engine failed"] if failed else []


def compared(pairs: Sequence[Pair[WrkRun]], of: Callable[[WrkRun], float], faults: Sequence[str]) -> Measured:
    """The engine's figure over the reference's, pair by pair; failed requests are faults."""
    return Measured(
        samples=ratios(pairs, of),
        wavering=wavering([of(pair.reference) for pair in pairs]),
        faults=[*faults, *failures([pair.engine for pair in pairs])],
    )


def raw(pairs: Sequence[Pair[Any]]) -> list[dict[str, Any]]:
    """For the record."""
    return [{"reference": pair.reference.as_json(), "engine": pair.engine.as_json()} for pair in pairs]


def _probed(probes: Sequence[watch.Seen]) -> Measured:
    p99s = [percentile(seen.seconds, 0.99) * 1000 for seen in probes if seen.seconds]
    faults = [fault for seen in probes for fault in seen.faults]
    return Measured(samples=p99s or [float("inf")], faults=faults[:3])


def _build(processor: str) -> None:
    """What isn't interpreted is compiled first; nothing for the others, nor for no processor."""
    if not processor:
        return
    service = json.loads((places.PROCESSORS / processor / "service.json").read_text())
    builder = _BUILDERS.get(service["processor_type"])
    if builder:
        builder(processor)


def rates_of(result: Result, connections: int) -> float:
    """The engine's requests a second in the closed loop, the median of its rounds."""
    return median([pair["engine"]["rate"] for pair in result.raw["pairs"][str(connections)]])
