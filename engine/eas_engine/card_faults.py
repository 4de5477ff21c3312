"""What a fault of a card, as the driver tells it, means for placer and instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from eas_engine.devices import Gpu
    from eas_engine.devices.xid import Fault


class Instances(Protocol):
    """``supervisor.reconcile.Supervisor``."""

    def card_lost(self, card: str, why: str) -> None:
        """That card, or slice, is gone."""
        ...

    def card_back(self, card: str) -> None:
        """It answers again: instances may start there."""
        ...

    def check_card(self, card: str, why: str) -> None:
        """Something happened there: each process looks whether it was hit."""
        ...


class CardFaults:
    """Hears of faults, on the loop.

    The driver doesn't tell whose context was lost, so each instance on the card is asked, and looks by
    itself: those that are well go on. A card that is gone is given to nobody, nor are its slices, until it
    answers again.

    Args:
        instances: of this engine.
        lose: the placer's: a card is gone, with its slices.
        regain: the placer's: it is back, with its slices.
        gpus: the cards and slices that there were at the start.
    """

    def __init__(
        self,
        instances: Instances,
        lose: Callable[[str], object],
        regain: Callable[[str], object],
        gpus: Callable[[], Iterable[Gpu]],
    ) -> None:
        self._instances, self._lose, self._regain, self._gpus = instances, lose, regain, gpus

    def happened(self, fault: Fault) -> None:
        """One more."""
        if fault.scope == "note":
            return
        if fault.scope not in ("gone", "back") or not fault.uuid:
            self._instances.check_card(fault.uuid, fault.text)
            return
        slices = [gpu.uuid for gpu in self._gpus() if gpu.card == fault.uuid]
        if fault.scope == "back":
            self._regain(fault.uuid)
            for card in (fault.uuid, *slices):
                self._instances.card_back(card)
            return
        self._lose(fault.uuid)
        for card in (fault.uuid, *slices):
            self._instances.card_lost(card, fault.text)
