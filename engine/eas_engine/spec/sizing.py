"""``cloud.computing``: a machine type gives cpu, memory, gpu and gpu_memory where ``metadata`` doesn't.

A type that this machine can't hold is clipped to it with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eas_engine.spec.machine import Machine
from eas_engine.spec.machine_types import MachineType, machine_types
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
    clipped = clip(chosen, machine)
    if clipped != chosen:
        line = _line(origins)
        sized.problems.append(Problem(_given(spec), line, _clipped_text(chosen, clipped), "warning"))
    figures: dict[str, Any] = {"cpu": float(clipped.cpu), "memory": clipped.memory, "gpu": clipped.gpu}
    if clipped.gpu_memory:
        figures["gpu_memory"] = clipped.gpu_memory
    given = {name: value for name, value in figures.items() if f"metadata.{name}" not in origins}
    if "metadata.gpu" in origins and spec.metadata.gpu == 0:
        given.pop("gpu_memory", None)  # gpu 0 says: none of the type's cards
    sized.origins = {f"metadata.{name}": Origin("instance_type", detail=chosen.name) for name in given}
    return spec.model_copy(update={"metadata": spec.metadata.model_copy(update=given)}), sized


def holds(machine: Machine, wanted: MachineType) -> bool:
    """Whether the machine has what the type promises."""
    return clip(wanted, machine) == wanted


def clip(wanted: MachineType, machine: Machine) -> MachineType:
    """The largest part of the type that this machine can give."""
    gpu = min(wanted.gpu, len(machine.gpus))
    smallest = min((card.memory_bytes for card in machine.gpus), default=0) // _GB
    return MachineType(
        wanted.name,
        min(wanted.cpu, machine.cpus),
        min(wanted.memory, machine.memory_bytes // _MB),
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
    types = machine_types()
    unknown = [name for name in names if name not in types]
    for name in unknown:
        sized.problems.append(
            Problem(
                _given(spec),
                _line(origins),
                f'"{name}": a machine type not in the table; it gives nothing',
                "warning",
            )
        )
    known = [types[name] for name in names if name in types]
    return next((one for one in known if holds(machine, one)), known[0] if known else None)


def _given(spec: ServiceSpec) -> str:
    return TYPE_PATH if spec.cloud.computing.instance_type else LIST_PATH


def _line(origins: Mapping[str, Origin]) -> int | None:
    origin = origins.get(TYPE_PATH) or origins.get(LIST_PATH)
    return origin.line if origin else None


def _clipped_text(wanted: MachineType, clipped: MachineType) -> str:
    pairs = [
        ("CPUs", wanted.cpu, clipped.cpu),
        ("MB of memory", wanted.memory, clipped.memory),
        ("GPUs", wanted.gpu, clipped.gpu),
    ]
    short = ", ".join(f"{want} {what} (here {have})" for what, want, have in pairs if have < want)
    if not short:
        short = f"{wanted.gpu_memory} GB of GPU memory (here {clipped.gpu_memory})"
    return f"{wanted.name} has {short}: clipped to this machine"
