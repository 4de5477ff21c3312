"""Where an instance goes: a pure function of what is placed already, the pools, and what it asks for.

Guarantees
    * What is counted (CPUs of instances that ask for some and aren't best effort; memory where it is limited)
      never adds up to more than a pool has, nor do the cards (``cards``).
    * What a pool has room for is placed, whatever came and went before; an empty pool takes whatever fits.
    * The same input gives the same place.
    * In a group, an instance that asks for whole CPUs gets them for itself (``Claim.alone``) if so many are
      left that nobody runs on; other instances that are counted share CPUs, and never so few that these
      would be less than what they ask for together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from eas_engine.records import dataclass
from eas_engine.spec.engine.pools import Pool, Pools
from eas_engine.supervisor.place import NoPlace, Spread
from eas_engine.supervisor.pools.claims import WHOLE, Claim, named, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one instance asks for.

    Attributes:
        choices: the pools that it may be in, best first.
        spread: ``scheduling.spread.policy``.
        cpu: thousandths; 0: not counted.
        memory: bytes; 0: not counted.
        gpus: whole cards.
        gpu_memory: bytes of one card that it shares; 0: none. One of the two at most.
        gpu_percent: of that card's compute; 0: not counted.
    """

    instance: str
    service: str
    workspace: str = ""
    choices: tuple[Pool, ...]
    spread: Spread = "default"
    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    gpu_memory: int = 0
    gpu_percent: int = 0


def assign(request: Request, pools: Pools, claims: Sequence[Claim]) -> Claim | NoPlace:
    """The instance's place in the first of its pools that has room, or why there is none, with figures."""
    reasons = []
    for pool in request.choices:
        lacking = _lacking(request, pool, claims)
        if lacking is None:
            return _placed(request, pool, pools, claims)
        reasons.append(lacking)
    return NoPlace("; ".join(reasons) or "its resource group isn't defined on this machine")


def used_cpu(pool: Pool, claims: Iterable[Claim]) -> int:
    """Thousandths of CPUs of the pool that are taken."""
    return sum(one.cpu for one in _of(pool, claims))


def used_memory(pool: Pool, claims: Iterable[Claim]) -> int:
    """Bytes of the pool's memory that are taken."""
    return sum(one.memory for one in _of_memory(pool, claims))


def concerns(pool: Pool, claim: Claim) -> bool:
    """Whether the claim's CPUs are some of the pool's."""
    return bool(_of(pool, [claim]))


def _of(pool: Pool, claims: Iterable[Claim]) -> list[Claim]:
    own = set(pool.cpus)
    return [one for one in claims if one.within == pool.cpus or not own.isdisjoint(one.within)]


def _of_memory(pool: Pool, claims: Iterable[Claim]) -> list[Claim]:
    """Whose memory comes out of the same amount."""
    if pool.shares_memory:
        return [one for one in claims if one.shares_memory]
    return [one for one in claims if not one.shares_memory and one.group == pool.name]


# --- is there room? -------------------------------------------------------------------------------------


def _lacking(request: Request, pool: Pool, claims: Sequence[Claim]) -> str | None:
    """Why the pool has no room, with figures; None when it has."""
    if not pool.cpus:
        return "every CPU of this machine is in a resource group; name one with metadata.resource"
    there = _of(pool, claims)
    if request.cpu and sum(one.cpu for one in there) + request.cpu > len(pool.cpus) * WHOLE:
        taken = named([(one.label, f"{one.cpu / WHOLE:g}") for one in there if one.cpu])
        count = len(pool.cpus)
        return f"needs {_cpus(request.cpu)}; {pool.title}: {count}{taken}"
    there = _of_memory(pool, claims)
    if request.memory and sum(one.memory for one in there) + request.memory > pool.memory:
        taken = named([(one.label, size(one.memory)) for one in there if one.memory])
        return f"needs {size(request.memory)} of memory; {pool.title}: {size(pool.memory)}{taken}"
    return _lacking_cards(request, pool, claims) if request.gpus or request.gpu_memory else None


def _lacking_cards(request: Request, pool: Pool, claims: Sequence[Claim]) -> str | None:
    from eas_engine.supervisor.pools import cards  # noqa: PLC0415 - only for who asks for some

    return cards.lacking(request, pool, claims) if cards.choose(request, pool, claims) is None else None


def _cards(request: Request, pool: Pool, claims: Sequence[Claim]) -> tuple[str, ...]:
    if not request.gpus and not request.gpu_memory:
        return ()
    from eas_engine.supervisor.pools import cards  # noqa: PLC0415 - as above

    return cards.choose(request, pool, claims) or ()


def _cpus(thousandths: int) -> str:
    return f"{thousandths / WHOLE:g} CPU{'' if thousandths == WHOLE else 's'}"


# --- where exactly? -------------------------------------------------------------------------------------


def _placed(request: Request, pool: Pool, pools: Pools, claims: Sequence[Claim]) -> Claim:
    """A place in a pool that has room."""
    claim = Claim(
        service=request.service,
        workspace=request.workspace,
        instance=request.instance,
        cpu=request.cpu,
        memory=request.memory,
        group=pool.name,
        within=pool.cpus,
        shares_memory=pool.shares_memory,
        cards=_cards(request, pool, claims),
        gpu_memory=request.gpu_memory,
        gpu_percent=request.gpu_percent,
    )
    there = _of(pool, claims)
    near = {pool.cards[uuid].node for uuid in claim.cards}
    domains = [*_nodes(request, pool, pools, there, near.pop() if len(near) == 1 else None), pool.cpus]
    chosen = next(_found(claim, domains, there), None) if pool.name and request.cpu else None
    if chosen is None:
        chosen = _roaming(claim, domains[:-1] if request.spread != "default" else [], there, pool)
    if len(pools.nodes) > 1:
        inside = [one.number for one in pools.nodes if chosen.cpus and set(chosen.cpus) <= set(one.cpus)]
        chosen = replace(chosen, node=inside[0] if inside else None)
    return chosen


def _nodes(
    request: Request, pool: Pool, pools: Pools, there: Sequence[Claim], near: int | None
) -> list[tuple[int, ...]]:
    """The pool's CPUs in each NUMA node, in the order in which they are tried.

    First that of the instance's cards (``near``). Spreading: then where the service has the fewest instances,
    then where the fewest CPUs are taken.
    """
    parts = [(one.number, tuple(cpu for cpu in one.cpus if cpu in pool.cpus)) for one in pools.nodes]
    parts = [part for part in parts if part[1]]
    if len(parts) < 2:
        return []
    if request.spread == "default":
        return [cpus for _, cpus in sorted(parts, key=lambda one: one[0] != near)] if pool.name else []

    def crowd(part: tuple[int, tuple[int, ...]]) -> tuple[bool, int, int, int]:
        here = [one for one in there if one.node == part[0]]
        mine = [one for one in here if (one.workspace, one.service) == (request.workspace, request.service)]
        return part[0] != near, len(mine), sum(one.cpu for one in here), part[0]

    return [cpus for _, cpus in sorted(parts, key=crowd)]


def _found(claim: Claim, domains: list[tuple[int, ...]], there: Sequence[Claim]) -> Iterator[Claim]:
    """Places in a group for an instance that is counted, best first; the last domain is the whole pool."""
    alone = {cpu for one in there if one.alone for cpu in one.cpus}
    sharing = [one for one in there if one.cpu and not one.alone]
    shared = {cpu for one in sharing for cpu in (one.cpus or one.within)}
    for domain in domains:
        free = [cpu for cpu in domain if cpu not in alone and cpu not in shared]
        count, part = divmod(claim.cpu, WHOLE)
        if not part and len(free) >= count:
            yield replace(claim, cpus=tuple(free[:count]), alone=True)
    for domain in domains:
        free = [cpu for cpu in domain if cpu not in alone and cpu not in shared]
        common = shared.intersection(domain)
        # Whoever may run on some of these CPUs counts in full, so those that are shared are never too few.
        asked = claim.cpu + sum(one.cpu for one in sharing if not common.isdisjoint(one.cpus or one.within))
        lacking = math.ceil(asked / WHOLE) - len(common)
        if lacking <= len(free):
            yield replace(claim, cpus=tuple(sorted([*common, *free[len(free) - max(0, lacking) :]])))


def _roaming(claim: Claim, nodes: list[tuple[int, ...]], there: Sequence[Claim], pool: Pool) -> Claim:
    """A place for an instance that gets no CPUs of its own: the first node with room, else the whole pool.

    In a group it keeps off those that somebody has alone, unless nothing else is left.
    """
    alone = {cpu for one in there if one.alone for cpu in one.cpus}
    for domain in nodes:
        held = sum(one.cpu for one in there if one.cpus and set(one.cpus) <= set(domain))
        if held + claim.cpu <= len(domain) * WHOLE:
            rest = tuple(cpu for cpu in domain if cpu not in alone)
            if rest:
                return replace(claim, cpus=rest)
    if pool.whole_machine:
        return claim
    return replace(claim, cpus=tuple(cpu for cpu in pool.cpus if cpu not in alone) or pool.cpus)
