"""Directories at places of their own, seen by this process and its children alone.

Processors expect ``/eas/workspace``; the machine has none, and gets none. The process takes a mount namespace
of its own (for whoever isn't root, within a user namespace), and everything made here goes with it, however
it ends. Must run before any thread and before anything opens files by path.

What a target needs depends on what is there:

* It exists: the source is mounted on it.
* It doesn't, but a directory above it does (``/home`` for ``/home/admin/docker_ml/workspace``): that
  directory is *mirrored*. A file system in memory is mounted on it, every old entry is mounted into that, and
  the way to the target is made in it. What is made there later is seen here alone and goes with the process.
* That directory is ``/``: nothing can be mounted on it, so the mirror becomes the root (``pivot_root(2)``).

Mounts of the machine that come and go later come and go here too, except directly in a mirrored directory.

The user namespace maps the own user and group to themselves, so files look as before (those of others look
like nobody's), and the capabilities that come with it are given up again. Programs that get another user's
rights by their setuid bit don't get them in there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

try:
    import ctypes
except ImportError:  # a Python built without libffi
    ctypes = None  # type: ignore[assignment]

_T = TypeVar("_T")
_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC = 1, 2, 4, 32, 4096, 16384
_UNBINDABLE, _PRIVATE, _SLAVE, _RELATIME = 1 << 17, 1 << 18, 1 << 19, 1 << 21
_DETACH = 2
_CAPABILITY_VERSION = 0x20080522
_MOST_ENTRIES = 1000
"""Of a directory that is mirrored: each is a mount, and takes some microseconds."""


class Mount(NamedTuple):
    """One directory (or file) at another place; both paths are absolute.

    With a ``size`` (bytes) it is a file system in memory, for all users, and has no source.
    """

    source: str
    target: str
    read_only: bool = False
    size: int = 0

    def is_directory(self) -> bool:
        """Whether it needs a directory to be mounted on."""
        return bool(self.size) or os.path.isdir(self.source)


class NotVisible(Exception):
    """Why the mounts can't be had, for people."""


def by_arguments(arguments: Sequence[str]) -> Dict[str, str]:
    """What ``--mounts FD`` asks for, done; for each name why its mounts aren't there, empty when they are.

    FD is a file that holds a JSON list of ``[name, [[source, target, read_only, size], ...]]``; it is closed.
    """
    if "--mounts" not in arguments:
        return {}
    fd = int(arguments[arguments.index("--mounts") + 1])
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        wanted = {name: [Mount(*each) for each in mounts] for name, mounts in json.loads(file.read())}
    return dict(zip(wanted, arrange_each(list(wanted.values()))))


def arrange(mounts: Sequence[Mount]) -> None:
    """Makes the mounts, in their order. ``NotVisible``: they aren't there, and the process is as before."""
    (why,) = arrange_each([mounts])
    if why:
        raise NotVisible(why)


def arrange_each(wanted: Sequence[Sequence[Mount]]) -> List[str]:
    """Makes each of these lists of mounts as a whole, or nothing of it; says why, empty for what is there."""
    here = os.getcwd()
    plans, whys = [], []
    for mounts in wanted:
        plan, why = _attempt(lambda mounts=mounts: _Plan(mounts))  # type: ignore[misc]
        plans.append(plan)
        whys.append(why)
    if not any(plans):
        return whys
    own_user, why = _attempt(_enter_namespace)
    if why:
        return [before or why for before in whys]
    try:
        for index, plan in enumerate(plans):
            if plan is not None:
                _, whys[index] = _attempt(_Arrangement(plan, here).make)
    finally:
        os.chdir(here)
        if own_user:
            _give_up_capabilities()
    return whys


def _attempt(action: Callable[[], _T]) -> Tuple[Optional[_T], str]:
    """What it returns, or why it can't be done."""
    try:
        return action(), ""
    except NotVisible as why:
        return None, str(why)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        return None, f"{error.strerror}{place}"


# -- what has to be done


class _Plan:
    """Sorts the mounts by what their targets need. Looks only.

    Attributes:
        direct: targets that are there.
        mirrors: directories to mirror, deepest first, each with what goes below it.
        inner: targets that lie in other targets; they are made last.
    """

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self.direct: List[Mount] = []
        self.mirrors: List[Tuple[str, List[Mount]]] = []
        self.inner: List[Mount] = []
        absent: Dict[str, List[Mount]] = {}
        made: List[str] = []
        for mount in mounts:
            target = os.path.realpath(mount.target)
            if any(target.startswith(outer + "/") for outer in made):
                self.inner.append(mount)
                continue
            made.append(target)
            if os.path.lexists(target):
                self.direct.append(mount._replace(target=target))
            else:
                absent.setdefault(_deepest(target), []).append(mount._replace(target=target))
        for directory in sorted(absent, key=len, reverse=True):
            _check_mirror(directory)
            self.mirrors.append((directory, absent[directory]))


def _deepest(path: str) -> str:
    """The nearest directory above ``path`` that is there."""
    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    return parent


def _check_mirror(directory: str) -> None:
    if not os.path.isdir(directory):
        raise NotVisible(f"{directory} is no directory")
    count = len(os.listdir(directory))
    if count > _MOST_ENTRIES:
        raise NotVisible(f"{directory} has {count} entries, too many to mirror; make the directories by hand")


# -- doing it


def _enter_namespace() -> bool:
    """Takes a mount namespace. Returns whether it needed a user namespace, whose capabilities it now has."""
    own_user = os.geteuid() != 0
    uid, gid = os.geteuid(), os.getegid()
    try:
        _call("unshare", _NEWNS | (_NEWUSER if own_user else 0))
    except OSError as error:
        what = "a user namespace" if own_user else "a mount namespace (CAP_SYS_ADMIN is missing)"
        raise NotVisible(f"the kernel doesn't give this process {what}: {error.strerror}") from error
    if own_user:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "wb", buffering=0) as file:
                file.write(text.encode())
    # what is mounted on the machine later is seen here, what is mounted here isn't seen there
    _mount(None, "/", None, _REC | _SLAVE)
    return own_user


class _Arrangement:
    """Makes what is planned; undoes it when that fails."""

    def __init__(self, plan: _Plan, here: str) -> None:
        self._plan = plan
        self._here = here
        self._mounted: List[str] = []

    def make(self) -> None:
        """``OSError`` or ``NotVisible``: everything is undone."""
        try:
            for mount in self._plan.direct:
                self._put(mount, mount.target)
            for directory, mounts in self._plan.mirrors:
                if directory == "/":
                    self._change_root(mounts)
                else:
                    self._mirror(directory, directory, mounts)
            for mount in self._plan.inner:
                self._put(mount, mount.target)
        except (OSError, NotVisible):
            for path in reversed(self._mounted):
                with contextlib.suppress(OSError):  # it goes with the process
                    _call("umount2", os.fsencode(path), _DETACH)
            raise

    def _put(self, mount: Mount, target: str) -> None:
        if not os.path.lexists(target):
            raise NotVisible(f"{target} is not there to be mounted on")
        if mount.is_directory() != os.path.isdir(target):
            kind = "directory" if mount.is_directory() else "file"
            raise NotVisible(f"{target} is no {kind}, and a {kind} is to be mounted there")
        if mount.size:
            _mount("eas", target, "tmpfs", _NOSUID | _NODEV, f"size={mount.size},mode=1777")
        else:
            _mount(mount.source, target, None, _BIND | _REC)
        self._mounted.append(target)
        if mount.read_only:
            _make_read_only(target)

    def _mirror(self, directory: str, at: str, mounts: List[Mount]) -> None:
        """Mounts a mirror of ``directory`` at ``at``, with the targets of ``mounts`` in it."""
        status = os.stat(directory)
        writable = os.access(directory, os.W_OK)
        below = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _mount("eas", at, "tmpfs", _NOSUID | _NODEV, f"mode={stat.S_IMODE(status.st_mode):o}")
            self._mounted.append(at)
            if directory == "/":
                # else the mirror of /var would hold the new root, which is mounted somewhere in /var
                _mount(None, at, None, _UNBINDABLE)
            _own_like(at, status)
            os.fchdir(below)  # the old entries' names, now that they are covered
            for entry in _entries(below):
                self._put_entry(entry, os.path.join(at, entry.name))
        finally:
            os.close(below)
        for mount in mounts:
            target = os.path.join(at, os.path.relpath(mount.target, directory))
            _make_place(target, directory=mount.is_directory())
            self._put(mount, target)
        if not writable:
            _make_read_only(at)

    def _put_entry(self, entry: os.DirEntry[str], target: str) -> None:
        if entry.is_symlink():
            os.symlink(os.readlink(entry.name), target)
            return
        _make_place(target, directory=entry.is_dir(follow_symlinks=False))
        try:
            _mount(entry.name, target, None, _BIND | _REC)
        except OSError as error:
            if error.errno != errno.ENOENT:  # it went in this moment
                raise

    def _change_root(self, mounts: List[Mount]) -> None:
        self._mirror("/", self._here, mounts)
        os.chdir(self._here)
        _call("pivot_root", b".", b".")  # the old root now lies on the new one
        _call("umount2", b".", _DETACH)
        self._mounted.clear()  # by the paths of the old root
        os.chdir("/")
        _mount(None, "/", None, _PRIVATE)


def _entries(directory: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        yield from list(entries)


def _make_place(path: str, *, directory: bool) -> None:
    """Something to mount on."""
    os.makedirs(path if directory else os.path.dirname(path), 0o755, exist_ok=True)
    if not directory:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _own_like(path: str, status: os.stat_result) -> None:
    try:
        os.chown(path, status.st_uid, status.st_gid)
        os.chmod(path, stat.S_IMODE(status.st_mode))  # chown takes the set-id bits
    except OSError:
        pass  # a user namespace doesn't know the owner


def _make_read_only(path: str) -> None:
    """A bind mount needs a second call for it, which must repeat what can't be taken away (mount(2))."""
    flags = os.statvfs(path).f_flag
    kept = flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME)
    relative = _RELATIME if flags & os.ST_RELATIME else 0
    _mount(None, path, None, _REMOUNT | _BIND | _RDONLY | kept | relative)


def _give_up_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), ctypes.byref(nothing))


def _mount(source: Optional[str], target: str, kind: Optional[str], flags: int, data: str = "") -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data or None)]
    try:
        _call("mount", *encoded[:3], ctypes.c_ulong(flags), encoded[3])
    except OSError as error:
        raise OSError(error.errno, f"mount: {error.strerror}", target) from None


def _call(name: str, *arguments: Any) -> None:
    """A function of the C library that returns 0."""
    if ctypes is None:
        raise NotVisible("this Python has no ctypes")
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        raise NotVisible(f"the C library has no {name}")
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
