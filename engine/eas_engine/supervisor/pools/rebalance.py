"""``metadata.resource_rebalancing``: instances that run in a lower group move up when there is room.

From time to time one more instance, a *probe*, is tried in a higher group. If it fits, the next round tries
two, then four, until one doesn't fit; then it is one again, after a pause. A probe that is ready takes the
place of an instance in a lower group, which leaves. Nobody leaves before that, so the service never has fewer
instances that are ready.

``decide`` and ``tried`` are pure; ``Rebalancer`` carries out what they say on a ``Fleet``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from eas_engine.clock import Clock
from eas_engine.records import dataclass

PERIOD: Final = 60.0
"""Seconds between the end of one attempt and the next."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One instance that has a place, as rebalancing sees it."""

    name: str
    group: str
    """Empty: in no group."""
    ready: bool
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a service.

    Attributes:
        order: the groups that its instances may be in, best first.
        period: seconds until one is tried again after nothing fitted.
        patience: seconds that a probe may take until it is ready (``metadata.rollout_timeout``).
    """

    order: tuple[str, ...]
    period: float = PERIOD
    patience: float = 300.0

    def rank(self, group: str) -> int:
        """0 is best; a group that the service isn't to be in is worse than all."""
        return self.order.index(group) if group in self.order else len(self.order)


@dataclass(frozen=True, slots=True)
class Probe:
    """An instance that was started in a higher group and isn't ready yet."""

    name: str
    group: str
    since: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: what is on its way, and what comes next."""

    next_look: float
    size: int = 1
    """How many probes the next round tries."""
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        drain: instances that are to leave.
        attempts: for each probe to start, the groups that it may be started in, best first.
        progress: how far it is then.
    """

    drain: tuple[str, ...]
    attempts: tuple[tuple[str, ...], ...]
    progress: Progress


def decide(progress: Progress, seats: Sequence[Seat], rules: Rules, now: float, *, steady: bool) -> Decision:
    """What is to be done at ``now``.

    Args:
        progress: as the last decision, or ``tried``, left it.
        seats: every instance of the service.
        rules: of the service.
        now: monotonic, seconds.
        steady: whether the service is neither updated nor scaled just now; else no probe is started.
    """
    by_name = {one.name: one for one in seats}
    probes = [one for one in progress.probes if one.name in by_name and not by_name[one.name].leaving]
    failed = len(probes) < len(progress.probes)
    drain: list[str] = []
    waiting: list[Probe] = []
    for probe in probes:
        if by_name[probe.name].ready:
            drain.append(_relieved(probe, seats, rules, {*drain, *(one.name for one in probes)}))
        elif now - probe.since > rules.patience:
            drain.append(probe.name)
            failed = True
        else:
            waiting.append(probe)
    progress = replace(progress, probes=tuple(waiting))
    if failed:
        progress = replace(progress, size=1, next_look=now + rules.period)
    if waiting or not steady or now < progress.next_look:
        return Decision(tuple(drain), (), progress)
    settled = [one for one in seats if not one.leaving and one.name not in drain]
    attempts = _attempts(settled, rules)[: progress.size]
    if not attempts:
        progress = replace(progress, size=1, next_look=now + rules.period)
    return Decision(tuple(drain), attempts, progress)


def tried(progress: Progress, started: Sequence[Probe], asked: int, now: float, rules: Rules) -> Progress:
    """How far it is after ``started`` of the ``asked`` probes have found room."""
    probes = (*progress.probes, *started)
    if len(started) < asked:
        return Progress(now + rules.period, 1, probes)
    return Progress(now, progress.size * 2, probes)


def _relieved(probe: Probe, seats: Sequence[Seat], rules: Rules, spoken_for: set[str]) -> str:
    """Who leaves now that the probe is ready: of the lowest group, rather one that isn't ready.

    If nobody is in a lower group any more, the probe is one too many.
    """
    below = [
        one
        for one in seats
        if rules.rank(one.group) > rules.rank(probe.group) and not one.leaving and one.name not in spoken_for
    ]
    if not below:
        return probe.name
    return max(below, key=lambda one: (rules.rank(one.group), not one.ready, one.name)).name


def _attempts(settled: Sequence[Seat], rules: Rules) -> tuple[tuple[str, ...], ...]:
    """One for each instance that could be better off, those that are worst off first."""
    ranks = sorted((rules.rank(one.group) for one in settled), reverse=True)
    return tuple(rules.order[:rank] for rank in ranks if rank > 0)


class Fleet(Protocol):
    """What rebalancing needs of the supervisor. What isn't awaited is synchronous."""

    def seats(self) -> Sequence[Seat]:
        """Every instance that has a place, probes among them."""
        ...

    def steady(self) -> bool:
        """No update, no scaling is under way."""
        ...

    async def start_in(self, group: str) -> str | None:
        """Start one more instance than wanted, in that group alone; its name. None: it doesn't fit there."""
        ...

    def drain(self, instance: str) -> None:
        """That instance is to leave, and none comes for it: a probe has taken its place, or it is one."""
        ...


class Rebalancer:
    """Rebalances one service."""

    def __init__(self, fleet: Fleet, rules: Rules, clock: Clock) -> None:
        self.rules = rules
        self.progress = Progress(clock.now() + rules.period)
        self._fleet, self._clock = fleet, clock

    async def step(self) -> None:
        """Do what is to be done now."""
        now = self._clock.now()
        decision = decide(self.progress, self._fleet.seats(), self.rules, now, steady=self._fleet.steady())
        for name in decision.drain:
            self._fleet.drain(name)
        self.progress = decision.progress
        if decision.attempts:
            await self._start(decision.attempts, now)

    async def run(self, pause: float = 1.0) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.step()
            await self._clock.sleep(pause)

    async def _start(self, attempts: Sequence[tuple[str, ...]], now: float) -> None:
        before, started = self.progress, list[Probe]()
        for groups in attempts:
            probe = await self._probe(groups, now)
            if probe is None:
                break
            started.append(probe)  # at once, for whoever gives up meanwhile
            self.progress = replace(before, probes=(*before.probes, *started))
        self.progress = tried(before, started, len(attempts), now, self.rules)

    async def _probe(self, groups: Sequence[str], now: float) -> Probe | None:
        for group in groups:
            name = await self._fleet.start_in(group)
            if name is not None:
                return Probe(name, group, now)
        return None
