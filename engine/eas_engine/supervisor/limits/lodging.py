"""One instance within its limits: its group or its CPUs, its scratch directory, and its hosts' stays in it.

A lodging begins before the first host of the instance is executed, and ends when the last one is dead and
reaped. A *stay* is one host's part. Everything is called on the loop, but for the ``look_at`` functions,
which run in threads of their own, read what the loop has written, and have the loop called back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.limits import affinity, report, scratch
from eas_engine.supervisor.limits.family import Family
from eas_engine.supervisor.limits.groups import HostGroup, InstanceGroup
from eas_engine.supervisor.limits.report import NOTHING, Enforcement, Used
from eas_engine.supervisor.limits.variables import threads, variables
from eas_engine.supervisor.mounts import CUDA, SHM, TMP, Mount
from eas_engine.supervisor.place import Quarters

if TYPE_CHECKING:
    from eas_engine.supervisor.gpu.share import Share

GROUP: Final = "group"
"""What a host calls its groups when it says whether it could enter them."""

UNTOLD: Final = "the host didn't say that it is in its control group"

MPS_THERE: Final = f"{NOTHING}MPS needs the machine's /dev/shm"

_QUIET: Final = 0.5
"""Seconds between two looks at a group's counter."""

_SLOWEST: Final = 1.0
_FASTEST: Final = 0.05
_GROWTH: Final = 2 * 2**30
"""Bytes a second: as fast as memory is thought to grow between two looks."""

_DISK_SLOWEST: Final = 60.0
_DISK_FASTEST: Final = 0.2
_DISK_GROWTH: Final = 2**30
_COST: Final = 20
"""A count of the disk may take this part of the time, one in so many."""


class House(Protocol):
    """What an instance's lodging needs of the enforcer."""

    cpus: affinity.Cpus

    def now(self) -> float:
        """Seconds, monotonic."""
        ...

    def sweep(self, job: Callable[[], bool]) -> None:
        """Do it in a thread, until it says that it is done."""
        ...

    def vacate(self, lodging: Lodging) -> None:
        """Its last stay is over."""
        ...


class Lodging:
    """One instance's.

    Args:
        house: the enforcer.
        quarters: of the instance.
        group: its control group; it may have none of the controllers.
        workspace: that it shares with others.
        share: what it has of the machine's cards; None: there are none.
        directory: its scratch directory; None: it has no limit.
        hidden: the path that keeps the directory from being its /tmp; empty: none does.
    """

    def __init__(
        self,
        house: House,
        quarters: Quarters,
        group: InstanceGroup,
        workspace: scratch.Workspace,
        *,
        share: Share | None = None,
        directory: Path | None = None,
        hidden: str = "",
    ) -> None:
        self.quarters = quarters
        self.group = group
        self.workspace = workspace
        self.share = share
        self.directory = directory
        self.stays: tuple[Stay, ...] = ()
        self.lost = ""
        """Why its hosts aren't in the group, though it is there."""
        self._hidden = hidden
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._written: int | None = None
        self._peak = 0
        self._before: int | None = None
        self._affinity = self._bound()

    def __repr__(self) -> str:
        return f"<Lodging {self.quarters.instance}: {len(self.stays)} stays>"

    # -- on the loop

    def admit(self, condemn: Callable[[Condemned], None]) -> Stay:
        """A stay for one more host, that is about to be executed; ``condemn``: it can't go on."""
        stay = Stay(self, self.group.host(), condemn)
        self.stays = (*self.stays, stay)
        return stay

    def leave(self, stay: Stay) -> None:
        """The host is dead and reaped, or was never executed."""
        self.stays = tuple(one for one in self.stays if one is not stay)
        if self.stays:
            self._house.sweep(stay.sweep)
        else:
            self._house.cpus.leave(self.quarters.instance)
            self._house.vacate(self)

    def by(self, controller: str) -> str:
        """What enforces ``memory`` or ``cpu``: the group, as long as its hosts are in it."""
        by = self.group.by[controller]
        return NOTHING + self.lost if self.lost and not by.startswith(NOTHING) else by

    def lose(self, why: str) -> None:
        """A host couldn't enter the group: from now on the instance is held as where there are none."""
        self.lost = self.lost or why
        self._affinity = self._bound()
        for stay in self.stays:
            stay.bind()

    @property
    def cpus(self) -> tuple[int, ...]:
        """That it may run on; empty: all."""
        return self._affinity

    @property
    def watched(self) -> bool:
        """Whether its memory is limited by looking at it, because no group does it."""
        return self.quarters.limits.memory is not None and self.by("memory").startswith(NOTHING)

    @property
    def mounts(self) -> dict[str, tuple[Mount, ...]]:
        """What its hosts see at places of their own."""
        limits = self.quarters.limits
        found: dict[str, tuple[Mount, ...]] = {}
        if limits.shm is not None and not self._meets_mps:
            found[SHM] = (Mount("", "/dev/shm", size=limits.shm),)  # noqa: S108 - where POSIX has it
        if self.directory is not None and not self._hidden:
            found[TMP] = (Mount(str(self.directory), scratch.TMP),)
        return found

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of its hosts."""
        found = variables(self.quarters.limits.cpu)
        if self.directory is not None:
            found["TMPDIR"] = str(self.directory)
        return found

    def enforcement(self, told: Mapping[str, str]) -> Enforcement:
        """What enforces its limits, given what a host said of its mounts (by name: why not)."""
        limits = self.quarters.limits
        cpu = memory = shm = disk = ""
        if limits.cpu is not None:
            cpu = self.by("cpu")
            cpu = "affinity" if cpu.startswith(NOTHING) and self._affinity else cpu
        if limits.memory is not None:
            memory = "watchdog" if self.watched else self.by("memory")
        if limits.shm is not None:
            why = told.get(SHM, "unknown")
            shm = NOTHING + why if why else "mount"
            shm = MPS_THERE if self._meets_mps else shm
        if limits.scratch is not None:
            disk = self._scratch_by(told)
        cuda = "mount"
        if why := told.get(CUDA, ""):
            cuda = f"{NOTHING}{why}; CUDA_HOME and the library path name it"
        found = {
            "cpu": cpu,
            "memory": memory,
            "shm": shm,
            "scratch": disk,
            **(self.share.by() if self.share else {}),
        }
        return Enforcement(**found, cuda=cuda if CUDA in told else "")

    def unbound(self, error: OSError) -> None:
        """Its CPUs can't be set."""
        self._affinity = ()
        if self.group.by["cpu"].startswith(NOTHING):
            self.group.by["cpu"] = f"{NOTHING}sched_setaffinity: {error.strerror}"

    # -- from any thread

    def used(self) -> Used:
        """What it uses now."""
        used = self.group.used()
        if self.lost or used.memory is None:
            families = [stay.family for stay in self.stays if stay.family is not None]
            memory = sum(family.memory() for family in families)
            self._peak = max(self._peak, memory)
            used = replace(used, memory=memory, peak=self._peak)
        kills = sum(stay.oom_kills() for stay in self.stays)
        return replace(used, scratch=self._written, oom_kills=kills)

    def look_at_memory(self) -> float:
        """Whether it has too much, or lost a process for want of memory. Seconds to the next look."""
        allowed = self.quarters.limits.memory
        if allowed is None:
            return _SLOWEST
        if not self.watched:
            for stay in self.stays:
                if stay.oom_kills():
                    peak = self.group.used().peak or allowed
                    self._condemn(Condemned("oom", report.oom_text(peak, allowed, child=True)))
            return _QUIET
        families = [stay.family for stay in self.stays if stay.family is not None]
        used = sum(family.memory(allowed) for family in families)
        self._peak = max(self._peak, used)
        if used > allowed:
            self._condemn(Condemned("oom", report.oom_text(used, allowed)))
        return min(_SLOWEST, max(_FASTEST, (allowed - used) / _GROWTH))

    def look_at_scratch(self) -> float:
        """Whether it has written too much. Seconds to the next look."""
        allowed, directory = self.quarters.limits.scratch, self.directory
        if allowed is None or directory is None:
            return _DISK_SLOWEST
        began = self._house.now()
        workspace = self.workspace.size()
        if self._before is None:
            self._before = workspace
        grown = max(0, workspace - self._before) // max(1, self.workspace.tenants)
        unlinked = scratch.unlinked(self._processes(), directory)
        self._written = written = scratch.written(directory) + unlinked + grown
        if written > allowed:
            text = report.scratch_text(written, allowed)
            self._condemn(Condemned("ephemeral_storage", text))
        pause = max(_DISK_FASTEST, (allowed - written) / _DISK_GROWTH, _COST * (self._house.now() - began))
        return min(_DISK_SLOWEST, pause)

    def look_at_cards(self) -> float:
        """Whether it has too much of its card's memory. Seconds to the next look."""
        if self.share is None:
            return _SLOWEST
        pause, verdict = self.share.look(frozenset(self._processes()))
        if verdict is not None:
            self._condemn(verdict)
        return pause

    def _processes(self) -> Sequence[int]:
        """All that run for it."""
        pids = self.group.processes() if not self.lost else ()
        return pids or [one.pid for stay in self.stays if stay.family for one in stay.family.members()]

    def _condemn(self, why: Condemned) -> None:
        for stay in self.stays:
            with contextlib.suppress(RuntimeError):  # the loop is closed: everything is ending
                self._loop.call_soon_threadsafe(stay.condemn, why)

    # -- which CPUs, which directory

    @property
    def _meets_mps(self) -> bool:
        """Whether it must see the machine's /dev/shm, for MPS's clients and server meet there."""
        return self.share is not None and self.share.is_client

    def _bound(self) -> tuple[int, ...]:
        """The CPUs that its place names; where no group limits its share of them, so many of them."""
        limits, place = self.quarters.limits, self.quarters.place
        if limits.cpu is None or not self.by("cpu").startswith(NOTHING):
            return place.cpus
        return self._house.cpus.take(self.quarters.instance, threads(limits.cpu), place.cpus)

    def _scratch_by(self, told: Mapping[str, str]) -> str:
        if self.directory is None:
            return f"{NOTHING}the directory couldn't be made"
        if self._hidden:
            return f"watchdog (TMPDIR alone: {self._hidden} lies in {scratch.TMP})"
        why = told.get(TMP, "unknown")
        return f"watchdog (TMPDIR alone: {why})" if why else "watchdog"


class Stay:
    """One host's part of an instance's lodging."""

    def __init__(
        self, lodging: Lodging, group: HostGroup | None, condemn: Callable[[Condemned], None]
    ) -> None:
        self.condemn = condemn
        self.family: Family | None = None
        self._lodging = lodging
        self._group = group
        self._pid = 0
        self._told: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"<Stay of {self._pid} in {self._lodging!r}>"

    @property
    def variables(self) -> dict[str, str]:
        """For its environment."""
        return self._lodging.variables

    @property
    def cards(self) -> dict[str, str]:
        """For its environment, too: which cards it sees, whatever ``processor_envs`` say."""
        return self._lodging.share.variables if self._lodging.share else {}

    @property
    def mounts(self) -> dict[str, tuple[Mount, ...]]:
        """What it sees at places of its own."""
        return self._lodging.mounts

    @contextlib.contextmanager
    def entrances(self) -> Iterator[tuple[int, ...]]:
        """Descriptors by which it enters its groups (``--groups``); none when there are none."""
        opened: list[int] = []
        if self._group is not None:
            with contextlib.suppress(OSError):  # then the host doesn't say that it is in them
                opened = self._group.entrances()
        try:
            yield tuple(opened)
        finally:
            for fd in opened:
                os.close(fd)

    def begun(self, pid: int) -> None:
        """It was executed."""
        self._pid = pid
        self.family = Family(pid)
        self.bind()

    def bind(self) -> None:
        """Let it run on its instance's CPUs only."""
        if self._pid and self._lodging.cpus:
            try:
                affinity.bind(self._pid, self._lodging.cpus)
            except OSError as error:
                self._lodging.unbound(error)

    def settle(self, told: Mapping[str, str]) -> Enforcement:
        """It said hello, and why it isn't in its groups or has no mounts; by what it is held now."""
        self._told = told
        why = told.get(GROUP, UNTOLD)
        if self._group is not None and why:
            self._lodging.lose(why)
        return self._lodging.enforcement(told)

    def enforcement(self) -> Enforcement | None:
        """By what it is held; None before it said hello."""
        return None if self._told is None else self._lodging.enforcement(self._told)

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory, by its own group."""
        return 0 if self._group is None else self._group.oom_kills()

    def memory(self) -> tuple[int, int] | None:
        """The most bytes that its instance had, and its limit, if a group of its own enforces that."""
        allowed = self._lodging.quarters.limits.memory
        if allowed is None or self._lodging.watched:
            return None
        return self._lodging.group.used().peak or allowed, allowed

    @property
    def inside(self) -> bool:
        """Whether it is in a control group of its own, as far as it has said."""
        return self._group is not None and self._told is not None and not self._told.get(GROUP, UNTOLD)

    def remember(self) -> None:
        """It is about to end: where no group knows what it has started, note that."""
        if not self.inside and self.family is not None:
            self.family.members()

    def kill(self) -> None:
        """The host is dead: everything that it has started goes, too, whatever session that is in."""
        if self._group is not None:
            self._group.kill()
        if not self.inside and self.family is not None:
            self.family.kill()

    def ended(self) -> None:
        """It is reaped, or was never executed."""
        self._lodging.leave(self)

    def sweep(self) -> bool:
        """Remove its group; says whether it is gone. From any thread."""
        if self._group is None:
            return True
        self._group.kill()
        return self._group.remove()
