"""Going back brings the files that a version had, though others lie there by now, or says that it can't."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from eas_engine.artifacts.fetching.progress import SilentProgress
from eas_engine.artifacts.workspace.workspace import KEPT, OtherFilesError
from eas_engine.clock import SystemClock
from eas_engine.configuration import configured, read
from eas_engine.operations import (
    Effect,
    Operation,
    OperationState,
    RefusedError,
    Restart,
    Rollback,
    Scale,
    Update,
    Version,
)
from support.updating import PLAIN, Service, pack, places, serving

DONE, FAILED = OperationState.DONE, OperationState.FAILED
FIRST = "# a processor"


def edit(service: Service, text: str) -> None:
    (service.directory / "package" / "app.py").write_text(text)


def code(service: Service) -> str:
    """What the instances that start now find in their working directory."""
    return service.updates.current.artifacts.entry.read_text()


def weights(service: Service, name: str) -> str:
    """The same of a file of the model."""
    return Path(service.updates.current.artifacts.model_path, name).read_text()


async def same_file(service: Service) -> Operation:
    """An update that brings nothing but what lies there now."""
    return await service.end(await service.update(text=service.file(model_config="one")))


async def back(service: Service, version: int | None = None, *, new_files: bool = False) -> Operation:
    asked = Rollback(by="me", version=version, new_files=new_files)
    return await service.end(await service.ask(asked))


async def test_a_rollback_brings_the_files_that_were_edited_in_place_since(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        await same_file(service)
        assert code(service) == "# edited in place"

        done = await back(service)

        assert (done.state, done.version, done.effect) == (DONE, 1, Effect.ROLLOUT)
        assert code(service) == FIRST
        assert (service.updates.current.version, service.states) == (1, ["current", "replaced"])

        await back(service)
        assert (code(service), service.states) == ("# edited in place", ["replaced", "current"])


async def test_a_rollback_passes_over_a_number_of_instances_and_not_over_files(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for number in (2, 3):
            edit(service, f"# edit {number}")
            await same_file(service)
        await service.end(await service.ask(Scale(by="me", instances=2)))

        assert (await back(service)).version == 2
        assert code(service) == "# edit 2"


async def test_a_rollback_needs_nothing_of_what_lay_there(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        await same_file(service)
        shutil.rmtree(tmp_path / "package")

        assert (await back(service)).state is DONE
        assert code(service) == FIRST


async def test_a_model_that_was_replaced_at_its_address_comes_back(tmp_path: Path) -> None:
    pack(tmp_path / "model.tar", "# weights")
    async with serving(tmp_path, model_path="model.tar") as service:
        pack(tmp_path / "model.tar", "# other weights")
        text = service.file(model_config="one", model_path="model.tar")
        assert (await service.end(await service.update(text=text))).effect is Effect.ROLLOUT
        (tmp_path / "model.tar").unlink()

        assert (await back(service)).state is DONE

        assert weights(service, "weights") == "# weights"


async def test_a_model_that_is_one_file_is_found_as_one(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("# weights")
    async with serving(tmp_path, model_path="model.bin") as service:
        entry = service.updates.current.artifacts.model_entry
        (tmp_path / "model.bin").write_text("# other weights")
        await service.end(await service.update(text=service.file(model_config="one", model_path="model.bin")))

        await back(service)

        assert service.updates.current.artifacts.model_entry == entry
        assert weights(service, "model.bin") == "# weights"


async def test_settings_that_need_no_new_process_do_not_hide_that_the_files_are_others(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        await same_file(service)
        await service.end(await service.update("metadata.rpc.max_queue_size=3"))

        done = await back(service, 1)

        assert (done.state, done.effect, code(service)) == (DONE, Effect.ROLLOUT, FIRST)


async def test_files_that_are_no_longer_kept_are_refused_unless_those_of_now_are_wanted(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as service:
        for number in range(KEPT + 2):  # what has just left may still be in use
            edit(service, f"# edit {number}")
            await same_file(service)

        done = await back(service, 1)

        assert done.state is FAILED
        assert done.reason == (
            "the files that this version had are no longer kept, and what lies at its processor_path now is "
            "something else: rollback --new-files, update FILE, or serve --fresh takes it"
        )
        assert (code(service), service.updates.current.version) == (f"# edit {KEPT + 1}", KEPT + 3)

        done = await back(service, 1, new_files=True)
        assert (done.state, done.version, code(service)) == (DONE, KEPT + 4, f"# edit {KEPT + 1}")


async def test_going_back_with_new_files_leaves_the_old_version_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        await service.end(await service.update(text=service.file(model_config="two")))
        before = service.history.versions()[0]

        done = await back(service, 1, new_files=True)

        assert (done.state, done.version, done.effect) == (DONE, 3, Effect.ROLLOUT)
        assert (code(service), service.serving) == ("# edited in place", ["one"])
        assert service.history.versions()[0] == before
        found = service.history.versions()[-1]
        assert (found.kind, found.by, found.pinned) == ("rollback", "me", False)
        await back(service, 1)
        assert code(service) == FIRST


async def test_what_failed_is_gone_back_to_with_its_files_as_a_version_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        service.hosts.hang = True
        begun = await service.update(text=service.file(model_config="two"))
        await service.until(lambda: service.now(begun).state is OperationState.ROLLING)
        await service.ask(Rollback(by="me"))
        assert (await service.end(begun)).state is FAILED
        service.hosts.hang = False
        edit(service, "# edited again")
        await service.until(lambda: service.states == ["current", "failed"])
        before = service.history.versions()[1]

        done = await back(service, 2)

        assert (done.state, done.version) == (DONE, 3)
        assert (code(service), service.serving) == ("# edited in place", ["two"])
        assert service.history.versions()[1] == before
        assert "by me" in before.reason
        found = service.history.versions()[2]
        assert (found.kind, found.state, found.pinned) == ("rollback", "current", True)


async def test_what_failed_before_its_files_were_known_is_not_gone_back_to_with_others(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as service:
        source = str(tmp_path / "service.json")
        kept = service.history.add(
            Version(number=0, time=1.0, source=source, digest="", kind="update"),
            service.file(model_config="two"),
        )
        service.history.settle(kept.version.number, "failed", "why")

        with pytest.raises(RefusedError, match="rollback 2 --new-files takes its configuration with the"):
            await back(service, 2)

        assert (await back(service, 2, new_files=True)).version == 3
        assert (service.states, service.history.versions()[1].reason) == (
            ["replaced", "failed", "current"],
            "why",
        )


async def test_updates_that_fail_do_not_cost_the_files_of_the_version_before(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        await same_file(service)
        for number in range(KEPT + 1):
            edit(service, f"# edit {number}")
            failed = await service.end(await service.update(text=service.file(model_config="refuse")))
            assert failed.state is FAILED

        assert ((await back(service)).state, code(service)) == (DONE, FIRST)


async def test_files_that_are_no_longer_kept_are_taken_from_where_they_lie_as_they_were(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as service:
        await service.end(await service.update(text=service.file(model_config="two")))
        app = service.updates.current.artifacts.entry
        app.write_text("# a processor that changes its own file")

        assert (await back(service)).state is DONE
        assert code(service) == FIRST


async def test_what_its_own_processor_changed_is_used_as_it_is_and_said_so(tmp_path: Path) -> None:
    """A small database that came with it, say: nobody else has it any more."""
    async with serving(tmp_path) as service:
        app = service.updates.current.artifacts.entry
        edit(service, "# edited in place")
        await same_file(service)
        app.write_text("# changed by itself")

        assert (await back(service)).state is DONE
        assert code(service) == "# changed by itself"
        assert f"{app} was changed by a processor, and is used as it is" in service.updates.current.warnings
        assert (await service.end(await service.ask(Restart(by="me")))).state is DONE

        edit(service, "# another edit")
        await same_file(service)
        app.unlink()
        assert (await back(service)).state is FAILED


async def test_what_was_gone_back_to_keeps_its_files_until_an_update_takes_others(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        await same_file(service)
        await back(service)

        restarted = await service.end(await service.ask(Restart(by="me")))
        assert (restarted.version, code(service)) == (1, FIRST)
        await service.end(await service.ask(Scale(by="me", instances=2)))
        await service.end(await service.update("model_config=two"))
        assert (code(service), service.serving) == (FIRST, ["two", "two"])
        held = service.history.versions()[-1]
        assert (held.number, held.pinned, held.files) == (4, True, service.history.versions()[0].files)

        assert (await same_file(service)).effect is Effect.ROLLOUT
        assert code(service) == "# edited in place"
        assert not service.history.versions()[-1].pinned


async def test_an_update_that_finds_the_same_files_lets_go_of_them_too(tmp_path: Path) -> None:
    """Else what is edited after it would be passed over by the next restart, and the one after that."""
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        await same_file(service)
        await back(service)
        assert service.history.versions()[0].pinned

        edit(service, FIRST)
        shutil.copystat(service.updates.current.artifacts.entry, service.directory / "package" / "app.py")
        assert (await service.end(await service.update("model_config=one"))).reason == "nothing is new"
        assert service.history.versions()[0].pinned, "it is about the flag alone"
        assert (await same_file(service)).reason == "nothing is new"
        assert not service.history.versions()[0].pinned

        edit(service, "# edited again")
        await service.end(await service.ask(Restart(by="me")))
        assert code(service) == "# edited again"


async def test_an_update_that_names_another_model_takes_what_lies_there(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        (tmp_path / "model").mkdir()
        edit(service, "# edited in place")
        await same_file(service)
        await back(service)

        await service.end(await service.update("model_path=model"))

        assert code(service) == "# edited in place"


async def test_a_restart_that_finds_other_files_makes_a_version_of_them(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")

        done = await service.end(await service.ask(Restart(by="me")))

        assert (done.version, done.reason) == (2, "the files of the model or the processor are new")
        assert [one.kind for one in service.history.versions()] == ["start", "restart"]
        await back(service)
        assert code(service) == FIRST


async def test_a_version_like_the_one_that_holds_takes_its_place_all_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.end(await service.update("metadata.rpc.max_queue_size=3"))
        await service.end(await service.update("metadata.rpc.max_queue_size=64"))

        done = await back(service, 1)

        assert (done.state, done.effect, done.version) == (DONE, Effect.AT_ONCE, 1)
        assert service.updates.current.version == 1
        assert service.states == ["current", "replaced", "replaced"]


async def test_a_version_whose_files_are_not_known_takes_what_lies_there(tmp_path: Path) -> None:
    """One that an engine kept before they were written down."""
    async with serving(tmp_path) as service:
        await service.end(await service.update(text=service.file(model_config="two")))
        service.history.settle(1, "replaced", held=("", False))
        edit(service, "# edited in place")

        done = await back(service, 1)

        assert (done.state, code(service)) == (DONE, "# edited in place")


def test_a_start_that_cannot_have_the_files_of_its_version_is_refused(tmp_path: Path) -> None:
    for name in ("package", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "package/app.py").write_text(FIRST)
    checked = read(json.dumps(PLAIN), tmp_path / "service.json")
    given: dict[str, Any] = {
        "places": places(tmp_path, ()),
        "clock": SystemClock(),
        "progress": SilentProgress(),
    }
    with configured(checked, 1, **given) as made:
        assert (made.pinned, len(made.files)) == (False, 16)
    with configured(checked, 1, **given, files=made.files) as again:
        assert (again.pinned, again.files) == (True, made.files)
    with pytest.raises(OtherFilesError) as caught, configured(checked, 1, **given, files="0" * 16):
        pass
    assert caught.value.exit_status == 3


# -- what a dry run says


@pytest.mark.parametrize(
    ("text", "effect", "note"),
    [
        (
            FIRST,
            Effect.NOTHING,
            "the files of the model and the processor are the same: there is nothing to do",
        ),
        ("# edited in place", Effect.ROLLOUT, "the files of the model or the processor are new"),
    ],
)
async def test_a_dry_run_looks_at_local_files(tmp_path: Path, text: str, effect: Effect, note: str) -> None:
    async with serving(tmp_path) as service:
        if text != FIRST:
            edit(service, text)

        plan = await service.updates.plan(Update(by="me", text=service.file(model_config="one")))

        assert (plan.effect, plan.notes) == (effect, (note,))
        assert service.states == ["current"]


@pytest.mark.parametrize("more", [{"rpc": {"max_queue_size": 3}}, {"instance": 2}])
async def test_a_setting_and_files_that_were_edited_in_place_are_one_rollout(
    tmp_path: Path, more: dict[str, object]
) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")
        text = service.file(model_config="one", metadata=more)

        plan = await service.updates.plan(Update(by="me", text=text))
        assert (plan.effect, plan.notes) == (
            Effect.ROLLOUT,
            ("the files of the model or the processor are new",),
        )
        done = await service.end(await service.update(text=text))

        assert (done.state, done.effect, done.version) == (DONE, Effect.ROLLOUT, 2)
        assert (done.reason, code(service)) == (plan.notes[0], "# edited in place")
        rpc, instances = service.updates.current.loaded.spec.metadata.rpc, len(service.serving)
        assert 3 in (rpc.max_queue_size, instances + 1)
        await back(service)
        assert code(service) == FIRST


async def test_a_setting_alone_leaves_the_files_that_were_edited_and_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        edit(service, "# edited in place")

        done = await service.end(await service.update("metadata.rpc.max_queue_size=3"))

        assert (done.effect, code(service)) == (Effect.AT_ONCE, FIRST)
        assert any("stay as they were: update FILE" in one for one in done.warnings)


async def test_the_file_of_a_service_beside_its_code_is_no_new_code(tmp_path: Path) -> None:
    """Its settings apply at once, as they would if it lay elsewhere."""
    here = {"processor_path": ".", "processor_entry": "package/app.py"}
    (tmp_path / "service.json").write_text("{}")
    async with serving(tmp_path, **here) as service:
        text = service.file(model_config="one", metadata={"rpc": {"max_queue_size": 3}}, **here)
        (tmp_path / "service.json").write_text(text)

        done = await service.end(await service.update(text=text))
        again = await service.end(await service.update(text=text))

        assert (done.effect, done.warnings, again.reason) == (Effect.AT_ONCE, (), "nothing is new")
        edit(service, "# edited in place")
        assert (await service.end(await service.update(text=text))).effect is Effect.ROLLOUT


async def test_what_would_have_to_be_unpacked_to_be_looked_at_is_said_to_stay(tmp_path: Path) -> None:
    pack(tmp_path / "model.tar", "# weights")
    async with serving(tmp_path, model_path="model.tar") as service:
        pack(tmp_path / "model.tar", "# other weights")
        given: dict[str, Any] = {"model_config": "one", "model_path": "model.tar"}
        text = service.file(**given, metadata={"rpc": {"max_queue_size": 3}})

        plan = await service.updates.plan(Update(by="me", text=text))
        done = await service.end(await service.update(text=text))

        assert (plan.effect, done.effect) == (Effect.AT_ONCE, Effect.AT_ONCE)
        assert plan.notes[0].endswith("stay as they are: the same update once more takes new ones")
        assert plan.notes[0] in done.warnings
        await service.end(await service.update(text=text))
        assert weights(service, "weights") == "# other weights"


async def test_a_dry_run_says_what_it_would_have_to_unpack_to_look_at(tmp_path: Path) -> None:
    pack(tmp_path / "model.tar", "# weights")
    async with serving(tmp_path, model_path="model.tar") as service:
        text = service.file(model_config="one", model_path="model.tar")

        plan = await service.updates.plan(Update(by="me", text=text))

        assert plan.effect is Effect.NOTHING
        [note] = plan.notes
        assert note.startswith("nothing was fetched or unpacked to look at")
