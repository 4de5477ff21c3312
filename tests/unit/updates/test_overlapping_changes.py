"""Changes that come while another one is under way: the later word counts, and nobody waits for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.operations import Drain, OperationState, Promote, RefusedError, Rollback, Scale, Start, Stop
from support.updating import serving

DONE, FAILED, SUPERSEDED = OperationState.DONE, OperationState.FAILED, OperationState.SUPERSEDED
ROLLING, TRYING = OperationState.ROLLING, OperationState.TRYING


async def test_a_number_that_no_version_may_have_is_refused_during_an_update_too(tmp_path: Path) -> None:
    """It used to be taken, and to end the engine when the update was over."""
    async with serving(tmp_path) as service:
        update = await service.update("model_config=hang")
        await service.until(lambda: service.now(update).state is ROLLING)

        with pytest.raises(RefusedError, match="at most 1000"):
            await service.ask(Scale(by="me", instances=1001))
        assert service.supervisor.snapshot().wanted == 1


async def test_a_promotion_keeps_the_number_that_was_scaled_to_meanwhile(tmp_path: Path) -> None:
    """It used to go back to that of the file, in the middle of the load for which somebody had scaled."""
    async with serving(tmp_path, "metadata.instance=2") as service:
        canary = await service.update("model_config=two", canary=0.5)
        await service.until(lambda: service.now(canary).state is TRYING)
        await service.end(await service.ask(Scale(by="me", instances=4)))

        assert (await service.end(await service.ask(Promote(by="me")))).state is DONE
        await service.until(lambda: service.serving == ["two"] * 4)
        assert service.updates.current.loaded.spec.metadata.instance == 4


async def test_a_canary_that_goes_in_the_moment_of_its_promotion_fails_both(tmp_path: Path) -> None:
    """The promotion used to wait for ever, and a rollback with it."""
    async with serving(tmp_path) as service:
        canary = await service.update("model_config=two", canary=0.5)
        await service.until(lambda: service.now(canary).state is TRYING)

        promotion = await service.ask(Promote(by="me"))
        service.supervisor.dismiss("its objective is not met")
        failed = await service.end(promotion)

        assert (failed.state, failed.reason) == (FAILED, "version 2 is not tried out any more")
        assert (await service.end(canary)).reason == "dismissed: its objective is not met"
        assert (service.serving, service.lanes.calls) == (["one"], ["canary 2", "close 2"])


async def test_going_back_past_a_superseded_update_has_the_number_of_what_holds(tmp_path: Path) -> None:
    """The number of an update that never held used to stay."""
    async with serving(tmp_path) as service:
        first = await service.update("model_config=hang", "metadata.instance=5")
        await service.until(lambda: service.now(first).state is ROLLING)
        second = await service.end(await service.update("model_config=refuse", "metadata.instance=5"))

        assert (second.state, (await service.end(first)).state) == (FAILED, SUPERSEDED)
        assert service.supervisor.snapshot().wanted == 1


async def test_scaling_to_the_number_of_an_update_outlives_its_end(tmp_path: Path) -> None:
    """It used to be a version of four instances, of which two were there."""
    async with serving(tmp_path, "metadata.instance=2") as service:
        update = await service.update("model_config=hang", "metadata.instance=4")
        await service.until(lambda: service.now(update).state is ROLLING)
        await service.ask(Scale(by="me", instances=4))

        await service.end(await service.ask(Rollback(by="me")))
        await service.until(lambda: service.serving == ["one"] * 4)
        assert service.updates.current.loaded.spec.metadata.instance == 4


async def test_an_update_that_a_stop_ends_leaves_no_number_behind(tmp_path: Path) -> None:
    async with serving(tmp_path, "metadata.instance=2") as service:
        update = await service.update("model_config=hang", "metadata.instance=4")
        await service.until(lambda: service.now(update).state is ROLLING)
        await service.end(await service.ask(Stop(by="me")))
        assert (await service.end(update)).state is FAILED

        await service.end(await service.ask(Start(by="me")))
        assert service.serving == ["one"] * 2


async def test_a_rollback_undoes_a_number_of_instances_that_is_still_waited_for(tmp_path: Path) -> None:
    """It used to wait for the whole rollout_timeout, to undo nothing, and to say that it was done."""
    async with serving(tmp_path) as service:
        service.hosts.hang = True
        update = await service.update("metadata.instance=3")
        await service.until(lambda: service.supervisor.snapshot().wanted == 3)

        back = await service.end(await service.ask(Rollback(by="me")))

        assert (back.state, back.version) == (DONE, 1)
        assert (await service.end(update)).state is SUPERSEDED
        assert service.supervisor.snapshot().wanted == 1
        assert service.updates.current.version == 1


async def test_what_applies_at_once_waits_for_no_instance(tmp_path: Path) -> None:
    """A token couldn't be changed in less than the rollout's time while an instance was crashing."""
    async with serving(tmp_path) as service:
        service.hosts.hang = True
        await service.ask(Scale(by="me", instances=2))

        done = await service.end(await service.update("metadata.rpc.max_queue_size=3"))

        assert (done.state, done.ready, done.wanted) == (DONE, 1, 2)
        assert service.adopted[-1].loaded.spec.metadata.rpc.max_queue_size == 3


async def test_what_comes_while_instances_are_waited_for_replaces_none(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        service.hosts.hang = True
        await service.update("metadata.instance=2")
        await service.until(lambda: service.supervisor.snapshot().wanted == 2)

        done = await service.end(await service.update("metadata.rpc.max_queue_size=3"))

        assert (done.state, service.supervisor.snapshot().rollout) == (DONE, None)


async def test_a_start_ends_a_drain_that_would_never_be_empty(tmp_path: Path) -> None:
    """Under load the drain used to go on for ever, and its command with it."""
    async with serving(tmp_path) as service:
        service.lanes.empty.clear()
        drain = await service.ask(Drain(by="me"))
        await service.until(lambda: "pause" in service.lanes.calls)

        assert (await service.end(await service.ask(Start(by="me")))).state is DONE
        ended = await service.end(drain)

        assert (ended.state, ended.reason) == (SUPERSEDED, "start came after it")


async def test_a_start_that_a_stop_came_after_does_not_say_that_it_serves(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.end(await service.ask(Stop(by="me")))
        service.hosts.hang = True
        start = await service.ask(Start(by="me"))
        await service.until(lambda: len(service.hosts.made) == 2)

        assert (await service.end(await service.ask(Stop(by="me")))).state is DONE
        assert (await service.end(start)).state is SUPERSEDED


async def test_whoever_says_the_same_again_overrules_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        service.lanes.empty.clear()
        stops = [await service.ask(Stop(by="me")), await service.ask(Stop(by="you"))]
        await service.until(lambda: service.lanes.calls == ["pause", "pause"])
        service.lanes.empty.set()
        assert [(await service.end(one)).state for one in stops] == [DONE, DONE]

        service.lanes.empty.clear()
        stops = [await service.ask(Stop(by="me")), await service.ask(Stop(by="you"))]
        await service.end(await service.ask(Start(by="them")))
        assert [(await service.end(one)).state for one in stops] == [SUPERSEDED, SUPERSEDED]
        assert service.serving == ["one"]


async def test_scaling_what_is_stopped_says_from_when_on(tmp_path: Path) -> None:
    """It used to say "scaled to 0 instances"."""
    async with serving(tmp_path) as service:
        await service.end(await service.ask(Stop(by="me")))
        scaled = await service.end(await service.ask(Scale(by="me", instances=3)))

        assert (scaled.state, scaled.wanted) == (DONE, 3)
        assert scaled.reason == "from eas-engine start on: the service is stopped"
        await service.end(await service.ask(Start(by="me")))
        assert service.serving == ["one"] * 3
