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
        self._root = psutil.Process(pid)  # raises psutil.NoSuchProcess
        self._name = name
        self._names = names
        self._known: dict[int, str] = {}  # of those that lived when it was last looked

    def look(self) -> list[Process]:
        """How they are now; none when the first has ended. The first comes first."""
        try:
            children = self._root.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._name_all(children)
        seen = (_process(self._known.get(one.pid, str(one.pid)), one) for one in (self._root, *children))
        return [process for process in seen if process is not None]

    def _name_all(self, children: list[psutil.Process]) -> None:
        living = {self._root.pid: self._name, **{one.pid: "" for one in children}}
        told = self._names() if living.keys() - self._known.keys() - {self._root.pid} else {}
        known = {pid: name or told.get(pid) or self._known.get(pid, "") for pid, name in living.items()}
        for one in children:  # a parent comes before its children
            if not known[one.pid]:
                known[one.pid] = _name(one, known, self._root.pid)
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
