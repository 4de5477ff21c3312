"""Everything that can happen to requests while releases come and go: canaries, shadows, lanes beside main.

What ``test_data_plane`` asks for must hold here, too, and beside it:

* a ticket is in one line or in one host, and nobody waits where nobody serves, or while a thread is free;
* every request whose turn it is goes to the canary, and no other, while it has a host and keeps up;
* copies change nothing: the books of the service are exact without them, and at the end nothing of them is
  left, either;
* main has hosts if any lane beside it has.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from eas_engine.batching.cut import Rules
from eas_engine.request import Ticket
from eas_engine.workers.batch_link import BatchLink
from eas_engine.workers.canary import Measured
from eas_engine.workers.lane import Beside, Canary, Lane, Shadow, Share
from eas_engine.workers.shadow import ShadowTrial
from model.test_data_plane import THREADS, DataPlane, Retrying, pick
from support.wire_host import Call, WireHost

BATCHES = Rules(3, 0.05, when_idle=True)
MOST_HOSTS = 5


class Lanes(DataPlane):
    """Releases are numbered; hosts of release 0 are main's."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 0
        self.tried = -1
        self.opened: list[int] = []  # releases with a lane of their own, open or merged
        self.shares: Share | None = None  # what the canary's is expected to say
        self.shadows: list[ShadowTrial] = []
        self.copies: set[str] = set()  # hosts that were made for a shadow and answer nobody

    @property
    def lanes(self) -> list[Lane]:
        return list(self.parts.lanes.serving())

    @property
    def group(self) -> list[Lane]:
        return [self.parts.lanes.main, *self.parts.lanes._beside]

    # -- releases

    def open(self, kind: Canary | Shadow | Beside, batching: Rules | None) -> None:
        self.last += 1
        self.parts.lanes.open(self.last, kind, batching)
        self.opened.append(self.last)
        self.see()

    @precondition(lambda self: self.tried < 0)
    @rule(share=st.sampled_from([0.1, 0.5, 0.7, 1.0]), batches=st.booleans(), opens=st.booleans())
    def canary_begins(self, share: float, batches: bool, opens: bool) -> None:
        self.open(Canary(share), BATCHES if batches else None)
        self.tried, self.shares = self.last, Share(share)
        if opens:
            self.host_of_a_release(-1)

    @precondition(lambda self: self.tried < 0)
    @rule(share=st.sampled_from([0.5, 1.0]), batches=st.booleans(), opens=st.booleans())
    def shadow_begins(self, share: float, batches: bool, opens: bool) -> None:
        self.open(Shadow(share), BATCHES if batches else None)
        self.tried = self.last
        assert self.parts.lanes._shadow is not None
        self.shadows.append(self.parts.lanes._shadow)
        if opens:
            self.host_of_a_release(-1)

    @precondition(lambda self: len(self.parts.lanes._beside) < 2)
    @rule(opens=st.booleans())
    def rollout_begins(self, opens: bool) -> None:
        """Of a release that batches where main doesn't, or the other way round."""
        self.open(Beside(), None if self.parts.lanes.main.batching else BATCHES)
        if opens:
            self.host_of_a_release(-1)

    @precondition(lambda self: self.opened and len(self.parts.hosts) < MOST_HOSTS)
    @rule(n=pick)
    def host_of_a_release(self, n: int) -> None:
        release = self.opened[n % len(self.opened)]
        host = self.parts.host(THREADS, release=release)
        self.see()
        if release == self.tried and self.shares is None:
            self.copies.add(host.link.name)

    @precondition(lambda self: self.opened)
    @rule(n=pick)
    def promoted(self, n: int) -> None:
        release = self.opened[n % len(self.opened)]
        self.parts.lanes.merge(release)
        self.ended(release)

    @precondition(lambda self: self.opened)
    @rule(n=pick)
    def dismissed(self, n: int) -> None:
        release = self.opened[n % len(self.opened)]
        self.parts.lanes.close(release)
        if release == self.tried:
            self.opened.remove(release)
        self.ended(release)

    def ended(self, release: int) -> None:
        if release == self.tried:
            self.tried, self.shares = -1, None
        self.see()

    def see(self) -> None:
        super().see()
        self.parts.lanes.see(frozenset(host.link.name for host in self.parts.hosts))

    def links_of(self, lane: Lane) -> list[WireHost]:
        return [host for host in self.parts.hosts if host.link in lane.pool.links]

    def fill(self, lane: Lane) -> None:
        """Requests, until one waits in this lane's line, or there is no place left."""
        for _ in range(24):
            if lane.backlog or self.parts.gate.full:
                return
            self.arrive(size=1, slow=False, late=0.0, stays=False)

    @precondition(lambda self: self.parts.lanes._canary is not None and self.parts.lanes._canary.lane.serves)
    @rule(how=st.sampled_from(["dies", "drains", "promoted", "dismissed"]), begun=st.booleans())
    def canary_is_full_and_leaves(self, how: str, begun: bool) -> None:
        """Chance alone brings this about too seldom; the same below."""
        canary = self.parts.lanes._canary
        assert canary is not None
        self.fill(canary.lane)
        hosts = self.links_of(canary.lane)
        for host in hosts:
            for call in [call for call in host.read() if begun and not call.began]:
                self.begin(host, call)
        if how == "promoted":
            self.promoted(self.opened.index(self.tried))
        elif how == "dismissed":
            self.dismissed(self.opened.index(self.tried))
        else:
            for host in hosts:
                if how == "dies":
                    self.host_dies(self.parts.hosts.index(host), turned=True, stopped=False)
                else:
                    self.taken_back(self.parts.hosts.index(host), drained=True)

    @precondition(lambda self: sum(lane.serves for lane in self.group) > 1)
    @rule(n=pick)
    def main_and_what_is_beside_it_are_full_and_one_goes(self, n: int) -> None:
        self.fill(self.parts.lanes.main)
        lanes = [lane for lane in self.group if lane.serves]
        for host in self.links_of(lanes[n % len(lanes)]):
            self.host_dies(self.parts.hosts.index(host), turned=True, stopped=False)

    @precondition(lambda self: self.copies and self.parts.lanes._shadow is not None)
    @rule(how=st.sampled_from(["dies", "drains", "promoted", "dismissed"]))
    def shadow_is_full_and_leaves(self, how: str) -> None:
        shadow = self.parts.lanes._shadow
        assert shadow is not None
        self.fill(shadow.lane)
        hosts = self.links_of(shadow.lane)
        if how == "promoted":
            self.promoted(self.opened.index(self.tried))
        elif how == "dismissed":
            self.dismissed(self.opened.index(self.tried))
        else:
            for host in hosts:
                if how == "dies":
                    self.host_dies(self.parts.hosts.index(host), turned=True, stopped=False)
                else:
                    self.taken_back(self.parts.hosts.index(host), drained=True)

    # -- requests

    def submit(self, ticket: Ticket, size: int) -> None:
        canary = self.parts.lanes._canary
        turn = canary is not None and canary.lane.serves and self.shares is not None and self.shares.next()
        overflowed = canary.overflowed if canary is not None else 0
        super().submit(ticket, size)
        if canary is not None:
            client = ticket.client
            tagged = isinstance(client, Measured) and client._tally is canary.tally
            assert tagged == (turn and canary.overflowed == overflowed)

    def answers_nobody(self, host: WireHost) -> bool:
        """Whether what is in the host are copies: it is in a shadow's lane."""
        return any(host.link in shadow.lane.pool.links for shadow in self.shadows)

    def begin(self, host: WireHost, call: Call) -> None:
        unit = call.unit.calls if isinstance(host.link, BatchLink) else [call]
        for one in [one for one in unit if not one.began]:
            if self.answers_nobody(host):
                host.begin(one)
            else:
                super().begin(host, one)

    def begun_in(self, host: WireHost) -> list[int]:
        return [] if self.answers_nobody(host) else super().begun_in(host)

    # -- what must hold

    @invariant()
    def a_ticket_is_in_one_line_or_in_one_host(self) -> None:
        lines = {id(lane.backlog): lane.backlog for lane in self.lanes}
        for _, ticket in self.waiting():
            here = [line for line in lines.values() if ticket in line.line]
            inside = [host for host in self.parts.hosts if ticket in host.link._tickets]
            assert len(here) + len(inside) <= 1
            if ticket not in self.uploading and ticket.holder is not None:
                suspect = self.retry and ticket in self.parts.quarantine.line._line
                assert len(here) + len(inside) + suspect == 1, ticket

    @invariant()
    def the_line_is_in_order(self) -> None:
        for lane in self.lanes:
            queued = [ticket.queued for ticket in lane.backlog.line]
            assert queued == sorted(queued)

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        if self.parts.loop.ready:  # the end of the turn is to come
            return
        if self.parts.backlog:
            self.check_full(link for lane in self.group for link in lane.pool.links)
        canary = self.parts.lanes._canary
        if canary is not None and canary.lane.backlog:
            assert canary.lane.serves
            self.check_full(iter(canary.lane.pool.links))
        shadow = self.parts.lanes._shadow
        if shadow is not None and shadow.lane.backlog:
            assert shadow.lane.serves

    def check_full(self, links: Iterator[object]) -> None:
        for link in links:
            if isinstance(link, BatchLink):
                assert link.free_threads() <= 0
            else:
                assert link.room() <= 0  # type: ignore[attr-defined]

    @invariant()
    def lines_hold_no_more_than_was_let_in(self) -> None:
        lines = {id(lane.backlog): len(lane.backlog) for lane in self.lanes}
        assert sum(lines.values()) <= self.parts.gate.count

    @invariant()
    def main_has_hosts_if_any_beside_it_has(self) -> None:
        lanes = self.parts.lanes
        assert lanes.main.pool.links or not any(lane.pool.links for lane in lanes._beside)

    @invariant()
    def copies_are_accounted_for(self) -> None:
        for shadow in self.shadows:
            found = shadow.comparison()
            assert found.copies >= found.same + found.different + found.failed
            assert min(found.same, found.different, found.failed, found.skipped, found.unmatched) >= 0

    def finish(self) -> None:
        super().finish()
        for lane in self.parts.lanes.all():
            assert not lane.backlog
        for shadow in self.shadows:
            assert shadow.gate.count == 0
            assert shadow.bodies.budget.used == 0


Lanes.TestCase.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, report_multiple_bugs=False
)
TestLanes = Lanes.TestCase


class RetryingLanes(Lanes, Retrying):
    """The same with ``rpc.retry_on_crash``."""

    @invariant()
    def suspects_are_tried_where_nothing_is_tried_out(self) -> None:
        reserved = self.parts.quarantine.reserved
        assert reserved is None or any(reserved in lane.pool.links for lane in self.group)


RetryingLanes.TestCase.settings = Lanes.TestCase.settings
TestRetryingLanes = RetryingLanes.TestCase
