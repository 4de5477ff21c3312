"""Common ECS machine types: what ``cloud.computing.instance_type`` stands for.

CPUs, memory (GiB), whole GPUs, memory of one GPU (GB). Public figures of the vendor's instance families.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True)
class MachineType:
    """One machine size."""

    name: str
    cpu: int
    memory: int
    """MB."""
    gpu: int = 0
    gpu_memory: int = 0
    """GB of one GPU."""


_GENERAL: Final = {"c": 2, "g": 4, "r": 8}  # GiB of memory per CPU
_SIZES: Final = {
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "3xlarge": 12,
    "4xlarge": 16,
    "6xlarge": 24,
    "8xlarge": 32,
    "13xlarge": 52,
    "16xlarge": 64,
    "26xlarge": 104,
}
_GENERATIONS: Final = ("5", "6", "6e", "7", "7a", "8i", "8a")

_GPU: Final = """
gn5-c4g1.xlarge 4 30 1 16
gn5-c8g1.2xlarge 8 60 1 16
gn5-c4g1.2xlarge 8 60 2 16
gn5-c8g1.4xlarge 16 120 2 16
gn5-c28g1.7xlarge 28 112 1 16
gn5-c8g1.8xlarge 32 240 4 16
gn5-c28g1.14xlarge 56 224 2 16
gn5-c8g1.14xlarge 54 480 8 16
gn5i-c2g1.large 2 8 1 8
gn5i-c4g1.xlarge 4 16 1 8
gn5i-c8g1.2xlarge 8 32 1 8
gn5i-c16g1.4xlarge 16 64 1 8
gn5i-c28g1.14xlarge 56 224 2 8
gn6i-c4g1.xlarge 4 15 1 16
gn6i-c8g1.2xlarge 8 31 1 16
gn6i-c16g1.4xlarge 16 62 1 16
gn6i-c24g1.6xlarge 24 93 1 16
gn6i-c40g1.10xlarge 40 155 1 16
gn6i-c24g1.12xlarge 48 186 2 16
gn6i-c24g1.24xlarge 96 372 4 16
gn6v-c8g1.2xlarge 8 32 1 16
gn6v-c8g1.8xlarge 32 128 4 16
gn6v-c8g1.16xlarge 64 256 8 16
gn6v-c10g1.20xlarge 82 336 8 16
gn6e-c12g1.3xlarge 12 92 1 32
gn6e-c12g1.12xlarge 48 368 4 32
gn6e-c12g1.24xlarge 96 736 8 32
gn7-c12g1.3xlarge 12 94 1 40
gn7-c13g1.13xlarge 52 378 4 40
gn7-c13g1.26xlarge 104 756 8 40
gn7i-c8g1.2xlarge 8 30 1 24
gn7i-c16g1.4xlarge 16 60 1 24
gn7i-c32g1.8xlarge 32 188 1 24
gn7i-c32g1.16xlarge 64 376 2 24
gn7i-c32g1.32xlarge 128 752 4 24
gn7e-c16g1.4xlarge 16 125 1 80
gn7e-c16g1.16xlarge 64 500 4 80
gn7e-c16g1.32xlarge 128 1000 8 80
gn8is.2xlarge 8 64 1 48
gn8is.4xlarge 16 128 1 48
"""


def _general() -> list[MachineType]:
    return [
        MachineType(f"ecs.{family}{generation}.{size}", cpu, cpu * per_cpu * 1024)
        for family, per_cpu in _GENERAL.items()
        for generation in _GENERATIONS
        for size, cpu in _SIZES.items()
    ]


def _gpu() -> list[MachineType]:
    rows = (line.split() for line in _GPU.strip().splitlines())
    return [
        MachineType(f"ecs.{name}", int(cpu), int(gib) * 1024, int(gpu), int(gb))
        for name, cpu, gib, gpu, gb in rows
    ]


@cache
def machine_types() -> Mapping[str, MachineType]:
    """All known types by name."""
    return MappingProxyType({one.name: one for one in (*_general(), *_gpu())})
