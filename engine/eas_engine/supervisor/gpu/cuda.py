"""``metadata.cuda``: what an instance's processes are told of the CUDA toolkit that they were given.

It is mounted at ``/usr/local/cuda`` for them alone (``mounts``). Where the kernel gives no mount namespaces
it isn't, so the variables name the directory itself, which is the same files in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOME: Final = "CUDA_HOME"
LIBRARIES: Final = "LD_LIBRARY_PATH"
PROGRAMS: Final = "PATH"


def variables(toolkit: Path, given: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """For the environment of its hosts.

    The toolkit comes first in the search paths, before what ``given`` has of them (``processor_envs``), or
    else ``base`` (the engine's own).
    """

    def first(directory: str, name: str) -> str:
        rest = given.get(name, base.get(name, ""))
        return f"{toolkit / directory}:{rest}" if rest else str(toolkit / directory)

    return {
        HOME: str(toolkit),
        LIBRARIES: first("lib64", LIBRARIES),
        PROGRAMS: first("bin", PROGRAMS),
    }
