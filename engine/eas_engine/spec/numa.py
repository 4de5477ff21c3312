"""The NUMA nodes of a machine, as the kernel shows them below ``/sys/devices/system/node``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from eas_engine.records import dataclass
from eas_engine.spec import cpu_list

DIRECTORY: Final = Path("/sys/devices/system/node")
_NODE: Final = re.compile(r"node([0-9]{1,4})")
_TOTAL: Final = re.compile(r"MemTotal:\s*([0-9]+) kB")


@dataclass(frozen=True, slots=True)
class NumaNode:
    """One node: CPUs that are near to the same memory."""

    number: int
    cpus: tuple[int, ...]
    """Those of its CPUs that the engine may use."""
    memory_bytes: int = 0
    """0: unknown."""


def nodes(directory: Path, usable: Collection[int]) -> tuple[NumaNode, ...]:
    """The nodes by number; those without a usable CPU, such as memory alone, are left out.

    A kernel without NUMA has no such directory, and a container may hide it: then there are none.
    """
    return tuple(sorted(_nodes(directory, usable), key=lambda one: one.number))


def _nodes(directory: Path, usable: Collection[int]) -> Iterator[NumaNode]:
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            match = _NODE.fullmatch(path.name)
            cpus = [one for one in _cpus(path) if one in usable] if match else []
            if match and cpus:
                yield NumaNode(int(match[1]), tuple(cpus), _memory(path))


def _cpus(path: Path) -> tuple[int, ...]:
    with contextlib.suppress(OSError, ValueError):
        return cpu_list.numbers((path / "cpulist").read_text().strip())
    return ()  # a node without CPUs has an empty list


def _memory(path: Path) -> int:
    with contextlib.suppress(OSError):
        if found := _TOTAL.search((path / "meminfo").read_text()):
            return int(found[1]) * 1024
    return 0
