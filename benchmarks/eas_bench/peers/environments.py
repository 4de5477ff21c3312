"""The peers' installations: a virtual environment each, with exact versions, made once."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from eas_bench import places
from eas_bench.peers.peer import Environment, Peer

REQUIREMENTS = places.BENCHMARKS / "peers" / "requirements"
TORCH = places.BENCHMARKS.parent / "requirements" / "torch.txt"  # apart from the hashed files: it says why
_STAMP = "installed"  # a file: from what
_ENDS_WITHIN = 1800.0  # seconds; some are half a gigabyte


class NotInstalled(Exception):
    """A peer can't be installed here; the message says why."""


def installed(peer: Peer, directory: Path, tell: Callable[[str], None]) -> Environment:
    """The environment of ``peer`` under ``directory``, made if it isn't there or is of other versions.

    Errors: NotInstalled.
    """
    place = (directory / peer.installation).resolve()
    requirements = REQUIREMENTS / f"{peer.installation}.txt"
    stamp = _stamp(requirements)
    if _read(place / _STAMP) != stamp:
        tell(f"{peer.installation}: installing into {place}, a minute or two, once")
        _make(place, requirements)
        (place / _STAMP).write_text(stamp)
    return _environment(place)


def _make(place: Path, requirements: Path) -> None:
    pip = (str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check")
    for command in (
        (sys.executable, "-m", "venv", "--clear", str(place)),
        (*pip, "--require-hashes", "-r", str(requirements)),
        (*pip, "-r", str(TORCH)),
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_ENDS_WITHIN, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotInstalled(f"not installed: {error}") from None
        if done.returncode:
            words = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
                "it says nothing"
            ]
            raise NotInstalled(f"not installed: {words[-1]}")


def _stamp(requirements: Path) -> str:
    digest = hashlib.sha256(requirements.read_bytes() + TORCH.read_bytes()).hexdigest()
    return f"{digest} {platform.python_version()}\n"


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _environment(place: Path) -> Environment:
    bare = Environment(place, {})
    found = importlib.metadata.distributions(path=[str(bare.packages)])
    return Environment(place, {one.name.lower().replace("_", "-"): one.version for one in found})
