"""What an engine and its hosts leave behind when they are gone: nothing.

A process of theirs is told by its environment: every host has the journal of its engine in it, and whatever
it forks inherits that.
"""

from __future__ import annotations

import socket
from pathlib import Path

from support.engine import Engine, eventually, gone

_SHARED = Path("/dev/shm")
_MARK = "FAULTS_JOURNAL="


def processes_of(engine: Engine) -> set[int]:
    """Hosts of the engine, and what they have started, wherever in the tree of processes that is now."""
    mark = f"{_MARK}{engine.directory}/".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and mark in _environment(entry) and not gone(int(entry.name)):
            found.add(int(entry.name))
    return found


def descriptors(engine: Engine) -> dict[str, int]:
    """The engine's open descriptors by what they are; numbers of inodes left out."""
    counts: dict[str, int] = {}
    for entry in Path(f"/proc/{engine.process.pid}/fd").iterdir():
        try:
            kind = entry.readlink().name.partition(":[")[0]
        except OSError:
            continue  # closed between the two looks
        counts[kind] = counts.get(kind, 0) + 1
    return counts


class Leftovers:
    """Looks before an engine starts and after it has ended."""

    def __init__(self, scratch: Path) -> None:
        """`scratch`: the directory of temporary files (TMPDIR) that the engine was given."""
        self._scratch = scratch
        self._shared = _names(_SHARED)
        self._seen: set[int] = set()

    def note(self, engine: Engine) -> None:
        """Remember the hosts that live now."""
        self._seen |= processes_of(engine)

    def check(self, engine: Engine) -> None:
        """The engine has ended: nothing of it is left."""
        assert engine.process.poll() is not None
        eventually(lambda: not processes_of(engine), "every process has gone")
        assert all(gone(pid) for pid in self._seen)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", engine.port)), "somebody still listens"
        assert not (engine.state_dir / engine.name / "engine.json").exists()
        assert sorted(self._scratch.rglob("*")) == []
        assert not {name for name in _names(_SHARED) - self._shared if "eas" in name}
        for pid in self._seen:
            assert not list(Path("/tmp").glob(f"hsperfdata_*/{pid}")), "of a Java virtual machine"


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""  # gone, or somebody else's


def _names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.exists() else set()
