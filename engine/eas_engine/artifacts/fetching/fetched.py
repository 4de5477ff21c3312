"""What fetching gives: something on this machine, and whether the cache holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file or a directory; archives are unpacked already."""

    path: Path
    """Absolute. A file in the cache isn't called by its name there."""
    kind: Literal["file", "directory"]
    name: str
    """The file's own name, as its address had it."""
    cached: bool
    """It lies in the cache: never to be changed, hard links are right. Else it is somebody's own."""
    identity: str = ""
    """What it is, whatever it is called: the digest of what came. Empty for what is somebody's own."""
