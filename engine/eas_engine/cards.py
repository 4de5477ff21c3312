"""The cards of the machine, for one engine: seen by a thread, known to the loop and to operators.

Where there is no card there is no thread, and the driver's library isn't loaded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from eas_engine.supervisor.place import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eas_engine.clock import Clock
    from eas_engine.devices.nvml import Nvml
    from eas_engine.devices.watch import View, Watch
    from eas_engine.devices.xid import Fault
    from eas_engine.notes import Notes
    from eas_engine.supervisor.observe import InstanceSnapshot

SELDOM: Final = 5.0
"""Seconds between two looks, for metrics."""
OFTEN: Final = 1.0
"""The same while the autoscaler goes by what is seen."""


class Cards:
    """What an engine knows of them. ``start`` and ``configure`` are called on the loop, ``close`` off it.

    Args:
        nvml: the driver, opened; None: there are no cards.
        given: the UUIDs that each instance has been given.
        clock: the engine's.
        notes: told of every fault.

    Attributes:
        on_fault: called on the loop with every fault, after ``notes``.
    """

    def __init__(
        self,
        nvml: Nvml | None,
        given: Callable[[], Mapping[str, tuple[str, ...]]],
        clock: Clock,
        notes: Notes,
    ) -> None:
        self._given, self._notes = given, notes
        self._limits = Limits()
        self._watch = None if nvml is None else _watch(nvml, self._from_thread, clock)
        self.on_fault: Callable[[Fault], None] = lambda _: None

    def __repr__(self) -> str:
        return f"<Cards {self._watch!r}>"

    def start(self) -> None:
        """Begin to look."""
        self._loop = asyncio.get_running_loop()
        if self._watch is not None:
            self._watch.start()

    def close(self) -> None:
        """Stop looking, which takes half a second. Idempotent."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def configure(self, limits: Limits, *, often: bool) -> None:
        """What holds from now on: the limits of an instance, and whether the autoscaler goes by cards."""
        self._limits = limits
        if self._watch is not None:
            self._watch.period = OFTEN if often else SELDOM

    def view(self) -> View | None:
        """All of them, as they were seen last; None: there are none. From any thread."""
        watch = self._watch
        return None if watch is None else watch.view

    def percent(self, instance: InstanceSnapshot) -> float | None:
        """How busy an instance keeps what it has of the cards, in percent; None: there is no figure.

        Of cards that are its alone the driver tells it always; of a part, only where it tells it by process.
        """
        view = self.view()
        if view is None:
            return None
        cards = self._given().get(instance.name, ())
        alone = view.use_of(cards) if self._limits.gpus and cards else None
        return view.percent_of(instance.pids, cards, self._limits.gpu_percent) if alone is None else alone

    def _from_thread(self, fault: Fault) -> None:
        self._loop.call_soon_threadsafe(self._told, fault)

    def _told(self, fault: Fault) -> None:
        self._notes.warning("card_fault", gpu=fault.uuid or "unknown", fault=fault.text)
        self.on_fault(fault)


def _watch(nvml: Nvml, tell: Callable[[Fault], None], clock: Clock) -> Watch:
    from eas_engine.devices.watch import Watch  # noqa: PLC0415 - only where there are cards

    return Watch(nvml, tell, clock, period=SELDOM)
