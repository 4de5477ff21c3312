"""Which CPUs an instance may run on."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path


class Cpus:
    """The CPUs of the engine, dealt out evenly to instances that are held by affinity alone.

    Args:
        all_of_them: numbers of those that the engine may run on.
    """

    def __init__(self, all_of_them: Iterable[int]) -> None:
        self._all = tuple(sorted(all_of_them))
        self._taken: dict[str, tuple[int, ...]] = {}

    def __repr__(self) -> str:
        return f"<Cpus {self._taken}>"

    def take(self, instance: str, count: int, among: Sequence[int] = ()) -> tuple[int, ...]:
        """``count`` CPUs for the instance, those with the fewest instances; all when there are no more.

        Args:
            instance: its name; what it had before counts no more.
            count: at least 1.
            among: the only ones that it may have; empty: all.
        """
        self.leave(instance)
        load = Counter(cpu for taken in self._taken.values() for cpu in taken)
        ranked = sorted(among or self._all, key=lambda cpu: (load[cpu], cpu))
        self._taken[instance] = chosen = tuple(sorted(ranked[:count]))
        return chosen

    def leave(self, instance: str) -> None:
        """The instance is gone. Idempotent."""
        self._taken.pop(instance, None)


def bind(pid: int, cpus: Iterable[int]) -> None:
    """Let all threads of the process run on these CPUs only. Errors: ``OSError``; not when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.sched_setaffinity(pid, cpus)
    with contextlib.suppress(FileNotFoundError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cpus)
