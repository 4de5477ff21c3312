"""A lane: a line of requests, and the hosts that take from it.

A service has one, nearly always. A release that is tried out, or whose batching differs from the running
one's, gets another (``lanes``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from eas_engine.admission.backlog import Backlog
from eas_engine.batching.batcher import Batcher
from eas_engine.records import dataclass
from eas_engine.workers.batch_link import BatchLink
from eas_engine.workers.batch_pool import BatchPool
from eas_engine.workers.link import Link
from eas_engine.workers.pool import Pool

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.admission.gate import Gate
    from eas_engine.batching.cut import Rules
    from eas_engine.request import Ticket
    from eas_engine.telemetry.counters import Counters
    from eas_engine.workers.bodies import Bodies

_WHOLE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Canary:
    """A share of the requests, more than 0 and at most 1, is answered by the release."""

    share: float


@dataclass(frozen=True, slots=True)
class Shadow:
    """Copies of a share of the requests, more than 0 and at most 1, go to the release."""

    share: float


@dataclass(frozen=True, slots=True)
class Beside:
    """The release serves like the running one; it batches where that doesn't, or the other way round."""


Kind = Canary | Shadow | Beside
"""What a lane of its own is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a lane stands on: where its requests are admitted, kept and counted."""

    gate: Gate
    bodies: Bodies
    counters: Counters
    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    request_prefix: str
    broken: Callable[[str, str], None]


class Lane:
    """One line with its hosts. ``backlog``: that of another lane, when the two take from one line."""

    def __init__(self, ground: Ground, batching: Rules | None, backlog: Backlog | None = None) -> None:
        self._ground = ground
        self.backlog = Backlog() if backlog is None else backlog
        self._batches: BatchPool | None = None
        if batching is None:
            self.pool = Pool(self.backlog, ground.loop)
        else:
            batcher = Batcher(
                self.backlog, batching, loop=ground.loop, clock=ground.clock, counters=ground.counters
            )
            self.pool = self._batches = BatchPool(self.backlog, ground.loop, batcher)

    def __repr__(self) -> str:
        return f"<Lane {self.pool!r}>"

    @property
    def batching(self) -> Rules | None:
        """By which rules requests leave together; None: each goes alone."""
        return None if self._batches is None else self._batches.batcher.rules

    @property
    def serves(self) -> bool:
        """Whether a host of it takes requests."""
        return any(link.serving for link in self.pool.links)

    def link(self, name: str) -> Link:
        """The engine's side of a new host; its pool has it."""
        ground, batches = self._ground, self._batches
        make: Callable[..., Link] = Link
        if batches is not None:
            make = partial(BatchLink, pace=batches.batcher.pace)
        link = make(
            name,
            pool=self.pool,
            gate=ground.gate,
            bodies=ground.bodies,
            counters=ground.counters,
            loop=ground.loop,
            clock=ground.clock,
            request_prefix=ground.request_prefix,
            broken=ground.broken,
        )
        self.pool.add(link)
        return link

    def configure(self, batching: Rules) -> None:
        """Other rules from now on, if this lane batches."""
        if self._batches is not None and self._batches.batcher.rules != batching:
            self._batches.configure(batching)

    def leave(self) -> list[Ticket]:
        """Whoever waits, longest waiting first; nobody does any more."""
        return [self.backlog.pop() for _ in range(len(self.backlog))]


class Share:
    """Every n-th request, exactly: of any so many in a row that share is chosen, give or take one."""

    def __init__(self, part: float) -> None:
        """``part``: more than 0, at most 1; counted in millionths.

        Raises:
            ValueError: it isn't.
        """
        self._step = round(part * _WHOLE)
        if not 0 < self._step <= _WHOLE:
            raise ValueError(f"a share is more than 0 and at most 1, not {part}")
        self._due = 0

    def __repr__(self) -> str:
        return f"<Share {self._step / _WHOLE:g}>"

    def next(self) -> bool:
        """Whether the next one is chosen."""
        self._due += self._step
        if self._due < _WHOLE:
            return False
        self._due -= _WHOLE
        return True
