"""The server's processes, as the system shows them: the one that was started, and what descends from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psutil

from eas_bench.record import Process

Names = Callable[[], Mapping[int, str]]
"""The server's own names for its processes, by pid; asked again when there is a process without one."""


class Family:
    """A process and its descendants, whoever of them lives at the moment."""

    def __init__(self, pid: int, name: str, names: Names) -> None:
        try:
            self._root: psutil.Process | None = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._root = None  # it was quicker than we
        self._name = name
        self._names = names
        self._known: dict[int, str] = {}  # of those that lived when it was last looked

    def look(self) -> list[Process]:
        """How they are now; none when the first has ended. The first comes first."""
        root = self._root
        if root is None:
            return []
        try:
            children = root.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._name_all(root.pid, children)
        seen = (_process(self._known[one.pid], one) for one in (root, *children))
        return [process for process in seen if process is not None]

    def _name_all(self, root: int, children: list[psutil.Process]) -> None:
        told = self._names() if {one.pid for one in children} - self._known.keys() else {}
        known = {root: self._name}
        for one in children:  # a parent comes before its children
            known[one.pid] = told.get(one.pid) or self._known.get(one.pid) or _name(one, known, root)
        self._known = known


def _name(one: psutil.Process, known: Mapping[int, str], root: int) -> str:
    """Of one that the server has no name for: the command's, below the parent's unless that is the first."""
    try:
        own, parent = one.name(), one.ppid()
    except psutil.Error:
        return str(one.pid)
    return own if parent == root or not known.get(parent) else f"{known[parent]}/{own}"


def _process(name: str, one: psutil.Process) -> Process | None:
    """None: it has ended, or may not be looked at."""
    try:
        with one.oneshot():
            times = one.cpu_times()
            return Process(
                name=name,
                pid=one.pid,
                cpu_seconds=times.user + times.system,
                memory_bytes=one.memory_info().rss,
                threads=one.num_threads(),
                descriptors=_descriptors(one),
            )
    except psutil.Error:
        return None


def _descriptors(one: psutil.Process) -> int | None:
    try:
        return int(one.num_fds())
    except psutil.AccessDenied:
        return None
