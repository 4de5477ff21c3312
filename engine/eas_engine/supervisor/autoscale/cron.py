"""Numbers of instances by the time of day: which job's size holds now, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from eas_engine.records import dataclass
from eas_engine.spec.autoscaler import Autoscaler

if TYPE_CHECKING:  # loaded only where there are jobs
    from eas_engine.spec.schedules import Cron, Days

MOST_EXCLUDED = 1000
"""Days in a row on which a job would fall due and rests, before it counts as resting for good."""


@dataclass(frozen=True, slots=True)
class Job:
    """At these times so many instances."""

    name: str
    when: Cron
    size: int


@dataclass(frozen=True, slots=True)
class Due:
    """A job that fell due at an instant (seconds since the epoch)."""

    name: str
    size: int
    at: float


@dataclass(frozen=True, slots=True)
class Jobs:
    """All jobs of a service, and the days on which they rest."""

    jobs: tuple[Job, ...] = ()
    excluded: tuple[Days, ...] = ()

    @classmethod
    def of(cls, given: Autoscaler) -> Jobs:
        """From the file, which the rules have found to be right."""
        if not given.scaleJobs:
            return cls()
        from eas_engine.spec.scaling import job_name  # noqa: PLC0415 - the calendar is for those who have jobs
        from eas_engine.spec.schedules import cron, days  # noqa: PLC0415 - as above

        return cls(
            tuple(
                Job(job_name(job, index), cron(job.schedule, job.timeZone, given.timeZone), job.targetSize)
                for index, job in enumerate(given.scaleJobs)
            ),
            tuple(days(one) for one in given.excludeDates),
        )

    def __bool__(self) -> bool:
        return bool(self.jobs)

    def held(self, instant: float) -> Due | None:
        """The job that fell due last, at ``instant`` or before: its size holds.

        Of two at the same moment the later one in the list counts.
        """
        last: Due | None = None
        for job in self.jobs:
            at = self._worked(job, instant, backwards=True)
            if at is not None and (last is None or at >= last.at):
                last = Due(job.name, job.size, at)
        return last

    def next_change(self, instant: float) -> float | None:
        """When the next job falls due, later than ``instant``; ``None`` = none ever."""
        ahead = (self._worked(job, instant, backwards=False) for job in self.jobs)
        return min((at for at in ahead if at is not None), default=None)

    def _worked(self, job: Job, instant: float, *, backwards: bool) -> float | None:
        """The nearest time of a job that is on no excluded day, in its own zone."""
        for _ in range(MOST_EXCLUDED):
            at = job.when.before(instant) if backwards else job.when.after(instant)
            if at is None:
                return None
            day = job.when.day(at)
            if not any(one.has(day) for one in self.excluded):
                return at
            instant = (
                job.when.midnight(day) if backwards else job.when.midnight(day + timedelta(days=1))
            ) - 1
        return None
