"""A machine that seems to have cards: driver and MPS are scripted, for engines that are started there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from support.mps import ScriptedMps
from support.nvml import card
from support.nvml_file import CardsFile

GIB: Final = 2**30


class CardMachine:
    """Its cards are ``GPU-0``, ``GPU-1``, ... of 80 GiB each, unless said otherwise."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch, count: int = 2, gib: int = 80) -> None:
        self.mps = ScriptedMps(directory)
        self.driver = CardsFile(directory, *(card(index, memory=gib * GIB) for index in range(count)))
        for name, value in self.driver.environment().items():
            patch.setenv(name, value)
        patch.setenv("PATH", os.pathsep.join((str(directory), os.environ["PATH"])))

    def use(self, card: int = 0, processes: dict[int, int] | None = None) -> None:
        """These processes have so many bytes of that card, and nobody any of the others."""
        for index, one in enumerate(self.driver.cards):
            one.processes = {**processes} if processes and index == card else {}
        self.driver.write()

    def lose(self, card: int, *, lost: bool = True) -> None:
        """It doesn't answer any more; or, not ``lost``, it does again."""
        self.driver.cards[card].lost = lost
        self.driver.write()
