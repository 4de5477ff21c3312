"""What the process looks like to the processor: as if somebody had typed ``python app.py`` in its directory.

``adopt`` comes first and concerns the engine (die with it, keep its descriptors to ourselves); ``enter``
comes when the start message is there and concerns the processor (directory, import path, ``sys.argv``).

Users' directories hold modules with names of the standard library (``queue.py``, ``json.py``). Two rules
follow: the host imports everything it will ever need before such a directory is on the path, and modules
that the host alone had imported are forgotten where the directory has its own, so that the user's ``import
queue`` finds the user's, as it would without us.
"""

from __future__ import annotations

import faulthandler
import fcntl
import os
import signal
import sys
import traceback
from importlib.machinery import PathFinder
from typing import FrozenSet, List, Optional, Tuple

from eas_host.lines import keep_whole

try:
    import ctypes
except ImportError:  # a Python built without libffi
    ctypes = None  # type: ignore[assignment]

_PR_SET_PDEATHSIG = 1
_F_SETSIG = 10
_OURS = ("allspark", "eas_host", "eas_sdk")
_LATE = ("ast", "linecache", "textwrap", "threading", "tokenize", "traceback", "unicodedata", "warnings")
"""Modules that the interpreter and tracebacks import when they need them."""


def adopt() -> None:
    """Ties the process to the engine, and gives it the habits of a host. Before any descriptor is opened."""
    if ctypes is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    keep_to_ourselves(inherited())
    # Ctrl-C is the engine's to interpret. (SIGTERM is the processor's own: rpc.enable_sigterm sends it.)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        # A line in one write, so that lines of several threads don't mix; never an error for a character.
        stream.reconfigure(  # type: ignore[union-attr]
            encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False
        )
    keep_whole()
    try:
        int("")
    except ValueError:
        traceback.format_exc()  # it imports more when it is first used


def inherited() -> List[int]:
    """The open descriptors beyond stdin, stdout and stderr."""
    return sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and _identity(fd))


def keep_to_ourselves(fds: List[int]) -> None:
    """Hides the engine's descriptors from the processor's children, those of ``exec`` and those of ``fork``.

    A forked child would keep the sockets open that tell the engine of the host's death. There each number
    is made to mean ``/dev/null`` instead of nothing, so that what an inherited Python object may still do
    to it hits no file of the child's own.
    """
    for fd in fds:
        os.set_inheritable(fd, False)
    known = [(fd, _identity(fd)) for fd in fds]

    def replace_in_child() -> None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for fd, identity in known:
            if _identity(fd) == identity:  # else closed long ago, and the number is the processor's now
                os.dup2(null, fd, inheritable=False)
        os.close(null)

    os.register_at_fork(after_in_child=replace_in_child)


def _identity(fd: int) -> Optional[Tuple[int, int]]:
    """What the descriptor refers to; None when it is closed."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def arm(lifeline: int) -> None:
    """Lets the kernel kill the whole process group when the engine dies.

    The parent-death signal reaches this process alone, and may do so before the control thread has killed the
    group: children that the processor forked would stay. ``lifeline`` is one end of a socket pair on which
    nothing is ever written; its hang-up raises the signal asked for here for the whole group, without any
    thread of ours and whoever holds the GIL (``fcntl(2)``: F_SETOWN, F_SETSIG).
    """
    if os.getpgrp() != os.getpid():
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(lifeline, _F_SETSIG, int(signal.SIGKILL))
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def enter(entry: str, processor_dir: str, bare: FrozenSet[str]) -> None:
    """Goes to the processor's directory and makes its modules importable, before everything else.

    Args:
        entry: absolute path of the processor's file. Its own directory comes first, as with ``python entry``.
        processor_dir: the working directory.
        bare: names of the modules that this Python imports by itself.
    """
    os.chdir(processor_dir)
    sdk = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    first = os.path.dirname(entry)
    own = [first] if first == processor_dir else [first, processor_dir]
    others = [path for path in sys.path if path not in ("", sdk, *own)]
    sys.path[:] = [*own, sdk, *others]
    sys.argv[:] = [entry]
    forget(first, bare)


def go(processor_dir: str) -> None:
    """The working directory alone: for processors that aren't Python, whose files are no modules."""
    os.chdir(processor_dir)
    sdk = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [sdk, *(path for path in sys.path if path not in ("", sdk))]


def forget(directory: str, bare: FrozenSet[str]) -> None:
    """Drops the modules that the host has imported and ``directory`` has its own of."""
    kept = bare.union(_OURS, _LATE, sys.builtin_module_names)
    tops = {name.partition(".")[0] for name in sys.modules}.difference(kept)
    specs = {name: PathFinder.find_spec(name, [directory]) for name in tops}
    shadowed = {name for name, spec in specs.items() if spec is not None and spec.loader is not None}
    for name in list(sys.modules):
        if name.partition(".")[0] in shadowed:
            del sys.modules[name]
