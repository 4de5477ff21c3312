"""What the driver says of cards, by a script: implements ``eas_engine.supervisor.gpu_memory.Cards``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping


class FakeCards:
    """``used``: bytes of each process by card. ``hangs``: the driver doesn't answer any more."""

    def __init__(self) -> None:
        self.used: dict[str, dict[int, int]] = {}
        self.children: dict[int, set[int]] = {}
        self.hangs = False

    async def used_by(self, card: str) -> Mapping[int, int]:
        if self.hangs:
            await asyncio.Event().wait()
        return dict(self.used.get(card, {}))

    async def members(self, leader: int) -> frozenset[int]:
        return frozenset({leader, *self.children.get(leader, ())})
