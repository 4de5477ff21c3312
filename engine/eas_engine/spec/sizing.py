"""``cloud.computing``: a machine type gives cpu, memory, gpu and gpu_memory where ``metadata`` doesn't.

Own types (``eas-engine.toml``) come before the table's. A type that this machine, or the service's resource
group, can't hold is clipped to it with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eas_engine.spec.engine.pools import Pool, pools_for
from eas_engine.spec.machine import Machine
from eas_engine.spec.machine_types import MachineType
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.problems import Origin, Problem

TYPE_PATH: Final = "cloud.computing.instance_type"
LIST_PATH: Final = "cloud.computing.instances"
_MB: Final = 2**20
_GB: Final = 2**30


@dataclass(slots=True)
class Sized:
    """What a machine type added to the spec."""

    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def apply(spec: ServiceSpec, origins: Mapping[str, Origin], machine: Machine) -> tuple[ServiceSpec, Sized]:
    """The spec with the figures of its machine type filled in."""
    sized = Sized()
    chosen = _choose(spec, origins, machine, sized)
    if chosen is None:
        return spec, sized
    pool = room(spec, machine)
    clipped = clip(chosen, machine, pool)
    if clipped != chosen:
        line = _line(origins)
        to = pool.title if pool is not None else "this machine"
        sized.problems.append(
            Problem(_given(spec), line, f"{_short(chosen, clipped)}: clipped to {to}", "warning")
        )
    figures: dict[str, Any] = {"cpu": float(clipped.cpu), "memory": clipped.memory, "gpu": clipped.gpu}
    if clipped.gpu_memory:
        figures["gpu_memory"] = clipped.gpu_memory
    given = {name: value for name, value in figures.items() if f"metadata.{name}" not in origins}
    if "metadata.gpu" in origins and spec.metadata.gpu == 0:
        given.pop("gpu_memory", None)  # gpu 0 says: none of the type's cards
    sized.origins = {f"metadata.{name}": Origin("instance_type", detail=chosen.name) for name in given}
    return spec.model_copy(update={"metadata": spec.metadata.model_copy(update=given)}), sized


def room(spec: ServiceSpec, machine: Machine) -> Pool | None:
    """The largest of the pools that the service's instances may be in."""
    return max(pools_for(spec, machine), key=lambda one: (len(one.cpus), one.memory), default=None)


def clip(wanted: MachineType, machine: Machine, pool: Pool | None = None) -> MachineType:
    """The largest part of the type that this machine can give, or the pool of it."""
    cpus, memory = machine.cpus, machine.memory_bytes
    if pool is not None and pool.cpus:
        cpus, memory = len(pool.cpus), pool.memory
    gpus = machine.gpus if pool is None else tuple(pool.cards.values())
    gpu = min(wanted.gpu, len(gpus))
    smallest = min((card.memory_bytes for card in gpus), default=0) // _GB
    return MachineType(
        wanted.name,
        min(wanted.cpu, cpus),
        min(wanted.memory, memory // _MB),
        gpu,
        min(wanted.gpu_memory, smallest) if gpu else 0,
    )


def _choose(
    spec: ServiceSpec, origins: Mapping[str, Origin], machine: Machine, sized: Sized
) -> MachineType | None:
    computing = spec.cloud.computing
    names = (
        [computing.instance_type] if computing.instance_type else [one.type for one in computing.instances]
    )
    known: list[MachineType] = []
    for name in names:
        found = machine.machine_type(name)
        if found is not None:
            known.append(found)
            continue
        message = f'"{name}": a machine type not in the table, nor in the engine settings; it gives nothing'
        sized.problems.append(Problem(_given(spec), _line(origins), message, "warning"))
    pool = room(spec, machine)
    fitting = (one for one in known if clip(one, machine, pool) == one)
    return next(fitting, known[0] if known else None)


def _given(spec: ServiceSpec) -> str:
    return TYPE_PATH if spec.cloud.computing.instance_type else LIST_PATH


def _line(origins: Mapping[str, Origin]) -> int | None:
    origin = origins.get(TYPE_PATH) or origins.get(LIST_PATH)
    return origin.line if origin else None


def _short(wanted: MachineType, clipped: MachineType) -> str:
    pairs = [
        ("CPUs", wanted.cpu, clipped.cpu),
        ("MB of memory", wanted.memory, clipped.memory),
        ("GPUs", wanted.gpu, clipped.gpu),
    ]
    short = ", ".join(f"{want} {what} (here {have})" for what, want, have in pairs if have < want)
    if not short:
        short = f"{wanted.gpu_memory} GB of GPU memory (here {clipped.gpu_memory})"
    return f"{wanted.name} has {short}"
