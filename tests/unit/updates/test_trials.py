"""Canaries and shadows of a running service: each is promoted, or goes and leaves everything as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eas_engine.operations import (
    OperationState,
    Promote,
    RefusedError,
    Restart,
    Rollback,
)
from support.updating import pack, serving

DONE, FAILED, SUPERSEDED = OperationState.DONE, OperationState.FAILED, OperationState.SUPERSEDED


async def test_a_canary_runs_beside_the_service_until_it_is_promoted(tmp_path: Path) -> None:
    async with serving(tmp_path, metadata={"instance": 2}) as service:
        text = service.file(model_config="two", metadata={"instance": 2})
        canary = await service.update(text=text, canary=0.1)
        await service.until(lambda: service.now(canary).state is OperationState.TRYING)

        assert sorted(service.serving) == ["one", "one", "two"]
        assert service.states == ["current", "trying"]
        assert service.lanes.calls == ["canary 2"]

        done = await service.end(await service.ask(Promote(by="me")))

        assert (done.state, service.serving) == (DONE, ["two", "two"])
        assert (await service.end(canary)).state is DONE
        assert service.lanes.calls == ["canary 2", "merge 2"]
        assert service.states == ["replaced", "current"]


async def test_a_canary_that_is_rolled_back_leaves_the_service_as_it_was(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        canary = await service.update(text=service.file(model_config="two"), shadow=0.5)
        await service.until(lambda: service.now(canary).state is OperationState.TRYING)

        await service.end(await service.ask(Rollback(by="me")))

        assert (await service.end(canary)).reason == "dismissed: by me"
        await service.until(lambda: service.serving == ["one"])
        assert service.lanes.calls == ["shadow 2", "close 2"]
        assert service.states == ["current", "failed"]


async def test_a_canary_that_breaks_its_objective_goes_by_itself(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        canary = await service.update(
            text=service.file(model_config="two"), canary=0.1, objective="errors=1%"
        )
        await service.until(lambda: service.now(canary).state is OperationState.TRYING)

        service.lanes.verdict = "errors are 3 %"

        done = await service.end(canary)
        assert (done.state, done.reason) == (FAILED, "dismissed: its objective is not met: errors are 3 %")
        assert service.updates.tried(2) == {"kind": "canary", "share": 0.1, "objective": "errors=1%"}
        assert service.updates.tried(1) == {}
        assert service.states == ["current", "failed"]


async def test_a_canary_that_never_starts_is_dismissed(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        done = await service.end(await service.update(text=service.file(model_config="refuse"), canary=0.1))

        assert done.state is FAILED
        assert "told to refuse" in done.reason
        assert service.serving == ["one"]
        await service.update(text=service.file(model_config="two"))  # nothing is tried out any more


async def test_while_something_is_tried_out_no_update_comes_in_between(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        canary = await service.update(text=service.file(model_config="two"), canary=0.1)
        await service.until(lambda: service.now(canary).state is OperationState.TRYING)

        for asked in (Restart(by="me"), Rollback(by="me", version=1)):
            with pytest.raises(RefusedError, match=r"version 2 is being tried out: eas-engine promote"):
                await service.ask(asked)
        with pytest.raises(RefusedError) as caught:
            await service.update("token=x")
        assert caught.value.conflict


async def test_nothing_to_promote_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError, match="nothing is tried out"):
            await service.ask(Promote(by="me"))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"canary": 0.1}, "nothing that a canary could try out"),
        ({"canary": 0.1, "shadow": 0.1}, "expected one of them"),
        ({"objective": "errors=1%"}, "needs a canary"),
        ({"canary": 0.1, "objective": "errors"}, "nothing that a canary could try out"),
    ],
)
async def test_a_trial_that_makes_no_sense_is_refused(
    tmp_path: Path, how: dict[str, Any], reason: str
) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError, match=reason):
            await service.update("token=x", **how)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"canary": 0.1, "objective": "errors"}, "--slo: 'errors' is no part of an objective"),
        ({"canary": 1.0}, "a share of 1: expected more than 0% and less than 100%"),
        ({"shadow": 0.0}, "a share of 0: expected"),
    ],
)
async def test_shares_and_objectives_are_looked_at_before_anything_happens(
    tmp_path: Path, how: dict[str, Any], reason: str
) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(RefusedError, match=reason):
            await service.update(text=service.file(model_config="two"), **how)
        assert service.states == ["current"]


async def test_a_release_whose_requests_go_another_way_gets_a_lane_until_it_is_done(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        service.lanes.differs = True
        await service.end(await service.update(text=service.file(model_config="two")))
        await service.end(await service.update(text=service.file(model_config="refuse")))

        assert service.lanes.calls == ["beside 2", "merge 2", "beside 3", "close 3"]


@pytest.mark.parametrize("how", [{"canary": 0.5}, {"shadow": 0.5}])
async def test_new_code_in_the_same_place_is_tried_out(tmp_path: Path, how: dict[str, float]) -> None:
    async with serving(tmp_path) as service:
        (tmp_path / "package" / "app.py").write_text("# another processor")

        begun = await service.update(text=service.file(model_config="one"), **how)
        await service.until(lambda: service.now(begun).state is OperationState.TRYING)

        assert (begun.version, service.states) == (2, ["current", "trying"])
        await service.end(await service.ask(Promote(by="me")))
        assert service.updates.current.artifacts.entry.read_text() == "# another processor"


async def test_a_model_that_must_be_fetched_to_be_looked_at_is_tried_out_if_it_is_new(tmp_path: Path) -> None:
    archive, given = tmp_path / "model.tar", {"model_config": "one", "model_path": "model.tar"}
    pack(archive, "# weights")
    async with serving(tmp_path, model_path="model.tar") as service:
        done = await service.end(await service.update(text=service.file(**given), canary=0.5))
        assert done.state is OperationState.FAILED
        assert done.reason == "nothing that could be tried out: the files are the same, too"

        pack(archive, "# other weights")
        begun = await service.update(text=service.file(**given), canary=0.5)
        await service.until(lambda: service.now(begun).state is OperationState.TRYING)
        assert service.states == ["current", "trying"]
