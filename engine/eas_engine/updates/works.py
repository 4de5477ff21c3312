"""Runs operations: each is a coroutine that is seen through to an end, whatever it raises."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eas_engine.artifacts.sources.stopping import StoppedError
from eas_engine.errors import StartError
from eas_engine.operations import FAILURES, Effect, OperationKind, OperationState, RefusedError
from eas_engine.updates.book import Book, Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from eas_engine.updates.joined import Joined

    Work = Callable[[Entry], Coroutine[object, object, None]]


class Works:
    """The operations of one service. ``ended``: called behind each."""

    def __init__(self, joined: Joined, ended: Callable[[Entry], Awaitable[None]]) -> None:
        self._all = joined
        self._ended = ended
        self._tasks: asyncio.TaskGroup | None = None
        self.book = Book(joined.clock)

    def __repr__(self) -> str:
        return f"<Works {self.book!r}>"

    async def run(self) -> None:
        """Carries them out until cancelled; what is under way then has failed."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await asyncio.get_running_loop().create_future()
        finally:
            for entry in self.book.open():
                entry.stop.set()
                entry.end(OperationState.FAILED, "the engine has ended")

    def begin(
        self,
        kind: OperationKind,
        by: str,
        work: Work,
        effect: Effect = Effect.AT_ONCE,
        state: OperationState = OperationState.ROLLING,
    ) -> Entry:
        """Another operation, whose work runs from now on. Errors: RefusedError."""
        if self._tasks is None:
            raise RefusedError("the engine is starting, or ending", conflict=True)
        entry = self.book.begin(kind, by, state=state, effect=effect)
        self.book.observe(self._all.supervisor.snapshot())
        self._tasks.create_task(self._see_through(entry, work), name=f"operation {entry.record.number}")
        return entry

    async def _see_through(self, entry: Entry, work: Work) -> None:
        try:
            await work(entry)
        except StoppedError:
            entry.end(OperationState.SUPERSEDED, entry.record.reason or "another change took its place")
        except StartError as error:
            entry.end(OperationState.FAILED, str(error))
        except Exception as error:
            self._all.logs.log.exception("an operation failed", operation=entry.record.number)
            entry.end(OperationState.FAILED, f"{type(error).__name__}: {error} (a bug of eas-engine's)")
        finally:
            if entry.record.state is OperationState.FAILED:
                self._all.events.tell(FAILURES[entry.record.kind], entry.record.reason, by=entry.record.by)
            await self._tell_ended(entry)

    async def _tell_ended(self, entry: Entry) -> None:
        """An exception here would end all operations, and the engine with them."""
        log, number = self._all.logs.log, entry.record.number
        try:
            await self._ended(entry)
        except StartError as error:  # the disk is full, say
            log.warning("what an operation left to do could not be done", operation=number, reason=str(error))
        except Exception:
            log.exception("what an operation left to do failed", operation=number)
