"""Where an instance runs, and what it may use there.

``Limits`` and ``Wishes`` are those of every instance of a release, from its configuration. A ``Place`` is one
instance's: a ``Placer`` gives it before the instance's first host is executed, and gets it back when its last
one is dead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one instance may use; None: as much as there is.

    Attributes:
        cpu: CPUs (``metadata.cpu``).
        best_effort: ``metadata.qos`` is ``BestEffort``: CPUs are shared, placement doesn't count them.
        memory: bytes (``metadata.memory``).
        shm: bytes of a ``/dev/shm`` of its own (``metadata.shm_size``).
        scratch: bytes that it may write (``features."eas.aliyun.com/extra-ephemeral-storage"``).
        gpus: whole cards, its alone (``metadata.gpu``).
        gpu_memory: bytes of one card that it shares with others (``metadata.gpu_memory``); needs ``gpus`` 0.
        gpu_percent: of that card's compute (``metadata.gpu_core_percentage``).
    """

    cpu: float | None = None
    best_effort: bool = False
    memory: int | None = None
    shm: int | None = None
    scratch: int | None = None
    gpus: int = 0
    gpu_memory: int | None = None
    gpu_percent: int | None = None


Spread = Literal["default", "host", "zone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Where an instance should run.

    Attributes:
        resource: the resource group (``metadata.resource``); empty: any that takes everybody.
        spread: ``metadata.scheduling.spread.policy``.
        rebalancing: lower groups will do meanwhile (``metadata.resource_rebalancing``).
    """

    resource: str = ""
    spread: Spread = "default"
    rebalancing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one instance runs.

    Attributes:
        cpus: numbers of the CPUs that it may run on; empty: all that the engine has.
        group: the resource group (``metadata.resource``); empty: the whole machine.
        node: the NUMA node that ``cpus`` belong to; None: not bound to one.
        cards: UUIDs of the cards or MIG slices that it may use; empty: none.
    """

    cpus: tuple[int, ...] = ()
    group: str = ""
    node: int | None = None
    cards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoPlace:
    """The instance fits nowhere now; ``reason`` has the figures, for a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quarters:
    """What the execution of a host is told of the place of its instance.

    Attributes:
        instance: its name.
        place: where it runs; all hosts of an instance share one.
        limits: what all of them together may use.
    """

    instance: str
    place: Place
    limits: Limits


@dataclass(frozen=True, slots=True)
class Needs:
    """What instances of a release share and read, wherever they run.

    Attributes:
        workspace: the directory that all of them may write to; None: they share none.
        paths: that they read; nothing of an instance's own may hide them.
    """

    workspace: Path | None = None
    paths: tuple[str, ...] = ()


class Placer(Protocol):
    """Finds places. Each call is synchronous and quick; a place is held from ``place`` to ``leave``."""

    def place(self, instance: str, limits: Limits, wishes: Wishes) -> Place | NoPlace | None:
        """A place for the instance; the one that it has when it has one.

        None: it isn't known yet. Whoever made the placer hears of it, and tells ``Supervisor.placed``.
        """
        ...

    def leave(self, instance: str) -> None:
        """The instance's last process is dead, and there will be no other. Idempotent."""
        ...


class Anywhere:
    """Every instance fits, anywhere: the placer of a machine without pools."""

    def place(self, instance: str, limits: Limits, wishes: Wishes) -> Place | NoPlace:
        """See ``Placer``."""
        return Place()

    def leave(self, instance: str) -> None:
        """See ``Placer``."""
