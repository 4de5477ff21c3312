"""Cards of a scripted driver for other processes: real engines believe that the machine has them.

    machine = CardsFile(tmp_path, card(0), card(1))
    for name, value in machine.environment().items():
        monkeypatch.setenv(name, value)
    ...                                # start an engine
    machine.cards[0].lost = True
    machine.xid("GPU-1", 31)
    machine.write()

A library of the driver's name is on their LD_LIBRARY_PATH, a ``pynvml`` on their PYTHONPATH; what it answers
stands in a JSON file, which it reads again whenever it was written.
"""

from __future__ import annotations

import ctypes.util
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eas_engine.devices import DRIVER
from support.nvml import Card, ScriptedNvml, Slice
from support.repository import ROOT

_SUPPORT = ROOT / "tests" / "support"


class CardsFile:
    """The side of the test; ``write`` makes known what was changed."""

    def __init__(self, directory: Path, *cards: Card) -> None:
        self._directory = directory / "driver"
        self._directory.mkdir()
        self._path = self._directory / "cards.json"
        self.cards = list(cards)
        self._xids: list[tuple[str, int]] = []
        self.write()
        (self._directory / DRIVER).symlink_to(_some_library())

    def xid(self, uuid: str, number: int) -> None:
        """Reported at the next ``write``, to those that have asked for it by then."""
        self._xids.append((uuid, number))

    def write(self) -> None:
        """Whole, so that nobody reads half of it."""
        whole = {"cards": [_as_json(one) for one in self.cards], "xids": self._xids}
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(whole))
        draft.replace(self._path)

    def environment(self) -> dict[str, str]:
        """Variables for the processes that are to believe it."""
        paths = [str(_SUPPORT / "scripted_driver"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
        libraries = [str(self._directory), os.environ.get("LD_LIBRARY_PATH", "")]
        return {
            "EAS_TEST_CARDS": str(self._path),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        }


class FileNvml(ScriptedNvml):
    """The side of the processes: looks at the file before each answer."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.opened = 0
        self._path, self._seen, self._told = path, 0, 0
        self._read()

    def _check(self, function: str, device: Card | Slice | None = None) -> None:
        self._read()
        super()._check(function, device)
        self.asked.clear()

    def _read(self) -> None:
        written = self._path.stat()
        if written.st_ino == self._seen:
            return
        self._seen = written.st_ino
        whole = json.loads(self._path.read_text())
        known = {one.uuid: one for one in self.cards}
        self.cards = [_updated(known, _card(one)) for one in whole["cards"]]
        for uuid, number in whole["xids"][self._told :]:
            self.xid(uuid, number)
        self._told = len(whole["xids"])


def _updated(known: dict[str, Card], new: Card) -> Card:
    """A card stays the same object, which handles are."""
    old = known.get(new.uuid, new)
    old.__dict__.update(new.__dict__)
    return old


def _as_json(one: Card) -> dict[str, Any]:
    return asdict(one) | {"unsupported": sorted(one.unsupported)}


def _card(given: dict[str, Any]) -> Card:
    slices = given["slices"]
    parts = None if slices is None else [None if one is None else Slice(**_pids(one)) for one in slices]
    return Card(**_pids(given) | {"slices": parts, "unsupported": set(given["unsupported"])})


def _pids(given: dict[str, Any]) -> dict[str, Any]:
    """JSON has made strings of them."""
    names = given.keys() & {"processes", "clients", "busy"}
    return given | {name: {int(pid): value for pid, value in given[name].items()} for name in names}


def _some_library() -> str:
    """The path of any: it is only looked whether it can be loaded."""
    name = ctypes.util.find_library("m")
    assert name is not None
    ctypes.CDLL(name)
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(line.split()[-1] for line in maps if line.endswith(name))
