"""What is wanted of the instances, and what has become of earlier wishes.

Everything that an operator, an update or the autoscaler says ends here and takes effect at once and without
I/O; ``policy`` is what the planner makes of it. Two *groups* of instances are wanted side by side: the one
that serves, whose release a rollout changes, and that of a trial.

House rules: release numbers only grow. ``running`` is the last release whose rollout was completed, the only
one that a rollout goes back to. A rollout ends once: done, rolled back, or superseded; a trial likewise:
promoted or dismissed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from eas_engine.clock import Clock
from eas_engine.supervisor.changes import Rollout, Trial
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import InstanceSnapshot
from eas_engine.supervisor.plan import Policy, Tried
from eas_engine.supervisor.release import Release, RolloutStatus, Strategy, TrialStatus
from eas_engine.supervisor.rollout import Course
from eas_engine.supervisor.settings import without_new_processes


class Intent:
    """What is wanted.

    Args:
        release: what the first instances are started from.
        instances: how many.
        clock: for the timeouts.
        told: called with a rollout or trial whenever one has begun or ended.

    Attributes:
        wanted: instances that should be ready, unless ``stopped``.
        stopped: the operator wants none.
        running: the release that a rollout goes back to.
        rollout: the one under way, else the last one.
        trial: likewise.
        strategy: how changes are made, also the one under way.
    """

    def __init__(
        self, release: Release, instances: int, clock: Clock, told: Callable[[Rollout | Trial], None]
    ) -> None:
        self.wanted = _count(instances)
        self.stopped = False
        self.running = release
        self.rollout: Rollout | None = None
        self.trial: Trial | None = None
        self.strategy = Strategy()
        self._clock = clock
        self._told = told
        self._latest = release.number
        self._dismissed: frozenset[int] = frozenset()
        self._marked: Mapping[int, str] = {}  # replaced, never changed: whoever plans has it
        self._probes: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        going_on = [repr(one) for one in (self._rolling, self._tried) if one is not None]
        return f"<Intent {self.effective} of release {self.running.number} {' '.join(going_on)}>"

    # -- what it comes to

    @property
    def effective(self) -> int:
        """Instances that are wanted now."""
        return 0 if self.stopped else self.wanted

    @property
    def probes(self) -> int:
        """Instances beside them; none is kept while a rollout changes all of them."""
        return len(self._probes) if self.effective and not self._rolling else 0

    @property
    def target(self) -> Release:
        """What all instances are of in the end."""
        return self._rolling.release if self._rolling else self.running

    def find(self, number: int) -> Release | None:
        """The release that a new instance is started from; None if it isn't wanted any more."""
        wanted = [self.running, self.target, *([self.trial.release] if self.trial else [])]
        return next((one for one in wanted if one.number == number), None)

    def policy(self) -> Policy:
        """What the planner is told."""
        rollout, trial = self._rolling, self._tried
        course = Course(
            self.effective,
            self.target.number,
            self.running.number,
            self.strategy.bounds(self.effective),
            rolling=rollout is not None,
            trusted=rollout is None or rollout.trusted,
            probes=self.probes,
        )
        tried = None
        if trial:
            instances = trial.instances if self.effective else 0
            by = None if trial.complete or not instances else trial.since + trial.timeout
            tried = Tried(trial.release.number, instances, by)
        return Policy(
            course,
            rollout_by=rollout.since + self.strategy.timeout if rollout else None,
            tried=tried,
            dismissed=self._dismissed,
            marked=self._marked,
        )

    # -- what is wanted

    def scale(self, instances: int) -> None:
        """So many instances from now on. Raises ``ValueError`` for fewer than 0."""
        asleep = not self.effective
        self.wanted = _count(instances)
        self._woken(asleep=asleep)

    def stop(self) -> None:
        """None, until ``start``."""
        self.stopped = True

    def start(self) -> None:
        """As many as before ``stop``, or as was said since."""
        asleep = not self.effective
        self.stopped = False
        self._woken(asleep=asleep)

    def mark(self, number: int, why: str = "another instance takes its place") -> None:
        """Another instance is to take the place of this one; for a probe, that is one of the wanted ones."""
        self._marked = {**self._marked, number: why}
        self._probes -= {number}

    def probe(self, number: int) -> None:
        """This instance is there beside the wanted ones."""
        self._probes |= {number}

    def relieve(self, number: int, ready: Sequence[int], why: str) -> None:
        """This instance is to leave, and a probe, one of those that are ready, is among the wanted ones.

        If it is a probe itself, it is that one. Without any nothing happens.
        """
        probes = self._probes & {number} or self._probes & {*ready} or self._probes
        if probes:
            self._probes -= {min(probes)}
            self.mark(number, why)

    def roll_out(self, release: Release, strategy: Strategy) -> None:
        """All instances are to be of the release. Raises ``ValueError`` for a number that isn't new."""
        self._check(release)
        self._begin(release, strategy, trusted=False)

    def roll_back(self, reason: str, lines: tuple[str, ...] = ()) -> bool:
        """Back to the running release. False if nothing is rolled out."""
        return self._end_rollout("rolled_back", reason, lines)

    def complete(self) -> bool:
        """The rollout is done. False if nothing is rolled out."""
        self.running = self.target
        return self._end_rollout("done")

    def try_out(self, release: Release, instances: int, timeout: float) -> None:
        """So many instances of the release beside the wanted ones. Dismisses what was tried out before.

        Raises ``ValueError`` for a number that isn't new, and for less than one instance.
        """
        self._check(release)
        if instances < 1:
            raise ValueError(f"{instances} instances to try a release out: expected at least 1")
        self.dismiss(f"version {release.version} is tried out instead")
        self._latest = release.number
        self.trial = Trial(release, instances, timeout, self._clock.now(), self._clock.wall())
        self._told(self.trial)

    def promote(self, strategy: Strategy) -> bool:
        """All instances are to be of the release that is tried out. False if none is."""
        trial = self._tried
        if trial is None:
            return False
        self._end_trial(trial, "promoted")
        self._begin(trial.release, strategy, trusted=trial.trusted)
        return True

    def dismiss(self, reason: str, lines: tuple[str, ...] = ()) -> bool:
        """The instances that are tried out leave at once. False if there are none."""
        trial = self._tried
        if trial is None:
            return False
        self._dismissed |= {trial.release.number}
        self._end_trial(trial, "dismissed", reason, lines)
        return True

    def adjust(self, like: Release, strategy: Strategy) -> None:
        """What needs no new process is as in ``like``, in what runs; a trial stays as it is."""
        self.running = adjusted(self.running, like)
        self.strategy = strategy

    # -- what is

    def observe(self, instances: Sequence[InstanceSnapshot]) -> None:
        """The instances have changed."""
        ready = [one.release for one in instances if one.state is State.READY]
        if self.rollout and self.rollout.release.number in ready:
            self.rollout.trusted = True
        if self.trial:
            self.trial.observe(ready.count(self.trial.release.number))
        present = {one.number for one in instances}
        self._marked = {number: why for number, why in self._marked.items() if number in present}
        self._probes &= {one.number for one in instances if not one.leaving}
        self._dismissed &= {one.release for one in instances}

    def main(self, instances: Sequence[InstanceSnapshot]) -> list[InstanceSnapshot]:
        """Those of them that belong to the group that serves."""
        apart = self._dismissed | ({self._tried.release.number} if self._tried else frozenset())
        return [one for one in instances if one.release not in apart]

    def statuses(
        self, instances: Sequence[InstanceSnapshot]
    ) -> tuple[RolloutStatus | None, TrialStatus | None]:
        """Of the rollout and of the trial under way, else of the last ones; None where there was none."""
        rollout = self.rollout.status(self.main(instances), self.effective) if self.rollout else None
        return rollout, self.trial.status(instances) if self.trial else None

    # -- inside

    @property
    def _rolling(self) -> Rollout | None:
        return self.rollout if self.rollout and self.rollout.going_on else None

    @property
    def _tried(self) -> Trial | None:
        return self.trial if self.trial and self.trial.going_on else None

    def _check(self, release: Release) -> None:
        if release.number <= self._latest:
            raise ValueError(f"release {release.number} isn't new: the latest is {self._latest}")

    def _begin(self, release: Release, strategy: Strategy, *, trusted: bool) -> None:
        self._end_rollout("superseded", f"version {release.version} is rolled out instead")
        self._latest = max(self._latest, release.number)
        self.strategy = strategy
        trusted = trusted or not self.effective
        self.rollout = Rollout(release, self.running, self._clock.now(), self._clock.wall(), trusted)
        self._told(self.rollout)

    def _end_rollout(
        self,
        state: Literal["done", "rolled_back", "superseded"],
        reason: str = "",
        lines: tuple[str, ...] = (),
    ) -> bool:
        rollout = self._rolling
        if rollout is None:
            return False
        rollout.state, rollout.reason, rollout.lines = state, reason, lines
        rollout.ended = self._clock.wall()
        self._told(rollout)
        return True

    def _end_trial(
        self,
        trial: Trial,
        state: Literal["promoted", "dismissed"],
        reason: str = "",
        lines: tuple[str, ...] = (),
    ) -> None:
        trial.state, trial.reason, trial.lines = state, reason, lines
        trial.ended = self._clock.wall()
        self._told(trial)

    def _woken(self, *, asleep: bool) -> None:
        """A trial without instances, because none were wanted at all, has its whole time before it again."""
        if asleep and self.effective and self.trial:
            self.trial.since = self._clock.now()


def adjusted(release: Release, like: Release) -> Release:
    """The release with what of another's settings needs no new process, and under its version."""
    return replace(
        release, version=like.version, settings=without_new_processes(release.settings, like.settings)
    )


def _count(instances: int) -> int:
    if instances < 0:
        raise ValueError(f"{instances} instances: expected 0 or more")
    return instances
