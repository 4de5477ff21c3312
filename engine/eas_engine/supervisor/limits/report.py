"""What enforces an instance's limits, and what it uses: values for the status, the metrics and deaths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from eas_engine.records import dataclass

NOTHING: Final = "nothing: "
"""What an enforcement begins with that isn't one; the reason follows."""

_MB: Final = 2**20
_NEARLY: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """By what each limit is enforced; empty: no such limit.

    ``cgroup v1``, ``cgroup v2``, ``affinity``, ``watchdog``, ``mount``, ``CUDA_VISIBLE_DEVICES``, ``MPS``, or
    ``nothing: <reason>``; more may follow in brackets.
    """

    cpu: str = ""
    memory: str = ""
    shm: str = ""
    scratch: str = ""
    gpu: str = ""
    gpu_memory: str = ""
    gpu_core_percentage: str = ""
    cuda: str = ""

    def lacking(self) -> tuple[str, ...]:
        """What isn't enforced, with its reason."""
        return tuple(f"{name}: {by}" for name, by in self.items() if by.startswith(NOTHING))

    def items(self) -> Iterator[tuple[str, str]]:
        """Every limit's name, and by what it is enforced."""
        return ((one.name, getattr(self, one.name)) for one in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What an instance uses now; None: not known here.

    Attributes:
        memory: bytes, without the part of the file cache that the kernel would drop at once.
        peak: the most bytes so far.
        cpu_seconds: of all its processes, those that have ended included.
        throttled_seconds: that it had to wait for its share of the CPUs.
        scratch: bytes written, when it was last looked at.
        oom_kills: processes of it that the kernel killed for want of memory.
    """

    memory: int | None = None
    peak: int | None = None
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    scratch: int | None = None
    oom_kills: int = 0


def megabytes(size: int) -> str:
    """``612 MB``: as ``metadata.memory`` counts them."""
    return f"{round(size / _MB)} MB"


def oom_text(used: int, allowed: int, *, child: bool = False) -> str:
    """The cause of an instance's end for want of memory.

    ``child``: the kernel killed a process that it had started. Far below what it may use it was the machine
    (or whatever the engine is in) that had no memory left.
    """
    what = " (a process that it had started)" if child else ""
    why = "" if used > allowed * _NEARLY else "; the machine had no more memory"
    return f"OOMKilled{what}: {megabytes(used)} used, {megabytes(allowed)} allowed{why}"


def gpu_memory_text(used: int, allowed: int) -> str:
    """The cause of an instance's end that had more of a card than its share."""
    return f"GPUMemoryExceeded: {megabytes(used)} used, {megabytes(allowed)} allowed"


def scratch_text(written: int, allowed: int) -> str:
    """The cause of an instance's end that wrote too much."""
    return f"EphemeralStorageExceeded: {megabytes(written)} written, {megabytes(allowed)} allowed"
