"""One run: an engine, a crowd of clients that check every answer, and an operator who doesn't rest."""

from __future__ import annotations

import asyncio
import json
import random
import shlex
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eas_bench import places
from eas_bench.chaos.clients import Crowd
from eas_bench.chaos.run import COMMAND, Progress
from eas_bench.chaos.victims import Victims
from eas_bench.interrupts import gently
from eas_bench.machine import Cores
from eas_bench.servers import Launch, engine
from eas_bench.soak.deeds import WEIGHTS, Deeds
from eas_bench.trend import LEAST, LONG, Sample, Trend, trend

FORMAT = "eas-bench.life/1"
PROCESSOR = "soak"
_SAMPLE = 5.0
_THREADS = 4
_MEMORY = 16 << 20
_DESCRIPTORS = 8


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    kills: int = 0
    stops: int = 0
    longest: float = 0.0
    memory: Trend | None = None
    descriptors: Trend | None = None
    stopped: bool = False
    """Whether a signal ended it before its time."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        trends = {
            name: None if one is None else {"middle": one.middle, "last": one.last, "per_hour": one.per_hour}
            for name, one in (("memory", self.memory), ("descriptors", self.descriptors))
        }
        return {
            "format": FORMAT,
            "stopped": self.stopped,
            "seconds": round(self.seconds),
            "requests": self.answers.total(),
            "answers": dict(self.answers),
            "deeds": dict(self.deeds),
            "kills": self.kills,
            "stops": self.stops,
            "slowest_answer_seconds": round(self.longest, 3),
            **trends,
            "faults": self.faults,
        }


def run(
    seconds: float,
    *,
    command: str = COMMAND,
    clients: int = 8,
    seed: int = 0,
    only: frozenset[str] = frozenset(WEIGHTS),
    most: int = 0,
    progress: Progress = lambda _seconds, _text: None,
) -> Outcome:
    """Start an engine, live with it, and end it. Errors: Missing, NotServing, OSError.

    Ctrl-C (see ``interrupts``) ends it early, after the deed that is being done.

    ``only``: the deeds that are done; ``most``: how many, 0: as many as there is time for.
    """
    places.check()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="eas-soak-") as name:
        directory = Path(name)
        service = _service(directory)
        words = shlex.split(command)
        launch = Launch(words, directory, Cores.of_this_process().every, directory / "service.json")
        with engine(launch, PROCESSOR, faults) as started:
            pid = started.pid
            chance = random.Random(seed)  # noqa: S311 - nothing secret
            deeds = Deeds(words, started.state, service, directory, Victims(pid), chance, only)
            crowd = Crowd(started.target, clients=clients, poison=0.0, seed=seed)
            outcome = asyncio.run(_live(seconds, most, crowd, deeds, progress))
    outcome.faults += faults + _left(pid)
    return outcome


def _service(directory: Path) -> dict[str, Any]:
    service: dict[str, Any] = json.loads((places.PROCESSORS / PROCESSOR / "service.json").read_text())
    service["processor_path"] = str(places.PROCESSORS / PROCESSOR)
    (directory / "service.json").write_text(json.dumps(service))
    return service


async def _live(seconds: float, most: int, crowd: Crowd, deeds: Deeds, progress: Progress) -> Outcome:
    loop = asyncio.get_running_loop()
    began = loop.time()
    load = asyncio.create_task(crowd.run())
    samples: list[Sample] = []
    watch = asyncio.create_task(_watch(deeds.victims, samples, began))
    ending = asyncio.Event()
    with gently(ending.set):
        while (
            loop.time() < began + seconds
            and not (ending.is_set() or load.done())
            and not (most and deeds.done.total() >= most)
        ):
            last = await deeds.one()
            answered, faults = crowd.tally.answers.total(), len(deeds.faults) + crowd.tally.faulty
            done = f"{deeds.done.total()} deeds (last: {last.replace('_', ' ')})"
            progress(loop.time() - began, f"{answered} answers, {done}, {faults} faults")
        crowd.stop()
        await load
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    outcome = _judged(loop.time() - began, crowd, deeds, samples)
    outcome.stopped = ending.is_set()
    return outcome


async def _watch(victims: Victims, samples: list[Sample], began: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        samples.append(victims.sample(loop.time() - began))
        await asyncio.sleep(_SAMPLE)


def _judged(seconds: float, crowd: Crowd, deeds: Deeds, samples: list[Sample]) -> Outcome:
    """What may be: only kills cost answers, no more than were inside; only a stop refuses anybody."""
    tally = crowd.tally
    outcome = Outcome(
        seconds,
        tally.answers,
        deeds.done,
        tally.faults + deeds.faults,
        deeds.kills,
        deeds.stops,
        tally.longest,
    )
    if len(samples) >= LEAST:
        times = [one.seconds for one in samples]
        outcome.memory = trend(times, [float(one.memory) for one in samples])
        outcome.descriptors = trend(times, [float(one.descriptors) for one in samples])
        outcome.faults += _grown(seconds, outcome.memory, outcome.descriptors)
    killed = sum(count for told, count in tally.answers.items() if told.startswith("500 instance_"))
    if killed > deeds.kills * _THREADS:
        outcome.faults.append(f"{killed} requests failed with {deeds.kills} kills of {_THREADS} threads")
    for told, count in tally.answers.items():
        stopped = told == "503 service_stopped" and deeds.stops
        if told != "200" and not told.startswith("500 instance_") and not stopped:
            outcome.faults.append(f"{count} times {told}")
    return outcome


def _grown(seconds: float, memory: Trend, descriptors: Trend) -> list[str]:
    """What has; in a short time it is the number of instances that goes up and down with the deeds."""
    found = []
    if seconds >= LONG and memory.growth > _MEMORY:
        found.append(f"memory grew by {memory.growth / 1e6:.1f} MB")
    if seconds >= LONG and descriptors.growth > _DESCRIPTORS:
        found.append(f"descriptors grew by {descriptors.growth:.0f}")
    return found


def _left(pid: int) -> list[str]:
    """What the engine should have taken with it."""
    found = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/eas-engine*{pid}*")]
    return [f"left behind: {', '.join(found)}"] if found else []
