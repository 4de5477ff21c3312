"""Where the loader looks for the libraries that a processor brings along.

The loader reads LD_LIBRARY_PATH when a program is executed, and never again, so the engine sets it for the
host. It can't hold a directory whose name has a colon or a semicolon (ld.so(8)): such a one is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

VARIABLE: Final = "LD_LIBRARY_PATH"
_BESIDE: Final = ("lib", "lib64")


def search_path(processor_dir: Path, entry: Path, given: str) -> str:
    """The value of LD_LIBRARY_PATH: the library's directory, the package's, their lib folders, ``given``.

    An empty part would mean the working directory, so there is none.
    """
    own = dict.fromkeys(
        place
        for directory in (entry.parent, processor_dir)
        for place in (directory, *(directory / name for name in _BESIDE))
        if place.is_dir()
    )
    usable = [str(place) for place in own if not {":", ";"} & set(str(place))]
    return ":".join([*usable, *(part for part in given.split(":") if part)])
