"""From a crash of one host to its scene: gathered at once, with the requests inside, written later."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path

from eas_engine.errors import ConfigurationError
from eas_engine.supervisor.causes import ORDERLY, Cause, Evidence
from eas_engine.supervisor.instance import Surroundings
from eas_engine.supervisor.launch import environment
from eas_engine.supervisor.life import Life
from eas_engine.supervisor.scene import BODIES_LIMIT, Remains
from eas_engine.supervisor.settings import Settings


class Keeping:
    """What is kept of the crashes of one host (``runtime.enable_crash_block``), one after the other.

    Args:
        instance: its instance's name.
        host: its own.
        surroundings: what all hosts share.
    """

    def __init__(self, instance: str, host: str, surroundings: Surroundings) -> None:
        self._instance, self._host = instance, host
        self._all = surroundings
        self._remains: Remains | None = None
        self._done = asyncio.Event()
        self._done.set()

    def __repr__(self) -> str:
        return f"<Keeping {self._host} {'done' if self._done.is_set() else 'at it'}>"

    def gather(
        self, life: Life, state: str, python: str, cause: Cause, evidence: Evidence, *, settings: Settings
    ) -> None:
        """It crashed: take what will be gone in a moment, if anything is kept. Before the channel is told.

        Args:
            life: what has ended.
            state: what it was.
            python: the version of its interpreter.
            cause: of the crash.
            evidence: for it.
            settings: of the release that it was started from.
        """
        scenes = self._all.scenes
        if scenes is None or not settings.crash_block or cause.kind in ORDERLY:
            return
        died_at, pid, program = self._all.clock.wall(), life.running.pid, settings.program
        self._remains = Remains(
            name=scenes.name(self._host, pid, died_at),
            service=settings.service,
            instance=self._instance,
            host=self._host,
            state=state,
            cause=cause,
            evidence=evidence,
            pid=pid,
            started_at=life.started_at,
            died_at=died_at,
            python=python,
            program=(program.interpreter, "-m", "eas_host"),
            processor=asdict(settings.processor),
            directory=settings.processor.processor_dir,
            environment=environment(os.environ, program.environment),
            traceback=life.failure.traceback if life.failure else "",
            stacks=tuple(life.stacks),
            held=tuple(life.channel.held(BODIES_LIMIT)),
        )
        self._done.clear()

    async def write(self) -> Path | None:
        """Write what was gathered, in a thread, because it may be much. None: nothing was written."""
        remains, self._remains = self._remains, None
        if remains is None or self._all.scenes is None:
            return None
        try:
            place = await asyncio.to_thread(self._all.scenes.keep, remains, self._all.spared())
        except (OSError, ConfigurationError) as error:
            self._all.hooks.warn("crash_not_kept", instance=self._instance, error=str(error))
            return None
        finally:
            self._done.set()
        self._all.hooks.warn("crash_kept", instance=self._instance, place=str(place))
        return place

    async def wait(self) -> None:
        """Until nothing waits to be written."""
        await self._done.wait()
