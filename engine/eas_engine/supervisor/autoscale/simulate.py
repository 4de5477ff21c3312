"""What the autoscaler would do with a load: the real decisions, over a simple model of a queue.

The model is a fluid one: in each second so many requests come as the trace says, not one more by chance, and
an instance works off what its threads, or its CPUs, can. Who waits, waits in one line:

* what comes faster than the rate limit gets 429;
* what has waited ``keepalive`` less the time of the call gets 408, looked at once a second;
* what finds no place in the queue, which has some for each instance that is ready or starts, gets 450.

An instance is ready ``startup`` seconds (rounded up) after it was decided on, and gone at once; of those that
go, the newest goes first. At zero the first request wakes the service in the second in which it comes. Real
load is rougher than this: leave some room, or record a trace.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import field, replace

from eas_engine.records import dataclass
from eas_engine.supervisor.autoscale.decide import decide
from eas_engine.supervisor.autoscale.decision import Decision, Moment, State
from eas_engine.supervisor.autoscale.sample import SPAN, Sample
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings
from eas_engine.supervisor.autoscale.trace import Stretch, Trace

_NOTHING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What an instance can do. Times are seconds."""

    service_time: float
    """Of a call of the processor, where the trace doesn't say."""
    threads: int = 5
    startup: float = 5.0
    queue: int = 64
    """Places per instance."""
    keepalive: float = 5.0
    rate: float = 0.0
    """Requests per second and instance; 0 = no limit."""
    cpu_share: float = 1.0
    """CPUs that a call uses while it runs."""
    cpus: float = math.inf
    """CPUs of an instance: no more calls run at once than they are enough for."""

    def capacity(self, service_time: float) -> float:
        """Requests per second that one instance works off."""
        at_once = min(self.threads, self.cpus / self.cpu_share) if self.cpu_share else self.threads
        return at_once / service_time


@dataclass(frozen=True, slots=True)
class Step:
    """One second."""

    second: int
    arrived: float
    served: float
    limited: float
    """429."""
    refused: float
    """450."""
    late: float
    """408."""
    queue: float
    """At its end."""
    ready: int
    starting: int
    capacity: float
    """Requests per second that the ready ones can work off."""

    @property
    def lost(self) -> float:
        """Requests that got no answer of the processor."""
        return self.limited + self.refused + self.late


@dataclass(frozen=True, slots=True)
class Outcome:
    """The steps, and every decision that changed the number, with its second."""

    steps: tuple[Step, ...]
    changes: tuple[tuple[int, Decision], ...]

    @property
    def requests(self) -> float:
        """All that came."""
        return sum(one.arrived for one in self.steps)

    @property
    def served(self) -> float:
        """Those that the processor answered."""
        return sum(one.served for one in self.steps)

    @property
    def limited(self) -> float:
        """429."""
        return sum(one.limited for one in self.steps)

    @property
    def refused(self) -> float:
        """450."""
        return sum(one.refused for one in self.steps)

    @property
    def late(self) -> float:
        """408."""
        return sum(one.late for one in self.steps)

    @property
    def seconds_over_capacity(self) -> int:
        """In so many seconds more came than the ready instances could work off."""
        return sum(one.arrived > one.capacity + _NOTHING for one in self.steps)

    @property
    def instance_hours(self) -> float:
        """Of instances that are ready or start."""
        return sum(one.ready + one.starting for one in self.steps) / 3600

    @property
    def most_instances(self) -> int:
        """At the same time."""
        return max(one.ready + one.starting for one in self.steps)

    @property
    def most_waiting(self) -> float:
        """At the same time."""
        return max(one.queue for one in self.steps)


def simulate(
    settings: AutoscaleSettings, model: Model, trace: Trace, *, instances: int, wall: float = 0.0
) -> Outcome:
    """Replay ``trace``, beginning with so many ready instances, at ``wall`` (seconds since the epoch)."""
    fleet = _Fleet(settings, model, wall, [0.0] * instances)
    line = _Line()
    steps = []
    for second, stretch in enumerate(_seconds(trace)):
        if stretch.qps > 0:
            fleet.wake(second)
        step = line.step(second, stretch, model, fleet.count(second))
        steps.append(step)
        fleet.decide(step, stretch)
    return Outcome(tuple(steps), tuple(fleet.changes))


def _seconds(trace: Trace) -> Iterator[Stretch]:
    """The load of each whole second: the mean of the stretches that lie in it."""
    stretches, at = trace.stretches, 0
    ends = [*(one.start for one in stretches[1:]), trace.end]
    for second in range(math.ceil(trace.end - _NOTHING)):
        service, requests = stretches[at].service_time, 0.0
        while True:
            lasts = min(ends[at], second + 1) - max(stretches[at].start, second)
            requests += stretches[at].qps * max(0.0, lasts)
            if ends[at] > second + 1 or at + 1 == len(stretches):
                break
            at += 1
        yield Stretch(float(second), requests, service)


class _Fleet:
    """The instances: when each is, or becomes, ready, oldest first."""

    def __init__(self, settings: AutoscaleSettings, model: Model, wall: float, ready_at: list[float]) -> None:
        self._settings = settings
        self._model = model
        self._wall = wall
        self._ready_at = ready_at
        self._samples: deque[Sample] = deque(maxlen=int(SPAN))
        self._state = State()
        self.changes: list[tuple[int, Decision]] = []

    def count(self, second: float) -> tuple[int, int]:
        """How many are ready, and how many start."""
        ready = sum(one <= second for one in self._ready_at)
        return ready, len(self._ready_at) - ready

    def wake(self, second: int) -> None:
        """A request comes in this second."""
        if not self._ready_at and self._samples:
            self._by(Moment(second, self._wall + second), woken=True)

    def decide(self, step: Step, stretch: Stretch) -> None:
        """At the end of a second."""
        now = step.second + 1
        busy = step.served * (stretch.service_time or self._model.service_time)
        self._samples.append(
            Sample(
                time=now,
                wall=self._wall + now,
                seconds=1.0,
                qps=step.arrived,
                queue=round(step.queue),
                in_flight=math.ceil(step.queue + busy - _NOTHING),
                ready=step.ready,
                starting=step.starting,
                wanted=len(self._ready_at),
                cpu=busy * self._model.cpu_share,
                measured=step.ready,
            )
        )
        self._by(Moment(now, self._wall + now))

    def _by(self, moment: Moment, *, woken: bool = False) -> None:
        decision = decide(self._settings, self._samples, self._state, moment, woken=woken)
        self._state = decision.state
        if decision.wanted != decision.current:
            self.changes.append((int(moment.now), decision))
            self._samples[-1] = replace(self._samples[-1], wanted=decision.wanted)
        more = decision.wanted - len(self._ready_at)
        ready_at = moment.now + math.ceil(self._model.startup)
        self._ready_at = self._ready_at[: decision.wanted] + [ready_at] * more


@dataclass(slots=True)
class _Line:
    """Those who wait: of each second so many, oldest first."""

    waiting: deque[tuple[int, float]] = field(default_factory=deque)

    def step(self, second: int, load: Stretch, model: Model, fleet: tuple[int, int]) -> Step:
        """One second of work."""
        ready, starting = fleet
        service, count = load.service_time or model.service_time, max(1, ready + starting)
        capacity = ready * model.capacity(service)
        limited = max(0.0, load.qps - model.rate * count) if model.rate else 0.0
        self.waiting.append((second, load.qps - limited))
        served = self._take(capacity)
        late = self._expire(second, max(0.0, model.keepalive - service))
        refused = self._drop(model.queue * count)
        return Step(
            second, load.qps, served, limited, refused, late, self._queue(), ready, starting, capacity
        )

    def _queue(self) -> float:
        return sum(amount for _, amount in self.waiting)

    def _take(self, most: float) -> float:
        """From the front."""
        taken = 0.0
        while self.waiting and most - taken > _NOTHING:
            since, amount = self.waiting.popleft()
            part = min(amount, most - taken)
            if amount > part:
                self.waiting.appendleft((since, amount - part))
            taken += part
        return taken

    def _expire(self, second: int, patience: float) -> float:
        late = 0.0
        while self.waiting and second - self.waiting[0][0] >= patience:
            late += self.waiting.popleft()[1]
        return late

    def _drop(self, room: float) -> float:
        """From the back: those who came last found no place."""
        over = dropped = max(0.0, self._queue() - room)
        while self.waiting and over > _NOTHING:
            since, amount = self.waiting.pop()
            if amount > over:
                self.waiting.append((since, amount - over))
            over -= min(amount, over)
        return dropped
