"""A change of release while it is made: a rollout, or a trial, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import InstanceSnapshot
from eas_engine.supervisor.release import Release, RolloutStatus, TrialStatus


@dataclass(slots=True)
class Rollout:
    """One release takes the place of another.

    Attributes:
        release: what all instances are to be of.
        source: what it goes back to.
        since: monotonic instant of its beginning.
        started: the same since the epoch.
        trusted: an instance of it has been ready, or none was wanted, so that nothing could be told of it.
        state: as in ``RolloutStatus``, like the rest.
    """

    release: Release
    source: Release
    since: float
    started: float
    trusted: bool
    state: Literal["rolling", "done", "rolled_back", "superseded"] = "rolling"
    reason: str = ""
    lines: tuple[str, ...] = ()
    ended: float | None = None

    @property
    def going_on(self) -> bool:
        """Whether it has not ended."""
        return self.state == "rolling"

    def status(self, instances: Sequence[InstanceSnapshot], wanted: int) -> RolloutStatus:
        """How far it has come, given the instances that serve and how many are wanted."""
        number = self.release.number
        of_it = [one for one in instances if one.release == number and not one.leaving]
        waits = "; ".join(f"{one.name}: {one.reason}" for one in of_it if one.reason)
        return RolloutStatus(
            number,
            self.release.version,
            self.source.number,
            self.source.version,
            self.state,
            waits if self.going_on else self.reason,
            self.lines,
            self.started,
            self.ended,
            wanted=wanted,
            updated=len(of_it),
            ready=sum(one.state is State.READY for one in of_it),
            old=sum(one.release != number for one in instances),
        )


@dataclass(slots=True)
class Trial:
    """A release beside the running one.

    Attributes:
        release: what is tried out.
        instances: how many instances of it.
        timeout: seconds that they may take to be ready, all at once.
        since: monotonic instant from which that counts.
        started: when the trial began, since the epoch.
        trusted: one of them has been ready.
        complete: all of them have been ready at once.
        state: as in ``TrialStatus``, like the rest.
    """

    release: Release
    instances: int
    timeout: float
    since: float
    started: float
    trusted: bool = False
    complete: bool = False
    state: Literal["trying", "promoted", "dismissed"] = "trying"
    reason: str = ""
    lines: tuple[str, ...] = ()
    ended: float | None = None

    @property
    def going_on(self) -> bool:
        """Whether it has not ended."""
        return self.state == "trying"

    def observe(self, ready: int) -> None:
        """So many of its instances are ready."""
        self.trusted = self.trusted or ready > 0
        self.complete = self.complete or ready >= self.instances

    def status(self, instances: Sequence[InstanceSnapshot]) -> TrialStatus:
        """How far it has come."""
        of_it = [one for one in instances if one.release == self.release.number]
        waits = "; ".join(f"{one.name}: {one.reason}" for one in of_it if one.reason)
        return TrialStatus(
            self.release.number,
            self.release.version,
            self.state,
            waits if self.going_on else self.reason,
            self.lines,
            self.started,
            self.ended,
            wanted=self.instances if self.going_on else 0,
            ready=sum(one.state is State.READY for one in of_it),
        )
