"""What is written into an instance's control group for its limits, in both versions. Nothing is done here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eas_engine.records import dataclass
from eas_engine.supervisor.place import Limits

_PERIOD: Final = 100_000
_LEAST_QUOTA: Final = 1_000
"""Microseconds; the kernel takes no less."""

_SHARES: Final = 1024
"""Of one CPU, in version 1; a group without a limit has as many."""

_LEAST_SHARES: Final = 2
_LOWEST_WEIGHT: Final = 1
_MOST_SHARES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Setting:
    """One file of an instance's group: a limit, or (``optional``) what makes it hold better."""

    controller: str
    file: str
    text: str
    optional: bool = False


def settings_v1(limits: Limits) -> Iterator[Setting]:
    """What is written for these limits, in this order, in version 1."""
    if limits.memory is not None:
        yield Setting("memory", "memory.limit_in_bytes", str(limits.memory))
        # memory and swap together; the file isn't there where the kernel doesn't count swap
        yield Setting("memory", "memory.memsw.limit_in_bytes", str(limits.memory), optional=True)
        yield Setting("memory", "memory.swappiness", "0", optional=True)  # there, nothing is swapped out
    if limits.cpu is not None:
        yield Setting("cpu", "cpu.cfs_period_us", str(_PERIOD))
        yield Setting("cpu", "cpu.cfs_quota_us", str(_quota(limits.cpu)))
    yield Setting("cpu", "cpu.shares", str(shares(limits)), optional=True)


def settings_v2(limits: Limits) -> Iterator[Setting]:
    """The same for version 2."""
    if limits.memory is not None:
        yield Setting("memory", "memory.max", str(limits.memory))
        yield Setting("memory", "memory.swap.max", "0", optional=True)
        # without one of its processes an instance is worth nothing
        yield Setting("memory", "memory.oom.group", "1", optional=True)
    if limits.cpu is not None:
        yield Setting("cpu", "cpu.max", f"{_quota(limits.cpu)} {_PERIOD}")
    yield Setting("cpu", "cpu.weight", str(weight(limits)), optional=True)


def _quota(cpu: float) -> int:
    return max(_LEAST_QUOTA, round(cpu * _PERIOD))


def shares(limits: Limits) -> int:
    """How instances share CPUs that all of them want: by their ``cpu``; those of best effort come last."""
    if limits.best_effort:
        return _LEAST_SHARES
    return (
        _SHARES if limits.cpu is None else min(_MOST_SHARES, max(_LEAST_SHARES, round(limits.cpu * _SHARES)))
    )


def weight(limits: Limits) -> int:
    """The same in version 2, where a group without a limit has 100."""
    if limits.best_effort:
        return _LOWEST_WEIGHT
    return 100 if limits.cpu is None else min(10_000, max(_LOWEST_WEIGHT, round(limits.cpu * 100)))
