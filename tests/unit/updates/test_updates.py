"""Changes of a running service: each has an end, and one that fails leaves everything as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.errors import ArtifactError
from eas_engine.history import History
from eas_engine.operations import (
    Drain,
    Effect,
    OperationState,
    RefusedError,
    Replace,
    Restart,
    Rollback,
    Scale,
    Start,
    Stop,
    Update,
)
from support.updating import serving

DONE, FAILED, SUPERSEDED = OperationState.DONE, OperationState.FAILED, OperationState.SUPERSEDED


# -- updates


async def test_an_update_of_the_model_replaces_the_instances_and_then_holds(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        begun = await service.update(text=service.file(model_config="two"))
        assert (begun.kind, begun.state, begun.effect, begun.version) == (
            "update",
            OperationState.PREPARING,
            Effect.ROLLOUT,
            2,
        )

        done = await service.end(begun)

        assert (done.state, done.reason, service.serving) == (DONE, "", ["two"])
        assert service.states == ["replaced", "current"]
        assert [one.version for one in service.adopted] == [2]
        assert service.updates.current.version == 2


async def test_what_needs_no_new_process_applies_at_once_and_touches_no_instance(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        done = await service.end(await service.update("metadata.rpc.max_queue_size=3"))

        assert (done.state, done.effect) == (DONE, Effect.AT_ONCE)
        assert len(service.hosts.made) == 1
        assert service.adopted[-1].loaded.spec.metadata.rpc.max_queue_size == 3
        assert service.states == ["replaced", "current"]


async def test_another_number_of_instances_replaces_none(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        done = await service.end(await service.update("metadata.instance=3"))

        assert (done.state, done.effect, service.serving) == (DONE, Effect.INSTANCES, ["one"] * 3)
        assert len(service.hosts.made) == 3


async def test_an_update_that_says_what_holds_already_does_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        done = await service.end(await service.update(text=service.file(model_config="one")))

        assert (done.state, done.reason) == (DONE, "nothing is new")
        assert service.states == ["current"]
        assert service.adopted == []


async def test_the_same_file_rolls_out_when_what_lies_at_its_addresses_is_new(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        (tmp_path / "package" / "app.py").write_text("# another processor")

        done = await service.end(await service.update(text=service.file(model_config="one")))

        assert (done.state, done.effect, done.version) == (DONE, Effect.ROLLOUT, 2)
        assert done.reason == "the files of the model or the processor are new"
        assert len(service.hosts.made) == 2
        assert service.states == ["replaced", "current"]


async def test_a_version_that_does_not_start_goes_back_by_itself(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        done = await service.end(await service.update(text=service.file(model_config="refuse")))

        assert done.state is FAILED
        assert "told to refuse" in done.reason
        assert (service.serving, service.adopted) == (["one"], [])
        assert service.states == ["current", "failed"]
        assert "told to refuse" in service.history.versions()[1].reason
        assert [one.kind for one in service.events.since(0)][-1] == "update_failed"


async def test_a_version_that_goes_back_takes_its_number_of_instances_with_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        text = service.file(model_config="refuse", metadata={"instance": 3})
        done = await service.end(await service.update(text=text))

        assert done.state is FAILED
        assert service.supervisor.snapshot().wanted == 1
        await service.until(lambda: service.serving == ["one"])


async def test_settings_of_a_version_apply_only_when_it_holds(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        begun = await service.update(text=service.file(model_config="hang", token="another"))
        await service.until(lambda: service.now(begun).state is OperationState.ROLLING)
        await service.until(lambda: len(service.hosts.made) == 2)
        assert service.adopted == []

        await service.ask(Rollback(by="me"))
        assert (await service.end(begun)).state is FAILED
        assert service.adopted == []


# -- refusals


async def test_a_broken_file_is_refused_with_every_complaint_and_makes_no_version(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError) as caught:
            await service.update(text='{"name": "digits",\n"metadata": {"instance": "x", "memory": -1}}')

        told = {str(one["path"]): one["line"] for one in caught.value.problems}
        assert told["metadata.instance"] == told["metadata.memory"] == 2
        assert service.states == ["current"]


async def test_another_name_takes_another_engine(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError, match="name: an update can't change that"):
            await service.update("name=letters")


async def test_a_file_that_is_not_there_is_refused_before_anything_happens(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(ArtifactError, match="model_path"):
            await service.update("model_path=nothing-here")

        assert service.states == ["current"]


async def test_nothing_to_update_says_what_to_give(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError, match="give a file, or -D KEY=VALUE"):
            await service.update()


async def test_flags_alone_are_added_to_those_that_hold(tmp_path: Path) -> None:
    async with serving(tmp_path, "metadata.rpc.max_queue_size=7") as service:
        await service.end(await service.update("metadata.rpc.rate_limit=9"))
        await service.end(await service.update("metadata.rpc.max_queue_size=8"))

        rpc = service.updates.current.loaded.spec.metadata.rpc
        assert (rpc.max_queue_size, rpc.rate_limit) == (8, 9)
        assert service.history.versions()[-1].overrides == (
            "metadata.rpc.rate_limit=9",
            "metadata.rpc.max_queue_size=8",
        )


async def test_a_dry_run_says_what_it_would_be_and_changes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        plan = await service.updates.plan(Update(by="me", overrides=("metadata.instance=2", "token=x")))

        assert plan.effect is Effect.INSTANCES
        assert [one.path for one in plan.changes] == ["token", "metadata.instance"]
        assert (service.states, service.updates.book.records()) == (["current"], ())


# -- one after the other


async def test_of_two_updates_the_later_one_counts(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        first = await service.update(text=service.file(model_config="hang"))
        await service.until(lambda: len(service.hosts.made) == 2)

        second = await service.update(text=service.file(model_config="three"))

        assert (await service.end(second)).state is DONE
        assert (await service.end(first)).state is SUPERSEDED
        assert service.serving == ["three"]
        assert service.states == ["replaced", "failed", "current"]


async def test_an_update_back_to_what_holds_ends_one_that_is_under_way(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        first = await service.update(text=service.file(model_config="hang"))
        await service.until(lambda: len(service.hosts.made) == 2)

        back = await service.end(await service.update(text=service.file(model_config="one")))

        assert back.state is DONE
        assert (await service.end(first)).state is SUPERSEDED
        assert service.serving == ["one"]


async def test_an_update_that_is_still_prepared_gives_way_to_the_next(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        async with service.updates._preparing.one_at_a_time:
            first = await service.update(text=service.file(model_config="two"))
            second = await service.update(text=service.file(model_config="three"))

        assert (await service.end(second)).state is DONE
        assert (await service.end(first)).state is SUPERSEDED
        assert service.serving == ["three"]
        assert service.states == ["replaced", "failed", "current"]


# -- scale


async def test_scaling_is_a_version_and_restarts_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        done = await service.end(await service.ask(Scale(by="me", instances=3)))

        assert (done.state, service.serving) == (DONE, ["one"] * 3)
        assert service.states == ["replaced", "current"]
        assert service.history.versions()[-1].kind == "scale"
        assert service.updates.current.loaded.spec.metadata.instance == 3

        done = await service.end(await service.ask(Scale(by="me", instances=1)))
        assert (done.state, service.serving) == (DONE, ["one"])


async def test_scaling_to_what_is_there_makes_no_version(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        assert (await service.end(await service.ask(Scale(by="me", instances=1)))).state is DONE
        assert service.states == ["current"]


async def test_scaling_during_an_update_acts_at_once_and_becomes_a_version_afterwards(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        update = await service.update(text=service.file(model_config="two"))
        await service.end(await service.ask(Scale(by="me", instances=2)))
        await service.end(update)

        await service.until(lambda: service.serving == ["two", "two"])
        assert service.updates.current.loaded.spec.metadata.instance == 2
        assert service.updates.current.loaded.spec.model_config_text == "two"


@pytest.mark.parametrize("instances", [0, -1])
async def test_no_instance_at_all_is_what_stop_is_for(tmp_path: Path, instances: int) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError, match="eas-engine stop"):
            await service.ask(Scale(by="me", instances=instances))


@pytest.mark.parametrize("instances", [1, 5])
async def test_the_autoscalers_bounds_hold_for_people_too(tmp_path: Path, instances: int) -> None:
    scaler = {"min": 2, "max": 4, "strategies": {"qps": 10}}
    async with serving(tmp_path, autoscaler=scaler) as service:
        assert service.supervisor.snapshot().wanted == 2
        with pytest.raises(RefusedError, match="the autoscaler's bounds are 2 to 4"):
            await service.ask(Scale(by="me", instances=instances))


async def test_an_autoscaler_goes_on_from_a_number_that_is_no_version(tmp_path: Path) -> None:
    scaler = {"min": 0, "max": 4, "strategies": {"qps": 10}}
    async with serving(tmp_path, autoscaler=scaler) as service:
        for instances in (3, 0):
            done = await service.end(await service.ask(Scale(by="me", instances=instances)))
            assert (done.state, len(service.serving)) == (DONE, instances)
        assert service.states == ["current"]


# -- restart, rollback


async def test_a_restart_replaces_every_instance_and_makes_no_version(tmp_path: Path) -> None:
    async with serving(tmp_path, metadata={"instance": 2}) as service:
        before = {host.pid for host in service.hosts.alive}

        done = await service.end(await service.ask(Restart(by="me")))

        assert (done.state, done.version, service.serving) == (DONE, 1, ["one", "one"])
        await service.until(lambda: not before & {host.pid for host in service.hosts.alive})
        assert service.states == ["current"]


async def test_a_rollback_goes_to_the_version_before_and_back_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.end(await service.update(text=service.file(model_config="two")))

        done = await service.end(await service.ask(Rollback(by="me")))
        assert (done.state, done.version, service.serving) == (DONE, 1, ["one"])
        assert service.states == ["current", "replaced"]

        await service.end(await service.ask(Rollback(by="me")))
        assert (service.serving, service.states) == (["two"], ["replaced", "current"])


async def test_a_rollback_may_skip_versions(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.end(await service.update(text=service.file(model_config="two")))
        await service.end(await service.update(text=service.file(model_config="three")))

        await service.end(await service.ask(Rollback(by="me", version=1)))

        assert (service.serving, service.states) == (["one"], ["current", "replaced", "replaced"])


async def test_a_rollback_to_nowhere_says_what_there_is(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError, match="there is no version before this one"):
            await service.ask(Rollback(by="me"))
        with pytest.raises(RefusedError, match=r"there is no version 9 \(there are: 1\)"):
            await service.ask(Rollback(by="me", version=9))
        with pytest.raises(RefusedError, match="version 1 is the current one"):
            await service.ask(Rollback(by="me", version=1))


async def test_a_rollback_ends_an_update_that_is_under_way(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        update = await service.update(text=service.file(model_config="hang"))
        await service.until(lambda: len(service.hosts.made) == 2)

        back = await service.end(await service.ask(Rollback(by="you")))

        assert back.state is DONE
        ended = service.now(update)
        assert (ended.state, ended.reason) == (FAILED, "rolled back: by you")
        await service.until(lambda: service.serving == ["one"])
        assert service.states == ["current", "failed"]


# -- stop, start, drain, replace


async def test_stop_finishes_what_is_there_and_start_undoes_it(tmp_path: Path) -> None:
    async with serving(tmp_path, metadata={"instance": 2}) as service:
        service.lanes.empty.clear()
        stop = await service.ask(Stop(by="me"))
        await service.until(lambda: "pause" in service.lanes.calls)
        assert service.serving == ["one", "one"]

        service.lanes.empty.set()
        assert (await service.end(stop)).state is DONE
        assert (service.serving, service.supervisor.snapshot().stopped) == ([], True)

        assert (await service.end(await service.ask(Start(by="me")))).state is DONE
        assert (service.serving, service.lanes.calls) == (["one", "one"], ["pause", "resume"])


async def test_of_stop_and_start_the_later_word_counts(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        service.lanes.empty.clear()
        stop = await service.ask(Stop(by="me"))
        await service.until(lambda: "pause" in service.lanes.calls)

        assert (await service.end(await service.ask(Start(by="you")))).state is DONE
        service.lanes.empty.set()

        assert (await service.end(stop)).state is SUPERSEDED
        assert (service.serving, service.supervisor.snapshot().stopped) == (["one"], False)


async def test_drain_keeps_the_instances(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        assert (await service.end(await service.ask(Drain(by="me")))).state is DONE
        assert (service.serving, service.lanes.calls) == (["one"], ["pause"])


async def test_one_instance_is_replaced_by_another_process(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        before = service.hosts.last.pid

        done = await service.end(await service.ask(Replace(by="me", instance="digits-0")))

        assert (done.state, service.serving) == (DONE, ["one"])
        assert service.hosts.last.pid != before
        with pytest.raises(RefusedError, match=r'no instance "digits-7" can be replaced'):
            await service.ask(Replace(by="me", instance="digits-7"))


# -- the end of the engine


async def test_what_is_under_way_when_the_engine_ends_has_failed_for_the_next_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        begun = await service.update(text=service.file(model_config="hang"))
        await service.until(lambda: len(service.hosts.made) == 2)
        book = service.updates.book

    assert book.records()[begun.number - 1].reason == "the engine has ended"
    found = History.open(tmp_path / "state" / "digits" / "history")
    assert [one.state for one in found.versions()] == ["current", "failed"]


async def test_whoever_asked_and_what_changed_is_an_event(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.end(await service.ask(Scale(by="anna@box", instances=2)))

        [scaled] = [one for one in service.events.since(0) if one.kind == "scaled"]
        assert (scaled.by, scaled.before, scaled.after) == ("anna@box", 1, 2)
