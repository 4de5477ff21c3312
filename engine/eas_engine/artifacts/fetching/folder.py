"""A remote folder as a tree on disk: what is missing of it, several files at once.

Files that the tree of the last time has in the same version are hard-linked from it. Which files of an
unfinished tree are whole is in a journal beside it, one line each, written after the file is in its place; a
kill between costs one file. In another boot the journal isn't believed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from eas_engine.artifacts.cache.cache import delete
from eas_engine.artifacts.fetching.crew import run_all
from eas_engine.artifacts.fetching.part import boot_id, forget
from eas_engine.artifacts.fetching.progress import Bar
from eas_engine.artifacts.fetching.transfer import Means, receive
from eas_engine.artifacts.sources.source import Member
from eas_engine.errors import ArtifactError
from eas_engine.records import dataclass

AT_ONCE: Final = 4  # transfers


@dataclass(frozen=True, slots=True)
class Previous:
    """The tree of the last time: where, and size and version of each of its files."""

    tree: Path
    members: Mapping[str, tuple[int, str]]


def mark(member: Member) -> str:
    """What tells two versions of a file apart."""
    return member.version.etag or member.version.modified


def digest(members: Sequence[Member]) -> str:
    """Of a listing: names, sizes and versions."""
    lines = sorted(f"{member.name}\0{member.size}\0{mark(member)}\n" for member in members)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def checked(label: str, members: Sequence[Member]) -> None:
    """Refuse a folder that can't be a tree here. Errors: ArtifactError naming the object."""
    names = {member.name for member in members}
    for name in names:
        parts = name.split("/")
        if any(part in ("", ".", "..") or "\0" in part or len(os.fsencode(part)) > 255 for part in parts):
            raise ArtifactError(f"{label}: the object {name!r} can't be a file below one directory")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in names:
                raise ArtifactError(f"{label}: {'/'.join(parts[:count])!r} is both an object and a folder")


class Tree:
    """A folder being fetched into ``path``; the caller holds the lock of its key."""

    def __init__(self, path: Path, means: Means, bar: Bar) -> None:
        self._path, self._means, self._bar = path, means, bar
        self._journal = path.with_name(f"{path.name}.journal")
        self._parts = path.with_name(f"{path.name}.parts")
        self._whole: dict[str, tuple[int, str]] = {}

    def fetch(self, members: Sequence[Member], previous: Previous | None) -> Path:
        """Everything in ``members`` and nothing else. Errors: as ``transfer.receive``."""
        self._path.mkdir(mode=0o700, exist_ok=True)
        self._parts.mkdir(mode=0o700, exist_ok=True)
        self._resume(members)
        with self._journal.open("a", encoding="utf-8") as journal:
            missing = [one for one in members if one.name not in self._whole]
            wanted = [one for one in missing if not self._linked(one, previous)]
            self._means.room(sum(one.size for one in wanted))
            self._bar.expects(sum(one.size for one in members))
            self._bar.moved(sum(one.size for one in members) - sum(one.size for one in wanted))

            def whole(member: Member) -> None:
                line = {"name": member.name, "size": member.size, "mark": mark(member)}
                journal.write(json.dumps(line) + "\n")
                journal.flush()

            own = replace(self._means, stop=self._means.stop.branch())
            jobs = [functools.partial(self._bring, one, own, whole) for one in wanted]
            run_all(jobs, AT_ONCE, own.stop)
        return self._path

    def discard_scratch(self) -> None:
        """What only served to make the tree."""
        self._journal.unlink(missing_ok=True)
        delete(self._parts)

    def _resume(self, members: Sequence[Member]) -> None:
        """Believe the journal where the files agree with it; throw away what isn't wanted."""
        wanted = {one.name: (one.size, mark(one)) for one in members}
        told = self._told()
        for folder, _, names in os.walk(self._path, topdown=False):
            for file in names:
                path = Path(folder, file)
                name = str(path.relative_to(self._path))
                if told.get(name) == wanted.get(name, ()) and path.lstat().st_size == wanted[name][0]:
                    self._whole[name] = wanted[name]
                else:
                    path.unlink()
            with contextlib.suppress(OSError):
                if Path(folder) != self._path:
                    Path(folder).rmdir()
        lines = [json.dumps({"boot": boot_id()})]
        lines += [json.dumps({"name": n, "size": s, "mark": m}) for n, (s, m) in self._whole.items()]
        self._journal.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _told(self) -> dict[str, tuple[int, str]]:
        told: dict[str, tuple[int, str]] = {}
        with contextlib.suppress(OSError, ValueError, KeyError):  # the last line may be half of one
            lines = self._journal.read_text(encoding="utf-8").splitlines()
            if not lines or json.loads(lines[0])["boot"] != boot_id():
                return {}
            for line in lines[1:]:
                one = json.loads(line)
                told[one["name"]] = (one["size"], one["mark"])
        return told

    def _linked(self, member: Member, previous: Previous | None) -> bool:
        """Take it from the tree of the last time, if it is there in this version."""
        if previous is None or not mark(member):
            return False
        if previous.members.get(member.name) != (member.size, mark(member)):
            return False
        place = self._place(member)
        try:
            os.link(previous.tree / member.name, place, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _bring(self, member: Member, means: Means, whole: Callable[[Member], None]) -> None:
        part = self._parts / hashlib.sha256(member.name.encode("utf-8", "surrogateescape")).hexdigest()
        received = receive(member.file, part, means, self._bar)
        if received is None or received.size != member.size:
            raise ArtifactError(
                f"{member.file.label}: {received.size if received else 0} bytes came, the listing says "
                f"{member.size}; it is being changed"
            )
        received.path.chmod(0o444)
        received.path.rename(self._place(member))
        forget(part)
        whole(member)

    def _place(self, member: Member) -> Path:
        place = self._path / member.name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
