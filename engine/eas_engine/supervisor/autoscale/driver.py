"""The loop that asks ``decide`` once a second and does what it says.

A second is short beside what it costs to ask (some 100 us), and no longer than what reacts to it: an instance
takes longer to start. Kubernetes takes 15 s because it asks thousands of pods over a network; who averages
over 15 s and looks every second sees a step of the load at once, and its full height no later. The first
request at zero waits for no period: ``wake`` decides in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from eas_engine.clock import Clock, wait_until
from eas_engine.records import dataclass
from eas_engine.supervisor.autoscale.decide import decide
from eas_engine.supervisor.autoscale.decision import Decision, Moment, State
from eas_engine.supervisor.autoscale.sample import SPAN, Sample
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings

PERIOD = 1.0
"""Seconds between two decisions."""
MOST_DECISIONS = 100
MOST_SAMPLES = 600
"""Ten minutes: what ``autoscale record`` finds when it comes by."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision as it is remembered: the first of those that were the same, the newest, and their number."""

    since: float
    """Seconds since the epoch."""
    count: int
    newest: Decision


class Scaler:
    """Lives on the engine's loop.

    ``sample`` says what was so since it was asked last (by this clock), ``apply`` sets the number. Without
    settings it only collects samples, so that a trace can be recorded before there are any. Guarantees:
    ``apply`` is called with numbers within ``min``..``max`` alone (and 0 with ``min`` 0), and only to change
    what the newest sample says is wanted.
    """

    def __init__(
        self,
        settings: AutoscaleSettings | None,
        sample: Callable[[], Sample],
        apply: Callable[[int], None],
        clock: Clock,
        log: Callable[..., object],
    ) -> None:
        self._settings = settings
        self._sample = sample
        self._apply = apply
        self._clock = clock
        self._log = log
        self._state = State()
        self._samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self._kept: deque[Kept] = deque(maxlen=MOST_DECISIONS)
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        last = f"{self._kept[-1].newest.wanted} wanted" if self._kept else "nothing decided yet"
        return f"<Scaler {last}{'' if self._settings else ', off'}>"

    async def run(self) -> None:
        """Decide once a second, until it is cancelled."""
        while True:
            self._changed.clear()
            if not self._samples or self._clock.now() > self._samples[-1].time:
                self._samples.append(self._sample())
            if self._settings is not None:
                self._decide(self._settings)
            await wait_until(self._clock, self._clock.now() + PERIOD, self._changed.wait())

    def wake(self) -> None:
        """A request has come and there is no instance: decide at once."""
        if self._settings is not None and self._samples and self._samples[-1].wanted == 0:
            self._decide(self._settings, woken=True)

    def configure(self, settings: AutoscaleSettings | None) -> None:
        """Go by other settings from now on, or by none: then the number is left as it is.

        What was recommended lately still counts, but bounds hold at once. Switched off and on again (as while
        the service is stopped) it begins anew.
        """
        self._settings = settings
        if settings is None:
            self._state = State()
        else:
            self._state = replace(self._state, looked=None)
        self._changed.set()

    def decisions(self) -> tuple[Kept, ...]:
        """The last 100, oldest first: every change, and between two changes the newest reason for none."""
        return tuple(self._kept)

    def samples(self) -> tuple[Sample, ...]:
        """Of the last ten minutes, oldest first."""
        return tuple(self._samples)

    @property
    def settings(self) -> AutoscaleSettings | None:
        """What it goes by."""
        return self._settings

    def _decide(self, settings: AutoscaleSettings, *, woken: bool = False) -> None:
        moment = Moment(self._clock.now(), self._clock.wall())
        recent = [one for one in self._samples if moment.now - one.time < SPAN] or [self._samples[-1]]
        decision = decide(settings, recent, self._state, moment, woken=woken)
        self._state = decision.state
        self._keep(decision)
        if decision.wanted != decision.current:
            self._samples[-1] = replace(self._samples[-1], wanted=decision.wanted)
            self._log(
                "autoscaled", instances=decision.wanted, before=decision.current, reason=decision.reason
            )
            self._apply(decision.wanted)

    def _keep(self, decision: Decision) -> None:
        last = self._kept[-1] if self._kept else None
        same = decision.wanted == decision.current and last and last.newest.current == last.newest.wanted
        if same and last and last.newest.wanted == decision.wanted:
            self._kept[-1] = Kept(last.since, last.count + 1, decision)
        else:
            self._kept.append(Kept(decision.at, 1, decision))
