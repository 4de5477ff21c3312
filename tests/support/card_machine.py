"""A machine that seems to have cards: what an engine that is started there finds of a driver is scripted.

The engine's process loads an empty ``libnvidia-ml.so.1`` and a module ``pynvml`` that answers from a file;
its ``PATH`` has a scripted ``nvidia-cuda-mps-control``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from eas_engine.devices import DRIVER
from support.mps import ScriptedMps

GIB: Final = 2**30
_MODULE: Final = """\
import json, sys
sys.path.append({tests!r})
from support.nvml import NVMLError, ScriptedNvml, card

_NVML = ScriptedNvml(*(card(index, memory={memory}) for index in range({count})))


def __getattr__(name):
    with open({used!r}) as file:
        for one, processes in zip(_NVML.cards, json.load(file)):
            one.processes = {{int(pid): size for pid, size in processes.items()}}
    return getattr(_NVML, name)
"""


class CardMachine:
    """Its cards are ``GPU-0``, ``GPU-1``, ... of 80 GiB each, unless said otherwise."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch, count: int = 2, gib: int = 80) -> None:
        self._used, self._count = directory / "used.json", count
        self.mps = ScriptedMps(directory)
        self.use()
        _library(directory / DRIVER)
        module = directory / "modules" / "pynvml.py"
        module.parent.mkdir()
        tests = str(Path(__file__).parents[1])
        used = str(self._used)
        module.write_text(_MODULE.format(tests=tests, memory=gib * GIB, count=count, used=used))
        patch.setenv("LD_LIBRARY_PATH", str(directory))
        patch.setenv("PYTHONPATH", os.pathsep.join((str(module.parent), os.environ.get("PYTHONPATH", ""))))
        patch.setenv("PATH", os.pathsep.join((str(directory), os.environ["PATH"])))

    def use(self, card: int = 0, processes: dict[int, int] | None = None) -> None:
        """These processes have so many bytes of that card, and nobody any of the others."""
        per_card = [processes or {} if one == card else {} for one in range(self._count)]
        fresh = self._used.with_suffix(".new")
        fresh.write_text(json.dumps(per_card))
        fresh.rename(self._used)


def _library(path: Path) -> None:
    """An empty library of that name."""
    try:
        command = ["cc", "-shared", "-o", str(path), "-x", "c", os.devnull]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no C compiler makes a library ({sys.platform}): {error}")
