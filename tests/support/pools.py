"""Machines with groups, and what instances ask of them."""

from __future__ import annotations

from collections.abc import Mapping

from eas_engine.spec import Machine, cpu_list
from eas_engine.spec.engine.pools import Pools, pools_of
from eas_engine.spec.engine.settings import EngineSettings, Group
from eas_engine.spec.numa import NumaNode
from eas_engine.supervisor.place import NoPlace, Spread
from eas_engine.supervisor.pools.assign import Request, assign
from eas_engine.supervisor.pools.claims import Claim
from support.services import GIB


def machine(
    cpus: int = 8,
    groups: Mapping[str, str] | None = None,
    *,
    nodes: int = 1,
    memory: Mapping[str, int] | None = None,
    gib: int = 16,
) -> Machine:
    """``groups``: CPUs by name, the highest priority first; ``memory``: what some have alone, GiB."""
    each = cpus // nodes
    named = groups or {}
    return Machine(
        cpus=cpus,
        memory_bytes=gib * GIB,
        nodes=tuple(
            NumaNode(number, tuple(range(number * each, (number + 1) * each))) for number in range(nodes)
        ),
        settings=EngineSettings(
            tuple(
                Group(
                    name,
                    cpu_list.numbers(cpus_of),
                    None if memory is None or name not in memory else memory[name] * GIB,
                    len(named) - index,
                )
                for index, (name, cpus_of) in enumerate(named.items())
            )
        ),
    )


def request(
    pools: Pools | Machine,
    instance: str = "digits-0",
    cpu: float = 0,
    *,
    resource: str = "",
    spread: Spread = "default",
    memory: int = 0,
    rebalancing: bool = False,
    workspace: str = "",
) -> Request:
    """What an instance of the service before the last ``-`` in its name asks for; ``memory`` in GiB."""
    pools = pools_of(pools) if isinstance(pools, Machine) else pools
    return Request(
        instance=instance,
        service=instance.rpartition("-")[0],
        workspace=workspace,
        choices=pools.choices(resource, rebalancing=rebalancing),
        spread=spread,
        cpu=round(cpu * 1000),
        memory=memory * GIB,
    )


def placed(pools: Pools, *requests: Request) -> list[Claim]:
    """Each in its turn; all of them fit."""
    claims: list[Claim] = []
    for one in requests:
        found = assign(one, pools, claims)
        assert isinstance(found, Claim), found
        claims.append(found)
    return claims


def reason(found: Claim | NoPlace) -> str:
    assert isinstance(found, NoPlace)
    return found.reason
