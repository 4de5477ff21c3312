"""The releases of a service: what each was made of, what it holds of the cache, and how its rollout ends.

The conversation with the supervisor and the lanes, as coroutines that return when something has an end.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from eas_engine.clock import wait_until
from eas_engine.operations import RefusedError
from eas_engine.supervisor.release import RolloutStatus, Strategy, TrialStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eas_engine.configuration import Configured
    from eas_engine.operations import Update
    from eas_engine.spec import ServiceSpec
    from eas_engine.supervisor.observe import FleetSnapshot
    from eas_engine.supervisor.release import Release
    from eas_engine.updates.joined import Joined


T = TypeVar("T")


class Releases:
    """Those of which processes live, or will."""

    def __init__(self, joined: Joined, first: Configured) -> None:
        self._all = joined
        self._latest = 1
        self._made_of = {1: first}
        self._held: dict[int, ExitStack] = {}
        self._beside: set[int] = set()  # those with a lane of their own
        self._rollouts: dict[int, asyncio.Future[RolloutStatus]] = {}
        self._trials: dict[int, asyncio.Future[TrialStatus]] = {}
        self._fleet: FleetSnapshot | None = None
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Releases {sorted(self._made_of)}>"

    @property
    def workspaces(self) -> tuple[Path, ...]:
        """Where processors work now, or may soon."""
        found = (one.workspace for one in self._made_of.values())
        return tuple({path for path in found if path is not None})

    @property
    def next(self) -> int:
        """Number of the release that comes next."""
        return self._latest + 1

    @property
    def fleet(self) -> FleetSnapshot:
        """What the instances are like."""
        return self._fleet or self._all.supervisor.snapshot()

    def close(self) -> None:
        """Nothing more is needed of the cache."""
        while self._held:
            self._held.popitem()[1].close()

    # -- changes

    async def roll_out(self, configured: Configured, hold: ExitStack, wanted: int) -> RolloutStatus:
        """Let instances of this configuration take the place of all others; its end.

        ``hold`` is kept for as long as a process of it lives.
        """
        release = self._new(configured, hold)
        if self._all.lanes.open_beside(release.number, configured):
            self._beside.add(release.number)
        end = self._expect_rollout(release.number)
        self._all.supervisor.scale(wanted)
        self._all.supervisor.roll_out(release, strategy(configured.loaded.spec))
        status = await end
        self._settle_lane(release.number, done=status.state == "done")
        return status

    def try_out(
        self, configured: Configured, hold: ExitStack, asked: Update
    ) -> tuple[Release, asyncio.Future[TrialStatus]]:
        """A canary or a shadow beside the service; the future of its end."""
        release = self._new(configured, hold)
        self._all.lanes.open_trial(release.number, configured, asked)
        self._beside.add(release.number)
        end: asyncio.Future[TrialStatus] = asyncio.get_running_loop().create_future()
        self._trials[release.number] = end
        share = asked.canary or asked.shadow or 0.0
        instances = max(1, math.ceil(share * self._all.supervisor.snapshot().wanted))
        timeout = float(configured.loaded.spec.metadata.rollout_timeout)
        self._all.supervisor.try_out(release, instances, timeout)
        return release, end

    async def promote(self, release: Release, configured: Configured, wanted: int) -> RolloutStatus:
        """What is tried out takes the place of the rest; the rollout's end.

        Errors: RefusedError when it has just been dismissed.
        """
        trial = self._all.supervisor.snapshot().trial
        if trial is None or trial.release != release.number or trial.state != "trying":
            raise RefusedError(f"version {release.version} is not tried out any more", conflict=True)
        end = self._expect_rollout(release.number)
        self._settle_lane(release.number, done=True)
        self._all.supervisor.scale(wanted)
        self._all.supervisor.promote(strategy(configured.loaded.spec))
        return await end

    def dismissed(self, release: Release) -> None:
        """The trial is over: its requests go the usual way."""
        self._settle_lane(release.number, done=False)

    # -- what the supervisor tells

    def on_rollout(self, status: RolloutStatus) -> None:
        """See ``supervisor.instance.Hooks``."""
        if status.state != "rolling" and status.release in self._rollouts:
            _settle(self._rollouts.pop(status.release), status)

    def on_trial(self, status: TrialStatus) -> None:
        """See ``supervisor.instance.Hooks``."""
        if status.state != "trying" and status.release in self._trials:
            _settle(self._trials.pop(status.release), status)

    def observe(self, fleet: FleetSnapshot) -> None:
        """The instances have changed. What no process needs any more is let go."""
        self._fleet = fleet
        self._news.set()
        needed = {one.release for one in fleet.instances} | {fleet.release, self._latest}
        needed |= {*self._rollouts, *self._trials}
        for number in [number for number in self._made_of if number not in needed]:
            del self._made_of[number]
            if number in self._held:
                self._all.disk.later(self._held.pop(number).close)

    async def until(self, condition: Callable[[], bool], by: float = math.inf) -> bool:
        """Wait for it, looking whenever the instances have changed; False: ``by`` has come before."""
        while not condition():
            if self._all.clock.now() >= by:
                return False
            self._news.clear()
            await wait_until(self._all.clock, by, self._news.wait())
        return True

    # -- within

    def _new(self, configured: Configured, hold: ExitStack) -> Release:
        self._latest += 1
        self._made_of[self._latest] = configured
        self._held[self._latest] = hold
        return self._all.release(self._latest, configured)

    def _expect_rollout(self, number: int) -> asyncio.Future[RolloutStatus]:
        end: asyncio.Future[RolloutStatus] = asyncio.get_running_loop().create_future()
        self._rollouts[number] = end
        return end

    def _settle_lane(self, number: int, *, done: bool) -> None:
        if number in self._beside:
            self._beside.discard(number)
            (self._all.lanes.merge if done else self._all.lanes.close)(number)


def strategy(spec: ServiceSpec) -> Strategy:
    """``metadata.rolling_strategy`` and ``rollout_timeout``."""
    metadata = spec.metadata
    unavailable = metadata.rolling_strategy.max_unavailable
    if unavailable is None:  # who has machines of one's own may not have room for one instance more
        unavailable = 1 if metadata.resource else 0
    return Strategy(metadata.rolling_strategy.max_surge, unavailable, float(metadata.rollout_timeout))


def _settle(future: asyncio.Future[T], status: T) -> None:
    if not future.done():
        future.set_result(status)
