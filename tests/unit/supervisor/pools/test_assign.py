"""Where instances go: examples, with the figures that people are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eas_engine.spec.engine.pools import pools_of
from eas_engine.supervisor.pools.assign import assign, used_cpu, used_memory
from eas_engine.supervisor.pools.claims import Claim
from support.pools import machine, placed, reason, request
from support.services import GIB


class TestWithoutGroups:
    POOLS = pools_of(machine(4))

    def test_cpus_are_counted_and_nobody_is_bound_to_some(self) -> None:
        claims = placed(self.POOLS, request(self.POOLS, cpu=2), request(self.POOLS, "digits-1", cpu=2))
        assert [(one.cpus, one.node, one.alone) for one in claims] == [((), None, False)] * 2
        found = assign(request(self.POOLS, "other-0", cpu=0.5), self.POOLS, claims)
        assert reason(found) == ("needs 0.5 CPUs; this machine: 4, of which digits-0 has 2, digits-1 has 2")

    def test_three_tenths_are_exactly_that(self) -> None:
        pools = pools_of(machine(1))
        claims = placed(pools, *(request(pools, f"digits-{one}", cpu=0.1) for one in range(10)))
        assert used_cpu(pools.rest, claims) == 1000

    def test_who_asks_for_no_cpu_counts_for_nothing(self) -> None:
        many = [request(self.POOLS, f"digits-{one}") for one in range(50)]
        claims = placed(self.POOLS, *many, request(self.POOLS, "whole-0", cpu=4))
        assert used_cpu(self.POOLS.rest, claims) == 4000

    def test_memory_is_counted_whatever_the_cpu(self) -> None:
        claims = placed(self.POOLS, request(self.POOLS, memory=10), request(self.POOLS, "b-0", memory=6))
        assert used_memory(self.POOLS.rest, claims) == 16 * GIB
        found = assign(request(self.POOLS, "c-0", memory=1), self.POOLS, claims)
        assert reason(found) == (
            "needs 1 GiB of memory; this machine: 16 GiB, of which digits-0 has 10 GiB, b-0 has 6 GiB"
        )

    def test_another_workspaces_instance_is_named_with_it(self) -> None:
        claims = placed(self.POOLS, request(self.POOLS, cpu=4, workspace="team"))
        assert "of which team/digits-0 has 4" in reason(
            assign(request(self.POOLS, cpu=1), self.POOLS, claims)
        )

    def test_a_crowd_is_cut_short(self) -> None:
        claims = placed(self.POOLS, *(request(self.POOLS, f"d-{one}", cpu=0.5) for one in range(8)))
        text = reason(assign(request(self.POOLS, "e-0", cpu=1), self.POOLS, claims))
        assert text.startswith("needs 1 CPU; this machine: 4, of which d-0 has 0.5, ")
        assert text.endswith("d-5 has 0.5, 2 more have some")


class TestGroups:
    POOLS = pools_of(machine(8, {"fast": "0-3", "slow": "4-5"}))

    def test_whole_cpus_are_an_instances_own(self) -> None:
        claims = placed(
            self.POOLS,
            request(self.POOLS, cpu=2, resource="fast"),
            request(self.POOLS, "digits-1", cpu=1, resource="fast"),
            request(self.POOLS, "resnet-0", cpu=1, resource="fast"),
        )
        assert [(one.cpus, one.alone) for one in claims] == [((0, 1), True), ((2,), True), ((3,), True)]
        found = assign(request(self.POOLS, "other-0", cpu=1, resource="fast"), self.POOLS, claims)
        assert reason(found) == (
            "needs 1 CPU; group fast: 4, of which digits-0 has 2, digits-1 has 1, resnet-0 has 1"
        )

    def test_parts_of_cpus_share_as_few_as_they_need(self) -> None:
        claims = placed(
            self.POOLS,
            request(self.POOLS, cpu=0.5, resource="fast"),
            request(self.POOLS, "digits-1", cpu=0.5, resource="fast"),
            request(self.POOLS, "digits-2", cpu=1.5, resource="fast"),
            request(self.POOLS, "whole-0", cpu=1, resource="fast"),
        )
        assert [(one.cpus, one.alone) for one in claims] == [
            ((3,), False),
            ((3,), False),
            ((1, 2, 3), False),
            ((0,), True),
        ]

    def test_whole_cpus_that_are_in_use_here_and_there_are_shared(self) -> None:
        """Two halves ended up on two CPUs; one that asks for all that is left can't have it for itself."""
        claims = placed(
            self.POOLS,
            request(self.POOLS, cpu=1, resource="slow"),
            request(self.POOLS, "digits-1", cpu=0.6, resource="slow"),
        )
        claims = [replace(claims[1], cpus=(4, 5))]
        found = assign(request(self.POOLS, "whole-0", cpu=1, resource="slow"), self.POOLS, claims)
        assert isinstance(found, Claim)
        assert (found.cpus, found.alone) == ((4, 5), False)

    def test_who_isnt_counted_keeps_off_what_others_have_alone(self) -> None:
        claims = placed(
            self.POOLS,
            request(self.POOLS, cpu=2, resource="fast"),
            request(self.POOLS, "b-0", resource="fast"),
        )
        assert claims[1].cpus == (2, 3)
        full = placed(self.POOLS, request(self.POOLS, cpu=4, resource="fast"))
        found = assign(request(self.POOLS, "b-0", resource="fast"), self.POOLS, full)
        assert isinstance(found, Claim)
        assert found.cpus == (0, 1, 2, 3), "or it could run nowhere"

    def test_who_names_no_group_has_what_no_group_has(self) -> None:
        claims = placed(self.POOLS, request(self.POOLS, cpu=2), request(self.POOLS, "b-0"))
        assert [(one.group, one.cpus) for one in claims] == [("", (6, 7)), ("", (6, 7))]
        found = assign(request(self.POOLS, "c-0", cpu=0.1), self.POOLS, claims)
        assert reason(found) == "needs 0.1 CPUs; what is in no group: 2, of which digits-0 has 2"

    def test_groups_that_have_every_cpu_leave_nothing(self) -> None:
        pools = pools_of(machine(2, {"all": "0-1"}))
        found = assign(request(pools), pools, [])
        assert "every CPU of this machine is in a resource group" in reason(found)

    def test_a_group_that_is_not_defined(self) -> None:
        assert "isn't defined" in reason(assign(request(self.POOLS, resource="gold"), self.POOLS, []))

    def test_memory_of_its_own_is_nobody_elses(self) -> None:
        pools = pools_of(machine(8, {"fast": "0-3", "slow": "4-5"}, memory={"fast": 4}))
        claims = placed(
            pools,
            request(pools, memory=4, resource="fast"),
            request(pools, "b-0", memory=8, resource="slow"),
            request(pools, "c-0", memory=4),
        )
        assert "group fast: 4 GiB, of which digits-0 has 4 GiB" in reason(
            assign(request(pools, "d-0", memory=1, resource="fast"), pools, claims)
        )
        assert "group slow: 12 GiB, of which b-0 has 8 GiB, c-0 has 4 GiB" in reason(
            assign(request(pools, "d-0", memory=1, resource="slow"), pools, claims)
        )

    def test_with_rebalancing_who_does_not_fit_is_in_a_lower_group(self) -> None:
        claims = placed(
            self.POOLS,
            *(request(self.POOLS, f"d-{one}", cpu=2, resource="fast", rebalancing=True) for one in range(4)),
        )
        assert [one.group for one in claims] == ["fast", "fast", "slow", ""]
        found = assign(
            request(self.POOLS, "e-0", cpu=2, resource="fast", rebalancing=True), self.POOLS, claims
        )
        assert reason(found).count("needs 2 CPUs") == 3
        lower = assign(request(self.POOLS, "e-0", cpu=2, resource="slow", rebalancing=True), self.POOLS, [])
        assert isinstance(lower, Claim)
        assert lower.group == "slow", "never in a higher one than it names"


class TestNodes:
    POOLS = pools_of(machine(8, nodes=2))
    GROUP = pools_of(machine(8, {"all": "0-7"}, nodes=2))

    def test_spreading_takes_the_node_with_the_fewest_of_the_service(self) -> None:
        claims = placed(
            self.POOLS, *(request(self.POOLS, f"d-{one}", cpu=1, spread="host") for one in range(4))
        )
        assert [one.node for one in claims] == [0, 1, 0, 1]
        assert claims[1].cpus == (4, 5, 6, 7)

    def test_zone_is_as_host_on_one_machine(self) -> None:
        claims = placed(self.POOLS, *(request(self.POOLS, f"d-{one}", spread="zone") for one in range(2)))
        assert [one.node for one in claims] == [0, 1]

    def test_between_equals_the_node_with_fewer_cpus_taken(self) -> None:
        claims = placed(
            self.POOLS,
            request(self.POOLS, "big-0", cpu=3, spread="host"),
            request(self.POOLS, "d-0", cpu=1, spread="host"),
        )
        assert [one.node for one in claims] == [0, 1]

    def test_who_fits_into_no_node_may_run_on_several(self) -> None:
        claims = placed(self.POOLS, request(self.POOLS, cpu=6, spread="host"))
        assert (claims[0].cpus, claims[0].node) == ((), None)
        claims = placed(self.GROUP, request(self.GROUP, cpu=6, spread="host", resource="all"))
        assert (claims[0].cpus, claims[0].node, claims[0].alone) == (tuple(range(6)), None, True)

    def test_first_fit_in_a_group_keeps_an_instance_in_one_node(self) -> None:
        claims = placed(
            self.GROUP, *(request(self.GROUP, f"d-{one}", cpu=3, resource="all") for one in range(2))
        )
        assert [one.cpus for one in claims] == [(0, 1, 2), (4, 5, 6)]
        assert [one.node for one in claims] == [0, 1]

    def test_without_a_reason_nobody_is_bound_to_a_node(self) -> None:
        (claim,) = placed(self.GROUP, request(self.GROUP, resource="all"))
        assert (claim.cpus, claim.node) == (tuple(range(8)), None)


@pytest.mark.parametrize("within", [(0, 1), (2, 3), (1, 2)])
def test_engines_with_other_cpus_count_where_they_overlap(within: tuple[int, ...]) -> None:
    """An engine under ``taskset`` has a machine of its own, and the others' may be another one."""
    pools = pools_of(replace(machine(2), cpu_numbers=(0, 1)))
    foreign = Claim(service="other", instance="other-0", cpu=2000, within=within)
    found = assign(request(pools, cpu=1), pools, [foreign])
    assert isinstance(found, Claim) is (within == (2, 3))
