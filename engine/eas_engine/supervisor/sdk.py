"""The one directory of ours that a processor's interpreter sees.

It holds ``allspark``, ``eas_sdk`` and ``eas_host`` and nothing else, so that a foreign interpreter (the
``ENV`` of a processor's package) can import the host without getting our site-packages. Hosts are executed in
it.

An engine holds a shared lock (flock) on its directory for as long as it lives. One whose lock can be had
belongs to an installation that no engine runs from any more, and goes when the next engine starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from eas_engine.errors import StartError

PACKAGES = ("allspark", "eas_sdk", "eas_host")


@contextlib.contextmanager
def held_sdk_directory(state_dir: Path) -> Iterator[Path]:
    """``sdk_directory``, which nobody tidies away until the end of the context; and tidies the others.

    Errors as there.
    """
    path, lock = _hold(state_dir)
    try:
        _tidy(path)
        yield path
    finally:
        os.close(lock)


def _hold(state_dir: Path) -> tuple[Path, int]:
    while True:
        path = sdk_directory(state_dir)
        with contextlib.suppress(FileNotFoundError):  # tidied away since
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if os.fstat(lock).st_nlink:
                return path, lock
            os.close(lock)


def _tidy(own: Path) -> None:
    """Removes the directories that no living engine holds. What can't be removed stays."""
    for other in own.parent.glob("sdk-*"):
        if other == own:
            continue
        with contextlib.suppress(OSError):  # held (BlockingIOError), gone, or not ours
            lock = os.open(other, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other)
            finally:
                os.close(lock)


def sdk_directory(state_dir: Path) -> Path:
    """Make ``<state_dir>/sdk-<digest>`` and return it, absolute.

    It holds symbolic links to the installed packages; the digest is of their places, so engines installed in
    different places don't share one. Made aside and renamed: safe when several engines do it at once. One
    that isn't as it should be is replaced. Raises ``StartError`` when a package isn't installed, ``OSError``
    when the state directory can't be written.
    """
    places = {name: _place(name) for name in PACKAGES}
    digest = hashlib.sha256(repr(sorted(places.items())).encode()).hexdigest()[:12]
    target = state_dir.resolve() / f"sdk-{digest}"
    while not _is_right(target, places):
        _make(target, places)
    return target


def _place(name: str) -> str:
    """Where a package is installed, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(f"the package {name} isn't installed beside the engine; reinstall eas-engine")
    return str(Path(next(iter(spec.submodule_search_locations))).resolve())


def _is_right(directory: Path, places: Mapping[str, str]) -> bool:
    try:
        found = {entry.name: str(entry.readlink()) for entry in directory.iterdir()}
    except OSError:  # absent, or something in it is no link
        return False
    return found == places


def _make(target: Path, places: Mapping[str, str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        made = aside / "new"
        made.mkdir(mode=0o755)
        for name, place in places.items():
            (made / name).symlink_to(place)
        if target.exists() and not _is_right(target, places):
            target.rename(aside / "old")
        if not target.exists():
            _rename_unless_taken(made, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _rename_unless_taken(made: Path, target: Path) -> None:
    try:
        made.rename(target)
    except OSError:
        if not target.exists():
            raise
