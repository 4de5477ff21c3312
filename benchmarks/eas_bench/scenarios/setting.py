"""What every scenario needs, and what every one gives."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eas_bench import places, servers
from eas_bench.machine import Cores
from eas_bench.scenarios.bars import Measured
from eas_bench.scenarios.load import Clients
from eas_bench.servers import Launch, Reference, Target

WARM: Final = 1.0  # seconds of load before the first counted run of a server
_SEED: Final = 2


def noise(size: int) -> bytes:
    """A body: always the same, and not to be compressed."""
    return random.Random(_SEED).randbytes(size)  # noqa: S311 - bodies that can't be guessed are of no use here


SMALL: Final = noise(64)


@dataclass(frozen=True, slots=True)
class Setting:
    """How the scenarios are run."""

    rounds: int
    seconds: float
    clients: Clients
    cores: Cores
    engine: Sequence[str]  # the command
    directory: Path
    tell: Callable[[str], None]  # progress, for a person

    def launch(self, cores: frozenset[int], config: Path | None = None) -> Launch:
        """How to start an engine on ``cores``."""
        return Launch(self.engine, self.directory, cores, config)

    def changed(self, processor: str, changes: Mapping[str, Any]) -> Path:
        """A service.json of ours: the processor's own, with ``changes`` merged into it, part by part."""
        folder = places.PROCESSORS / processor
        service: dict[str, Any] = json.loads((folder / "service.json").read_text())
        service["processor_path"] = str(folder / service.get("processor_path", "."))
        content = json.dumps(_merged(service, changes), indent=1)
        path = self.directory / f"{processor}-{abs(hash(content)):x}.json"
        path.write_text(content)
        return path

    def reference(
        self, module: str, *arguments: str, like: Target, cores: frozenset[int]
    ) -> AbstractContextManager[Reference]:
        """See ``servers.reference``."""
        log = self.directory / f"reference-{module}.log"
        return servers.reference(module, *arguments, like=like, cores=cores, log=log)


@dataclass(slots=True)
class Result:
    """What a scenario gave: each of its figures by name, and everything that they were made of."""

    figures: dict[str, Measured] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # of no figure in particular: how an engine ended


def _merged(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(whole)
    for name, change in changes.items():
        before = told.get(name)
        both = isinstance(before, dict) and isinstance(change, dict)
        told[name] = _merged(before, change) if both else change  # type: ignore[arg-type]  # `both` says so
    return told
