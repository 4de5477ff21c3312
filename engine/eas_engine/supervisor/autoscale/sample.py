"""One second of a service in figures, and the mean of some of them.

Whoever drives the autoscaler counts: a ``Count`` holds sums since the engine started, and ``between`` two of
them lies a ``Sample``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from eas_engine.records import dataclass

SPAN = 15.0
"""Seconds that metrics are averaged over.

Kubernetes looks every 15 seconds at what happened since. Requests come at random: of 20 a second on average,
one second in seven has a third more or less, but only one stretch of 15 seconds in twelve has 10 % more or
less. Shorter, and the number of instances would follow chance.
"""
ENOUGH = 5.0
"""Seconds of samples before metrics count at all: an engine that starts knows nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Sums since the engine started, and what is so at this moment."""

    time: float
    """Monotonic seconds."""
    wall: float
    """Seconds since the epoch."""
    requests: int
    """That asked for an answer of the processor: admitted ones, and those refused with 429, 450 or 503.

    What is refused for what it is (400, 401, 404, 405, 413) asks for no instance.
    """
    processed: int = 0
    """Calls of the processor that came back, and the seconds that they took, together."""
    process_seconds: float = 0.0
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    """CPU seconds, user and system, of each instance that is ready.

    The key names the process, not the seat (``digits-0/4711``): an instance that is new starts at nothing.
    """
    gpu_percent: Mapping[str, float] = field(default_factory=dict)
    """The same key; percent of its GPUs at this moment. Empty = there is no figure."""
    queue: int = 0
    """Requests that wait."""
    in_flight: int = 0
    """Requests in the system: uploading, waiting, and in the processor."""
    ready: int = 0
    """Instances, those of a canary and those that leave not counted."""
    starting: int = 0
    wanted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was so in the ``seconds`` before ``time``."""

    time: float
    """Monotonic seconds."""
    wall: float
    """Seconds since the epoch."""
    seconds: float
    qps: float
    """Requests per second, of all instances together; see ``Count.requests``."""
    queue: int = 0
    in_flight: int = 0
    ready: int = 0
    starting: int = 0
    wanted: int = 0
    cpu: float = 0.0
    """CPU seconds per second, of the ``measured`` instances together."""
    measured: int = 0
    """Instances whose CPU time is known: ready at the begin and the end."""
    gpu: float = 0.0
    """Percent, the sum of the ``gpus`` instances whose figure is known."""
    gpus: int = 0
    service_time: float | None = None
    """Mean seconds of a call of the processor; ``None`` without one."""


def between(before: Count, after: Count) -> Sample:
    """The sample of the time between two counts, ``after`` being later.

    Instances that came or went in between are not measured: their CPU time is that of starting and leaving.
    Errors: ValueError when no time lies between.
    """
    seconds = after.time - before.time
    if seconds <= 0:
        raise ValueError(f"no time between two counts ({before.time} and {after.time})")
    stayed = before.cpu_seconds.keys() & after.cpu_seconds.keys()
    used = sum(max(0.0, after.cpu_seconds[key] - before.cpu_seconds[key]) for key in stayed)
    calls = after.processed - before.processed
    spent = after.process_seconds - before.process_seconds
    return Sample(
        time=after.time,
        wall=after.wall,
        seconds=seconds,
        qps=max(0, after.requests - before.requests) / seconds,
        queue=after.queue,
        in_flight=after.in_flight,
        ready=after.ready,
        starting=after.starting,
        wanted=after.wanted,
        cpu=used / seconds,
        measured=len(stayed),
        gpu=sum(after.gpu_percent.values()),
        gpus=len(after.gpu_percent),
        service_time=max(0.0, spent) / calls if calls > 0 else None,
    )


@dataclass(frozen=True, slots=True)
class Load:
    """The mean of some samples, sums over all instances."""

    seconds: float
    qps: float
    queue: float
    cpu: float
    gpu: float


def mean(samples: Sequence[Sample], now: float) -> Load:
    """Over those that end in the last ``SPAN`` seconds, each by its length. No sample: all is nothing."""
    seconds = qps = queue = cpu = gpu = 0.0
    for one in samples:
        if now - one.time < SPAN:
            seconds += one.seconds
            qps += one.qps * one.seconds
            queue += one.queue * one.seconds
            cpu += one.cpu * one.seconds
            gpu += one.gpu * one.seconds
    if seconds <= 0:
        return Load(0.0, 0.0, 0.0, 0.0, 0.0)
    return Load(seconds, qps / seconds, queue / seconds, cpu / seconds, gpu / seconds)
