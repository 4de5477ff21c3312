"""Engines with directories of their own, and latches that requests wait for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.engine import Engine


class Engines:
    """Starts engines with their directories, and ends those that are left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.started: list[Engine] = []

    def __call__(self, rpc: dict[str, object] | None = None, **given: Any) -> Engine:
        """Start one; see ``Engine.start``."""
        engine = Engine.start(self._directory / f"engine{len(self.started)}", rpc, **given)
        self.started.append(engine)
        return engine

    def raw(
        self, config: dict[str, Any], *flags: str, state: Path | None = None, descriptors: int = 0
    ) -> Engine:
        """Start one with exactly this service.json, and wait for nothing."""
        directory = self._directory / f"engine{len(self.started)}"
        directory.mkdir()
        engine = Engine(directory, config, *flags, state=state, descriptors=descriptors)
        self.started.append(engine)
        return engine

    def again(self, engine: Engine) -> Engine:
        """Start one that was ended once more: same service.json, same state directory."""
        config = json.loads((engine.directory / "service.json").read_text())
        fresh = self.raw(config, state=engine.state_dir)
        fresh.wait_ready()
        return fresh

    def end(self) -> None:
        """All of them."""
        for engine in self.started:
            engine.kill()


class Latch:
    """A file that requests with ``do=wait`` wait for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def query(self) -> str:
        """What such a request asks for."""
        return f"do=wait&file={self.path}"

    def open(self) -> None:
        """Let all of them go."""
        self.path.touch()
