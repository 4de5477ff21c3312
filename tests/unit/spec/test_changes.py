"""What an update costs is said by the parameters that it changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eas_engine.operations import Effect
from eas_engine.spec.changes import AT_ONCE, ENGINE, INSTANCES, changes, plan
from eas_engine.spec.load import Loaded, load_text
from eas_engine.spec.machine import Machine
from eas_engine.spec.parameters import all_parameters

PLAIN: dict[str, Any] = {"name": "digits", "processor_type": "python", "processor_entry": "app.py"}


def loaded(**more: Any) -> Loaded:
    return load_text(
        json.dumps(PLAIN | more), Path("/srv/service.json"), machine=Machine(8, 2**35), environ={}
    )


@pytest.mark.parametrize(
    ("more", "effect", "paths"),
    [
        ({}, Effect.NOTHING, []),
        ({"rpc.max_queue_size": 3}, Effect.AT_ONCE, ["metadata.rpc.max_queue_size"]),
        ({"token": "another"}, Effect.AT_ONCE, ["token"]),
        ({"labels": {"team": "a"}}, Effect.AT_ONCE, ["labels"]),
        ({"metadata": {"instance": 4}}, Effect.INSTANCES, ["metadata.instance"]),
        (
            {"metadata": {"rolling_strategy.max_surge": 2}},
            Effect.AT_ONCE,
            ["metadata.rolling_strategy.max_surge"],
        ),
        ({"processor_entry": "other.py"}, Effect.ROLLOUT, ["processor_entry"]),
        ({"metadata": {"cpu": 2, "instance": 2}}, Effect.ROLLOUT, ["metadata.instance", "metadata.cpu"]),
        ({"metadata": {"rpc.batching": True}}, Effect.ROLLOUT, ["metadata.rpc.batching"]),
        ({"name": "letters"}, Effect.ENGINE, ["name"]),
        (
            {"metadata": {"workspace_id": "1"}, "token": "x"},
            Effect.ENGINE,
            ["token", "metadata.workspace_id"],
        ),
    ],
)
def test_the_dearest_of_its_changes_is_what_an_update_costs(
    more: dict[str, Any], effect: Effect, paths: list[str]
) -> None:
    found = plan(loaded(), loaded(**more))

    assert (found.effect, [one.path for one in found.changes]) == (effect, paths)


def test_an_autoscaler_that_comes_or_goes_is_a_change_at_once() -> None:
    scaled = loaded(autoscaler={"min": 1, "max": 4, "strategies": {"qps": 10}})

    assert {one.path for one in changes(loaded(), scaled)} >= {"autoscaler.min", "autoscaler.max"}
    assert plan(loaded(), scaled).effect is plan(scaled, loaded()).effect is Effect.AT_ONCE


def test_a_machine_type_costs_what_it_gives() -> None:
    typed = loaded(cloud={"computing": {"instance_type": "ecs.c7.large"}})

    found = plan(loaded(), typed)

    assert found.effect is Effect.ROLLOUT
    assert {one.path for one in found.changes} >= {
        "cloud.computing.instance_type",
        "metadata.cpu",
        "metadata.memory",
    }


def test_values_are_shown_but_secrets_are_not() -> None:
    before = loaded(token="first-secret", processor_envs=[{"name": "API_KEY", "value": "second-secret"}])
    after = loaded(token="third-secret", processor_envs=[{"name": "API_KEY", "value": "fourth-secret"}])

    found = list(changes(before, after))

    assert [one.path for one in found] == ["token", "processor_envs"]
    assert "secret" not in str([(one.before, one.after) for one in found])


def test_both_values_are_told() -> None:
    [one] = changes(loaded(), loaded(**{"rpc.keepalive": 900}))

    assert (one.before, one.after) == (None, 900)


def test_every_listed_parameter_exists() -> None:
    known = {one.path for one in all_parameters()}

    assert known >= AT_ONCE | INSTANCES | ENGINE


def test_what_is_listed_is_listed_once() -> None:
    assert not (AT_ONCE & INSTANCES)
    assert not (AT_ONCE & ENGINE)
    assert not (INSTANCES & ENGINE)
