"""The lanes of one service: which there are, who is in which, and how one becomes part of another.

Nearly always there is one, *main*, and then nothing here is on the path of a request: ``lead`` is told the
main pool's own ``submit``. There are more while a release is

* a *canary*, with a line and hosts of its own, and a share of the requests;
* a *shadow*, whose line has copies;
* *beside* main because its ``rpc.batching`` differs, so that its hosts can't be in the same pool. It takes
  from main's line, and when main has no hosts left it is main.

Guarantees: a ticket is in one line or in one host. What waits for a canary whose last host leaves, or that is
closed, goes to main, to where it belongs by its age; so does what comes back from its hosts later. Copies
never get into main.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eas_engine.workers.canary import CanaryTrial, untag
from eas_engine.workers.emptying import Emptying
from eas_engine.workers.lane import Beside, Canary, Kind, Lane
from eas_engine.workers.router import Router
from eas_engine.workers.shadow import ShadowTrial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eas_engine.batching.cut import Rules
    from eas_engine.errors import InstanceCrashed
    from eas_engine.request import Ticket
    from eas_engine.telemetry.comparison import Comparison, ShadowComparison
    from eas_engine.workers.lane import Ground
    from eas_engine.workers.link import Link
    from eas_engine.workers.quarantine import Log, Quarantine


class Lanes:
    """See above. ``lead``: told whom complete tickets go to, whenever that changes."""

    def __init__(self, ground: Ground, batching: Rules | None, *, retry: bool, log: Log) -> None:
        self._ground, self._log = ground, log
        self.main = Lane(ground, batching)
        self.lead: Callable[[Callable[[Ticket], None], Callable[[], None]], None] | None = None
        self.quarantine: Quarantine | None = None
        self._beside: list[Lane] = []  # what takes from main's line, with hosts or without
        self._canary: CanaryTrial | None = None
        self._shadow: ShadowTrial | None = None
        self._tried = -1  # the release of the canary, or the shadow
        self._left: list[Lane] = []  # whose hosts are about to leave, or to be moved
        self._old_shadows: list[ShadowTrial] = []  # with copies in hosts still
        self._lanes: dict[int, Lane] = {}  # by release
        self._home: dict[str, Lane] = {}  # by the host's name
        self._router: Router | None = None
        self.retry(on=retry)

    def __repr__(self) -> str:
        return f"<Lanes {self.main!r} {self._router!r}>"

    # -- who is in which

    def link(self, name: str, release: int) -> Link:
        """The engine's side of a new host: in its release's lane, which is main if none was opened for it."""
        lane = self._home[name] = self._lanes.setdefault(release, self.main)
        link = lane.link(name)
        self.settle()
        return link

    def open(self, release: int, kind: Kind, batching: Rules | None) -> None:
        """Hosts of this release, made from now on, get a lane of their own.

        Raises:
            ValueError: it has hosts already, another one is being tried out, or the share is none.
        """
        if release in self._lanes:
            raise ValueError(f"release {release} has a lane already")
        if not isinstance(kind, Beside) and self._tried >= 0:
            raise ValueError(f"release {self._tried} is being tried out already")
        if isinstance(kind, Beside):
            lane = self._open_beside(batching)
        elif isinstance(kind, Canary):
            lane = self._open_canary(kind.share, batching)
        else:
            lane = self._open_shadow(kind.share, batching)
        self._lanes[release] = lane
        if not isinstance(kind, Beside):
            self._tried = release
        self.settle()

    def merge(self, release: int) -> None:
        """The release's hosts, and who waits for them, join main; or stand beside it, if only one batches.

        Raises:
            LookupError: there is no such lane.
        """
        lane, old = self._of(release), self._stop_trying(release)
        if lane is self.main:
            return
        if old is None and lane in self._beside:
            if (lane.batching is None) != (self.main.batching is None):
                return
            self._beside.remove(lane)
        target = self.main
        if (lane.batching is None) != (target.batching is None):
            target = self._open_beside(lane.batching)
        self._lanes[release] = target
        for name in [name for name, home in self._home.items() if home is lane]:
            self._home[name] = target
        self._move(lane, target, old)
        self.settle()

    def close(self, release: int) -> None:
        """The release's hosts get nothing new, and who waits for them goes to main; copies are dropped.

        Hosts of it that are made later are main's. A release that isn't being tried out serves until its
        hosts leave.

        Raises:
            LookupError: there is no such lane.
        """
        lane, old = self._of(release), self._stop_trying(release)
        if old is not None:
            del self._lanes[release]
        if isinstance(old, CanaryTrial):
            self._left.append(lane)
        self.settle()

    def settle(self) -> None:
        """Hosts have come or gone: nobody waits where nobody serves, and main is a lane with hosts."""
        canary, shadow = self._canary, self._shadow
        if canary is not None:
            self._settle_canary(canary.lane)
        if shadow is not None:
            lane = shadow.lane
            lane.pool.heir = None if lane.serves else shadow.drop
            if not lane.serves:
                shadow.drop(lane.leave())
        self._settle_left()
        if not self.main.pool.links:
            heirs = [lane for lane in self._beside if lane.pool.links]
            if heirs:
                self._beside.remove(heirs[0])
                self._beside.append(self.main)
                self.main = heirs[0]
        self._arrange()

    # -- all of them

    def serving(self) -> Iterator[Lane]:
        """Those whose requests are the service's own."""
        yield self.main
        yield from self._beside
        if self._canary is not None:
            yield self._canary.lane
        yield from self._left

    def all(self) -> Iterator[Lane]:
        """Those of copies, too."""
        yield from self.serving()
        if self._shadow is not None:
            yield self._shadow.lane
        yield from (old.lane for old in self._old_shadows)

    def links(self) -> list[Link]:
        """Every host."""
        return [link for lane in tuple(self.all()) for link in tuple(lane.pool.links)]

    def waiting(self) -> int:
        """Requests in lines; those in hosts that aren't begun count as waiting, too, and are added."""
        lanes = tuple(self.serving())
        lines = {id(lane.backlog): len(lane.backlog) for lane in lanes}
        inside = sum(lane.pool.handed_out() for lane in lanes)
        begun = sum(link.begun() for lane in lanes for link in tuple(lane.pool.links))
        suspects = len(self.quarantine.line) if self.quarantine is not None else 0
        return max(0, sum(lines.values()) + suspects + inside - begun)

    def see(self, hosts: frozenset[str]) -> frozenset[str]:
        """There are these hosts now, dead ones included; the names of those that answer no client."""
        self._home = {name: lane for name, lane in self._home.items() if name in hosts}
        shadows = [shadow.lane for shadow in (self._shadow, *self._old_shadows) if shadow is not None]
        canary = [self._canary.lane] if self._canary is not None else []
        apart = [name for name, lane in self._home.items() if lane in (*shadows, *canary, *self._left)]
        if self.quarantine is not None:
            self.quarantine.hosts = len(hosts) - len(apart)
        return frozenset(name for name in apart if self._home[name] in shadows)

    def comparison(self, release: int) -> Comparison | ShadowComparison:
        """How the release that is being tried out does.

        Raises:
            LookupError: this one isn't.
        """
        figures = self._canary or self._shadow
        if figures is None or release != self._tried:
            raise LookupError(f"release {release} is not being tried out")
        return figures.comparison()

    # -- settings

    def configure(self, batching: Rules | None) -> None:
        """Other rules of batching from now on, for main and those beside it which batch."""
        if batching is not None:
            for lane in (self.main, *self._beside):
                lane.configure(batching)

    def retry(self, *, on: bool) -> None:
        """``rpc.retry_on_crash``. Turned off, those that wait for their second try get it still."""
        if self.quarantine is None and on:
            from eas_engine.workers.quarantine import Quarantine  # noqa: PLC0415 - only where it is asked for

            ground = self._ground
            self.quarantine = Quarantine(
                self.main.pool,
                loop=ground.loop,
                clock=ground.clock,
                counters=ground.counters,
                log=self._log,
            )
            for lane in self.serving():
                lane.pool.quarantine = self.quarantine
            self._arrange()
        if self.quarantine is not None:
            self.quarantine.accepting = on

    # -- the end

    def drain(self) -> None:
        """Nobody comes any more."""
        for lane in self.all():
            lane.pool.drain()

    def shut(self) -> None:
        """Look no more."""
        if self.quarantine is not None:
            self.quarantine.close()
        for lane in self.serving():
            lane.pool.close()
        for shadow in (self._shadow, *self._old_shadows):
            if shadow is not None:
                shadow.close()

    # -- opening

    def _open_beside(self, batching: Rules | None) -> Lane:
        lane = Lane(self._ground, batching, self.main.backlog)
        lane.pool.quarantine = self.quarantine
        self._beside.append(lane)
        return lane

    def _open_canary(self, share: float, batching: Rules | None) -> Lane:
        ground, lane = self._ground, Lane(self._ground, batching)
        self._canary = CanaryTrial(lane, share, ground.counters, ground.clock)
        lane.pool.quarantine = self.quarantine
        lane.pool.died = self._canary_died
        return lane

    def _open_shadow(self, share: float, batching: Rules | None) -> Lane:
        self._shadow = ShadowTrial(self._ground, batching, share)
        return self._shadow.lane

    def _canary_died(self, begun: list[Ticket], crash: InstanceCrashed) -> None:
        if self._canary is not None and self.quarantine is not None and self.quarantine.tries(crash):
            self._canary.died(begun, crash)

    # -- moving

    def _of(self, release: int) -> Lane:
        try:
            return self._lanes[release]
        except KeyError:
            raise LookupError(f"release {release} has no lane") from None

    def _stop_trying(self, release: int) -> CanaryTrial | ShadowTrial | None:
        """What tried the release out, if something did; it doesn't any more."""
        if release != self._tried:
            return None
        canary, shadow = self._canary, self._shadow
        self._canary = self._shadow = None
        self._tried = -1
        if canary is not None:
            self._to_main(canary.lane.leave())
            canary.lane.pool.heir = self._to_main
            return canary
        if shadow is not None:
            shadow.drop(shadow.lane.leave())
            shadow.lane.pool.heir = shadow.drop
            self._old_shadows.append(shadow)
        return shadow

    def _move(self, lane: Lane, target: Lane, old: CanaryTrial | ShadowTrial | None) -> None:
        """All hosts of a lane to another one; what is in them stays there."""
        if isinstance(old, ShadowTrial):
            for link in tuple(lane.pool.links):
                Emptying(link, lane.pool, self._adopt(target)).begin()
            return
        self._left.append(lane)
        for link in tuple(lane.pool.links):
            if self.quarantine is None or not self.quarantine.move(link, target.pool):
                lane.pool.remove(link)
                link.move(target.pool)

    def _adopt(self, target: Lane) -> Callable[[Link], None]:
        """What makes a shadow's host, which is empty now, one of the target's."""
        ground = self._ground

        def adopt(link: Link) -> None:
            link.adopt(ground.gate, ground.bodies, ground.counters)
            link.move(target.pool)
            if link.serving:
                link.release(target.pool)
            self.settle()

        return adopt

    def _to_main(self, tickets: Iterable[Ticket]) -> None:
        waiting = list(tickets)
        untag(waiting)
        self.main.pool.returned(waiting)

    def _settle_canary(self, lane: Lane) -> None:
        if lane.serves:
            lane.pool.heir = None
        else:
            lane.pool.heir = self._to_main
            if lane.backlog:
                self._to_main(lane.leave())

    def _settle_left(self) -> None:
        """Lanes whose last host has gone are gone, too."""
        for lane in [lane for lane in self._left if not lane.pool.links]:
            self._left.remove(lane)
            lane.pool.close()
        for shadow in [old for old in self._old_shadows if not old.lane.pool.links]:
            self._old_shadows.remove(shadow)
            shadow.close()

    def _arrange(self) -> None:
        """Tell everybody who must know which lanes there are."""
        group = [self.main, *(lane for lane in self._beside if lane.pool.links)]
        for lane in (self.main, *self._beside):
            lane.pool.join(tuple(other.pool for other in group if other is not lane))
        if self.quarantine is not None:
            pools = tuple(lane.pool for lane in group)
            if pools != self.quarantine.pools:
                self.quarantine.pools = pools
                self.quarantine.look()
        if len(group) == 1 and self._canary is None and self._shadow is None:
            self._router = None
            submit, look = self.main.pool.submit, self.main.pool.look
        else:
            router = self._router = self._router or Router(self.main, self._ground.gate)
            router.serve(group)
            router.canary, router.shadow = self._canary, self._shadow
            submit, look = router.submit, router.look
        if self.lead is not None:
            self.lead(submit, look)
