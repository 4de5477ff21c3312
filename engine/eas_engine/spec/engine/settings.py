"""The engine settings as values: what rules and placement go by, whatever file they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from eas_engine.records import dataclass
from eas_engine.spec.machine_types import MachineType


@dataclass(frozen=True, slots=True)
class Group:
    """A resource group: CPUs, and memory and cards where it has some of its own."""

    name: str
    cpus: tuple[int, ...]
    """Ascending."""
    memory: int | None = None
    """Bytes set aside for it; None: it shares the memory that no group has for itself."""
    priority: int = 0
    """Higher is better (``metadata.resource_rebalancing``)."""
    cards: tuple[str, ...] | None = None
    """UUIDs of its cards and MIG slices; None: it shares those that no group has for itself."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the operator of the machine has set.

    Attributes:
        groups: the resource groups, as they stand in the file; they share no CPU.
        types: own machine types by name; they come before the table's.
        options: flags of ``serve`` by their names in the file (``admin_port``).
        source: the file; empty: there is none, and what holds came from the environment, if anything.
    """

    groups: tuple[Group, ...] = ()
    types: Mapping[str, MachineType] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[str, str | int] = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""

    def group(self, name: str) -> Group | None:
        """The group of that name."""
        return next((one for one in self.groups if one.name == name), None)
