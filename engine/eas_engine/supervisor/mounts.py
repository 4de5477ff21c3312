"""What the hosts of a service see at places of their own (``eas_host.mounts`` does it)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

PLACES: Final = ("/eas/workspace", "/home/admin/docker_ml/workspace")
"""Where processors expect the workspace: the new path, and the old one."""


class Mount(NamedTuple):
    """A directory or file of the machine, and where a host sees it; both absolute."""

    source: str
    target: str
    read_only: bool = False


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


@contextlib.contextmanager
def lent(mounts: Sequence[Mount]) -> Iterator[tuple[int, ...]]:
    """The descriptor of a file that tells a host its mounts (``--mounts``); none when there are none."""
    if not mounts:
        yield ()
        return
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(mounts).encode())
        file.flush()
        yield (file.fileno(),)
