"""Processor time a request, engine and hosts together, over what the engine has to bear.

Figures: ``body``, ``instances``, ``idle``, ``queue``: the exponent with which it grows with the size of the
body, the number of instances, of idle connections, of requests in the queue (``growth``). 1 or less: at most
linearly.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from eas_bench import servers
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.costs import spending
from eas_bench.scenarios.crowds import idle_connections, room
from eas_bench.scenarios.figures import WrkRun, median, wavering
from eas_bench.scenarios.files import Curves
from eas_bench.scenarios.growth import exponent, growth
from eas_bench.scenarios.setting import SMALL, WARM, Result, Setting, noise
from eas_bench.scenarios.turns import Side, run_costed
from eas_bench.servers import Engine, NotServing

CONNECTIONS: Final = 16
SLEEPERS: Final = 50  # threads of the processor behind the queue
_READY_WITHIN: Final = 60.0
_FILLING: Final = 0.5  # seconds until a queue is as long as it will be


@dataclass(slots=True)
class Curve:
    """One curve while it is measured: all rounds of each point."""

    unit: str
    samples: dict[int, list[float]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    def add(self, x: int, cost: float) -> None:
        """One more, in microseconds a request."""
        self.samples.setdefault(x, []).append(cost)

    def measured(self) -> Measured:
        """The exponent, round by round."""
        rounds = zip(*self.samples.values(), strict=True)
        exponents = [exponent(list(zip(self.samples, costs, strict=True))) for costs in rounds]
        unsteady = max(wavering(costs) for costs in self.samples.values())
        return Measured(samples=exponents, wavering=unsteady, doubts=self.doubts)

    @property
    def words(self) -> str:
        """For progress."""
        points = ", ".join(f"{x:,}: {median(costs):.1f}" for x, costs in self.samples.items())
        return f"{self.unit}: {points} ({self.as_json()['shape']})"

    def as_json(self) -> dict[str, object]:
        """For the record, with what it looks like."""
        middle = [(float(x), median(costs)) for x, costs in self.samples.items()]
        shape = growth(middle)
        return {
            "unit": self.unit,
            "points": [{"x": x, "us": costs} for x, costs in self.samples.items()],
            "shape": shape.words,
            "fixed_us": shape.fixed,
            "each_us": shape.each,
            "exponent": shape.exponent,
        }


def measure(scenario: Curves, setting: Setting) -> Result:
    """Run it, in runs half as long. Errors: as ``turns.measure``."""
    setting = replace(setting, seconds=max(1.0, setting.seconds / 2))
    result = Result()
    curves = {
        "bare": Curve("bytes of the body, the bare loop"),
        "body": Curve("bytes of the body"),
        "instances": Curve("instances"),
        "idle": Curve("idle connections"),
        "queue": Curve("requests in the queue"),
    }
    for measured, names in (
        (_bodies, ("bare", "body")),
        (_instances, ("instances",)),
        (_idle, ("idle",)),
        (_queue, ("queue",)),
    ):
        measured(scenario, setting, result, [curves[name] for name in names])
        for name in names:
            setting.tell(f"us a request over {curves[name].words}")
    result.raw["curves"] = {name: curve.as_json() for name, curve in curves.items()}
    result.figures = {name: curve.measured() for name, curve in curves.items() if name != "bare"}
    return result


def _bodies(scenario: Curves, setting: Setting, result: Result, curves: Sequence[Curve]) -> None:
    """Bodies come back; beside it the bare loop, which does no more than that."""
    with (
        _engine(scenario, setting, result) as engine,
        setting.reference("echo", like=engine.target, cores=setting.cores.server) as bare,
    ):
        sides = Side("bare loop", bare, bare.pid), _side(engine)
        for side in sides:
            setting.clients.run_wrk(side.target, noise(max(scenario.body_bytes)), CONNECTIONS, WARM)
        for _ in range(setting.rounds):
            for size in scenario.body_bytes:
                for side, curve in zip(sides, curves, strict=True):
                    curve.add(size, _cost(run_costed(setting, side, noise(size), CONNECTIONS), result))


def _instances(scenario: Curves, setting: Setting, result: Result, curves: Sequence[Curve]) -> None:
    """The same load on engines with more and more instances."""
    with ExitStack() as running:
        engines = {
            number: running.enter_context(_engine(scenario, setting, result, instance=number))
            for number in scenario.instances
        }
        for number, engine in engines.items():
            _await_ready(engine, number)
            setting.clients.run_wrk(engine.target, SMALL, CONNECTIONS, WARM)
        for _ in range(setting.rounds):
            for number, engine in engines.items():
                curves[0].add(number, _cost(run_costed(setting, _side(engine), SMALL, CONNECTIONS), result))


def _idle(scenario: Curves, setting: Setting, result: Result, curves: Sequence[Curve]) -> None:
    """More and more connections that have had an answer once, and stay."""
    counts = within(scenario.idle_connections, room())
    if counts != scenario.idle_connections:
        curves[0].doubts.append(f"no more than {counts[-1]:,} connections may be open here (ulimit -Hn)")
    with _engine(scenario, setting, result) as engine:
        setting.clients.run_wrk(engine.target, SMALL, CONNECTIONS, WARM)
        for _ in range(setting.rounds):
            with idle_connections(engine.target) as crowd:
                for count in counts:
                    crowd.grow(count, SMALL)
                    curves[0].add(
                        count, _cost(run_costed(setting, _side(engine), SMALL, CONNECTIONS), result)
                    )


def _queue(scenario: Curves, setting: Setting, result: Result, curves: Sequence[Curve]) -> None:
    """Fifty threads that sleep take 5,000 requests a second from a queue as long as is asked."""
    rpc = {"worker_threads": SLEEPERS, "max_queue_size": 2 * (SLEEPERS + max(scenario.queued))}
    config = setting.changed("sleep", {"metadata": {"rpc": {**rpc, "keepalive": 30_000}}})
    with servers.engine(setting.launch(setting.cores.server, config), "sleep", result.faults) as engine:
        setting.clients.run_wrk(engine.target, SMALL, SLEEPERS, WARM)
        for _ in range(setting.rounds):
            for queued in scenario.queued:
                curves[0].add(queued, _cost_within(setting, engine, SLEEPERS + queued, result))


def _cost_within(setting: Setting, engine: Engine, connections: int, result: Result) -> float:
    """In a window of the load: at its end a long queue holds what was paid for and isn't answered."""
    runs: list[WrkRun] = []
    seconds = setting.seconds + 2 * _FILLING + 0.5

    def load() -> None:
        runs.append(setting.clients.run_wrk(engine.target, SMALL, connections, seconds))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        time.sleep(_FILLING)
        before = answers(_metrics(engine))
        with spending(engine.pid) as spent:
            time.sleep(setting.seconds)
        done = answers(_metrics(engine)) - before
    finally:
        thread.join()
    if not runs or not done:
        raise NotServing(f"{connections} connections had no answer within {seconds:.0f} s")
    if runs[0].failed:
        result.faults.append(f"{runs[0].failed} requests failed")
    return spent.seconds / done * 1e6


def _cost(run: WrkRun, result: Result) -> float:
    """In microseconds a request; what failed is a fault."""
    if run.failed:
        result.faults.append(f"{run.failed} requests failed")
    if run.cpu_us <= 0:
        raise NotServing("the processor time of the server can't be read in /proc, or it answered nothing")
    return run.cpu_us


def within(counts: Sequence[int], most: int) -> list[int]:
    """Those of ``counts`` that may be, and ``most`` in place of those that may not. Pure."""
    return [count for count in counts if count <= most] + ([most] if max(counts) > most else [])


def answers(metrics: str) -> float:
    """All that an engine has given. Pure."""
    return sum(
        float(value) for value in re.findall(r"^eas_requests_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    )


def ready(metrics: str) -> int:
    """How many instances are. Pure."""
    return len(re.findall(r'^eas_instance_state\{.*state="READY".*\} 1(?:\.0)?$', metrics, re.MULTILINE))


def _metrics(engine: Engine) -> str:
    return engine.admin("/metrics")[1].decode()


def _await_ready(engine: Engine, instances: int) -> None:
    until = time.monotonic() + _READY_WITHIN
    while (there := ready(_metrics(engine))) < instances:
        if time.monotonic() > until:
            raise NotServing(f"{there} of {instances} instances are ready after {_READY_WITHIN:.0f} s")
        time.sleep(0.05)


@contextmanager
def _engine(scenario: Curves, setting: Setting, result: Result, instance: int = 1) -> Iterator[Engine]:
    config = setting.changed(scenario.processor, {"metadata": {"instance": instance}})
    launch = setting.launch(setting.cores.server, config)
    with servers.engine(launch, scenario.processor, result.faults) as engine:
        engine.target.expect(SMALL, SMALL)
        yield engine


def _side(engine: Engine) -> Side:
    return Side("engine", engine.target, engine.pid)
