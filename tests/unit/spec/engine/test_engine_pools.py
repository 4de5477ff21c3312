"""What the groups of a machine mean for a service: refused, warned of, clipped, and said by check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eas_engine.spec import Loaded, startable
from eas_engine.spec.check import effective
from eas_engine.spec.engine.pools import Pool, pools_of
from eas_engine.spec.machine_types import MachineType
from support.pools import machine
from support.services import GIB, MACHINE, python_service, read

GROUPS = machine(8, {"fast": "0-3", "slow": "4-5"}, memory={"fast": 4})


def said(loaded: Loaded) -> tuple[dict[str, str], dict[str, str]]:
    """What is refused, and what is warned of, by parameter."""
    refusals, warnings = startable(loaded)
    return {one.path: one.message for one in refusals}, {one.path: one.message for one in warnings}


def service(directory: Path, metadata: dict[str, Any], on: Any = GROUPS, **more: Any) -> Loaded:
    return read(directory, python_service(metadata=metadata, **more), machine=on)


def test_the_pools_of_a_machine() -> None:
    pools = pools_of(GROUPS)
    assert pools.every == (
        Pool("fast", (0, 1, 2, 3), 4 * GIB, shares_memory=False, priority=2),
        Pool("slow", (4, 5), 12 * GIB, priority=1),
        Pool("", (6, 7), 12 * GIB),
    )
    assert pools_of(machine(2)).every == (Pool("", (0, 1), 16 * GIB, whole_machine=True),)
    assert [one.name for one in pools_of(machine(2, {"all": "0-1"})).every] == ["all"]


@pytest.mark.parametrize(
    ("resource", "rebalancing", "names"),
    [
        ("", False, [""]),
        ("fast", False, ["fast"]),
        ("gold", False, []),
        ("gold", True, []),
        ("fast", True, ["fast", "slow", ""]),
        ("slow", True, ["slow", ""]),
        ("", True, ["fast", "slow", ""]),
    ],
)
def test_where_a_services_instances_may_be(resource: str, rebalancing: bool, names: list[str]) -> None:
    found = pools_of(GROUPS).choices(resource, rebalancing=rebalancing)
    assert [one.name for one in found] == names
    assert [one.name for one in pools_of(MACHINE).choices(resource, rebalancing=rebalancing)] == [""]


def test_groups_of_the_same_priority_are_not_below_each_other() -> None:
    same = replace(
        GROUPS,
        settings=replace(
            GROUPS.settings, groups=tuple(replace(one, priority=0) for one in GROUPS.settings.groups)
        ),
    )
    assert [one.name for one in pools_of(same).choices("fast", rebalancing=True)] == ["fast", ""]


@pytest.mark.parametrize(
    ("metadata", "path", "words"),
    [
        (
            {"resource": "gold"},
            "metadata.resource",
            '"gold": no resource group of this machine; it has fast, slow',
        ),
        ({"resource": "fast", "cpu": 5}, "metadata.cpu", "5 CPUs asked for, group fast has 4"),
        ({"cpu": 3}, "metadata.cpu", "3 CPUs asked for, what is in no group has 2"),
        (
            {"resource": "fast", "memory": 5000},
            "metadata.memory",
            "5000 MB asked for, group fast has 4096",
        ),
        (
            {"resource": "slow", "memory": 13000},
            "metadata.memory",
            "13000 MB asked for, group slow has 12288",
        ),
        ({"resource": "slow", "resource_rebalancing": True, "cpu": 3}, "metadata.cpu", "group slow has 2"),
    ],
)
def test_more_than_a_group_can_ever_hold_is_refused_with_both_figures(
    tmp_path: Path, metadata: dict[str, Any], path: str, words: str
) -> None:
    refusals, _ = said(service(tmp_path, metadata))
    assert words in refusals[path]


def test_the_whole_machine_has_its_figures_too(tmp_path: Path) -> None:
    refusals, _ = said(service(tmp_path, {"cpu": 5, "memory": 9000}, MACHINE))
    assert refusals["metadata.cpu"] == "5 CPUs asked for, this machine has 4"
    assert "9000 MB asked for, this machine has 8192 MB" in refusals["metadata.memory"]


def test_a_machine_whose_every_cpu_is_in_a_group_asks_for_one(tmp_path: Path) -> None:
    full = machine(2, {"a": "0", "b": "1"})
    refusals, _ = said(service(tmp_path, {}, full))
    assert refusals == {
        "metadata.resource": "every CPU of this machine is in a resource group: name one of a, b"
    }
    assert said(service(tmp_path, {"resource": "a"}, full))[0] == {}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (
            {"resource": "fast", "cpu": 2, "instance": 3},
            "3 asked for, group fast can hold 2: the others stay pending",
        ),
        ({"resource": "fast", "cpu": 2, "instance": 2}, ""),
        ({"resource": "fast", "cpu": 2, "instance": 3, "qos": "BestEffort"}, ""),
        (
            {"resource": "fast", "resource_rebalancing": True, "cpu": 2, "instance": 5},
            "5 asked for, group fast and group slow and what is in no group can hold 4",
        ),
        ({"resource": "fast", "cpu": 0.3, "instance": 14}, "14 asked for, group fast can hold 13"),
        ({"instance": 1000}, "1000 asked for, what is in no group has 2 CPUs, which all of them share"),
        ({"resource": "fast", "instance": 32}, ""),
    ],
)
def test_more_instances_than_fit_are_warned_of(tmp_path: Path, metadata: dict[str, Any], words: str) -> None:
    _, warnings = said(service(tmp_path, metadata))
    found = warnings.get("metadata.instance", "")
    assert found.startswith(words) if words else not found


def test_rebalancing_without_anything_below_is_warned_of(tmp_path: Path) -> None:
    both = machine(4, {"high": "0-1", "low": "2-3"})
    given = {"resource": "low", "resource_rebalancing": True}
    assert said(service(tmp_path, given, both))[1]["metadata.resource_rebalancing"] == (
        "no effect: group low has nothing below it"
    )
    none = said(service(tmp_path, {"resource_rebalancing": True}, MACHINE))[1]
    assert none["metadata.resource_rebalancing"] == "no effect: there are no resource groups"
    assert (
        "metadata.resource_rebalancing" not in said(service(tmp_path, given | {"resource": "high"}, both))[1]
    )


class TestTypes:
    OWN = replace(
        GROUPS,
        settings=replace(
            GROUPS.settings,
            types={
                "ours.small": MachineType("ours.small", 2, 2048),
                "ours.big": MachineType("ours.big", 6, 8192),
            },
        ),
    )

    def sized(self, directory: Path, metadata: dict[str, Any], **computing: Any) -> Loaded:
        return service(directory, metadata, self.OWN, cloud={"computing": computing})

    def test_an_own_type_gives_its_figures(self, tmp_path: Path) -> None:
        loaded = self.sized(tmp_path, {"resource": "fast"}, instance_type="ours.small")
        assert (loaded.spec.metadata.cpu, loaded.spec.metadata.memory) == (2, 2048)
        assert str(loaded.origins["metadata.cpu"]) == "instance_type: ours.small"
        assert loaded.warnings == ()

    def test_one_that_the_group_cannot_hold_is_clipped_to_it(self, tmp_path: Path) -> None:
        loaded = self.sized(tmp_path, {"resource": "fast"}, instance_type="ours.big")
        assert (loaded.spec.metadata.cpu, loaded.spec.metadata.memory) == (4, 4096)
        assert [one.message for one in loaded.warnings] == [
            "ours.big has 6 CPUs (here 4), 8192 MB of memory (here 4096): clipped to group fast"
        ]

    def test_the_first_that_the_group_can_hold_is_taken(self, tmp_path: Path) -> None:
        several = [{"type": "ours.big"}, {"type": "unheard.of"}, {"type": "ours.small"}]
        loaded = self.sized(tmp_path, {"resource": "fast"}, instances=several)
        assert loaded.spec.metadata.cpu == 2
        assert [one.message for one in loaded.warnings] == [
            '"unheard.of": a machine type not in the table, nor in the engine settings; it gives nothing'
        ]


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        ({"metadata": {"resource": "fast"}}, "metadata.resource", "group fast (CPUs 0-3)"),
        (
            {"metadata": {"resource": "gold"}},
            "metadata.resource",
            "no group of this machine; it has fast, slow",
        ),
        ({}, "metadata.resource", "what is in no group (CPUs 6-7)"),
        (
            {"metadata": {"resource": "fast", "resource_rebalancing": True}},
            "metadata.resource",
            "group fast (CPUs 0-3), else group slow (CPUs 4-5), else what is in no group (CPUs 6-7)",
        ),
        ({"metadata.scheduling.spread.policy": "host"}, "metadata.scheduling.spread.policy", "one NUMA node"),
        ({}, "metadata.scheduling.spread.policy", "the first place with room"),
        (
            {"cloud.computing.instance_type": "ecs.c7.large"},
            "cloud.computing.instance_type",
            "2 CPUs, 4096 MB",
        ),
        ({"cloud.computing.instance_type": "x"}, "cloud.computing.instance_type", "not in the table"),
    ],
)
def test_check_says_what_comes_of_it(tmp_path: Path, content: dict[str, Any], path: str, words: str) -> None:
    found = {
        one["path"]: one["here"]
        for one in effective(read(tmp_path, python_service(**content), machine=GROUPS))
    }
    assert words in found[path]
