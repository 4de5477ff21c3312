"""The workspace of a service's version: what its processors see where.

``<versions>/<key>/`` holds

* ``W/model``, ``W/predictor/processor`` (the working directory) and ``W/config/config.json``, real
  directories, so that ``../../model`` leads from the working directory to the model,
* ``made.json``: what was put there. Its time is that of the last start that used it.

The key is a digest of what the model and the processor are, so each version keeps a workspace of its own, and
going back to an earlier version finds it as it was (``find_workspace``), also when what lies at its addresses
is something else by then. It is made aside and renamed. A start that finds its
workspace looks at every file that was put there: if one is missing or was changed (by a processor, or by a
machine that lost its power) the workspace is made anew. What a processor added stays as long as the
workspace.

The caller holds the lock of the state directory, so nobody else works here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final

from eas_engine.artifacts.workspace.placing import Placer
from eas_engine.artifacts.workspace.survey import (
    Identity,
    Item,
    Kind,
    fingerprint,
    identity,
    is_state_directory,
    signature,
    survey,
)
from eas_engine.errors import ArtifactError
from eas_engine.records import dataclass

MODEL: Final = "model"
PROCESSOR: Final = "predictor/processor"
CONFIG: Final = "config/config.json"

KEPT: Final = 3
"""Workspaces that are kept: the one in use and those used last before it."""

_FORMAT: Final = 1  # of made.json and of the layout; part of the key
_MOST_TOLD: Final = 5  # files that were changed
_KEY_LENGTH: Final = 16
_KEY: Final = re.compile(rf"[0-9a-f]{{{_KEY_LENGTH}}}")


class OtherFilesError(ArtifactError):
    """What lies at the addresses isn't what is wanted of them."""


@dataclass(frozen=True, slots=True)
class Content:
    """What becomes the model or the processor.

    Attributes:
        path: a directory, or a file that lies alone in the workspace's directory.
        name: what that file is called there; empty: as in ``path``.
        cached: it lies in the cache and never changes, so it may be linked; else it is copied.
        identity: a digest of its contents; empty: a fingerprint is taken.
    """

    path: Path
    name: str = ""
    cached: bool = False
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace on the disk; all paths are absolute.

    Attributes:
        root: ``W``.
        model: ``W/model``; None without a model.
        processor: ``W/predictor/processor``; None when the processor is used where it lies.
        links: the files in it that share their inode with the cache.
        names: what each of ``W/model`` and ``W/predictor/processor`` was made from: the name of the plain
            file that lies alone there; empty: a directory.
        notes: what was left out, for people.
        made: whether it was made now; else it was there.
    """

    root: Path
    model: Path | None
    processor: Path | None
    links: tuple[Path, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    made: bool = True

    @property
    def identity(self) -> str:
        """The same for the same contents, wherever they were put."""
        return _identity(self.root.parent)


def make_workspace(
    versions: Path,
    *,
    model: Content | None,
    processor: Content | None,
    config: Mapping[str, object],
    leave_out: Path | None = None,
    in_use: Collection[Path] = (),
    keep: Collection[str] = (),
    only: str = "",
) -> Workspace:
    """Find or make the workspace for these contents, and tidy those that were not used for long.

    Args:
        versions: the service's directory of workspaces, in its state directory, whose lock is held.
        model: becomes ``W/model``.
        processor: becomes ``W/predictor/processor``.
        config: becomes ``W/config/config.json``; without secrets.
        leave_out: the root of all state directories: where it lies in a directory that is copied, it isn't.
        in_use: the roots of workspaces that processors of this engine work in now. They stay, and what a
            processor has changed in one of them isn't mended under it: another one is made.
        keep: the identities of workspaces that stay, too, however long ago they were used.
        only: the identity that it must have; empty: any.

    Raises:
        OtherFilesError: it would have another identity; nothing was made.
        ArtifactError: something can't be read, or there is no room.
    """
    try:
        versions.mkdir(mode=0o700, parents=True, exist_ok=True)
        homes = frozenset(root.parent for root in in_use)
        _remove_scratch(versions)
        contents = {place: each for place, each in ((MODEL, model), (PROCESSOR, processor)) if each}
        left_out = _state_directories(leave_out)
        key = _key(contents, left_out)
        if only not in ("", key):
            raise OtherFilesError("what lies there now is something else")
        workspace = _provide(versions.absolute() / key, contents, left_out, homes)
        _write_config(workspace.root / CONFIG, config)
        kept = (home for home in versions.absolute().iterdir() if _identity(home) in keep)
        _tidy(versions, homes | {workspace.root.parent, *kept})
    except OSError as error:
        place = error.filename2 or error.filename or versions
        raise ArtifactError(f"the workspace can't be made: {place}: {error.strerror}") from error
    return workspace


def find_workspace(
    versions: Path, identity: str, config: Mapping[str, object], *, as_left: bool = False
) -> Workspace | None:
    """The workspace with this identity, used again; None: it isn't there any more as it was made.

    ``config`` becomes its ``W/config/config.json``. ``as_left``: processors may have changed files in it,
    which is a note then. Errors: ArtifactError.
    """
    if not _KEY.fullmatch(identity):
        return None
    for home in (versions.absolute() / identity, *sorted(versions.absolute().glob(f"{identity}-*"))):
        record = _read_record(home)
        if record is None or "names" not in record:
            continue
        changed = _changed(home / "W", record)
        if changed is not None and (as_left or not changed):
            try:
                os.utime(home / "made.json")
                _write_config(home / "W" / CONFIG, config)
            except OSError as error:
                raise ArtifactError(
                    f"the workspace can't be used: {error.filename}: {error.strerror}"
                ) from error
            found = _workspace(home, record, made=False)
            told = (
                f"{path} was changed by a processor, and is used as it is" for path in changed[:_MOST_TOLD]
            )
            return replace(found, notes=(*found.notes, *told))
    return None


def identity_of(model: Content | None, processor: Content | None, leave_out: Path | None) -> str:
    """The identity that a workspace of these would have; nothing is made. Errors: OSError."""
    contents = {place: each for place, each in ((MODEL, model), (PROCESSOR, processor)) if each}
    return _key(contents, _state_directories(leave_out))


def holds(root: Path, contents: Mapping[str, Content], leave_out: Path | None, but: Path) -> bool:
    """Whether the workspace with this root was made of these, as they are now.

    ``but``: a file that doesn't count. Names, sizes, times of change, executable bits and links tell.
    Errors: OSError.
    """
    record = _read_record(root.parent)
    if record is None or record.get("names") != _names(contents):
        return False
    left_out = _state_directories(leave_out)
    found: dict[str, object] = {}
    aside: set[str] = set()
    for place, content in contents.items():
        top = Path(os.path.realpath(content.path))
        aside |= {f"{place}/{one.relative_to(top)}" for one in _names_of(but) if one.is_relative_to(top)}
        for item in _items(content, left_out):
            if item.kind not in (Kind.STATE, Kind.OTHER):
                found[f"{place}/{item.path}"] = [item.kind.value, _told(item)]
    made = {path: [kind, told] for path, kind, told in record["entries"]}
    return all(found.get(path) == made.get(path) for path in {*found, *made} - aside)


def _names_of(path: Path) -> tuple[Path, Path]:
    """As it is called in the directory where it lies, and where it leads to."""
    return Path(os.path.realpath(path.parent), path.name), Path(os.path.realpath(path))


def _told(item: Item) -> object:
    """What is written down of it, as JSON has it."""
    if item.kind is Kind.LINK:
        return item.target
    return list(signature(item.status)) if item.kind is Kind.FILE else None


def _provide(
    home: Path, contents: Mapping[str, Content], leave_out: frozenset[Identity], in_use: Collection[Path]
) -> Workspace:
    record = _read_record(home)
    made = record is None or not _is_whole(home / "W", record)
    if made and home in in_use:
        return _provide(_beside(home), contents, leave_out, in_use)
    if made or record is None:
        record = _make(home, contents, leave_out)
    elif "names" not in record:  # as it was made by an engine that had no use for them
        record["names"] = _names(contents)
        _write(home / "made.json", record)
    os.utime(home / "made.json")
    return _workspace(home, record, made=made)


def _workspace(home: Path, record: Mapping[str, Any], *, made: bool) -> Workspace:
    root, names = home / "W", record["names"]
    return Workspace(
        root,
        root / MODEL if MODEL in names else None,
        root / PROCESSOR if PROCESSOR in names else None,
        links=tuple(root / path for path in record["links"]),
        names=names,
        notes=tuple(record["notes"]),
        made=made,
    )


def _names(contents: Mapping[str, Content]) -> dict[str, str]:
    return {place: "" if one.path.is_dir() else one.name or one.path.name for place, one in contents.items()}


def _identity(home: Path) -> str:
    """The same for one that was made beside another, for the same contents."""
    return home.name.partition("-")[0]


def _beside(home: Path) -> Path:
    """The next workspace for the same contents."""
    key, _, number = home.name.partition("-")
    return home.with_name(f"{key}-{int(number or 1) + 1}")


def _key(contents: Mapping[str, Content], leave_out: frozenset[Identity]) -> str:
    digest, names = hashlib.sha256(str(_FORMAT).encode()), _names(contents)
    for place, content in contents.items():
        single = names[place]
        known = content.identity or fingerprint(content.path, leave_out, own=not content.cached)
        source = "" if content.cached else str(content.path)
        digest.update(repr((place, single, content.cached, source, known)).encode())
    return digest.hexdigest()[:_KEY_LENGTH]


# -- making


def _make(home: Path, contents: Mapping[str, Content], leave_out: frozenset[Identity]) -> dict[str, Any]:
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))
    try:
        maker = _Maker(aside / "W")
        for place, content in contents.items():
            for item in _items(content, leave_out):
                maker.place(item, place, cached=content.cached)
        maker.record["names"] = _names(contents)
    except BaseException:
        remove(aside)
        raise
    (aside / "made.json").write_text(json.dumps(maker.record), "ascii")
    if home.exists():
        home.rename(Path(tempfile.mkdtemp(prefix=".old-", dir=home.parent)) / "old")
    aside.rename(home)
    return maker.record


def _items(content: Content, leave_out: frozenset[Identity]) -> Iterable[Item]:
    if content.path.is_dir():
        if not content.cached and is_state_directory(content.path):
            raise ArtifactError(
                f"{content.path} is an engine's state directory, with its tokens: name another"
            )
        return survey(content.path, leave_out, own=not content.cached)
    name = content.name or content.path.name
    if "/" in name or name in ("", ".", ".."):
        raise ArtifactError(f"{name!r} can't be the name of a file")
    return [Item(name, Kind.FILE, content.path, content.path.stat())]


class _Maker:
    """Fills a new workspace, and keeps account of it."""

    def __init__(self, root: Path) -> None:
        self.record: dict[str, Any] = {"format": _FORMAT, "entries": [], "links": [], "notes": []}
        self._root = root
        self._placer = Placer()
        for place in (MODEL, PROCESSOR, "config"):
            (root / place).mkdir(parents=True)

    def place(self, item: Item, place: str, *, cached: bool) -> None:
        """Put one thing at its place below ``place``."""
        path = f"{place}/{item.path}"
        target = self._root / path
        if item.kind is Kind.STATE:
            text = f"{item.source} is an engine's state directory, with its tokens, and was left out"
            self.record["notes"].append(text)
            return
        if item.kind is Kind.OTHER:
            endless = item.source.is_dir()
            what = "leads to a directory that it lies in" if endless else "is no file, directory or link"
            self.record["notes"].append(f"{item.source} {what}, and was left out")
            return
        if item.kind is Kind.DIRECTORY:
            target.mkdir()
            target.chmod(item.status.st_mode & 0o777 | 0o700)
        elif item.kind is Kind.LINK:
            target.symlink_to(item.target)
        elif self._placer.place(item.source, target, item.status, cached=cached):
            self.record["links"].append(path)
        self.record["entries"].append((path, item.kind.value, _told(item)))


def _write_config(path: Path, config: Mapping[str, object]) -> None:
    path.parent.mkdir(exist_ok=True)
    _write(path, config, indent=2)


def _write(path: Path, value: object, indent: int | None = None) -> None:
    """Beside its place and renamed: a processor of a script started by hand may be reading it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(value, indent=indent) + "\n", "ascii")
    new.replace(path)


# -- finding


def _read_record(home: Path) -> dict[str, Any] | None:
    """What was put there; None when that can't be told."""
    try:
        record = json.loads((home / "made.json").read_bytes())
        return record if record["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_whole(root: Path, record: Mapping[str, Any]) -> bool:
    """Whether everything that was put there is there, as it was."""
    return _changed(root, record) == []


def _changed(root: Path, record: Mapping[str, Any]) -> list[Path] | None:
    """The files that were put there and are others now; None when something isn't there, or can't be told."""
    try:
        found = [(root / path, kind, told) for path, kind, told in record["entries"]]
        if not all(_is_there(*one) for one in found):
            return None
        files = [(path, told) for path, kind, told in found if kind == Kind.FILE.value]
        return [path for path, told in files if signature(path.lstat()) != tuple(told)]
    except (OSError, ValueError, TypeError):
        return None


def _is_there(path: Path, kind: str, told: Any) -> bool:
    if kind == Kind.LINK.value:
        return str(path.readlink()) == str(Path(told))
    mode = path.lstat().st_mode
    return stat.S_ISDIR(mode) if kind == Kind.DIRECTORY.value else stat.S_ISREG(mode)


def _state_directories(root: Path | None) -> frozenset[Identity]:
    """The root of the state directories, and what engines keep in it, for it may be the model's directory."""
    if root is None:
        return frozenset()
    within = (lock.parent for pattern in ("*/lock", "*/*/lock") for lock in root.glob(pattern))
    found = (identity(path) for path in (root, root / "cache", *root.glob("sdk-*"), *within))
    return frozenset(each for each in found if each is not None)


# -- tidying


def _tidy(versions: Path, in_use: Collection[Path]) -> None:
    """Removes the workspaces that were not used for longest, but none of ``in_use``."""
    others = [home for home in versions.iterdir() if home not in in_use and not home.name.startswith(".")]
    others.sort(key=_last_use, reverse=True)
    for home in others[KEPT - 1 :]:
        home.rename(Path(tempfile.mkdtemp(prefix=".old-", dir=versions)) / "old")
    _remove_scratch(versions)


def _last_use(home: Path) -> float:
    try:
        return (home / "made.json").stat().st_mtime
    except OSError:
        return 0.0


def _remove_scratch(versions: Path) -> None:
    for left in (*versions.glob(".new-*"), *versions.glob(".old-*")):
        remove(left)


def remove(tree: Path) -> None:
    """Remove a directory that a processor could write to, whatever it did to the permissions.

    What can't be removed stays; the next start tries again.
    """
    shutil.rmtree(tree, ignore_errors=True)
    if tree.exists():
        for directory, _, _ in os.walk(tree):
            with contextlib.suppress(OSError):
                Path(directory).chmod(0o700)
        shutil.rmtree(tree, ignore_errors=True)
