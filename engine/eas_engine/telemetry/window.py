"""What was so in the last seconds: how late the loop runs, and how fast requests are answered.

``Window.run`` is one task on the gateway's loop. Every 100 ms it looks how late it was woken: that lateness
is what every other callback of the loop suffers. Once a second it notes the counters, so that rates are
differences of two notes and cost the predict path nothing. All reading is safe from another thread, with a
GIL or without: what is read there is never changed, only replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eas_engine.clock import Clock
from eas_engine.records import dataclass
from eas_engine.telemetry.counters import Counters

PERIOD = 0.1  # seconds between two heartbeats
HELD = 0.25  # seconds of lateness from which on the loop counts as held
SPAN = 10.0  # seconds that rates and quantiles look back
_LAG_BINS, _LAG_BIN = 6, 10.0  # the largest lag of the last minute, in bins of ten seconds
_NOTES = int(SPAN) + 1
_WEIGHT = 0.1  # of the newest lateness in the moving average


@dataclass(frozen=True, slots=True)
class Rates:
    """Of the last ``seconds`` (at most about 10)."""

    seconds: float
    requests_per_second: float
    errors_per_second: float  # answers with a status of 400 or more
    p50: float  # seconds, total latency; 0 when there was none
    p99: float


@dataclass(frozen=True, slots=True)
class _Note:
    at: float
    answered: int
    errors: int
    total: tuple[int, ...]


class Window:
    """The heartbeat of the loop that runs it, and rates out of ``counters``."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._beat = clock.now()
        self._average = 0.0
        self.beating = False
        """Whether the loop's lateness means something: it has come round, and isn't ending."""
        self.beats = 0
        """How often the loop came round."""
        self.held = 0
        """How often it was late by more than ``HELD``."""
        self.held_seconds = 0.0
        """By how much in all."""
        self.on_held: Callable[[float], object] = lambda _: None
        """Told how late it was, each time."""
        self._bins: tuple[tuple[int, float], ...] = ()
        self._notes: tuple[_Note, ...] = (self._note(),)

    def __repr__(self) -> str:
        return f"<Window lag {self._average * 1e3:.1f} ms, at most {self.lag_max * 1e3:.1f} ms>"

    @property
    def heartbeat_age(self) -> float:
        """Seconds since the loop last came round; a healthy one's is below about 0.1."""
        return max(0.0, self._clock.now() - self._beat)

    @property
    def lag(self) -> float:
        """Seconds, moving average."""
        return self._average

    @property
    def lag_max(self) -> float:
        """Seconds, the worst of the last minute; also one that isn't over yet."""
        oldest = self._bin() - _LAG_BINS
        worst = max((lag for index, lag in self._bins if index > oldest), default=0.0)
        return max(worst, self.heartbeat_age - PERIOD)

    async def run(self) -> None:
        """For ever, until it is cancelled."""
        try:
            while True:
                due = self._clock.now() + PERIOD
                await self._clock.sleep(PERIOD)
                self.beat(self._clock.now() - due)
                self.beating = True
        finally:
            self.beating = False

    def beat(self, late: float) -> None:
        """The loop came round, ``late`` seconds after it should have."""
        late = max(0.0, late)
        self._beat = self._clock.now()
        self.beats += 1
        if late > HELD:
            self.held, self.held_seconds = self.held + 1, self.held_seconds + late
            self.on_held(late)
        self._average += _WEIGHT * (late - self._average)
        index = self._bin()
        if self._bins and self._bins[-1][0] == index:
            self._bins = (*self._bins[:-1], (index, max(late, self._bins[-1][1])))
        else:
            self._bins = (*self._bins, (index, late))[-_LAG_BINS:]
        if self._beat - self._notes[-1].at >= 1.0:
            self._notes = (*self._notes, self._note())[-_NOTES:]

    def rates(self) -> Rates:
        """From the oldest note that is kept until now."""
        now = self._note()
        recent = [note for note in self._notes if now.at - note.at <= SPAN + 1]
        then = recent[0] if recent else now
        seconds = now.at - then.at
        if seconds <= 0:
            return Rates(0.0, 0.0, 0.0, 0.0, 0.0)
        total = [new - old for new, old in zip(now.total, then.total, strict=True)]
        return Rates(
            seconds,
            (now.answered - then.answered) / seconds,
            (now.errors - then.errors) / seconds,
            quantile(total, 0.5),
            quantile(total, 0.99),
        )

    def _bin(self) -> int:
        return int(self._clock.now() // _LAG_BIN)

    def _note(self) -> _Note:
        statuses = dict(self._counters.statuses)
        errors = sum(count for status, count in statuses.items() if status >= 400)
        return _Note(self._clock.now(), sum(statuses.values()), errors, tuple(self._counters.total))


def quantile(buckets: Sequence[int], fraction: float) -> float:
    """Seconds below which that fraction of the durations lies; linear inside a bucket of ``Counters``.

    The error is at most that of a bucket: a factor of two.
    """
    wanted = fraction * sum(buckets)
    if wanted <= 0:
        return 0.0
    for index, count in enumerate(buckets):
        if count and wanted <= count:
            low = (1 << index) >> 1
            return (low + (max(1, low) if index else 0) * wanted / count) / 1e6
        wanted -= count
    return (1 << (len(buckets) - 1)) / 1e6
