"""The hosts of a service in their seats, and the places that their instances have.

A seat's number belongs to one instance, and an instance is of one release, from its first host's execution
until the last process is dead; so does its place. Where there is none, the host stays as it is and says so,
and one is looked for again after a while, and whenever an instance has left.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from operator import itemgetter

from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.host import Host
from eas_engine.supervisor.instance import Surroundings
from eas_engine.supervisor.lifecycle import LIVE, State
from eas_engine.supervisor.observe import InstanceSnapshot, Seat
from eas_engine.supervisor.place import NoPlace, Place, Placer, Quarters
from eas_engine.supervisor.release import Release

PLACE_SECONDS = 1.0
"""Seconds after which a place is looked for again where there was none."""


class Seats:
    """Who sits where.

    Args:
        surroundings: what all hosts share.
        placer: says where instances run.
        changed: called after every change that a plan may depend on.
    """

    def __init__(self, surroundings: Surroundings, placer: Placer, changed: Callable[[], None]) -> None:
        self._all = surroundings
        self._placer = placer
        self._changed = changed
        self._hosts: dict[Seat, Host] = {}
        self._quarters: dict[int, Quarters] = {}
        self._lost: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Seats {', '.join(f'{host.name} {host.state.value}' for host in self) or 'empty'}>"

    def __iter__(self) -> Iterator[Host]:
        """In the order of their seats; also for another thread, that of the admin plane, which only reads."""
        return iter([host for _, host in sorted(self._hosts.items(), key=itemgetter(0))])

    def __getitem__(self, seat: Seat) -> Host:
        return self._hosts[seat]

    def named(self, name: str) -> list[Host]:
        """The host, or the hosts of the instance, of that name."""
        return [host for host in self if name in (host.name, host.instance)]

    def free(self) -> int:
        """The lowest number that no instance has."""
        taken = {seat.instance for seat in self._hosts}
        return next(number for number in itertools.count() if number not in taken)

    def add(self, seat: Seat, release: Release) -> Host:
        """A host that isn't started yet, in a free seat."""
        host = self._hosts[seat] = Host(seat, release, self._all, self._changed)
        return host

    def ready_to_start(self, seat: Seat, release: Release | None) -> tuple[Host, Quarters] | None:
        """The host of the seat, and where it may be executed; None while there is no place for its instance.

        In a free seat one is added, of the release of its instance; of ``release`` if it is the first.
        """
        mates = [host for host in self if host.seat.instance == seat.instance]
        release = mates[0].release if mates else release
        if release is None:
            return None
        host = self._hosts.get(seat) or self.add(seat, release)
        quarters = self._quarters.get(seat.instance)
        if quarters is None or not any(mate.state in LIVE for mate in mates):
            limits = host.settings.limits
            place = self._place(host, quarters)
            if place is None:
                host.wait_until_placed()
                return None
            if isinstance(place, NoPlace):
                host.wait_for_place(place.reason, self._all.clock.now() + PLACE_SECONDS)
                return None
            quarters = self._quarters[seat.instance] = Quarters(host.instance, place, limits)
        return host, quarters

    def _place(self, host: Host, before: Quarters | None) -> Place | NoPlace | None:
        """See ``Placer``; another one if a card of the one ``before`` is gone."""
        if before is not None and self._lost.keys() & before.place.cards:
            self._quarters.pop(host.seat.instance)
            self._placer.leave(host.instance)
        place = self._placer.place(host.instance, host.settings.limits, host.settings.wishes)
        if isinstance(place, Place) and (gone := self._lost.keys() & place.cards):
            self._placer.leave(host.instance)
            return NoPlace("; ".join(sorted(f"{card} is gone: {self._lost[card]}" for card in gone)))
        return place

    def on_card(self, card: str) -> list[Host]:
        """The hosts whose instance may use that card; empty: any card."""
        places = {number: one.place.cards for number, one in self._quarters.items()}
        having = {number for number, cards in places.items() if card in cards or (cards and not card)}
        return [host for host in self if host.seat.instance in having]

    def lose_card(self, card: str, why: str) -> None:
        """The card is gone: nobody starts on it any more, and who is there can't go on."""
        self._lost[card] = why
        now = self._all.clock.now()
        for host in self.on_card(card):
            if host.state is State.DRAINING:
                host.drain(now)
            host.condemn(Condemned("gpu_fault", f"GPUFault: {card} is gone: {why}"), now)

    def regain_card(self, card: str) -> None:
        """It isn't gone any more."""
        self._lost.pop(card, None)
        for host in self:
            host.look_again()

    def placed(self, instance: str) -> None:
        """The placer knows now whether there is a place for it."""
        for host in self.named(instance):
            host.look_again()
        self._changed()

    def remove(self, seat: Seat) -> None:
        """The host has stopped; with the last one of its instance the place is free."""
        gone = self._hosts.pop(seat)
        gone.gpu_memory.give_up()
        if not any(host.seat.instance == seat.instance for host in self):
            self._leave(gone)
            for host in self:
                host.look_again()
        self._changed()

    def leave_all(self) -> None:
        """No process lives any more, and none will."""
        for host in self:
            self._leave(host)

    def instances(self) -> tuple[InstanceSnapshot, ...]:
        """What they are now."""
        now = self._all.clock.now()
        groups: dict[int, list[Host]] = {}
        for host in self:
            groups.setdefault(host.seat.instance, []).append(host)
        return tuple(
            InstanceSnapshot(hosts[0].instance, tuple(host.snapshot() for host in hosts), now)
            for hosts in groups.values()
        )

    def _leave(self, last: Host) -> None:
        """The last host of its instance: what was found for it is free, also if it never came to use it."""
        self._quarters.pop(last.seat.instance, None)
        self._placer.leave(last.instance)
