"""A disk that stands still: the loop goes on, nothing holds that isn't written, and the order stays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from eas_engine.history import History
from eas_engine.operations import OperationState, RefusedError, Replace, Rollback, Scale, Stop, Update
from support.updating import Service, serving

DONE = OperationState.DONE


@contextlib.contextmanager
def stuck(service: Service) -> Iterator[None]:
    """Its disk answers nobody within the context."""
    free = threading.Event()
    service.disk.later(free.wait)
    try:
        yield
    finally:
        free.set()


@contextlib.asynccontextmanager
async def begun(asking: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Future[Any]]:
    task = asyncio.ensure_future(asking)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def turns(service: Service, count: int = 200) -> None:
    """The loop comes round, and time passes."""
    for _ in range(count):
        await asyncio.sleep(0.0001)
    assert service.serving


def after_a_kill(service: Service, aside: Path) -> History:
    """What an engine finds that is started after this one was killed now."""
    shutil.copytree(service.directory / "state" / "digits" / "history", aside)
    return History.open(aside)


async def test_an_update_waits_for_the_disk_and_the_loop_does_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with stuck(service):
            update = asyncio.ensure_future(service.update("model_config=two"))
            await turns(service)
            assert not update.done()
            assert (service.states, service.serving) == (["current"], ["one"])
            assert service.updates.book.records() == ()

        assert (await service.end(await update)).state is DONE
        assert (service.states, service.serving) == (["replaced", "current"], ["two"])


async def test_changes_are_accepted_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with stuck(service):
            asked = []
            for number in range(5):
                asked.append(
                    asyncio.ensure_future(service.update(f"metadata.rpc.max_queue_size={number + 7}"))
                )
                await asyncio.sleep(0)
            await turns(service)

        assert [one.version for one in await asyncio.gather(*asked)] == [2, 3, 4, 5, 6]
        for one in asked:
            await service.end(one.result())
        assert service.updates.current.version == 6
        assert service.updates.current.loaded.spec.metadata.rpc.max_queue_size == 11
        # One that is overtaken before it holds never has; which of them are, is a matter of threads.
        assert (service.states[0], service.states[-1]) == ("replaced", "current")
        assert set(service.states[1:-1]) <= {"replaced", "failed"}


async def test_what_needs_no_disk_does_not_wait_for_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with stuck(service):
            async with begun(service.update("model_config=two")) as update:
                await turns(service)
                assert (await service.ask(Replace(by="me", instance="digits-0"))).kind == "replace"
                await service.ask(Stop(by="me"))
                await service.until(lambda: service.supervisor.snapshot().stopped)
                assert not update.done()


async def test_an_update_is_over_only_when_the_disk_has_it(tmp_path: Path) -> None:
    """An engine that is killed before finds the version before; one that is killed after finds this one."""
    async with serving(tmp_path) as service:
        update = await service.update("model_config=two")
        with stuck(service):
            await service.until(lambda: service.serving == ["two"] and service.adopted)
            await turns(service)
            assert not service.now(update).state.is_over
            killed = after_a_kill(service, tmp_path / "before").current
            assert killed is not None
            assert killed.version.number == 1

        assert (await service.end(update)).state is DONE
        killed = after_a_kill(service, tmp_path / "after").current
        assert killed is not None
        assert killed.version.number == 2


async def test_a_rollback_in_between_is_not_overtaken_by_what_it_undoes(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        update = await service.update("model_config=hang")
        await service.until(lambda: service.now(update).state is OperationState.ROLLING)
        with stuck(service):
            back = await service.ask(Rollback(by="me"))
            await service.until(lambda: service.now(back).state.is_over)
            assert service.now(update).state is OperationState.FAILED
        await service.end(update)
        assert service.states == ["current", "failed"]


async def test_a_trial_that_begins_while_another_version_is_written_refuses_that(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        async with service.updates._preparing.one_at_a_time:
            canary = await service.update("model_config=two", canary=0.5)
            free = threading.Event()
            service.disk.later(free.wait)
            other = asyncio.ensure_future(service.update("model_config=three"))
            await turns(service)
        await service.until(lambda: service.updates._trials.current is not None)
        free.set()

        with pytest.raises(RefusedError, match="being tried out"):
            await other
        await service.until(lambda: service.now(canary).state is OperationState.TRYING)
        assert service.states == ["current", "trying", "failed"]


async def test_a_number_that_is_asked_for_during_an_update_acts_before_the_disk_answers(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as service:
        update = await service.update("model_config=hang")
        await service.until(lambda: service.now(update).state is OperationState.ROLLING)
        with stuck(service):
            await service.ask(Scale(by="me", instances=3))
            await service.until(lambda: service.serving == ["one"] * 3)


async def test_nonsense_is_read_beside_the_loop(tmp_path: Path) -> None:
    """1 MiB of unknown keys once held every request of the service for 3.3 seconds."""
    text = json.dumps({"name": "digits"} | {f"key_{number}": number for number in range(20_000)})
    async with serving(tmp_path) as service:
        reading = asyncio.ensure_future(service.updates.plan(Update(by="me", text=text)))
        await asyncio.sleep(0)
        count = 0
        while not reading.done():
            await asyncio.sleep(0)
            count += 1
        with pytest.raises(RefusedError, match="unknown"):
            reading.result()
        assert count > 10
