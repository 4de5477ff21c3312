"""The models behind the engine, started as a user would start it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eas_bench import client, record, servers
from eas_bench.gpu import bars, scenarios
from eas_bench.machine import Cores
from eas_bench.scenarios import opened
from eas_bench.scenarios.bars import Measured
from eas_bench.servers import Engine, Launch, NotServing, Target

ROUNDS: Final = 3
SHARE: Final = 0.8
ARENA_FROM: Final = 64 << 10
"""Bytes of a body that lies in the arena where a card reads it (docs/presets/pytorch.md)."""

_WARM: Final = 2.0
_TIMEOUT: Final = 30.0
_PROCESSES: Final = 4  # of the load generator
_LOOKS_FOR: Final = 20.0  # seconds until a line is in the log
_LONGEST: Final = 120.0  # seconds that a process with torch may take
_GIB: Final = 2**30
_MOST_GIB: Final = 16
_NO_CARD: Final = re.compile(r"PyTorch \S+ sees no GPU: .*")
_COPIED: Final = re.compile(r"(\d+) bytes of (\d+) copied in memory")


@dataclass(slots=True)
class Work:
    """What every check needs.

    Attributes:
        directory: for models, services and logs.
        seconds: of one run.
        command: what starts the engine.
        memory: bytes of the card.
        raw: everything that figures were made of, for the record.
        figures: by the bar's key; as soon as they are known, so that what fails later costs only its own.
    """

    directory: Path
    seconds: float
    command: Sequence[str]
    memory: int = _MOST_GIB * 3 * _GIB
    raw: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Measured] = field(default_factory=dict)

    def ask(self, module: str, *arguments: str) -> Any:
        """The last that a process with torch prints, as JSON. Errors: NotServing: it failed, and how."""
        said, why = self.hear(module, *arguments)
        if why:
            raise NotServing(why)
        return said[-1] if said else None

    def hear(self, module: str, *arguments: str) -> tuple[list[Any], str]:
        """All that a process with torch prints, a line of JSON each; and how it failed, empty: it didn't."""
        command = [sys.executable, "-m", f"eas_bench.gpu.{module}", *arguments]
        what = f"eas_bench.gpu.{' '.join((module, *arguments))}"
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_LONGEST)
        except subprocess.TimeoutExpired as error:
            return _heard(error.stdout or b""), f"{what}: it wasn't done after {_LONGEST:.0f} s"
        words = done.stderr.decode(errors="replace").strip()[-1000:]
        return _heard(done.stdout), f"{what} ended with {done.returncode}: {words}" if done.returncode else ""

    def model(self, name: str) -> Path:
        """The file of a scenario's network; written when it isn't there."""
        path = self.directory / f"{name}.pt2"
        if not path.exists():
            draft = self.directory / f"{name}-draft.pt2"
            self.ask("export", name, str(draft))
            draft.rename(path)  # whole, for others take it as it is
        return path

    def share(self, percent: int) -> dict[str, Any]:
        """``metadata`` of a service that has a third of the card's memory, and so much of its compute."""
        memory = max(1, min(_MOST_GIB, self.memory // 3 // _GIB))
        return {"gpu": 0, "gpu_memory": memory, "gpu_core_percentage": percent}

    @contextlib.contextmanager
    def engine(self, service: dict[str, Any], faults: list[str]) -> Iterator[Engine]:
        """An engine with a service of ours. All have one state directory: who shares a card must."""
        config = self.directory / f"{service['name']}.json"
        config.write_text(json.dumps(service, indent=1))
        state = self.directory / "state"
        launch = Launch(self.command, self.directory, Cores.of_this_process().every, config, state)
        with servers.engine(launch, service["name"], faults) as engine:
            if words := on_processor(engine.printed):
                raise NotServing(words)
            yield engine


def network(work: Work, name: str) -> dict[str, Measured]:
    """A scenario: the loop, and then the engine at full load and at 80 % of it. Errors: NotServing..."""
    scenario = scenarios.SCENARIOS[name]
    model = work.model(name)
    loop = work.ask("loop", name, str(work.seconds))
    work.raw[name] = {"loop": loop}
    bodies = [scenarios.body(array) for array in scenarios.arrays(scenario)]
    service = scenarios.service(name.lower(), model, scenario, loop["batch"])
    work.raw[name]["service"] = service
    with work.engine(service, []) as engine:
        copied, size = _copied(engine, bodies[0])
        work.raw[name]["copied"] = copied
        work.figures[f"{name}-copies"] = bars.copies(copied, size, in_arena=size >= ARENA_FROM)
        wanted = opened.wanted(engine.target, *bodies)
        at_once = max(8, 3 * loop["batch"] // scenario.rows)
        full = _load("closed", at_once, work.seconds)
        served = [client.whole(client.measure(wanted, full)) for _ in range(ROUNDS)]
        work.raw[name]["served"] = _told(served)
        rates = [run.good / run.seconds for run in served]
        work.figures[f"{name}-rate"] = bars.throughput(rates, loop, _errors(served))
        if not min(rates):
            raise NotServing(f"it answered nothing well: {engine.printed.strip()[-1000:]}")
        asked = _load("open", 4 * at_once, work.seconds, rate=SHARE * min(rates))
        calm = [client.whole(client.measure(wanted, asked)) for _ in range(ROUNDS)]
    p99 = [opened.latency(run, 99) for run in calm]
    work.raw[name]["calm"] = _told(calm)
    doubts = [why for run in calm for why in run.generator.invalid][:1]
    return {f"{name}-p99": bars.latency(p99, loop["batch_ms"], _errors(calm), doubts)}


def shares(work: Work) -> dict[str, Measured]:
    """Two services that share a card, 30 and 70 %, both at full load. Errors: NotServing: nothing does it."""
    scenario, faults = scenarios.SCENARIOS["G1"], list[str]()
    model = work.model("G1")
    parts = {f"share{percent}": work.share(percent) for percent in (30, 70)}
    rates: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        engines = [
            stack.enter_context(work.engine(scenarios.service(name, model, scenario, 512, changes), faults))
            for name, changes in parts.items()
        ]
        work.raw["shares"] = {"enforced": [held(engine) for engine in engines], "rates": rates}
        threads = [
            threading.Thread(target=_at_full_load, args=(work, name, engine.target, rates))
            for name, engine in zip(parts, engines, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"shares": bars.shares(rates.get("share30", 0.0), rates.get("share70", 0.0))}


def beside(work: Work) -> dict[str, Measured]:
    """A service at a calm rate, alone and then beside one that takes all the memory it can get."""
    scenario, faults = scenarios.SCENARIOS["G2"], list[str]()
    model, half = work.model("G2"), work.share(50)
    body = scenarios.body(scenarios.arrays(scenario)[0])
    with work.engine(scenarios.service("victim", model, scenario, 16, half), faults) as victim:
        wanted = opened.wanted(victim.target, body)
        closed = client.whole(client.measure(wanted, _load("closed", 48, work.seconds)))
        calm = _load("open", 200, 2 * work.seconds, rate=0.3 * closed.good / closed.seconds)
        alone = client.whole(client.measure(wanted, calm))
        with work.engine(_misuser(half), faults) as misuser:
            stop, answered = threading.Event(), Counter[str]()
            thread = threading.Thread(target=_keep_asking, args=(misuser.target, stop, answered))
            thread.start()
            try:
                together = client.whole(client.measure(wanted, calm))
            finally:
                stop.set()
                thread.join()
    p99 = [opened.latency(run, 99) for run in (alone, together)]
    told = {"alone": _told([alone]), "beside": _told([together])}
    work.raw["beside"] = {**told, "misuser": dict(answered), "faults": faults}
    if not misused(answered):
        raise NotServing(f"the other service met no limit: it was answered {dict(answered)}")
    return {"beside": bars.beside(p99[0], p99[1], together.errors)}


def on_processor(log: str) -> str:
    """What an engine says of a model that it was to put on the card and couldn't; empty: it did."""
    found = _NO_CARD.search(log)
    return found[0] if found else ""


def held(engine: Engine) -> dict[str, Any]:
    """What enforces the share of an engine's instance. Errors: NotServing: nothing does for its compute."""
    limits: dict[str, Any] = json.loads(engine.admin("/api/v1/service")[1])["instances"][0]["limits"]
    by = limits["gpu_core_percentage"]
    if by != "MPS":
        raise NotServing(f"the shares of the card are not enforced here: {by}")
    return limits


def misused(answered: Counter[str]) -> bool:
    """Whether a service whose every request takes memory was ever stopped, by these ends of its requests.

    One that wasn't took less than its share, and who was beside it proves nothing.
    """
    return answered["200"] > 0 and answered.total() > answered["200"]


def card(work: Work) -> dict[str, Measured]:
    """The preset's parts; also when one of them ends the process that tries them. Errors: NotServing."""
    said, why = work.hear("card")
    told: dict[str, str] = {name: wrong for line in said for name, wrong in line.items()}
    if not told:
        raise NotServing(why or "eas_bench.gpu.card said nothing")
    work.raw["card"] = told = {**told, "the process": why}
    return {"card": bars.parts(told)}


def _load(kind: Any, connections: int, seconds: float, *, rate: float | None = None) -> record.Load:
    return record.Load(
        kind=kind,
        rate=rate,
        arrivals="poisson" if rate else None,
        connections=connections,
        duration=seconds,
        warm_up=_WARM,
        timeout=_TIMEOUT,
        processes=_PROCESSES,
    )


def _heard(printed: bytes) -> list[Any]:
    """Lines that are objects of JSON, among whatever libraries print."""
    found = []
    for line in printed.splitlines():
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            found += [told] if isinstance(told, dict) else []
    return found


def _copied(engine: Engine, body: bytes) -> tuple[int, int]:
    """Bytes of a request that the preset copied, and its size, as the service's log tells them."""
    target = engine.target
    Target(target.port, f"{target.path}?debug_level=1", target.headers).ask(body)
    until = time.monotonic() + _LOOKS_FOR
    while time.monotonic() < until:
        found = _COPIED.search(engine.printed)
        if found:
            return int(found[1]), int(found[2])
        time.sleep(0.05)
    raise NotServing(f"the log doesn't say what was copied: {engine.printed.strip()[-1000:]}")


def _at_full_load(work: Work, name: str, target: Target, rates: dict[str, float]) -> None:
    scenario = scenarios.SCENARIOS["G1"]
    bodies = [scenarios.body(array) for array in scenarios.arrays(scenario)]
    run = client.measure(opened.wanted(target, *bodies), _load("closed", 48, 3 * work.seconds))
    rates[name] = run.good / run.seconds


def _misuser(metadata: dict[str, Any]) -> dict[str, Any]:
    """A service whose every request takes memory of the card until there is none."""
    folder = Path(__file__).resolve().parents[2] / "processors" / "card_memory"
    rpc = {"worker_threads": 1, "keepalive": 30000}
    return {
        "name": "misuser",
        "processor_type": "python",
        "processor_path": str(folder),
        "processor_entry": "app.py",
        "metadata": {"instance": 1, **metadata, "rpc": rpc},
    }


def _keep_asking(target: Target, stop: threading.Event, answered: Counter[str]) -> None:
    while not stop.is_set():
        try:
            end = str(target.ask(b"more")[0])
        except OSError as error:  # it is ended for what it does, and started again
            end = type(error).__name__
        answered[end] += 1
        stop.wait(0.05)


def _errors(runs: Sequence[record.Run]) -> int:
    return sum(run.errors for run in runs)


def _told(runs: Sequence[record.Run]) -> list[dict[str, Any]]:
    return [
        {
            "rate": round(run.good / run.seconds, 1),
            "errors": run.errors,
            **{f"p{percent}_ms": opened.latency(run, percent) for percent in (50, 99)},
            "invalid": run.generator.invalid,
        }
        for run in runs
    ]
