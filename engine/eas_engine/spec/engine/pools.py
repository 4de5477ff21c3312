"""What instances are placed in: the groups of the machine, and the CPUs that are in no group.

Without groups there is one pool, the whole machine. With groups, a service that names none has the CPUs that
no group has: what is set aside for others isn't lent to it. Memory and cards likewise: a group that has some
for itself is a pool of them; all others share the rest of the machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from types import MappingProxyType

from eas_engine.records import dataclass
from eas_engine.spec.machine import Gpu, Machine
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.numa import NumaNode


@dataclass(frozen=True, slots=True)
class Pool:
    """CPUs and memory that instances are counted against."""

    name: str
    """The group's; empty: the CPUs that are in no group."""
    cpus: tuple[int, ...]
    memory: int
    """Bytes that its instances may have in all, or in all with those of ``shares_memory``."""
    shares_memory: bool = True
    """Whether that is the memory of all pools that have none for themselves."""
    priority: int = 0
    whole_machine: bool = False
    cards: Mapping[str, Gpu] = field(default_factory=lambda: MappingProxyType({}))
    """The cards and MIG slices that its instances may be given, by UUID."""
    shares_cards: bool = True
    """Whether these are the cards of all pools that have none for themselves."""

    @property
    def title(self) -> str:
        """Its name for a person."""
        if self.name:
            return f"group {self.name}"
        return "this machine" if self.whole_machine else "what is in no group"


@dataclass(frozen=True, slots=True)
class Pools:
    """All pools of a machine: the groups, then the rest."""

    groups: tuple[Pool, ...]
    rest: Pool
    nodes: tuple[NumaNode, ...] = ()

    @property
    def cards(self) -> Mapping[str, Gpu]:
        """All that instances may be given, by UUID."""
        return {uuid: one for pool in (*self.groups, self.rest) for uuid, one in pool.cards.items()}

    def without(self, card: str) -> Pools:
        """The same when that card (or slice) is gone; with all its slices."""
        return Pools(tuple(_without(one, card) for one in self.groups), _without(self.rest, card), self.nodes)

    @property
    def every(self) -> tuple[Pool, ...]:
        """The groups and the rest; without the rest where groups have every CPU."""
        return (*self.groups, self.rest) if self.rest.cpus else self.groups

    def choices(self, resource: str, *, rebalancing: bool) -> tuple[Pool, ...]:
        """The pools that a service's instances may be in, best first; none: there is no such group.

        Args:
            resource: ``metadata.resource``.
            rebalancing: ``metadata.resource_rebalancing``: an instance that doesn't fit where it belongs may
                be lower meanwhile, in a group of less priority, or in no group.
        """
        if not self.groups:
            return (self.rest,)
        first = next((one for one in self.groups if one.name == resource), None)
        if resource and first is None:
            return ()
        if not rebalancing:
            return (first or self.rest,)
        below = [one for one in self.groups if first is None or one.priority < first.priority]
        below.sort(key=lambda one: -one.priority)
        return (*([first] if first else []), *below, *([self.rest] if self.rest.cpus else []))


def pools_for(spec: ServiceSpec, machine: Machine) -> tuple[Pool, ...]:
    """The pools that a service's instances may be in, best first; none: it names a group that isn't there."""
    metadata = spec.metadata
    return pools_of(machine).choices(metadata.resource, rebalancing=metadata.resource_rebalancing)


def pools_of(machine: Machine) -> Pools:
    """The pools that the settings make of the machine."""
    groups = machine.settings.groups
    taken = {cpu for group in groups for cpu in group.cpus}
    shared = machine.memory_bytes - sum(group.memory or 0 for group in groups)
    rest = tuple(cpu for cpu in machine.usable if cpu not in taken)
    named = {card for group in groups for card in group.cards or ()}
    free = {uuid: one for uuid, one in _cards(machine).items() if uuid not in named}
    return Pools(
        tuple(
            Pool(
                one.name,
                one.cpus,
                one.memory or shared,
                one.memory is None,
                one.priority,
                cards=free if one.cards is None else _of(machine, one.cards),
                shares_cards=one.cards is None,
            )
            for one in groups
        ),
        Pool("", rest, shared, whole_machine=not groups, cards=free),
        machine.nodes,
    )


def _cards(machine: Machine) -> Mapping[str, Gpu]:
    if not machine.gpus:
        return {}
    from eas_engine.spec import card_names  # noqa: PLC0415 - only where there are some

    return card_names.by_name(machine.gpus)


def _of(machine: Machine, named: tuple[str, ...]) -> dict[str, Gpu]:
    return {uuid: one for uuid, one in _cards(machine).items() if uuid in named}


def _without(pool: Pool, card: str) -> Pool:
    left = {uuid: one for uuid, one in pool.cards.items() if card not in (uuid, one.card)}
    return replace(pool, cards=left)
