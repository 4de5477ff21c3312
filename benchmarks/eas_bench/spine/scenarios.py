"""What is run: each scenario starts what it needs, measures, and gives verdicts and the raw figures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eas_bench import servers, watch
from eas_bench.machine import Cores
from eas_bench.servers import Launch, Target
from eas_bench.spine import bars
from eas_bench.spine.bars import Bar, Verdict
from eas_bench.spine.figures import ClosedRun, Pair, WrkRun, median, percentile, ratios, take_turns, wavering
from eas_bench.spine.load import Clients, build_echo, build_java_echo

_RANDOM = random.Random(2)  # noqa: S311 - bodies that can't be guessed are of no use here
SMALL = _RANDOM.randbytes(64)
LARGE = _RANDOM.randbytes(3 * 224 * 224 * 4)  # 602112: a colour picture of 224 x 224 as floats
LARGE_ANSWER = LARGE[:4096]
WARM = 1.0  # seconds of load before the first counted run of a server
STARTS = 5
SETTLE = 3.0  # seconds without a request before an engine counts as idle
LOOPS = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Setting:
    """How the scenarios are run."""

    rounds: int
    seconds: float
    clients: Clients
    cores: Cores
    engine: Sequence[str]  # the command
    directory: Path
    tell: Callable[[str], None]  # progress, for a person

    def launch(self, cores: frozenset[int]) -> Launch:
        """How to start an engine on ``cores``."""
        return Launch(self.engine, self.directory, cores)

    def reference(
        self, module: str, *arguments: str, like: Target, cores: frozenset[int]
    ) -> AbstractContextManager[Target]:
        """See ``servers.reference``."""
        log = self.directory / f"reference-{module}.log"
        return servers.reference(module, *arguments, like=like, cores=cores, log=log)


@dataclass(slots=True)
class Result:
    """What a scenario gave."""

    verdicts: list[Verdict] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # of no verdict in particular: how an engine ended


# --- engine against bare loop -----------------------------------------------------------------------------


def echo(setting: Setting) -> Result:
    """64-byte bodies come back, over 64, 16 and 1 connections."""
    result = Result()
    with (
        servers.engine(setting.launch(setting.cores.server), "echo", result.faults) as engine,
        setting.reference("echo", like=engine.target, cores=setting.cores.server) as bare,
        watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY) as scrapes,
    ):
        for server in (bare, engine.target):
            server.expect(SMALL, SMALL)
            setting.clients.run_wrk(server, SMALL, 64, WARM)
        for connections, bar in bars.ECHO.items():
            pairs = against(setting, f"echo {connections}", Side(bare, engine.target, SMALL, connections))
            result.raw["pairs"] = {**result.raw.get("pairs", {}), bar.key: raw(pairs)}
            figure = _p50 if connections == 1 else rate
            result.verdicts.append(compared(bar, pairs, figure, scrapes.faults))
    result.raw["scrapes"] = len(scrapes.seconds)
    return result


def large(setting: Setting) -> Result:
    """600 KB come in, 4 KB go out, over 16 connections."""
    result = Result()
    with (
        servers.engine(setting.launch(setting.cores.server), "large", result.faults) as engine,
        setting.reference("large", like=engine.target, cores=setting.cores.server) as bare,
        watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY) as scrapes,
    ):
        for server in (bare, engine.target):
            server.expect(LARGE, LARGE_ANSWER)
            setting.clients.run_wrk(server, LARGE, 16, WARM)
        pairs = against(setting, "large", Side(bare, engine.target, LARGE, 16))
        result.raw["pairs"] = {bars.LARGE.key: raw(pairs)}
        result.verdicts.append(compared(bars.LARGE, pairs, rate, scrapes.faults))
    return result


def cpp(setting: Setting) -> Result:
    """64-byte bodies come back from C++, over 64 connections, in turns with the echo in Python."""
    for processor in bars.CPP:
        build_echo(processor)
    return _beside_python(setting, bars.CPP, "C++")


def java(setting: Setting) -> Result:
    """64-byte bodies come back from Java, over 64 connections, in turns with the echo in Python."""
    for processor in bars.JAVA:
        build_java_echo(processor)
    return _beside_python(setting, bars.JAVA, "Java")


def _beside_python(setting: Setting, wanted: Mapping[str, Bar], language: str) -> Result:
    """Each of these processors in turns with the echo in Python."""
    result = Result()
    with ExitStack() as running:
        engines = {
            name: running.enter_context(
                servers.engine(setting.launch(setting.cores.server), name, result.faults)
            )
            for name in ("echo", *wanted)
        }
        for engine in engines.values():
            engine.target.expect(SMALL, SMALL)
            setting.clients.run_wrk(engine.target, SMALL, 64, WARM)
        result.raw["pairs"] = {}
        for name, bar in wanted.items():
            side = Side(engines["echo"].target, engines[name].target, SMALL, 64, ("Python", language))
            pairs = against(setting, bar.key, side)
            result.raw["pairs"][bar.key] = raw(pairs)
            result.verdicts.append(compared(bar, pairs, rate, ()))
    return result


@dataclass(frozen=True, slots=True)
class Side:
    """Both sides, and what they are asked."""

    bare: Target
    engine: Target
    body: bytes
    connections: int
    names: tuple[str, str] = ("bare loop", "engine")


def against(setting: Setting, name: str, side: Side) -> list[Pair[WrkRun]]:
    """Both sides in turns, and each pair told."""

    def run(target: Target) -> WrkRun:
        return setting.clients.run_wrk(target, side.body, side.connections, setting.seconds)

    pairs = []
    for number in range(setting.rounds):
        pairs += take_turns(1, lambda: run(side.bare), lambda: run(side.engine))
        bare, engine = pairs[-1].reference, pairs[-1].engine
        setting.tell(
            f"{name}, round {number + 1} of {setting.rounds}: "
            f"{side.names[0]} {bare.rate:,.0f}/s p50 {bare.p50_ms:.3f} ms, "
            f"{side.names[1]} {engine.rate:,.0f}/s p50 {engine.p50_ms:.3f} ms"
        )
    return pairs


def rate(run: WrkRun) -> float:
    """Requests a second."""
    return run.rate


def _p50(run: WrkRun) -> float:
    return run.p50_ms


def compared(
    bar: Bar, pairs: Sequence[Pair[WrkRun]], of: Callable[[WrkRun], float], faults: Sequence[str]
) -> Verdict:
    """The engine's figure over the reference's, pair by pair; failed requests are faults."""
    failed = sum(pair.engine.failed for pair in pairs)
    seen = [*faults, *([f"{failed} requests of the engine failed"] if failed else [])]
    return Verdict.of(
        bar, ratios(pairs, of), wavering=wavering([of(pair.reference) for pair in pairs]), faults=seen
    )


def raw(pairs: Sequence[Pair[Any]]) -> list[dict[str, Any]]:
    """For the record."""
    return [{"reference": pair.reference.as_json(), "engine": pair.engine.as_json()} for pair in pairs]


# --- the engine alone -------------------------------------------------------------------------------------


def overload(setting: Setting) -> Result:
    """Twice as many clients as there is room for, at once back after each refusal, against as many as fit."""
    result = Result()
    with servers.engine(setting.launch(setting.cores.server), "sleep", result.faults) as engine:
        target = engine.target
        target.expect(SMALL, SMALL)

        def run(connections: int) -> ClosedRun:
            return setting.clients.run_closed(target, SMALL, connections, warm=WARM, seconds=setting.seconds)

        with watch.asking(engine.admin_port, "/metrics", watch.SCRAPE_EVERY) as scrapes:
            pairs = take_turns(setting.rounds, lambda: run(60), lambda: run(256))
    result.raw = {"pairs": {"overload": raw(pairs)}}
    result.verdicts = bars.overload(pairs, scrapes.faults)
    for verdict in result.verdicts:
        setting.tell(f"{verdict.bar.title}: {verdict.value:.3f}")
    return result


def health(setting: Setting) -> Result:
    """50 probes a second while 64 connections echo as fast as they can."""
    faults: list[str] = []
    with servers.engine(setting.launch(setting.cores.server), "echo", faults) as engine:
        target = engine.target
        setting.clients.run_wrk(target, SMALL, 64, WARM)
        rounds: list[watch.Seen] = []
        runs: list[WrkRun] = []
        for _ in range(setting.rounds):
            with watch.asking(engine.admin_port, "/healthz", watch.PROBE_EVERY) as probes:
                runs.append(setting.clients.run_wrk(target, SMALL, 64, setting.seconds))
            rounds.append(probes)
    answered = [probes.seconds for probes in rounds if probes.seconds]
    p99s = [percentile(seconds, 0.99) * 1000 for seconds in answered] or [float("inf")]
    setting.tell(f"health: p99 {median(p99s):.1f} ms beside {median([run.rate for run in runs]):,.0f}/s")
    verdict = Verdict.of(
        bars.HEALTH, p99s, faults=[fault for probes in rounds for fault in probes.faults][:3]
    )
    raw = {"load": [run.as_json() for run in runs], "probe_seconds": [probes.seconds for probes in rounds]}
    return Result([verdict], {"health": raw}, faults)


def idle(setting: Setting) -> Result:
    """What the engine process holds when it has started, answered once, and has nothing to do."""
    faults: list[str] = []
    with servers.engine(setting.launch(setting.cores.every), "echo", faults) as engine:
        engine.target.expect(SMALL, SMALL)
        engine.admin("/metrics")
        time.sleep(SETTLE)
        memory = resident(Path(f"/proc/{engine.pid}/status").read_text())
    value = (memory["RssAnon"] + memory["RssFile"]) / 1e6
    setting.tell(f"idle: {value:.1f} MB")
    return Result([Verdict.of(bars.IDLE, [value])], {"idle_bytes": memory}, faults)


def resident(status: str) -> dict[str, int]:
    """The resident bytes by kind from the text of ``/proc/PID/status`` (proc(5)). Pure."""
    kinds = ("RssAnon", "RssFile", "RssShmem")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {kind: int(lines[kind].split()[0]) * 1024 for kind in kinds}


def start(setting: Setting) -> Result:
    """From exec to the first 200, each time with a state directory that isn't there yet."""
    samples: list[float] = []
    faults: list[str] = []
    for _ in range(STARTS):
        engine = servers.Engine(setting.launch(setting.cores.every), "echo")
        try:
            samples.append(engine.wait_answer(SMALL))
        finally:
            fault = engine.stop()
        faults += [fault] if fault else []
        setting.tell(f"start: {samples[-1]:.3f} s")
    return Result([Verdict.of(bars.START, samples)], {"start_seconds": samples}, faults)


# --- more loops -------------------------------------------------------------------------------------------


def loops(setting: Setting) -> Result:
    """The bare loop one, two and four times in threads: no bar, but why ``rpc.io_threads`` is as it is."""
    places = {"one_core": setting.cores.server, "every_core": setting.cores.every}
    rates: dict[str, dict[int, list[float]]] = {place: {number: [] for number in LOOPS} for place in places}
    like = Target(0, "/", ())
    with ExitStack() as running:
        bares = {
            (place, number): running.enter_context(
                setting.reference("loops", str(number), like=like, cores=cores)
            )
            for place, cores in places.items()
            for number in LOOPS
        }
        for bare in bares.values():
            setting.clients.run_wrk(bare, SMALL, 64, WARM)
        for _ in range(setting.rounds):
            for (place, number), bare in bares.items():
                rates[place][number].append(setting.clients.run_wrk(bare, SMALL, 64, setting.seconds).rate)
    for place, told in rates.items():
        medians = ", ".join(f"{number}: {median(samples):,.0f}/s" for number, samples in told.items())
        setting.tell(f"loops, {place.replace('_', ' ')}: {medians}")
    return Result([], {"loops": rates})
