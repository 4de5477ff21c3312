"""What is done to the service, one thing after the other, by the commands that operators have.

Each deed knows how its commands must end; anything else is a fault.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eas_bench.chaos.victims import Victims

REFUSED = 2
_MOST = 4  # instances
_PATIENCE = 180.0  # seconds for a command


@dataclass(slots=True)
class Deeds:
    """The operator of one service.

    Attributes:
        command: ``eas-engine``.
        state: the state directory.
        service: service.json, as the next update begins from.
        directory: where its files are written.
        only: the deeds that are done.
        done: how often each was done.
        faults: what came out otherwise than it must.
    """

    command: list[str]
    state: Path
    service: dict[str, Any]
    directory: Path
    victims: Victims
    chance: random.Random
    only: frozenset[str]
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    kills: int = 0
    stops: int = 0
    _version: int = 0

    async def one(self) -> str:
        """Do one thing; which."""
        names = [name for name, weight in WEIGHTS.items() if name in self.only for _ in range(weight)]
        name = self.chance.choice(names)
        deed: Callable[[], Awaitable[None]] = getattr(self, name)
        await deed()
        self.done[name] += 1
        return name

    # -- deeds

    async def good_update(self) -> None:
        """Another version, which serves."""
        await self._expect(0, "update", self._file())

    async def bad_update(self) -> None:
        """One that doesn't start goes back by itself."""
        await self._expect(1, "update", self._file(start=self.chance.choice(("refuse", "crash"))))

    async def broken_file(self) -> None:
        """One that can't be read is refused."""
        path = self.directory / "broken.json"
        path.write_text(json.dumps({**self.service, "metadata": {"instance": "many"}}))
        await self._expect(REFUSED, "update", str(path))

    async def killed_update(self) -> None:
        """Instances die while a version takes another's place."""
        update = asyncio.create_task(self._run("update", self._file()))
        for _ in range(2):
            await asyncio.sleep(self.chance.uniform(0.1, 0.6))
            self.kills += await self.victims.kill_oldest()
        status, told = await update
        if status != 0:
            self._fault("update while instances were killed", status, told)

    async def kill(self) -> None:
        """An instance dies."""
        self.kills += await self.victims.kill_oldest()

    async def scale(self) -> None:
        """More instances, or fewer."""
        await self._expect(0, "scale", str(self.chance.randint(1, _MOST)))

    async def restart(self) -> None:
        """New processes of the same version."""
        await self._expect(0, "restart")

    async def promoted_canary(self) -> None:
        """A version is tried out on some requests, and taken for all."""
        await self._expect(0, "update", self._file(), "--canary", "20%", "--slo", "errors=5%")
        await self._expect(0, "promote")

    async def dropped_canary(self) -> None:
        """... and dropped."""
        await self._expect(0, "update", self._file(), "--canary", "20%")
        await self._expect(0, "rollback")

    async def shadow(self) -> None:
        """... on copies of requests, and dropped."""
        await self._expect(0, "update", self._file(), "--shadow", "20%")
        await self._expect(0, "rollback")

    async def settings(self) -> None:
        """What needs no new process."""
        await self._expect(0, "update", "-D", f"metadata.rpc.max_queue_size={self.chance.randint(60, 90)}")

    async def batching(self) -> None:
        """Requests go together, and alone again."""
        await self._expect(0, "update", self._file(batching=True))
        await self._expect(0, "update", self._file())

    async def rollback(self) -> None:
        """The version before; there is one, after an update."""
        await self.good_update()
        await self._expect(0, "rollback")

    async def stop_and_start(self) -> None:
        """No instance for a moment."""
        self.stops += 1
        await self._expect(0, "stop")
        await self._expect(0, "start")

    # -- within

    def _file(self, *, start: str = "", batching: bool = False) -> str:
        self._version += 1
        metadata = {**self.service["metadata"], "instance": self.chance.randint(1, _MOST)}
        metadata["rpc"] = {**metadata["rpc"], "batching": batching}
        config = {"version": self._version, "start": start}
        path = self.directory / "next.json"
        path.write_text(json.dumps({**self.service, "model_config": config, "metadata": metadata}))
        return str(path)

    async def _expect(self, wanted: int, *arguments: str) -> None:
        status, told = await self._run(*arguments)
        if status != wanted:
            self._fault(" ".join(arguments), status, told)

    async def _run(self, *arguments: str) -> tuple[int, str]:
        """Exit status and what was printed."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *arguments,
            *("--state-dir", str(self.state)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: a deed that is begun has its end
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return -1, f"no end after {_PATIENCE:.0f} s"
        return int(process.returncode or 0), told.decode(errors="replace")

    def _fault(self, what: str, status: int, told: str) -> None:
        self.faults.append(f"{what}: exit {status}: {told.strip()[-400:]}")


WEIGHTS: Final = {
    "good_update": 6,
    "bad_update": 4,
    "broken_file": 1,
    "killed_update": 3,
    "kill": 2,
    "scale": 4,
    "restart": 1,
    "promoted_canary": 2,
    "dropped_canary": 1,
    "shadow": 1,
    "settings": 2,
    "batching": 1,
    "rollback": 1,
    "stop_and_start": 1,
}
