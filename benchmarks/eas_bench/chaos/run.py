"""One run: an engine, a crowd of clients, somebody who kills instances, and clients that behave badly."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from eas_bench import places
from eas_bench.chaos.bad_input import TOO_LARGE
from eas_bench.chaos.clients import Crowd
from eas_bench.chaos.rogues import DEEDS, Rogues
from eas_bench.chaos.victims import Victims
from eas_bench.interrupts import gently
from eas_bench.machine import Cores
from eas_bench.servers import Engine, Launch, engine
from eas_bench.trend import LEAST, Sample, Trend, trend

COMMAND = shlex.join([sys.executable, "-m", "eas_engine"])
PROCESSOR = "chaos"
Progress = Callable[[float, str], None]
"""Told each second: seconds since the beginning, and how it stands in words."""
_LOOK = 0.02
_SAMPLE = 1.0
_NOBODY_INSIDE: Final = (
    "no request was inside when its instance died: a longer run, fewer --instances or more --clients would"
)
_EMPTY_WITHIN = 60.0
_LEFT: Final = ("eas_in_flight", "eas_queue_depth", "eas_busy_threads", "eas_body_bytes", "eas_connections")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do.

    Attributes:
        seconds: of load.
        every: seconds from one kill to the next; 0: nobody is killed.
        retry: ``rpc.retry_on_crash``. A kill then waits for the answers to what the last one interrupted: a
            second death while a request has its second try would be taken for its doing.
        poison: the share of requests that end the process that takes them; if there are such, nobody is
            killed from outside.
        instances: each lives for so many kills. A minute of health makes the engine forget an instance's
            deaths: with fewer than about 62, and a kill a second, they wait ever longer for their restart.
        clients: that behave well; ``rogues``: that don't.
        memory: bytes by which the engine may grow from the middle third of the time to the last.
        descriptors: the same.
        pace: whether too few kills, or deeds of rogues, are told: a slow machine does less in its time.
    """

    seconds: float
    every: float = 1.0
    retry: bool = False
    poison: float = 0.0
    instances: int = 64
    clients: int = 16
    rogues: int = 0
    seed: int = 0
    memory: float = 8 << 20
    descriptors: float = 4
    pace: bool = True

    @property
    def kills(self) -> bool:
        """Whether instances are killed from outside."""
        return bool(self.every) and not self.poison

    @property
    def name(self) -> str:
        """In words."""
        parts = ["poison among innocents"] if self.poison else []
        parts += [f"a kill every {self.every:g} s"] if self.kills else []
        parts += [f"{self.rogues} clients that behave badly"] if self.rogues else []
        crash = f"{'with' if self.retry else 'without'} retry_on_crash"
        return ", ".join([*parts, crash] if self.kills or self.poison else parts)


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    plan: Plan
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    unshown: list[str] = field(default_factory=list)
    """What was hardly done, so that a clean result proves little; nobody's fault."""
    kills: int = 0
    retries: int = 0
    """Requests that were tried twice."""
    misdeeds: Counter[str] = field(default_factory=Counter)
    """What rogues did, how often."""
    refusals: Counter[str] = field(default_factory=Counter)
    """How their bad input was answered."""
    served: Counter[str] = field(default_factory=Counter)
    """How they were answered where they deserved it."""
    seconds: float = 0.0
    longest: float = 0.0
    memory: Trend | None = None
    descriptors: Trend | None = None
    stopped: bool = False
    """Whether a signal ended it before its time: then it need not have done much."""

    @property
    def interrupted(self) -> int:
        """Requests that were answered with the death of their instance."""
        return sum(n for told, n in self.answers.items() if told.startswith("500 instance_"))

    @property
    def requests(self) -> int:
        """All that were answered."""
        return self.answers.total()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "plan": self.plan.name,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 1),
            "requests": self.requests,
            "answers": dict(self.answers),
            "slowest_answer_seconds": round(self.longest, 3),
            "kills": self.kills,
            "tried_twice": self.retries,
            "misdeeds": dict(self.misdeeds),
            "refusals": dict(self.refusals),
            "answers_to_rogues": dict(self.served),
            "memory": self.memory and asdict(self.memory),
            "descriptors": self.descriptors and asdict(self.descriptors),
            "faults": self.faults,
            "not_shown": self.unshown,
        }


def run(plan: Plan, command: str = COMMAND, progress: Progress = lambda _seconds, _text: None) -> Outcome:
    """Start an engine, torment it, and end it. Errors: Missing, NotServing, OSError.

    Ctrl-C (see ``interrupts``) ends the load early.
    """
    places.check()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="eas-chaos-") as directory:
        config = Path(directory) / "service.json"
        config.write_text(json.dumps(_service(plan)))
        launch = Launch(shlex.split(command), Path(directory), Cores.of_this_process().every, config)
        with engine(launch, PROCESSOR, faults) as started:
            victims = Victims(started.pid)
            victims.wait(plan.instances)
            outcome = asyncio.run(_Torment(plan, started, victims).run(progress))
            outcome.faults += _left(started)
            outcome.retries = int(metric(started.admin("/metrics")[1].decode(), "eas_retries_total"))
    if plan.pace and not outcome.stopped and plan.kills and plan.retry and not outcome.retries:
        outcome.unshown.append(_NOBODY_INSIDE)
    outcome.faults += faults
    return outcome


def metric(exposition: str, name: str) -> float:
    """The sum of a metric's samples; 0 without any."""
    found: list[str] = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", exposition, re.MULTILINE)
    return sum(map(float, found))


def _service(plan: Plan) -> dict[str, Any]:
    service: dict[str, Any] = json.loads((places.PROCESSORS / PROCESSOR / "service.json").read_text())
    service["processor_path"] = str(places.PROCESSORS / PROCESSOR)
    metadata = dict(service["metadata"])
    metadata["instance"] = plan.instances
    metadata["rpc"] = {**metadata["rpc"], "retry_on_crash": plan.retry, "max_body_size": TOO_LARGE}
    return {**service, "metadata": metadata}


class _Torment:
    """The loop of one run, and what it looks at."""

    def __init__(self, plan: Plan, started: Engine, victims: Victims) -> None:
        self._plan, self._victims = plan, victims
        self._crowd = Crowd(started.target, clients=plan.clients, poison=plan.poison, seed=plan.seed)
        self._rogues = Rogues(started.target, plan.rogues, plan.seed)
        self._samples: list[Sample] = []

    async def run(self, progress: Progress) -> Outcome:
        """Until the time is over and every request has its answer."""
        outcome, loop = Outcome(self._plan), asyncio.get_running_loop()
        began = loop.time()
        with gently(lambda: self._stop(outcome)):
            async with asyncio.TaskGroup() as tasks:
                load = tasks.create_task(self._crowd.run())
                tasks.create_task(self._rogues.run())
                await self._while_loaded(outcome, load, progress)
                self._crowd.stop()
                self._rogues.stop()
        outcome.seconds = loop.time() - began
        self._gather(outcome)
        _judge(outcome, self._samples)
        return outcome

    async def _while_loaded(self, outcome: Outcome, load: asyncio.Task[None], progress: Progress) -> None:
        plan, crowd, loop = self._plan, self._crowd, asyncio.get_running_loop()
        began = next_sample = loop.time()
        next_kill = began + plan.every
        interrupted: set[str] = set()
        while (now := loop.time()) < began + plan.seconds and not (load.done() or outcome.stopped):
            if now >= next_sample:
                next_sample += _SAMPLE
                self._samples.append(self._victims.sample(now - began))
                progress(now - began, self._standing(outcome.kills))
            waits = plan.retry and interrupted & crowd.outstanding
            if plan.kills and now >= next_kill and not waits:
                outcome.kills += await self._victims.kill_oldest()
                interrupted = set(crowd.outstanding)
                next_kill = max(next_kill + plan.every, now)
            await asyncio.sleep(_LOOK)

    def _stop(self, outcome: Outcome) -> None:
        outcome.stopped = True

    def _standing(self, kills: int) -> str:
        crowd, rogues, engine_now = self._crowd.tally, self._rogues, self._samples[-1]
        parts = [f"{crowd.answers.total()} answers"]
        parts += [f"{kills} kills"] if self._plan.kills else []
        parts += [f"{rogues.done.total()} misdeeds"] if self._plan.rogues else []
        parts += [f"{crowd.faulty + rogues.tally.faulty} faults", f"engine {engine_now}"]
        return ", ".join(parts)

    def _gather(self, outcome: Outcome) -> None:
        crowd, rogues = self._crowd.tally, self._rogues
        outcome.answers, outcome.longest = crowd.answers, crowd.longest
        outcome.misdeeds, outcome.refusals, outcome.served = (
            rogues.done,
            rogues.refusals,
            rogues.tally.answers,
        )
        outcome.faults += crowd.faults + rogues.tally.faults


def _judge(outcome: Outcome, samples: list[Sample]) -> None:
    """What the figures must be."""
    plan, faults, times = outcome.plan, outcome.faults, [sample.seconds for sample in samples]
    if len(samples) >= LEAST:
        outcome.memory = trend(times, [sample.memory for sample in samples])
        outcome.descriptors = trend(times, [sample.descriptors for sample in samples])
        if outcome.memory.growth > plan.memory:
            faults.append(f"memory grew by {outcome.memory.growth / 1e6:.1f} MB")
        if outcome.descriptors.growth > plan.descriptors:
            faults.append(f"descriptors grew by {outcome.descriptors.growth:.0f}")
    if not outcome.answers["200"] and not outcome.stopped:
        faults.append("nothing was answered with 200")
    failed = {told: n for told, n in outcome.answers.items() if told.startswith("500") and n}
    if plan.retry and failed:
        faults.append(f"innocents got {failed} although they are tried again")
    others = {told: n for told, n in outcome.answers.items() if told != "200"}
    if others and not plan.kills and not plan.poison:
        faults.append(f"innocents got {others} although no instance died")
    if (
        plan.poison
        and not outcome.stopped
        and not any(told.startswith("poison: 500") for told in outcome.answers)
    ):
        faults.append("nobody got the 500 that poison deserves")
    outcome.unshown += _too_little(outcome) if plan.pace and not outcome.stopped else []


def _too_little(outcome: Outcome) -> list[str]:
    """What was hardly done, so that a clean result would prove little."""
    plan, found = outcome.plan, []
    if plan.kills and outcome.kills < 0.5 * plan.seconds / plan.every:
        found.append(f"only {outcome.kills} kills: the engine was too slow in starting instances anew")
    if plan.kills and not plan.retry and not outcome.interrupted:
        found.append(_NOBODY_INSIDE)
    never = [name for deed in DEEDS if not outcome.misdeeds[name := deed.replace("_", " ")]]
    if plan.rogues and never:
        found.append(f"never done: {', '.join(never)}: a longer run would")
    return found


def _left(started: Engine) -> list[str]:
    """What is still there of clients that have all gone."""
    until = time.monotonic() + _EMPTY_WITHIN
    while True:
        told = started.admin("/metrics")[1].decode()
        left = [f"{name} is {value:g}" for name in _LEFT if (value := metric(told, name))]
        if not left or time.monotonic() > until:
            return [f"after the last client has gone, {', '.join(left)}"] if left else []
        time.sleep(_LOOK)
