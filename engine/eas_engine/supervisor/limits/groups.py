"""Control groups: one of the engine's, in it one for each instance, in that one for each of its hosts.

Limits are the instance's; a host's own group is there so that everything that it has started can be ended
with it, whatever sessions and parents that has, and so that the kernel counts whom it killed for want of
memory.

The engine's group is held by a shared lock (flock) on its directory for as long as the engine lives. One
whose lock can be had belongs to an engine that is gone: ``tidy`` ends what is in it, and removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from eas_engine.spec.cgroups import Base, Cgroups
from eas_engine.supervisor.limits import control_files as files
from eas_engine.supervisor.limits.group_settings import settings_v1, settings_v2
from eas_engine.supervisor.limits.report import NOTHING, Used
from eas_engine.supervisor.place import Limits

PREFIX: Final = "eas-engine-"
_LEAF: Final = "engine"
"""Version 2: where the processes go that were in the base."""


class EngineGroup:
    """The engine's own group, in each hierarchy where it may have one.

    Args:
        cgroups: where that is.
        name: a part of its name, for people.
        kernel: the files.
    """

    def __init__(self, cgroups: Cgroups, name: str, kernel: files.Files | None = None) -> None:
        self._kernel = kernel or files.KernelFiles()
        self._name = f"{PREFIX}{name}.{os.getpid()}.{secrets.token_hex(2)}"
        self._locks: list[int] = []
        self._reasons = dict(cgroups.reasons)
        self._cgroups = cgroups
        self.roots: dict[Path, Base] = {}
        for base in cgroups.bases:
            try:
                self._found(base)
            except OSError as error:
                why = f"{error.filename or base.path}: {error.strerror}"
                self._reasons.update(dict.fromkeys(base.controllers, why))

    def __repr__(self) -> str:
        return f"<EngineGroup {self._name} in {len(self.roots)} hierarchies>"

    def reason(self, controller: str) -> str:
        """Why instances can't have this controller."""
        return self._reasons.get(controller) or self._cgroups.reason(controller)

    def instance(self, name: str, limits: Limits) -> InstanceGroup:
        """A group for an instance; the name must be new. It holds what it can: see its ``by``."""
        return InstanceGroup(self, name, limits, self._kernel)

    def close(self) -> None:
        """Remove it; all instances' groups must be gone. Idempotent."""
        for root in self.roots:
            with contextlib.suppress(OSError):
                self._kernel.remove(root)
        self.roots.clear()
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def _found(self, base: Base) -> None:
        """Make it in one hierarchy, and lock it."""
        if base.version == 2:
            self._free(base)
            hand_down(self._kernel, base.path, base.controllers)
        root = base.path / self._name
        while True:
            with contextlib.suppress(FileExistsError):
                self._kernel.make(root)
            lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if root.exists() and os.fstat(lock).st_ino == root.stat().st_ino:
                break
            os.close(lock)  # another engine has tidied it away in between
        self._locks.append(lock)
        if base.version == 2:
            hand_down(self._kernel, root, base.controllers)
        self.roots[root] = base

    def _free(self, base: Base) -> None:
        """Move what is in the base itself into a leaf: only a group without processes can hand down."""
        if not base.crowded:
            return
        leaf = base.path / _LEAF
        with contextlib.suppress(FileExistsError):
            self._kernel.make(leaf)
        for pid in files.processes(base.path):
            with contextlib.suppress(ProcessLookupError):
                self._kernel.write(leaf / files.PROCESSES, str(pid))


def hand_down(kernel: files.Files, group: Path, controllers: Iterable[str]) -> None:
    """Version 2: let the groups in it have these controllers. Errors: ``OSError``."""
    file = group / "cgroup.subtree_control"
    has = file.read_text().split()
    lacking = [one for one in controllers if one not in has]
    if lacking:
        kernel.write(file, " ".join(f"+{one}" for one in lacking))


class InstanceGroup:
    """One instance's group, in all hierarchies that there are.

    Attributes:
        by: for ``memory`` and ``cpu``: ``cgroup v1``, ``cgroup v2``, or ``nothing: <reason>``.
    """

    def __init__(self, engine: EngineGroup, name: str, limits: Limits, kernel: files.Files) -> None:
        self._kernel = kernel
        self._paths: dict[str, tuple[Path, Base]] = {}
        self._made: list[tuple[Path, Base]] = []
        self._hosts = 0
        self.by = {one: NOTHING + engine.reason(one) for one in ("memory", "cpu")}
        for root, base in engine.roots.items():
            path = root / name
            try:
                kernel.make(path)
            except OSError as error:
                self.by.update({one: _refused(path, error) for one in self.by if one in base.controllers})
                continue
            self._made.append((path, base))
            self._paths.update(dict.fromkeys(base.controllers, (path, base)))
            self._limit(path, base, limits)

    def __repr__(self) -> str:
        return f"<InstanceGroup {', '.join(str(path) for path, _ in self._made)}>"

    def host(self) -> HostGroup | None:
        """A group for one more host; None where there are no groups."""
        if not self._made:
            return None
        self._hosts += 1
        own, base = self._paths.get("memory") or self._made[0]
        leaf = own / f"host{self._hosts}"
        try:
            if base.version == 2 and "memory" in base.controllers:
                hand_down(self._kernel, own, ["memory"])
            self._kernel.make(leaf)
            return HostGroup(leaf, [path for path, _ in self._made if path != own], self._kernel)
        except OSError as error:
            self.by.update(dict.fromkeys(self.by, _refused(leaf, error)))
            return None

    def used(self) -> Used:
        """What its processes use."""
        memory, cpu, throttled = self._memory(), self._seconds(), self._throttled()
        return Used(memory=memory, peak=self._peak(), cpu_seconds=cpu, throttled_seconds=throttled)

    def processes(self) -> list[int]:
        """All that are in it."""
        paths = [path for path, _ in self._made[:1]]
        return [pid for path in paths for group in files.below(path) for pid in files.processes(group)]

    def kill(self) -> bool:
        """SIGKILL to all processes in it. Says whether there were any."""
        found = [files.kill(path) for path, _ in self._made]
        return any(found)

    def remove(self) -> bool:
        """Remove it. Says whether it is gone: it isn't while processes are in it."""
        gone = [_remove(path, self._kernel) for path, _ in self._made]
        return all(gone)

    def _limit(self, path: Path, base: Base, limits: Limits) -> None:
        settings = settings_v1(limits) if base.version == 1 else settings_v2(limits)
        failed: dict[str, str] = {}
        for one in settings:
            if one.controller not in base.controllers:
                continue
            try:
                self._kernel.write(path / one.file, one.text)
            except OSError as error:
                if not one.optional:
                    failed.setdefault(one.controller, _refused(path / one.file, error))
        for controller in self.by:
            if controller in base.controllers:
                self.by[controller] = failed.get(controller, f"cgroup v{base.version}")

    def _file(self, controller: str, name_v1: str, name_v2: str) -> Path | None:
        path, base = self._paths.get(controller, (None, None))
        return None if path is None or base is None else path / (name_v1 if base.version == 1 else name_v2)

    def _number(self, controller: str, name_v1: str, name_v2: str) -> int | None:
        file = self._file(controller, name_v1, name_v2)
        return None if file is None else files.number(file)

    def _memory(self) -> int | None:
        """Without the file cache that was not used lately, as Kubernetes counts it."""
        used = self._number("memory", "memory.usage_in_bytes", "memory.current")
        stat = self._file("memory", "memory.stat", "memory.stat")
        if used is None or stat is None:
            return used
        lines = files.table(stat)
        return max(0, used - lines.get("total_inactive_file", lines.get("inactive_file", 0)))

    def _peak(self) -> int | None:
        return self._number("memory", "memory.max_usage_in_bytes", "memory.peak")

    def _seconds(self) -> float | None:
        nanoseconds = self._number("cpuacct", "cpuacct.usage", "cpuacct.usage")
        if nanoseconds is not None:
            return nanoseconds / 1e9
        stat = self._file("cpu", "", "cpu.stat")
        microseconds = None if stat is None else files.table(stat).get("usage_usec")
        return None if microseconds is None else microseconds / 1e6

    def _throttled(self) -> float | None:
        stat = self._file("cpu", "cpu.stat", "cpu.stat")
        lines = {} if stat is None else files.table(stat)
        if "throttled_time" in lines:
            return lines["throttled_time"] / 1e9
        return lines["throttled_usec"] / 1e6 if "throttled_usec" in lines else None


class HostGroup:
    """One host's group. It enters it by itself: see ``entrances``."""

    def __init__(self, leaf: Path, others: Iterable[Path], kernel: files.Files) -> None:
        self._leaf = leaf
        self._others = tuple(others)
        self._kernel = kernel
        self._oom = (leaf / "memory.oom_control", leaf / "memory.events")

    def __repr__(self) -> str:
        return f"<HostGroup {self._leaf}>"

    def entrances(self) -> list[int]:
        """Open descriptors: who writes ``0`` to each of them is in the group. The caller's to close.

        The kernel may take 20 ms for it (a grace period of RCU), which is why the engine doesn't do it.
        Errors: ``OSError``.
        """
        opened: list[int] = []
        with contextlib.ExitStack() as undo:
            for group in (self._leaf, *self._others):
                fd = os.open(group / files.PROCESSES, os.O_WRONLY | os.O_CLOEXEC)
                undo.callback(os.close, fd)
                opened.append(fd)
            undo.pop_all()
        return opened

    def oom_kills(self) -> int:
        """How many processes in it the kernel has killed for want of memory."""
        return max(files.table(file).get("oom_kill", 0) for file in self._oom)

    def kill(self) -> bool:
        """SIGKILL to all processes in it. Says whether there were any."""
        return files.kill(self._leaf)

    def remove(self) -> bool:
        """Remove it; says whether it is gone."""
        return _remove(self._leaf, self._kernel)


def tidy(bases: Iterable[Base], kernel: files.Files | None = None) -> bool:
    """End and remove what engines left that are gone. Says whether all of it is gone; else ask again."""
    kernel = kernel or files.KernelFiles()
    done = True
    for base in bases:
        for root in sorted(base.path.glob(f"{PREFIX}*")):
            with contextlib.suppress(OSError):  # held by a living engine, gone, or not ours to end
                lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    files.kill(root)
                    done = _remove(root, kernel) and done
                finally:
                    os.close(lock)
    return done


def _remove(group: Path, kernel: files.Files) -> bool:
    for one in files.below(group):
        try:
            kernel.remove(one)
        except OSError as error:
            if error.errno != errno.ENOENT:
                return False
    return True


def _refused(place: Path, error: OSError) -> str:
    return f"{NOTHING}{place}: {error.strerror}"
