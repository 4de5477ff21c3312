"""A placer whose instances all wish for the same."""

from __future__ import annotations

from collections.abc import Sequence

from eas_engine.spec.engine.pools import Pool, Pools
from eas_engine.supervisor.place import Limits, NoPlace, Place, Wishes
from eas_engine.supervisor.pools.ledger import Ledger
from eas_engine.supervisor.pools.placer import LedgerPlacer


class Wishing(LedgerPlacer):
    """``wishes`` are those of whoever says none."""

    def __init__(self, pools: Pools, ledger: Ledger, wishes: Wishes) -> None:
        super().__init__(pools, ledger)
        self.wishes = wishes

    def place(
        self,
        instance: str,
        limits: Limits,
        wishes: Wishes | None = None,
        choices: Sequence[Pool] | None = None,
    ) -> Place | NoPlace:
        return super().place(instance, limits, wishes or self.wishes, choices)
