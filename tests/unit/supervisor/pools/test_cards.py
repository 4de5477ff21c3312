"""Which cards instances get: examples with the figures people are told, and what holds whatever comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.devices import Gpu
from eas_engine.spec import Machine
from eas_engine.spec.engine.pools import Pools, pools_of
from eas_engine.spec.engine.settings import EngineSettings, Group
from eas_engine.spec.numa import NumaNode
from eas_engine.supervisor.place import Spread
from eas_engine.supervisor.pools import cards
from eas_engine.supervisor.pools.assign import Request, assign
from eas_engine.supervisor.pools.claims import Claim
from support.pools import placed, reason
from support.services import GIB

A10 = tuple(Gpu("A10", 24 * GIB, f"GPU-{one}") for one in range(2))
NODES = (NumaNode(0, (0, 1)), NumaNode(1, (2, 3)))


def pools(*gpus: Gpu, groups: tuple[Group, ...] = (), nodes: tuple[NumaNode, ...] = ()) -> Pools:
    return pools_of(Machine(4, 16 * GIB, gpus=gpus or A10, settings=EngineSettings(groups), nodes=nodes))


def asks(
    where: Pools,
    instance: str,
    gpus: int = 0,
    *,
    gib: float = 0,
    percent: int = 0,
    resource: str = "",
    spread: Spread = "default",
) -> Request:
    return Request(
        instance=instance,
        service=instance.rpartition("-")[0],
        choices=where.choices(resource, rebalancing=False),
        spread=spread,
        gpus=gpus,
        gpu_memory=int(gib * GIB),
        gpu_percent=percent,
    )


class TestWholeCards:
    def test_are_an_instances_alone(self) -> None:
        here = pools()
        claims = placed(here, asks(here, "a-0", 1), asks(here, "b-0", 1))
        assert [one.cards for one in claims] == [("GPU-0",), ("GPU-1",)]
        assert reason(assign(asks(here, "c-0", 1), here, claims)) == (
            "needs 1 GPU; this machine: 2, of which a-0 has 1, b-0 has 1"
        )

    def test_are_not_those_that_somebody_shares(self) -> None:
        here = pools()
        claims = placed(here, asks(here, "a-0", gib=2, percent=30))
        assert placed(here, asks(here, "a-0", gib=2), asks(here, "b-0", 1))[1].cards == ("GPU-1",)
        assert reason(assign(asks(here, "b-0", 2), here, claims)) == (
            "needs 2 GPUs; this machine: 2, of which a-0 has 2 GiB and 30% of one"
        )

    def test_who_asks_for_none_gets_none(self) -> None:
        here = pools()
        assert placed(here, asks(here, "a-0", 2), asks(here, "b-0"))[1].cards == ()

    def test_of_one_instance_are_in_one_node_where_that_can_be_had(self) -> None:
        nodes = (0, 1, 1, 0)
        here = pools(*(replace(A10[0], uuid=f"GPU-{at}", node=node) for at, node in enumerate(nodes)))
        claims = placed(here, asks(here, "a-0", 1), asks(here, "b-0", 2))
        assert [one.cards for one in claims] == [("GPU-0",), ("GPU-1", "GPU-2")]
        assert placed(here, asks(here, "a-0", 3))[0].cards == ("GPU-0", "GPU-1", "GPU-2")

    def test_slices_are_cards_for_who_wants_one_alone(self) -> None:
        slices = [Gpu("A100 1g.5gb", 5 * GIB, f"MIG-{one}", "GPU-x") for one in range(2)]
        here = pools(*slices, A10[0])
        assert [one.cards for one in placed(here, asks(here, "a-0", 1))] == [("MIG-0",)]
        assert reason(assign(asks(here, "a-0", 2), here, [])) == (
            "needs 2 whole GPUs (of MIG slices a process sees only one); this machine: 1"
        )

    def test_a_machine_without(self) -> None:
        here = pools_of(Machine(4, GIB))
        assert reason(assign(asks(here, "a-0", 1), here, [])) == "needs 1 GPU; this machine: none"
        assert reason(assign(asks(here, "a-0", gib=1), here, [])).endswith("one GPU; this machine: none")

    def test_a_card_without_a_uuid_goes_by_its_number(self) -> None:
        here = pools(Gpu("old", GIB), Gpu("old", GIB))
        assert [one.cards for one in placed(here, asks(here, "a-0", 2))] == [("0", "1")]


class TestShares:
    def test_are_put_where_the_least_is_left(self) -> None:
        here = pools(A10[0], Gpu("T4", 16 * GIB, "GPU-t"))
        claims = placed(here, asks(here, "a-0", gib=10), asks(here, "b-0", gib=10), asks(here, "c-0", gib=6))
        assert [one.cards for one in claims] == [("GPU-t",), ("GPU-0",), ("GPU-t",)]
        assert reason(assign(asks(here, "d-0", gib=15), here, claims)) == (
            "needs 15 GiB of one GPU; this machine: A10 GPU-0: 24 GiB, of which b-0 has 10 GiB; "
            "T4 GPU-t: 16 GiB, of which a-0 has 10 GiB, c-0 has 6 GiB"
        )

    def test_of_compute_are_at_most_all_of_it(self) -> None:
        here = pools(A10[0])
        claims = placed(here, asks(here, "a-0", gib=1, percent=30), asks(here, "b-0", gib=1, percent=70))
        assert placed(here, *(asks(here, f"c-{one}", gib=1) for one in range(24))), "not given: not counted"
        assert reason(assign(asks(here, "c-0", gib=1, percent=1), here, claims)) == (
            "needs 1 GiB and 1% of one GPU; this machine: A10 GPU-0: 24 GiB, of which a-0 has 1 GiB and 30%, "
            "b-0 has 1 GiB and 70%"
        )

    def test_are_not_of_a_card_that_somebody_has_whole(self) -> None:
        here = pools(A10[0])
        claims = placed(here, asks(here, "a-0", 1))
        assert "A10 GPU-0: 24 GiB, of which a-0 has all of it" in reason(
            assign(asks(here, "b-0", gib=1), here, claims)
        )

    def test_spread_over_cards(self) -> None:
        here = pools()
        assert [
            one.cards[0]
            for one in placed(here, *(asks(here, f"a-{n}", gib=4, spread="host") for n in range(4)))
        ] == ["GPU-0", "GPU-1", "GPU-0", "GPU-1"]
        claims = placed(here, *(asks(here, f"a-{one}", gib=4) for one in range(4)))
        assert {one.cards[0] for one in claims} == {"GPU-0"}


class TestGroups:
    HERE = pools(
        groups=(Group("fast", (0,), cards=("GPU-0",)), Group("slow", (1,)), Group("dry", (2,), cards=()))
    )

    def test_have_the_cards_that_they_name_and_nobody_else_has(self) -> None:
        assert placed(self.HERE, asks(self.HERE, "a-0", 1))[0].cards == ("GPU-1",)
        assert placed(self.HERE, asks(self.HERE, "a-0", 1, resource="fast"))[0].cards == ("GPU-0",)
        assert reason(assign(asks(self.HERE, "a-0", 2, resource="fast"), self.HERE, [])) == (
            "needs 2 GPUs; group fast: 1"
        )
        assert reason(assign(asks(self.HERE, "a-0", 1, resource="dry"), self.HERE, [])) == (
            "needs 1 GPU; group dry: none"
        )

    def test_that_name_none_share_what_is_left(self) -> None:
        claims = placed(self.HERE, asks(self.HERE, "a-0", 1, resource="slow"))
        assert claims[0].cards == ("GPU-1",)
        assert reason(assign(asks(self.HERE, "b-0", 1), self.HERE, claims)) == (
            "needs 1 GPU; what is in no group: 1, of which a-0 has 1"
        )

    def test_a_group_instance_runs_near_its_card(self) -> None:
        group = Group("all", (0, 1, 2, 3))
        here = pools(replace(A10[0], node=1), groups=(group,), nodes=NODES)
        found = assign(replace(asks(here, "a-0", 1, resource="all"), cpu=1000), here, [])
        assert isinstance(found, Claim)
        assert (found.cpus, found.node) == ((2,), 1)

    def test_a_lost_card_is_nobodys(self) -> None:
        slices = tuple(Gpu("A100 1g.5gb", 5 * GIB, f"MIG-{one}", "GPU-0") for one in range(2))
        assert list(pools(*slices, A10[1]).without("GPU-0").cards) == ["GPU-1"]
        assert list(pools(*slices, A10[1]).without("MIG-1").cards) == ["MIG-0", "GPU-1"]


def test_another_engines_claims_count_whatever_its_groups_are_called() -> None:
    here = pools(A10[0])
    foreign = Claim(service="x", instance="x-0", group="gold", within=(9,), cards=("GPU-0",), gpu_memory=GIB)
    assert "x-0 has 1 GiB" in reason(assign(asks(here, "a-0", 1), here, [foreign]))


def test_claims_are_written_and_read() -> None:
    here = pools()
    for one in placed(here, asks(here, "a-0", gib=2, percent=30), asks(here, "b-0", 1)):
        assert Claim.from_data(one.as_data(), one.service, "") == one
        old = {name: value for name, value in one.as_data().items() if name not in ("cards", "gpu_memory")}
        assert Claim.from_data(old, one.service, "").cards == (), "an engine of an earlier version"


@dataclass(frozen=True)
class Ask:
    gpus: int
    gib: int
    percent: int
    spread: Spread
    resource: str
    leaves: int | None


ASKS = st.builds(
    Ask,
    st.sampled_from([0, 0, 0, 1, 2, 3]),
    st.integers(0, 25),
    st.sampled_from([0, 10, 30, 50, 100]),
    st.sampled_from(["default", "host"]),
    st.sampled_from(["", "fast"]),
    st.none() | st.integers(0, 5),
)
MACHINES = st.builds(
    lambda sizes, named: pools(
        *(Gpu("X", size * GIB, f"GPU-{at}", node=at % 2) for at, size in enumerate(sizes)),
        groups=(Group("fast", (0,), cards=tuple(f"GPU-{at}" for at in named)),),
    ),
    st.lists(st.sampled_from([8, 16, 24]), min_size=1, max_size=4),
    st.sets(st.integers(0, 3)),
)


def check(here: Pools, claims: Sequence[Claim]) -> None:
    """What must hold at any moment."""
    for uuid, card in here.cards.items():
        mine = [one for one in claims if uuid in one.cards]
        if any(not one.gpu_memory for one in mine):
            assert len(mine) == 1
        assert sum(one.gpu_memory for one in mine) <= card.memory_bytes
        assert sum(one.gpu_percent for one in mine) <= 100


def fits(here: Pools, one: Request, claims: Sequence[Claim]) -> bool:
    """By the figures alone."""
    (pool,) = one.choices
    if one.gpus:
        free = [uuid for uuid in pool.cards if not any(uuid in claim.cards for claim in claims)]
        return len(free) >= one.gpus
    return not one.gpu_memory or any(
        cards.memory_left(uuid, card, claims) >= one.gpu_memory
        and cards.percent_left(uuid, claims) >= one.gpu_percent
        for uuid, card in pool.cards.items()
    )


@given(MACHINES, st.lists(ASKS, max_size=12))
def test_never_over_a_card_and_never_refused_what_fits(here: Pools, wanted: list[Ask]) -> None:
    claims: list[Claim] = []
    for number, ask in enumerate(wanted):
        if ask.leaves is not None:
            claims = [one for at, one in enumerate(claims) if at != ask.leaves]
            continue
        gib = 0 if ask.gpus else ask.gib
        one = asks(
            here,
            f"{'ab'[number % 2]}-{number}",
            ask.gpus,
            gib=gib,
            percent=ask.percent if gib else 0,
            resource=ask.resource,
            spread=ask.spread,
        )
        found = assign(one, here, claims)
        assert isinstance(found, Claim) is fits(here, one, claims)
        if isinstance(found, Claim):
            assert len(found.cards) == (ask.gpus or bool(gib))
            assert set(found.cards) <= set(one.choices[0].cards)
            claims.append(found)
        else:
            assert found.reason.startswith("needs ")
        check(here, claims)
