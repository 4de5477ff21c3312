"""Finding places without holding the loop: a ``LedgerPlacer`` whose work the disk's thread does.

The ledger is a directory on disk that other engines lock, and an engine that was stopped with the lock in its
hands keeps whoever asks for it waiting. So ``place`` says at first that it isn't known yet, and ``found`` is
told when it is. What leaves and what is placed is done in the order in which it was asked for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from eas_engine.spec.engine.pools import Pool
from eas_engine.supervisor.place import Limits, NoPlace, Place, Wishes
from eas_engine.supervisor.pools.placer import LedgerPlacer

T = TypeVar("T")


class Thread(Protocol):
    """Where work that waits is done, one piece after the other."""

    def begin(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        """It is asked for now; its result, or what it raises."""
        ...

    def later(self, work: Callable[[], object], /) -> None:
        """Nobody waits for it."""
        ...


class Placing:
    """Implements ``place.Placer`` on the loop. From now on nobody else calls the placer."""

    def __init__(self, placer: LedgerPlacer, thread: Thread) -> None:
        self._placer, self._thread = placer, thread
        self._found: dict[str, Place | NoPlace] = {}
        self._looking: dict[str, asyncio.Future[Place | NoPlace]] = {}
        self._reservations = itertools.count()
        self.found: Callable[[str], None] = lambda _: None
        """Told the name of an instance for which a place was found, or none: ``place`` says which."""

    def __repr__(self) -> str:
        return f"<Placing {self._placer!r}, {len(self._looking)} looked for>"

    @property
    def groups(self) -> Mapping[str, str]:
        """The group of each instance that has a place."""
        return {name: found.group for name, found in self._found.items() if isinstance(found, Place)}

    @property
    def cards(self) -> Mapping[str, tuple[str, ...]]:
        """UUIDs of the cards that each instance has. From any thread."""
        return {name: found.cards for name, found in dict(self._found).items() if isinstance(found, Place)}

    def choices(self, wishes: Wishes) -> tuple[Pool, ...]:
        """The pools that an instance may be in, best first."""
        return self._placer.choices(wishes)

    def place(self, instance: str, limits: Limits, wishes: Wishes) -> Place | NoPlace | None:
        """See ``Placer``. That there is none is said once; whoever asks again has it looked for again."""
        known = self._found.get(instance)
        if isinstance(known, Place):
            return known
        if known is not None:
            return self._found.pop(instance)
        if instance not in self._looking:
            look = self._thread.begin(lambda: self._placer.place(instance, limits, wishes))
            self._looking[instance] = look
            look.add_done_callback(partial(self._looked, instance))
        return None

    def leave(self, instance: str) -> None:
        """See ``Placer``."""
        self._found.pop(instance, None)
        self._looking.pop(instance, None)  # it goes on, and what it finds is given back behind it
        self._thread.later(lambda: self._placer.leave(instance))

    def lose(self, card: str) -> tuple[str, ...]:
        """A card (or slice) is gone: it is given to nobody any more.

        The instances that had it, by name: their places are found anew when they are asked for.
        """
        gone = self._placer.pools.cards.keys() - self._placer.pools.without(card).cards.keys()
        held = [name for name, one in self._found.items() if isinstance(one, Place) and gone & {*one.cards}]
        for name in held:
            del self._found[name]
        self._thread.later(lambda: self._placer.lose(card))
        return tuple(held)

    def regain(self, card: str) -> None:
        """A card (or slice) isn't gone any more: it is given to instances again."""
        self._thread.later(lambda: self._placer.regain(card))

    async def reserve(self, limits: Limits, wishes: Wishes, group: str) -> str | None:
        """Keep a place in that group; what to ``take`` it by, or ``leave``. None: there is none."""
        name = f"reserved-{next(self._reservations)}"
        choices = [one for one in self.choices(wishes) if one.name == group]
        found = await self._thread.begin(lambda: self._placer.place(name, limits, wishes, choices))
        if isinstance(found, NoPlace):
            return None
        self._found[name] = found
        return name

    def take(self, reserved: str, instance: str) -> Place:
        """What was reserved is this instance's place, which must have none."""
        place = self._found[instance] = self._found.pop(reserved)
        assert isinstance(place, Place)  # noqa: S101 - else it was never reserved
        self._thread.later(lambda: self._placer.rename(reserved, instance))
        return place

    def _looked(self, instance: str, look: asyncio.Future[Place | NoPlace]) -> None:
        if self._looking.get(instance) is not look:  # it has left; another of that name may have come
            return
        del self._looking[instance]
        error = look.exception()
        if error is None:
            self._found[instance] = look.result()
        else:  # else nobody would ever look for it again
            self._found[instance] = NoPlace(f"{type(error).__name__}: {error} (a bug of eas-engine's)")
        self.found(instance)
