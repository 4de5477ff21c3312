"""A full disk, or a history that is gone: what can't be written down ends no engine and blocks no change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eas_engine.errors import ConfigurationError
from eas_engine.operations import OperationState, Restart, Rollback, Scale
from support.updating import Service, serving

ROLLING = OperationState.ROLLING


async def rolling(service: Service, number: int) -> None:
    """An operation rolls out, and nothing more is to be written until it ends."""
    await service.until(lambda: service.updates.book.records()[number - 1].state is ROLLING)
    assert await service.disk.settled(60)


def lose(service: Service) -> Path:
    """Nothing can be written into the history from now on; the directory to make again."""
    directory = service.directory / "state" / "digits" / "history"
    shutil.rmtree(directory)
    return directory


async def test_a_number_that_cannot_become_a_version_does_not_end_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        update = await service.update("model_config=hang")
        await rolling(service, update.number)
        await service.ask(Scale(by="me", instances=2))
        history = lose(service)
        await service.end(await service.ask(Rollback(by="me")))

        history.mkdir()
        assert (await service.end(await service.update("model_config=two"))).state is OperationState.DONE


async def test_an_update_that_cannot_be_written_down_serves_and_says_for_how_long(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        update = await service.update("model_config=two")
        history = lose(service)
        done = await service.end(update)

        assert (done.state, service.serving) == (OperationState.DONE, ["two"])
        assert "until the engine is started again: can't use" in done.reason
        assert service.updates.current.version == service.adopted[-1].version == 2
        history.mkdir()
        assert (await service.end(await service.update("model_config=three"))).state is OperationState.DONE
        assert service.states[-1] == "current"


async def test_a_canary_that_cannot_be_written_down_can_be_rolled_back(tmp_path: Path) -> None:
    """It used to fail and yet to be tried out for ever: no update, no promotion and no end of it."""
    async with serving(tmp_path) as service:
        canary = await service.update("model_config=two", canary=0.5)
        history = lose(service)
        await service.until(lambda: service.now(canary).state is OperationState.TRYING)

        assert (await service.end(await service.ask(Rollback(by="me")))).state is OperationState.DONE
        assert (await service.end(canary)).state is OperationState.FAILED
        assert service.lanes.calls == ["canary 2", "close 2"]
        history.mkdir()
        assert (await service.end(await service.ask(Restart(by="me")))).state is OperationState.DONE


async def test_an_update_that_cannot_be_kept_leaves_the_one_before_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        update = await service.update("model_config=hang")
        await rolling(service, update.number)
        lose(service)

        with pytest.raises(ConfigurationError, match="can't use"):
            await service.update("model_config=two")
        assert service.now(update).reason == ""
