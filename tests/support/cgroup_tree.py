"""A directory tree that behaves as the kernel's cgroup file systems do, as far as the engine uses them.

``KernelTree`` implements ``eas_engine.supervisor.limits.control_files.Files``. Version 2 keeps the rules that
matter: a group has the controllers that its parent hands down; only a group without processes can hand any
down (but the root of the machine); processes can't be put into one that does; each process is in one group.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

ALL = ("cpu", "memory", "pids")
V1 = {
    "memory": {
        "memory.limit_in_bytes": "9223372036854771712",
        "memory.memsw.limit_in_bytes": "9223372036854771712",
        "memory.swappiness": "60",
        "memory.usage_in_bytes": "0",
        "memory.max_usage_in_bytes": "0",
        "memory.stat": "total_inactive_file 0\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    },
    "cpu": {
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "-1",
        "cpu.shares": "1024",
        "cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
    },
    "cpuacct": {"cpuacct.usage": "0"},
    "pids": {"pids.max": "max"},
}
V2 = {
    "memory": {
        "memory.max": "max",
        "memory.swap.max": "max",
        "memory.oom.group": "0",
        "memory.current": "0",
        "memory.peak": "0",
        "memory.stat": "inactive_file 0\n",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
    },
    "cpu": {"cpu.max": "max 100000", "cpu.weight": "100"},
    "pids": {"pids.max": "max"},
}
_CPU_STAT = "usage_usec 0\nuser_usec 0\nsystem_usec 0\nthrottled_usec 0\n"


class KernelTree:
    """Hierarchies below ``<root>/sys/fs/cgroup``, and the ``/proc/self`` of a process in them.

    Args:
        root: an empty directory.
        own: the path of the group that the process is in, in all hierarchies.
    """

    def __init__(self, root: Path, own: str = "/") -> None:
        self.root = root
        self.process = root / "proc"
        self.process.mkdir()
        self.own = own
        self.refused: dict[str, int] = {}
        """Files (by their names) that can't be written, with the error."""
        self._versions: dict[Path, tuple[int, tuple[str, ...]]] = {}
        self._mounts: list[str] = []
        self._membership: list[str] = []

    def v1(self, *controllers: str) -> Path:
        """Mount one of version 1; the process's own group in it."""
        mount = f"/sys/fs/cgroup/{','.join(controllers)}"
        return self._mount(1, mount, controllers, f"cgroup cgroup rw,{','.join(controllers)}")

    def v2(self, *, container: bool = False, handed_down: Iterable[str] = ALL) -> Path:
        """Mount that of version 2; the process's own group in it, with itself inside.

        Args:
            container: what is mounted is not the root of the machine.
            handed_down: the controllers that the groups on the way have.
        """
        mount = self.root / "sys/fs/cgroup"
        own = self._mount(2, "/sys/fs/cgroup", tuple(handed_down), "cgroup2 cgroup2 rw")
        if container:
            (mount / "cgroup.type").write_text("domain\n")
        self.enter(own, os.getpid())
        return own

    def enter(self, group: Path, pid: int) -> None:
        """Put a process into a group, by whom it may be."""
        file = group / "cgroup.procs"
        file.write_text("\n".join([*file.read_text().split(), str(pid)]) + "\n")

    # -- control_files.Files

    def make(self, group: Path) -> None:
        """See ``Files``."""
        group.mkdir()
        self._fill(group)

    def remove(self, group: Path) -> None:
        """See ``Files``."""
        if (group / "cgroup.procs").read_text().split() or any(one.is_dir() for one in group.iterdir()):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(group))
        for file in group.iterdir():
            file.unlink()
        group.rmdir()

    def write(self, file: Path, text: str) -> None:
        """See ``Files``."""
        if not file.exists():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(file))
        if file.name in self.refused:
            number = self.refused[file.name]
            raise OSError(number, os.strerror(number), str(file))
        if file.name == "cgroup.procs":
            self._move(file.parent, text)
        elif file.name == "cgroup.subtree_control":
            self._hand_down(file, text)
        else:
            file.write_text(text)

    # -- the rules

    def _move(self, group: Path, pid: str) -> None:
        if self._of(group)[0] == 2 and _words(group / "cgroup.subtree_control") and self._inner(group):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(group))
        for file in self.root.rglob("cgroup.procs"):
            if self._of(file.parent) == self._of(group):
                file.write_text("".join(f"{one}\n" for one in _words(file) if one != pid))
        self.enter(group, int(pid))

    def _hand_down(self, file: Path, text: str) -> None:
        wanted = [word[1:] for word in text.split() if word.startswith("+")]
        if not set(wanted) <= set(_words(file.with_name("cgroup.controllers"))):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        if _words(file.with_name("cgroup.procs")) and self._inner(file.parent):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(file))
        file.write_text(" ".join(sorted({*_words(file), *wanted})))

    def _inner(self, group: Path) -> bool:
        return (group / "cgroup.type").exists()

    def _of(self, group: Path) -> tuple[int, tuple[str, ...]]:
        return next(self._versions[one] for one in (group, *group.parents) if one in self._versions)

    def _mount(self, version: int, at: str, controllers: tuple[str, ...], kind: str) -> Path:
        mount = self.root / at.lstrip("/")
        mount.mkdir(parents=True)
        self._versions[mount] = (version, controllers)
        self._fill(mount, top=True)
        group = mount
        for part in self.own.strip("/").split("/"):
            if part:
                if version == 2:
                    (group / "cgroup.subtree_control").write_text(" ".join(controllers))
                group /= part
                self.make(group)
        number = len(self._mounts) + 30
        self._mounts.append(f"{number} 20 0:{number} / {at} rw,relatime - {kind}\n")
        names = ",".join(controllers) if version == 1 else ""
        self._membership.append(f"{len(self._mounts) if version == 1 else 0}:{names}:{self.own}\n")
        (self.process / "mountinfo").write_text("".join(self._mounts))
        (self.process / "cgroup").write_text("".join(self._membership))
        return group

    def _fill(self, group: Path, *, top: bool = False) -> None:
        version, controllers = self._of(group)
        (group / "cgroup.procs").write_text("")
        files: dict[str, str] = {}
        if version == 1:
            for one in controllers:
                files.update(V1[one])
        else:
            here = controllers if top else tuple(_words(group.parent / "cgroup.subtree_control"))
            files = {
                "cgroup.controllers": " ".join(here),
                "cgroup.subtree_control": "",
                "cpu.stat": _CPU_STAT,
            }
            if not top:
                files["cgroup.type"] = "domain\n"
                for one in here:
                    files.update(V2[one])
        for name, text in files.items():
            (group / name).write_text(text)


def _words(file: Path) -> list[str]:
    return file.read_text().split()
