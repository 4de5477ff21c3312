"""Fetching in a test: a clock of its own, pauses that are only noted, and what was told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eas_engine.artifacts.cache.cache import Cache
from eas_engine.artifacts.fetching.fetch import Fetcher, Network
from eas_engine.artifacts.fetching.fetched import Fetched
from eas_engine.artifacts.fetching.progress import LogProgress
from eas_engine.artifacts.fetching.transfer import Means
from eas_engine.artifacts.sources.http import Settings
from eas_engine.artifacts.sources.stopping import Stop
from eas_engine.clock import SystemClock


class NotedStop(Stop):
    """Pauses take no time; how long they should have been is in ``pauses``."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        super().pause(0.001)

    def branch(self) -> Stop:
        """Its pauses are noted here, too."""
        made = NotedStop()
        made.pauses = self.pauses
        self._branches.append(made)
        return made


class Recorder:
    """What a ``LogProgress`` told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.progress = LogProgress(SystemClock(), self._told, self._told)

    def _told(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    @property
    def events(self) -> list[str]:
        """Without their fields."""
        return [event for event, _ in self.lines]

    @property
    def text(self) -> str:
        """Everything that was told."""
        return "\n".join(f"{event} {fields}" for event, fields in self.lines)


class Fetching:
    """A cache below ``root``, and a fetcher for each start of an engine."""

    def __init__(
        self,
        root: Path,
        endpoint: str = "",
        environ: Mapping[str, str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.cache = Cache.open(root / "cache")
        self.stop = NotedStop()
        self.told = Recorder()
        self.room: list[int] = []
        self._network = Network(environ or {}, endpoint, Settings(stall_timeout=20.0, proxies=proxies or {}))
        self._fetchers: list[Fetcher] = []

    def __call__(self, address: str, parameter: str = "model_path") -> Fetched:
        """Fetch it as a start of an engine does."""
        means = Means(self.stop, SystemClock(), self.room.append, chance=lambda: 0.0)
        fetcher = Fetcher(self.cache, self._network, means, self.told.progress)
        self._fetchers.append(fetcher)
        return fetcher.fetch(parameter, address, self.root)

    def end(self) -> None:
        """The engines are gone."""
        for fetcher in self._fetchers:
            fetcher.release()

    def scratch(self) -> list[str]:
        """What is left in the cache's scratch."""
        return sorted(path.name.partition(".")[2] for path in (self.root / "cache" / "scratch").iterdir())


def contents(path: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}
