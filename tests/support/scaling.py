"""A service for the autoscaler: samples made by hand, and a loop of decisions that are obeyed at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from eas_engine.supervisor.autoscale.decide import decide
from eas_engine.supervisor.autoscale.decision import Decision, Moment, State
from eas_engine.supervisor.autoscale.sample import SPAN, Sample
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings

WALL = 1_767_225_600.0  # 2026-01-01 00:00 UTC, a Thursday


def settings(low: int = 1, high: int = 10, **given: Any) -> AutoscaleSettings:
    """By ``qps`` 10 unless ``thresholds`` are given."""
    return AutoscaleSettings(low, high, **{"thresholds": {"qps": 10.0}, **given})


def second(time: float, qps: float = 0.0, *, wanted: int = 1, **given: Any) -> Sample:
    """One second of a service whose instances are all ready and use no CPU."""
    facts = {"ready": wanted, "measured": wanted, **given}
    return Sample(time=time, wall=WALL + time, seconds=1.0, qps=qps, wanted=wanted, **facts)


def steady(qps: float = 0.0, *, wanted: int = 1, seconds: int = 15, **given: Any) -> list[Sample]:
    """The same for so many seconds, the last one at second 0."""
    return [second(float(at), qps, wanted=wanted, **given) for at in range(1 - seconds, 1)]


def started(wanted: int, settings: AutoscaleSettings, at: float = 0.0) -> State:
    """The state of a scaler that has just wanted that many, after a request at that time."""
    first = decide(settings, [second(at, wanted=wanted)], State(), Moment(at, WALL + at))
    return first.state


@dataclass
class Loop:
    """Second by second, with instances that come and go at once."""

    settings: AutoscaleSettings
    wanted: int
    now: float = 0.0
    state: State = field(default_factory=State)
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=int(SPAN)))
    decisions: list[Decision] = field(default_factory=list)

    def run(self, seconds: int, qps: float | Callable[[float], float], **given: Any) -> list[int]:
        """The number after each of these seconds."""
        result = []
        for _ in range(seconds):
            self.now += 1.0
            load = qps(self.now) if callable(qps) else qps
            self.samples.append(second(self.now, load, wanted=self.wanted, **given))
            result.append(self.decide())
        return result

    def decide(self, *, woken: bool = False) -> int:
        """Once more, with the samples that there are."""
        moment = Moment(self.now, WALL + self.now)
        decision = decide(self.settings, list(self.samples), self.state, moment, woken=woken)
        self.state = decision.state
        self.decisions.append(decision)
        self.wanted = decision.wanted
        self.samples[-1] = replace(self.samples[-1], wanted=decision.wanted)
        return decision.wanted
