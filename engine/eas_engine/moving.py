"""``metadata.resource_rebalancing`` in a running engine: what the supervisor and the placer do for it.

``supervisor/pools/rebalance`` decides; here its ``Fleet`` is made of the two that know: the placer in which
group an instance is, the supervisor how it does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.place import NoPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eas_engine.clock import Clock
    from eas_engine.supervisor.place import Place
    from eas_engine.supervisor.pools.placing import Placing
    from eas_engine.supervisor.pools.rebalance import Rebalancer, Seat
    from eas_engine.supervisor.reconcile import Supervisor
    from eas_engine.supervisor.settings import Settings

PAUSE: Final = 1.0
"""Seconds between two looks."""

_UP_OR_DOWN: Final = frozenset({State.READY, State.BLOCKED})
"""What an instance stays in: it neither starts nor is about to."""


class Moving:
    """Moves the instances of one service up, while it has rules. Lives on the engine's loop.

    Implements ``rebalance.Fleet``.
    """

    def __init__(
        self, supervisor: Supervisor, placer: Placing, clock: Clock, log: Callable[..., object]
    ) -> None:
        self._supervisor, self._placer, self._clock, self._log = supervisor, placer, clock, log
        self._rebalancer: Rebalancer | None = None
        self._on = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Moving {self._rebalancer.progress if self._rebalancer else 'off'}>"

    def configure(self, patience: float) -> None:
        """Another configuration is in effect: go by the pools that its instances may be in now.

        ``patience``: seconds that a probe may take until it is ready. With one pool alone, or none,
        probes that aren't ready yet leave, and no other is started.
        """
        order = tuple(one.name for one in self._placer.choices(self._supervisor.settings.wishes))
        if len(order) < 2:
            self._give_up()
            return
        from eas_engine.supervisor.pools.rebalance import Rebalancer, Rules  # noqa: PLC0415 - only for pools

        rules = Rules(order, patience=patience)
        if self._rebalancer is None:
            self._rebalancer = Rebalancer(self, rules, self._clock)
            self._on.set()
        else:
            self._rebalancer.rules = rules

    async def run(self) -> None:
        """Look once a second while there are rules, until cancelled."""
        while True:
            await self._on.wait()
            await self.step()
            await self._clock.sleep(PAUSE)

    async def step(self) -> None:
        """Do what is to be done now. A rollout replaces every instance, and puts it where it belongs."""
        rollout = self._supervisor.snapshot().rollout
        if self._rebalancer is not None and (rollout is None or rollout.state != "rolling"):
            await self._rebalancer.step()

    # -- Fleet

    def seats(self) -> Sequence[Seat]:
        """See ``Fleet``."""
        from eas_engine.supervisor.pools.rebalance import Seat  # noqa: PLC0415 - loaded by now: it asks

        groups = self._placer.groups
        return [
            Seat(one.name, groups[one.name], one.state is State.READY, one.leaving)
            for one in self._supervisor.snapshot().serving
            if one.name in groups
        ]

    def steady(self) -> bool:
        """See ``Fleet``. An instance that an operator must unblock is no reason to wait."""
        fleet = self._supervisor.snapshot()
        changing = (fleet.rollout is not None and fleet.rollout.state == "rolling") or (
            fleet.trial is not None and fleet.trial.state == "trying"
        )
        staying = [one.state for one in fleet.serving if not one.leaving]
        there = len(staying) == fleet.wanted + fleet.probes and _UP_OR_DOWN.issuperset(staying)
        return bool(fleet.wanted) and not fleet.stopping and not changing and there

    async def start_in(self, group: str) -> str | None:
        """See ``Fleet``. The place is found first; whom it is for is said when it is, and still wanted."""
        before, settings = self._rebalancer, self._supervisor.settings
        reserved = await self._placer.reserve(settings.limits, settings.wishes, group)
        if reserved is None:
            return None

        def place(instance: str, now: Settings) -> Place | NoPlace:
            if (now.limits, now.wishes) != (settings.limits, settings.wishes):
                return NoPlace("another release runs now")
            return self._placer.take(reserved, instance)

        name = self._supervisor.probe(place) if self._rebalancer is before else None
        if name is None:
            self._placer.leave(reserved)
        else:
            self._log("probe", instance=name, group=group)
        return name

    def drain(self, instance: str) -> None:
        """See ``Fleet``."""
        why = self._why(instance)
        self._log("relieved", instance=instance, reason=why)
        self._supervisor.relieve(instance, why)

    # -- within

    def _why(self, instance: str) -> str:
        """Why it leaves, for people."""
        if self._rebalancer is None:
            return "rebalancing was turned off, and it is one more than wanted"
        if instance not in {probe.name for probe in self._rebalancer.progress.probes}:
            return "rebalancing: an instance in a better group takes its place"
        ready = any(seat.ready for seat in self.seats() if seat.name == instance)
        missed = "no instance is in a lower group any more" if ready else "it was not ready in time"
        return f"rebalancing: {missed}"

    def _give_up(self) -> None:
        if self._rebalancer is not None:
            probes = self._rebalancer.progress.probes
            self._rebalancer = None
            self._on.clear()
            for one in probes:
                self.drain(one.name)
