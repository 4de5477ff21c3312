"""Where this process may make control groups (cgroups(7)). Looks only: nothing is made or moved here.

Version 1 has a hierarchy for each controller, and any group may have groups and processes. Version 2 has one
hierarchy, and a group that hands controllers down to its groups may hold no process itself; so where the only
group that was delegated to us is the one that we are in, its processes must move into a leaf of it first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from eas_engine.records import dataclass

CONTROLLERS: Final = ("memory", "cpu", "cpuacct", "pids")
"""Those that instances are limited, measured and counted by. Version 2 has no ``cpuacct``: ``cpu.stat``."""

_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Base:
    """A group in which this process may make groups.

    Attributes:
        version: of the hierarchy, 1 or 2.
        path: its directory.
        controllers: those of ``CONTROLLERS`` that groups in it can have.
        crowded: version 2: processes are in it, which must move into a leaf before it can have groups.
    """

    version: int
    path: Path
    controllers: tuple[str, ...]
    crowded: bool = False


@dataclass(frozen=True, slots=True)
class Cgroups:
    """What there is of control groups; ``reasons`` say why a controller can't be had, for a person."""

    bases: tuple[Base, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def base(self, controller: str) -> Base | None:
        """Where groups with this controller can be made."""
        return next((one for one in self.bases if controller in one.controllers), None)

    def by(self, controller: str) -> str:
        """``cgroup v1``, ``cgroup v2``, or empty."""
        base = self.base(controller)
        return f"cgroup v{base.version}" if base else ""

    def reason(self, controller: str) -> str:
        """Why it can't be had."""
        return self.reasons.get(controller, f"the kernel has no cgroup controller {controller}")


NONE: Final = Cgroups(
    (), MappingProxyType(dict.fromkeys(CONTROLLERS, "cgroups are turned off (EAS_CGROUPS)"))
)
"""For an engine that is told to leave them alone."""


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    version: int
    mount: Path
    own: Path
    controllers: tuple[str, ...]


def find(process: Path = Path("/proc/self"), root: Path = Path("/")) -> Cgroups:
    """Where this process may make groups.

    Args:
        process: its directory in ``/proc``.
        root: what mount points are relative to; tests have a tree of their own.
    """
    try:
        mounts, membership = (process / "mountinfo").read_text(), (process / "cgroup").read_text()
    except OSError as error:
        return Cgroups((), dict.fromkeys(CONTROLLERS, f"{error.filename}: {error.strerror}"))
    bases: list[Base] = []
    reasons: dict[str, str] = {}
    for one in _hierarchies(mounts, membership, root):
        base = _base_v1(one) if one.version == 1 else _base_v2(one)
        if isinstance(base, Base):
            bases.append(base)
        else:
            reasons.update(dict.fromkeys(one.controllers, base))
    return Cgroups(tuple(bases), MappingProxyType(reasons))


def _hierarchies(mounts: str, membership: str, root: Path) -> Iterable[_Hierarchy]:
    """The mounted ones that have a controller of ours; each once, version 1 first (it has what v2 hasn't)."""
    paths: dict[str, str] = {}
    for line in membership.splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        paths.update(dict.fromkeys(controllers.split(","), path))  # version 2: the empty name
    found: dict[str, _Hierarchy] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        names = kind[2].split(",") if kind[0] == "cgroup" else [""]
        name = next((one for one in names if one in paths and one in (*CONTROLLERS, "")), None)
        if name is None or name in found:
            continue
        mount = root / _unescaped(fields[4]).lstrip("/")
        own = mount / _below(paths[name], _unescaped(fields[3]))
        if kind[0] == "cgroup":
            found[name] = _Hierarchy(1, mount, own, tuple(one for one in names if one in CONTROLLERS))
        else:
            here = _words(own / "cgroup.controllers")
            found[name] = _Hierarchy(2, mount, own, tuple(one for one in CONTROLLERS if one in here))
    return [one for one in found.values() if one.controllers]


def _unescaped(text: str) -> str:
    """Blanks and the like stand there in octal."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _below(path: str, mounted: str) -> str:
    """A group's path below what is mounted; in a container that may be the machine's path's end alone."""
    if mounted != "/" and (path == mounted or path.startswith(mounted + "/")):
        return path[len(mounted) :].lstrip("/")
    return path.lstrip("/") if mounted == "/" and not path.startswith("/..") else ""


def _base_v1(one: _Hierarchy) -> Base | str:
    own = one.own if one.own.is_dir() else one.mount
    if not _writable(own):
        return f"{own} is not writable"
    return Base(1, own, one.controllers)


def _base_v2(one: _Hierarchy) -> Base | str:
    """The nearest group that was given to us, or that we may use.

    In this order: the root of the machine, where we are in it (it alone may have both groups and processes);
    the parent, where systemd says that it is delegated (``DelegateSubgroup=``); the own group, where nobody
    else is in it, or it is a container's root; the parent, and the root of the machine, where they may be
    written.
    """
    own, parent = one.own, one.own.parent
    inside = one.own != one.mount
    if not (own / "cgroup.type").exists() and _usable(own):
        return Base(2, own, one.controllers)
    if inside and _is_delegated(parent) and _is_free(parent):
        return Base(2, parent, _controllers(parent))
    if _usable(own) and (not inside or _alone(own)):
        return Base(2, own, one.controllers, crowded=True)
    for other in (parent, one.mount):
        if inside and _usable(other) and (_is_free(other) or not (other / "cgroup.type").exists()):
            return Base(2, other, _controllers(other))
    if _usable(own):
        return f"other processes are in {own}, too; give the engine a delegated cgroup (docs/resources.md)"
    return f"{own} is not writable; give the engine a delegated cgroup (docs/resources.md)"


def _controllers(group: Path) -> tuple[str, ...]:
    here = _words(group / "cgroup.controllers")
    return tuple(one for one in CONTROLLERS if one in here)


def _usable(group: Path) -> bool:
    return _writable(group) and os.access(group / "cgroup.subtree_control", os.W_OK)


def _is_free(group: Path) -> bool:
    return _usable(group) and not _words(group / "cgroup.procs")


def _alone(group: Path) -> bool:
    """Whether nobody but this process is in it."""
    return set(_words(group / "cgroup.procs")) <= {str(os.getpid())}


def _is_delegated(group: Path) -> bool:
    try:
        return os.getxattr(group, "user.delegate") == b"1"
    except OSError:
        return False


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
