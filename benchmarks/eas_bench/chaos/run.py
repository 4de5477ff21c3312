"""One run: an engine, a crowd of clients, and somebody who kills instances."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from eas_bench import places
from eas_bench.chaos.clients import Crowd
from eas_bench.chaos.trend import Sample, Trend, trend
from eas_bench.machine import Cores
from eas_bench.servers import Launch, NotServing, engine

COMMAND = shlex.join([sys.executable, "-m", "eas_engine"])
PROCESSOR = "chaos"
_LOOK = 0.02
_SAMPLE = 1.0
_SPREAD = 0.05
_START_WITHIN = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do.

    Attributes:
        seconds: of load.
        every: seconds from one kill to the next.
        retry: ``rpc.retry_on_crash``. A kill then waits for the answers to what the last one interrupted: a
            second death while a request has its second try would be taken for its doing.
        poison: the share of requests that end the process that takes them; if there are such, nobody is
            killed from outside.
        instances: each lives for so many kills. A minute of health makes the engine forget an instance's
            deaths: with fewer than about 62, and a kill a second, they wait ever longer for their restart.
        memory: bytes by which the engine may grow from the middle third of the time to the last.
        descriptors: the same.
    """

    seconds: float
    every: float = 1.0
    retry: bool = False
    poison: float = 0.0
    instances: int = 64
    clients: int = 16
    memory: float = 8 << 20
    descriptors: float = 4
    pace: bool = True
    """Whether too few kills are a fault: a slow machine takes longer to start instances anew."""

    @property
    def name(self) -> str:
        """In words."""
        what = "poison among innocents" if self.poison else f"a kill every {self.every:g} s"
        return f"{what}, {'with' if self.retry else 'without'} retry_on_crash"


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    plan: Plan
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    kills: int = 0
    retries: int = 0
    """Requests that were tried twice."""
    seconds: float = 0.0
    longest: float = 0.0
    memory: Trend | None = None
    descriptors: Trend | None = None

    @property
    def interrupted(self) -> int:
        """Requests that were answered with the death of their instance."""
        return sum(n for told, n in self.answers.items() if told.startswith("500 instance_"))

    @property
    def requests(self) -> int:
        """All that were answered."""
        return self.answers.total()


def run(plan: Plan, command: str = COMMAND, progress: Callable[[str], None] = lambda _line: None) -> Outcome:
    """Start an engine, torment it, and end it. Errors: NotServing, OSError."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="eas-chaos-") as directory:
        config = Path(directory) / "service.json"
        config.write_text(json.dumps(_service(plan)))
        launch = Launch(shlex.split(command), Path(directory), Cores.of_this_process().every, config)
        with engine(launch, PROCESSOR, faults) as started:
            victims = Victims(started.pid)
            victims.wait(plan.instances)
            outcome = asyncio.run(
                _torment(
                    plan, Crowd(started.target, clients=plan.clients, poison=plan.poison), victims, progress
                )
            )
            outcome.retries = _retries(started.admin("/metrics")[1].decode())
    if plan.pace and not plan.poison and not (outcome.retries if plan.retry else outcome.interrupted):
        outcome.faults.append("no request was inside when its instance died: this shows nothing")
    outcome.faults += faults
    return outcome


def _retries(metrics: str) -> int:
    """How many requests were tried twice."""
    found = re.search(r"^eas_retries_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    return int(float(found[1])) if found else 0


def _service(plan: Plan) -> dict[str, object]:
    service: dict[str, object] = json.loads((places.PROCESSORS / PROCESSOR / "service.json").read_text())
    service["processor_path"] = str(places.PROCESSORS / PROCESSOR)
    metadata = dict(service["metadata"])  # type: ignore[call-overload]
    metadata["instance"] = plan.instances
    metadata["rpc"] = {**metadata["rpc"], "retry_on_crash": plan.retry}
    return {**service, "metadata": metadata}


async def _torment(plan: Plan, crowd: Crowd, victims: Victims, progress: Callable[[str], None]) -> Outcome:
    outcome = Outcome(plan)
    loop = asyncio.get_running_loop()
    began = loop.time()
    load = asyncio.create_task(crowd.run())
    samples: list[Sample] = []
    next_kill, next_sample = began + plan.every, began
    interrupted: set[str] = set()
    while (now := loop.time()) < began + plan.seconds and not load.done():
        if now >= next_sample:
            next_sample += _SAMPLE
            samples.append(victims.sample(now - began))
            if len(samples) % 30 == 0:
                answered = crowd.tally.answers.total()
                progress(f"{now - began:.0f} s: {answered} answers, {outcome.kills} kills, {samples[-1]}")
        waits = plan.retry and interrupted & crowd.outstanding
        if not plan.poison and now >= next_kill and not waits:
            outcome.kills += await victims.kill_oldest()
            interrupted = set(crowd.outstanding)
            next_kill = max(next_kill + plan.every, now)
        await asyncio.sleep(_LOOK)
    crowd.stop()
    await load
    outcome.seconds = loop.time() - began
    outcome.answers, outcome.longest = crowd.tally.answers, crowd.tally.longest
    outcome.faults += crowd.tally.faults
    _judge(outcome, samples)
    return outcome


def _judge(outcome: Outcome, samples: list[Sample]) -> None:
    """What the figures must be."""
    plan, faults, times = outcome.plan, outcome.faults, [sample.seconds for sample in samples]
    outcome.memory = trend(times, [sample.memory for sample in samples])
    outcome.descriptors = trend(times, [sample.descriptors for sample in samples])
    if outcome.memory.growth > plan.memory:
        faults.append(f"memory grew by {outcome.memory.growth / 1e6:.1f} MB")
    if outcome.descriptors.growth > plan.descriptors:
        faults.append(f"descriptors grew by {outcome.descriptors.growth:.0f}")
    if not outcome.answers["200"]:
        faults.append("nothing was answered with 200")
    failed = {told: n for told, n in outcome.answers.items() if told.startswith("500") and n}
    if plan.retry and failed:
        faults.append(f"innocents got {failed} although they are tried again")
    if plan.poison and not any(told.startswith("poison: 500") for told in outcome.answers):
        faults.append("nobody got the 500 that poison deserves")
    if plan.pace and not plan.poison and outcome.kills < 0.5 * plan.seconds / plan.every:
        faults.append(f"only {outcome.kills} kills: the engine was too slow in starting instances anew")


class Victims:
    """The instances of an engine, as processes."""

    def __init__(self, pid: int) -> None:
        self._engine = psutil.Process(pid)

    def wait(self, count: int) -> None:
        """Until so many are there. Errors: NotServing."""
        until = time.monotonic() + _START_WITHIN
        while len(self._hosts()) < count:
            if time.monotonic() > until:
                raise NotServing(f"{len(self._hosts())} of {count} instances have started")
            time.sleep(_LOOK)

    async def kill_oldest(self) -> int:
        """SIGKILL to the one that has lived longest: it is ready, and its earlier deaths are forgotten.

        By a process of its own, after a moment: whenever this one, which also is the clients, has its turn,
        what it has asked for is answered already, as a rule, and the victim would die with nothing to do.
        """
        hosts = self._hosts()
        if not hosts:
            return 0
        moment = random.uniform(0.0, _SPREAD)  # noqa: S311 - nothing secret
        told = f"sleep {moment:.4f}; kill -KILL {hosts[0].pid}"
        killer = await asyncio.create_subprocess_exec("sh", "-c", told)
        return int(await killer.wait() == 0)

    def sample(self, seconds: float) -> Sample:
        """The engine now."""
        with self._engine.oneshot():
            memory = self._engine.memory_info()
            return Sample(seconds, memory.rss - memory.shared, self._engine.num_fds())

    def _hosts(self) -> list[psutil.Process]:
        living = []
        for child in self._engine.children():
            try:
                if child.status() != psutil.STATUS_ZOMBIE:
                    living.append((child.create_time(), child.pid, child))
            except psutil.NoSuchProcess:
                continue
        return [child for _, _, child in sorted(living)]
