"""Where instances go: what holds whatever comes, goes and asks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from eas_engine.spec.engine.pools import Pool, Pools, pools_of
from eas_engine.supervisor.place import NoPlace, Spread
from eas_engine.supervisor.pools.assign import Request, assign, used_cpu, used_memory
from eas_engine.supervisor.pools.claims import Claim
from support.pools import machine, request

MACHINES = st.builds(
    lambda groups, nodes, own: pools_of(
        machine(8, dict(zip(("fast", "slow"), groups, strict=False)), nodes=nodes, memory={"fast": own})
    ),
    st.sampled_from([(), ("0-3", "4-5"), ("0-7",), ("1,3,5", "0,2,4,6-7"), ("2-5",)]),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 8),
)
CPU = st.sampled_from([0, 0.1, 0.25, 0.3, 0.5, 1, 1.5, 2, 3, 4, 7, 8])


@dataclass(frozen=True)
class Ask:
    """One instance comes; or, if ``leaves`` is there, the one with that number leaves."""

    cpu: float
    memory: int
    resource: str
    spread: Spread
    rebalancing: bool
    leaves: int | None


ASKS = st.builds(
    Ask,
    CPU,
    st.integers(0, 9),
    st.sampled_from(["", "fast", "slow"]),
    st.sampled_from(["default", "host", "zone"]),
    st.booleans(),
    st.none() | st.integers(0, 5),
)


def asked(pools: Pools, number: int, ask: Ask) -> Request:
    return request(
        pools,
        f"{'ab'[number % 2]}-{number}",
        ask.cpu,
        resource=ask.resource if pools.groups else "",
        spread=ask.spread,
        memory=ask.memory,
        rebalancing=ask.rebalancing,
    )


def fits(pool: Pool, one: Request, claims: Sequence[Claim]) -> bool:
    """By the figures alone."""
    return (
        bool(pool.cpus)
        and (not one.cpu or used_cpu(pool, claims) + one.cpu <= len(pool.cpus) * 1000)
        and (not one.memory or used_memory(pool, claims) + one.memory <= pool.memory)
    )


def check(pools: Pools, claims: Sequence[Claim]) -> None:
    """What must hold at any moment."""
    for pool in pools.every:
        mine = [one for one in claims if one.group == pool.name]
        assert sum(one.cpu for one in mine) == used_cpu(pool, claims) <= len(pool.cpus) * 1000
        assert used_memory(pool, claims) <= pool.memory
        for one in mine:
            assert set(one.cpus or one.within) <= set(pool.cpus)
    for one in claims:
        if one.alone:
            assert len(one.cpus) * 1000 == one.cpu
            others = [other for other in claims if other is not one and other.cpu]
            assert all(set(one.cpus).isdisjoint(other.cpus or other.within) for other in others)
    check_enough(claims)


def check_enough(claims: Sequence[Claim]) -> None:
    """Nobody is short: any of those who are counted may together run on as many CPUs as they ask for."""
    counted = [one for one in claims if one.cpu]
    for count in range(1, len(counted) + 1):
        for some in itertools.combinations(counted, count):
            reach = {cpu for one in some for cpu in (one.cpus or one.within)}
            assert sum(one.cpu for one in some) <= len(reach) * 1000, some


@given(MACHINES, st.lists(ASKS, max_size=9))
def test_never_over_a_pool_and_never_refused_what_fits(pools: Pools, asks: list[Ask]) -> None:
    claims: list[Claim] = []
    for number, ask in enumerate(asks):
        if ask.leaves is not None:
            claims = [one for at, one in enumerate(claims) if at != ask.leaves]
            continue
        one = asked(pools, number, ask)
        found = assign(one, pools, claims)
        assert found == assign(one, pools, claims), "the same input, the same place"
        first = next((pool for pool in one.choices if fits(pool, one, claims)), None)
        if isinstance(found, NoPlace):
            assert first is None
            assert found.reason
        else:
            assert first is not None
            assert found.group == first.name, "the best of its pools that has room"
            claims.append(found)
        check(pools, claims)


@settings(max_examples=300)
@given(
    st.sampled_from([1, 2, 4]),
    st.lists(
        st.tuples(st.sampled_from([0.4, 0.5, 0.75, 1, 1.5, 2]), st.booleans(), st.none() | st.integers(0, 5))
    ),
)
def test_in_a_crowded_group_nobody_is_short(nodes: int, asks: list[tuple[float, bool, int | None]]) -> None:
    """The same where everybody wants the same CPUs, and parts of them."""
    pools = pools_of(machine(8, {"fast": "0-7"}, nodes=nodes))
    claims: list[Claim] = []
    for number, (cpu, spreads, leaves) in enumerate(asks):
        if leaves is not None:
            claims = [one for at, one in enumerate(claims) if at != leaves]
        spread: Spread = "host" if spreads else "default"
        found = assign(request(pools, f"d-{number}", cpu, resource="fast", spread=spread), pools, claims)
        if isinstance(found, Claim):
            claims.append(found)
        check(pools, claims[:9])  # every part of a crowd that isn't short isn't either


@given(MACHINES, ASKS)
def test_what_fits_into_an_empty_machine_is_placed(pools: Pools, ask: Ask) -> None:
    one = asked(pools, 0, ask)
    found = assign(one, pools, [])
    assert isinstance(found, Claim) is any(fits(pool, one, []) for pool in one.choices)


@given(
    st.sampled_from(["", "fast"]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([0, 0.25, 0.5, 1, 2]),
    st.data(),
)
def test_spreading_is_even_while_every_node_has_room(
    resource: str, nodes: int, cpu: float, data: st.DataObject
) -> None:
    pools = pools_of(machine(8, {"fast": "0-7"} if resource else None, nodes=nodes))
    room = int(8 / nodes // cpu) * nodes if cpu else 12
    claims: list[Claim] = []
    for number in range(data.draw(st.integers(0, room))):
        found = assign(request(pools, f"d-{number}", cpu, resource=resource, spread="host"), pools, claims)
        assert isinstance(found, Claim)
        claims.append(found)
    if nodes > 1:
        counts = [sum(one.node == node for one in claims) for node in range(nodes)]
        assert sum(counts) == len(claims), "everybody is in a node"
        assert max(counts) - min(counts) <= 1
