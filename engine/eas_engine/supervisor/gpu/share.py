"""An instance's cards: what its processes are told of them, what enforces that, and whether it has too much.

Everything here is quick but ``look``, which asks the driver and is for a thread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from eas_engine.devices import VISIBLE, Gpu
from eas_engine.spec import card_names
from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.limits.report import NOTHING, gpu_memory_text
from eas_engine.supervisor.place import Quarters

MEMORY: Final = "EAS_GPU_MEMORY_BYTES"
"""What an instance that shares a card may have of its memory, all of CUDA's own included."""

PIPE: Final = "CUDA_MPS_PIPE_DIRECTORY"
PERCENT: Final = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
LIMIT: Final = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
"""``0=4096M``: of the first card that the process sees, which is its only one."""

_MIB: Final = 2**20
_SLOWEST: Final = 1.0
_FASTEST: Final = 0.1
_GROWTH: Final = 8 * 2**30
"""Bytes a second: as fast as it is thought to grow between two looks."""


class Driver(Protocol):
    """What is asked of the driver; from any thread."""

    def used_by(self, uuid: str) -> Mapping[int, int] | None:
        """Bytes of a card's memory by process; None: it doesn't tell."""
        ...


class Server(Protocol):
    """MPS, as far as an instance is concerned."""

    def pipe(self, uuid: str) -> Path | str:
        """The directory by which processes reach the daemon of a card; text: why there is none."""
        ...


class Cards:
    """The cards of the machine.

    Args:
        gpus: all that an instance could be given.
        driver: tells how much of them processes have; None: nobody does.
        mps: the daemons; None: MPS isn't installed.
    """

    def __init__(
        self, gpus: Iterable[Gpu] = (), driver: Driver | None = None, mps: Server | None = None
    ) -> None:
        self._gpus = card_names.by_name(gpus)
        self._driver, self._mps = driver, mps

    def __repr__(self) -> str:
        return f"<Cards {', '.join(self._gpus) or 'none'}>"

    def share(self, quarters: Quarters) -> Share:
        """What an instance has of them; its daemon of MPS runs, if it can."""
        pipe: Path | str = ""
        if quarters.limits.gpu_percent is not None:
            installed = self._mps is not None
            pipe = self._mps.pipe(quarters.place.cards[0]) if self._mps is not None else ""
            pipe = pipe if installed else "nvidia-cuda-mps-control isn't installed"
        return Share(quarters, pipe, self._driver, self._gpus)


class Share:
    """One instance's.

    Args:
        quarters: of the instance.
        pipe: the directory of its daemon of MPS; text: why it has none; empty: it needs none.
        driver: see ``Cards``.
        gpus: all cards of the machine by name; where there are any an instance without one mustn't see them.
    """

    def __init__(
        self, quarters: Quarters, pipe: Path | str, driver: Driver | None, gpus: Mapping[str, Gpu]
    ) -> None:
        self._limits, self._cards = quarters.limits, quarters.place.cards
        self._pipe, self._driver, self._hides = pipe, driver, bool(gpus)
        self._most = sum(gpus[one].memory_bytes for one in self._cards if one in gpus)
        self._seen = False
        self._blind = driver is None

    def __repr__(self) -> str:
        return f"<Share of {', '.join(self._cards) or 'no card'}>"

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of its hosts, whatever else is said there."""
        if not self._cards:
            return {VISIBLE: ""} if self._hides else {}
        found = {VISIBLE: ",".join(self._cards)}
        allowed = self._limits.gpu_memory
        if allowed is None:
            return found
        found[MEMORY] = str(allowed)
        if isinstance(self._pipe, Path):
            found[PIPE] = str(self._pipe)
            found[PERCENT] = str(self._limits.gpu_percent)
            found[LIMIT] = f"0={allowed // _MIB}M"
        return found

    @property
    def is_client(self) -> bool:
        """Whether its processes are clients of MPS."""
        return isinstance(self._pipe, Path)

    @property
    def watched(self) -> bool:
        """Whether ``look`` has anything to look at."""
        return self._limits.gpu_memory is not None and self._driver is not None

    def by(self) -> dict[str, str]:
        """What enforces each part of it, by the names of ``Enforcement``."""
        found: dict[str, str] = {}
        if self._limits.gpus:
            found["gpu"] = VISIBLE if self._cards else f"{NOTHING}no card was given"
        if self._limits.gpu_memory is not None:
            ways = ["MPS"] if isinstance(self._pipe, Path) else []
            if not self._blind:
                ways.append("watchdog" if self._seen else "watchdog (the driver shows no process of it yet)")
            found["gpu_memory"] = (
                " and ".join(ways) or f"{NOTHING}the driver doesn't tell what processes have"
            )
        if self._limits.gpu_percent is not None:
            found["gpu_core_percentage"] = "MPS" if isinstance(self._pipe, Path) else NOTHING + self._pipe
        return found

    def look(self, pids: Collection[int]) -> tuple[float, Condemned | None]:
        """Whether these processes have too much: the seconds until the next look, and the verdict.

        A figure that is more than the card has is none: drivers have told such, and nobody dies of it.
        """
        allowed = self._limits.gpu_memory
        if allowed is None or self._driver is None:
            return _SLOWEST, None
        known = [self._driver.used_by(uuid) for uuid in self._cards]
        self._blind = None in known
        told = [one[pid] for one in known if one is not None for pid in one.keys() & pids]
        mine = [one for one in told if 0 < one <= (self._most or one)]
        self._seen = self._seen or bool(mine)
        return pause(sum(mine), allowed), verdict(sum(mine), allowed)


def verdict(used: int, allowed: int) -> Condemned | None:
    """Whether an instance with so many bytes of a card has to end."""
    return Condemned("gpu_memory", gpu_memory_text(used, allowed)) if used > allowed else None


def pause(used: int, allowed: int) -> float:
    """Seconds until the next look: the nearer the limit the fewer."""
    return min(_SLOWEST, max(_FASTEST, (allowed - used) / _GROWTH))
