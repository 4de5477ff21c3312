"""What the settings mean on this machine: groups get their CPUs, and contradictions are found.

No CPU in two groups, none that the engine can't use, no more memory than there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from eas_engine.spec import cpu_list
from eas_engine.spec.engine.keys import OPTIONS, GroupKeys, Keys, TypeKeys
from eas_engine.spec.engine.settings import EngineSettings, Group
from eas_engine.spec.machine import Machine
from eas_engine.spec.machine_types import MachineType
from eas_engine.spec.problems import Origin, Problem, problem_at

_MB: Final = 2**20
_GIB: Final = 2**30


def settle(
    keys: Keys, origins: Mapping[str, Origin], machine: Machine
) -> tuple[EngineSettings, list[Problem]]:
    """The settings as far as they make sense, and what is wrong with them."""
    groups = tuple(
        Group(name, _cpus(given, machine), given.memory, given.priority, _cards(given, machine))
        for name, given in keys.groups.items()
    )
    types = {name: _type(name, given) for name, given in keys.types.items()}
    settings = EngineSettings(groups, MappingProxyType(types), MappingProxyType(options(keys)))
    complaints = [*_of_groups(keys, machine), *_overlaps(groups), *_memory(groups, machine), *_of_types(keys)]
    return settings, [problem_at(path, origins, message) for path, message in complaints]


def options(keys: Keys) -> dict[str, str | int]:
    """The flags that are set."""
    given = {name: getattr(keys, name) for name in OPTIONS}
    return {name: value for name, value in given.items() if value is not None}


def _type(name: str, given: TypeKeys) -> MachineType:
    return MachineType(name, given.cpu, given.memory // _MB, given.gpu, given.gpu_memory)


def _cpus(given: GroupKeys, machine: Machine) -> tuple[int, ...]:
    wanted = set(given.cpus or ())
    for node in machine.nodes:
        if node.number in (given.numa or ()):
            wanted.update(node.cpus)
    return tuple(one for one in machine.usable if one in wanted)


def _cards(given: GroupKeys, machine: Machine) -> tuple[str, ...] | None:
    """UUIDs in the machine's order; a card that is cut into slices is all of them."""
    if given.gpus is None:
        return None
    from eas_engine.spec import card_names  # noqa: PLC0415 - only for groups that name some

    named = set(given.gpus)
    numbers = {uuid: str(number) for number, uuid in enumerate(card_names.whole(machine.gpus))}
    return tuple(
        uuid
        for uuid, one in card_names.by_name(machine.gpus).items()
        if not named.isdisjoint((uuid, one.card or uuid, numbers[one.card or uuid]))
    )


_Complaint = tuple[str, str]


def _of_groups(keys: Keys, machine: Machine) -> Iterator[_Complaint]:
    for name, given in keys.groups.items():
        path = f"groups.{name}"
        if given.gpus:
            yield from _absent_cards(f"{path}.gpus", given.gpus, machine)
        if given.cpus is not None and given.numa is not None:
            yield path, "cpus and numa both say which CPUs it has: give one of them"
        elif given.cpus is None and given.numa is None:
            yield path, 'which CPUs has it? cpus = "0-3", or numa = [0]'
        elif given.cpus is not None:
            yield from _absent_cpus(f"{path}.cpus", given.cpus, machine)
        else:
            yield from _absent_nodes(f"{path}.numa", given.numa or (), machine)


def _absent_cpus(path: str, cpus: tuple[int, ...], machine: Machine) -> Iterator[_Complaint]:
    absent = [one for one in cpus if one not in machine.usable]
    if absent:
        which = f"CPU{'s' if len(absent) > 1 else ''} {cpu_list.text(absent)}"
        yield path, f"{which}: this machine has {cpu_list.text(machine.usable)} for the engine"


def _absent_nodes(path: str, numbers: tuple[int, ...], machine: Machine) -> Iterator[_Complaint]:
    there = [one.number for one in machine.nodes]
    for number in numbers:
        if number not in there:
            known = f"this machine has {cpu_list.text(there)}" if there else "none are known of this machine"
            yield path, f"NUMA node {number}: {known}"


def _absent_cards(path: str, named: tuple[str, ...], machine: Machine) -> Iterator[_Complaint]:
    from eas_engine.spec import card_names  # noqa: PLC0415 - as above

    whole = card_names.whole(machine.gpus)
    known = {*map(str, range(len(whole))), *whole, *card_names.by_name(machine.gpus)}
    for one in named:
        if one not in known:
            there = ", ".join(f"{number} ({uuid})" for number, uuid in enumerate(whole))
            yield path, f"GPU {one}: this machine has {there or 'none, as far as its driver says'}"


def _overlaps(groups: tuple[Group, ...]) -> Iterator[_Complaint]:
    for index, one in enumerate(groups):
        for other in groups[:index]:
            for card in sorted({*(one.cards or ())} & {*(other.cards or ())}):
                yield f"groups.{one.name}.gpus", f"{card} is in {other.name}, too"
            both = sorted({*one.cpus} & {*other.cpus})
            if both:
                which = f"CPU{'s' if len(both) > 1 else ''} {cpu_list.text(both)}"
                yield f"groups.{one.name}", f"{which} {'are' if len(both) > 1 else 'is'} in {other.name}, too"


def _memory(groups: tuple[Group, ...], machine: Machine) -> Iterator[_Complaint]:
    total = sum(one.memory or 0 for one in groups)
    if total > machine.memory_bytes:
        asked, there = total / _GIB, machine.memory_bytes / _GIB
        yield "groups", f"{asked:.4g} GiB of memory for all groups, this machine has {there:.4g} GiB"


def _of_types(keys: Keys) -> Iterator[_Complaint]:
    for name, given in keys.types.items():
        if given.gpu_memory and not given.gpu:
            yield f"types.{name}.gpu_memory", "is that of one GPU, and gpu is 0"
