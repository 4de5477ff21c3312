"""What the hosts of a service see at places of their own (``eas_host.mounts`` does it)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

PLACES: Final = ("/eas/workspace", "/home/admin/docker_ml/workspace")
"""Where processors expect the workspace: the new path, and the old one."""

WORKSPACE: Final = "workspace"
SHM: Final = "shm"
TMP: Final = "tmp"
CUDA: Final = "cuda"
"""What a host calls the mounts that belong together: those of one name are all there, or none of them is."""


TOOLKIT: Final = Path("/usr/local/cuda")
"""Where programs look for the CUDA toolkit."""


class Mount(NamedTuple):
    """A directory or file of the machine, and where a host sees it; both absolute.

    With a ``size`` (bytes) it is a file system in memory of its own, without a ``source``.
    """

    source: str
    target: str
    read_only: bool = False
    size: int = 0


def workspace_mounts(root: Path, links: Iterable[Path]) -> tuple[Mount, ...]:
    """The workspace at its two places.

    Args:
        root: the workspace.
        links: files in it that share their inode with the cache. They are read-only by their mode, which
            root isn't bound by: for root they are mounted read-only, so that no processor spoils the cache.
    """
    protected = links if os.geteuid() == 0 else ()
    return (
        *(Mount(str(link), str(link), read_only=True) for link in protected),
        *(Mount(str(root), place) for place in PLACES),
    )


def toolkit_mounts(toolkit: Path | None, place: Path = TOOLKIT) -> tuple[Mount, ...]:
    """A CUDA toolkit at its place; none where it is already, or without one."""
    if toolkit is None or os.path.realpath(toolkit) == os.path.realpath(place):
        return ()
    return (Mount(os.path.realpath(toolkit), str(place), read_only=True),)


def workspace_of(mounts: Iterable[Mount]) -> Path | None:
    """The workspace among these mounts."""
    return next((Path(one.source) for one in mounts if one.target in PLACES), None)


@contextlib.contextmanager
def lent(wanted: Mapping[str, Sequence[Mount]]) -> Iterator[tuple[int, ...]]:
    """The descriptor of a file that tells a host its mounts (``--mounts``); none when there are none.

    They are made in the order of the names.
    """
    told = [(name, mounts) for name, mounts in wanted.items() if mounts]
    if not told:
        yield ()
        return
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(told).encode())
        file.flush()
        yield (file.fileno(),)
