"""The cards while an engine runs: a thread that waits for what happens to them, and looks at them meanwhile.

The driver tells of Xid errors by a call that waits, and any other call may wait, too, when a card is in
trouble; so nobody but this thread asks it while requests are served. What it has seen is an immutable
``View``, which the loop and the admin thread read.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from eas_engine.devices import Gpu
from eas_engine.devices import nvml as driver
from eas_engine.devices.inventory import Inventory, Occupant
from eas_engine.devices.nvml import Nvml
from eas_engine.devices.readings import Reading, busy, reading
from eas_engine.devices.xid import Fault, back, fault, lost
from eas_engine.records import dataclass

_PATIENCE: Final = 0.5
"""Seconds that the driver is waited for at a time: so long may the end of the engine be kept up."""
_LEAVE: Final = 3.0
"""Seconds that it may have for an answer then: of a card in trouble it may owe one for ever."""

MOST_MISSES: Final = 3
"""Looks in a row in which the driver has no answer for a card before it is taken for lost. Who is taken for
lost has its instances ended, so a hiccup of the driver mustn't do it; ``GPU_IS_LOST`` does at once."""


class Clock(Protocol):
    """The two that are asked here."""

    def now(self) -> float: ...  # noqa: D102
    def wall(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Seen:
    """One card or slice, and who is on it.

    Attributes:
        reading: how it is.
        occupants: None: the driver doesn't tell.
        busy: percent of the card by process; None: the driver doesn't tell (of slices it never does).
    """

    reading: Reading
    occupants: tuple[Occupant, ...] | None = None
    busy: Mapping[int, float] | None = None

    def memory_of(self, pids: Collection[int]) -> int | None:
        """Bytes that these processes and their descendants have; None: not known, or none is on it."""
        known = [one.memory for one in self.occupants or () if one.belongs(pids)]
        return sum(one for one in known if one is not None) if any(one is not None for one in known) else None

    def percent_of(self, pids: Collection[int]) -> float | None:
        """Percent of the card that they keep busy; None: not known, or none is on it."""
        mine = [one.pid for one in self.occupants or () if one.belongs(pids)]
        if self.busy is None or not mine:
            return None
        return min(100.0, sum(self.busy.get(pid, 0.0) for pid in mine))


@dataclass(frozen=True, slots=True)
class View:
    """All cards and slices at one moment.

    Attributes:
        seen: by UUID, cards before their slices.
        faults: how often each Xid was reported since the engine started, by the card's UUID and number.
        lost: UUIDs of those that were there and aren't any more.
    """

    seen: Mapping[str, Seen] = field(default_factory=lambda: MappingProxyType({}))
    faults: Mapping[tuple[str, int], int] = field(default_factory=lambda: MappingProxyType({}))
    lost: frozenset[str] = frozenset()

    def use_of(self, cards: Collection[str]) -> float | None:
        """How busy these cards are, whoever uses them, in percent; None: one of them doesn't tell."""
        shown = [one.reading.utilization for one in map(self.seen.get, cards) if one is not None]
        known = [one for one in shown if one is not None]
        return sum(known) / len(known) if known and len(known) == len(cards) else None

    def percent_of(self, pids: Collection[int], cards: Collection[str], share: int | None) -> float | None:
        """How busy an instance keeps what it was given, in percent; None: there is no figure.

        Args:
            pids: of its processes.
            cards: that are its alone, or the one that it shares; empty: those that it is found on.
            share: percent of that one's compute that it may use; None: no such limit.
        """
        shown = [one for one in map(self.seen.get, cards or self.seen) if one is not None]
        shown = shown if cards else [one for one in shown if one.percent_of(pids) is not None]
        own = [one.percent_of(pids) for one in shown]
        if any(one is not None for one in own):
            mean = sum(one or 0.0 for one in own) / len(own)
            return min(100.0, mean * 100 / share) if share else mean
        return None


class Watch:
    """Owns the thread. ``start`` and ``close`` are called once each, from the same thread.

    Args:
        nvml: the driver, opened; ``close`` closes it.
        tell: called from the thread with each fault, one after the other.
        clock: the engine's.

    Attributes:
        inventory: asks the driver itself, for those who can't wait for the next look; not on the loop.
        period: seconds between two looks.
    """

    def __init__(self, nvml: Nvml, tell: Callable[[Fault], None], clock: Clock, *, period: float) -> None:
        self._nvml, self._tell, self._clock = nvml, tell, clock
        self.inventory = Inventory(nvml)
        self.period = period
        self._view = View()
        self._counts: dict[tuple[str, int], int] = {}
        self._registered: set[str] = set()
        self._misses: dict[str, int] = {}
        self._events: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cards", daemon=True)

    def __repr__(self) -> str:
        return f"<Watch of {len(self._view.seen)} cards and slices>"

    @property
    def view(self) -> View:
        """What was seen last: at most ``period`` old, unless the driver makes us wait."""
        return self._view

    def start(self) -> None:
        """From here on faults are told and the view is fresh."""
        self._thread.start()

    def close(self, patience: float = _LEAVE) -> None:
        """End the thread, and close the driver. One that doesn't answer is left to itself."""
        self._ended.set()
        self._thread.join(patience)
        if not self._thread.is_alive():
            self.inventory.ask(self._nvml.nvmlShutdown)

    def _run(self) -> None:
        self._events = self.inventory.ask(self._nvml.nvmlEventSetCreate)
        looked = -math.inf
        while not self._ended.is_set():
            now = self._clock.now()
            if now >= looked + self.period:
                looked = now
                self._look()
            self._wait(min(_PATIENCE, looked + self.period - now))
        if self._events is not None:
            self.inventory.ask(self._nvml.nvmlEventSetFree, self._events)

    def _wait(self, seconds: float) -> None:
        """For the next fault, but no longer than that."""
        if self._events is None:
            self._ended.wait(seconds)
            return
        try:
            event = self._nvml.nvmlEventSetWait_v2(self._events, max(1, int(seconds * 1000)))
        except self._nvml.NVMLError as error:
            if driver.number(error) != driver.TIMEOUT:  # a card is lost, say: it says so at once, each time
                self._ended.wait(seconds)
            return
        if event.eventType & driver.XID:
            self._report(fault(self._uuid(event.device), int(event.eventData)))

    def _uuid(self, handle: Any) -> str:
        """The card's; by elimination where a lost one doesn't tell its name any more."""
        uuid = self.inventory.ask(self._nvml.nvmlDeviceGetUUID, handle)
        if uuid is not None:
            return uuid
        silent = [one for one in self._registered if self.inventory.trouble(one)]
        return silent[0] if len(silent) == 1 else ""

    def _report(self, one: Fault) -> None:
        if one.xid is not None:
            key = (one.uuid, one.xid)
            self._counts[key] = self._counts.get(key, 0) + 1
            self._view = replace(self._view, faults=MappingProxyType(dict(self._counts)))
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._tell(one)

    def _look(self) -> None:
        """See what is there, and tell of what isn't any more, and of what is again."""
        devices = self.inventory.devices()
        looked = {gpu.uuid: self._seen(gpu) for gpu in devices}
        seen = {uuid: found for uuid, found in looked.items() if found is not None}
        cards = {gpu.uuid for gpu in devices if not gpu.card} & seen.keys()
        before = self._view.lost
        news = self._missed(self._registered - cards)
        self._view = View(
            MappingProxyType(seen), MappingProxyType(dict(self._counts)), (before - cards) | news
        )
        for uuid in sorted(cards - self._registered):
            self._register(uuid)
        for uuid in sorted(news):
            self._registered.discard(uuid)
            self._report(lost(uuid))
        for uuid in sorted(before & cards):
            self._report(back(uuid))

    def _missed(self, silent: Collection[str]) -> frozenset[str]:
        """Of cards that weren't found this time: those that are lost."""
        answers = {uuid: self.inventory.answers(uuid) for uuid in silent}
        misses = {uuid: self._misses.get(uuid, 0) + 1 for uuid, there in answers.items() if not there}
        self._misses = misses
        return frozenset(
            uuid for uuid, count in misses.items() if count >= MOST_MISSES or answers[uuid] is False
        )

    def _register(self, uuid: str) -> None:
        """For the Xids of a card; slices have none of their own."""
        self._registered.add(uuid)
        handle = self.inventory.handle(uuid)
        if handle is not None and self._events is not None:
            self.inventory.ask(self._nvml.nvmlDeviceRegisterEvents, handle, driver.XID, self._events)

    def _seen(self, gpu: Gpu) -> Seen | None:
        found = reading(self._nvml, self.inventory, gpu)
        if found is None:
            return None
        used = None if gpu.card else busy(self._nvml, self.inventory, gpu.uuid, self._clock.wall())
        return Seen(found, self.inventory.occupants(gpu.uuid), used)
