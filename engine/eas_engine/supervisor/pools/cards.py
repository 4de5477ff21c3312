"""Which cards an instance gets: a pure function of the pool's cards, what is placed, and what it asks for.

Guarantees
    * A card that somebody has whole is nobody else's.
    * The shares of a card never add up to more memory than it has, nor to more than 100 % of its compute.
    * What a card has room for is placed: shares on the card that has the least left then (best fit), so that
      large ones and whole cards stay; with spreading, on the one with the fewest instances of the service.

Cards are told by their UUIDs, so engines with other pools count right. A MIG slice is a card here, with one
difference: CUDA shows a process one slice alone, so who asks for several cards gets whole ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from eas_engine.spec.engine.pools import Pool
from eas_engine.spec.machine import Gpu
from eas_engine.supervisor.place import Spread
from eas_engine.supervisor.pools.claims import Claim, named, size

ALL: Final = 100
"""Percent of a card's compute."""
_MOST_CARDS: Final = 4


class Request(Protocol):
    """What an instance asks for; whole cards, or a share of one, or nothing."""

    @property
    def service(self) -> str:
        """With its workspace."""
        ...

    @property
    def workspace(self) -> str:
        """Of the service."""
        ...

    @property
    def spread(self) -> Spread:
        """``scheduling.spread.policy``."""
        ...

    @property
    def gpus(self) -> int:
        """Whole cards."""
        ...

    @property
    def gpu_memory(self) -> int:
        """Bytes of one card; 0: no share."""
        ...

    @property
    def gpu_percent(self) -> int:
        """Of that card's compute; 0: not counted."""
        ...


def choose(request: Request, pool: Pool, claims: Sequence[Claim]) -> tuple[str, ...] | None:
    """UUIDs of the cards for the instance; None: the pool has no room. Empty: it asks for none."""
    if request.gpus:
        return _whole(request, _whole_ones(request, pool), claims)
    if not request.gpu_memory:
        return ()
    order = {uuid: number for number, uuid in enumerate(pool.cards)}
    left = {uuid: memory_left(uuid, one, claims) - request.gpu_memory for uuid, one in pool.cards.items()}
    fitting = [
        uuid for uuid in order if left[uuid] >= 0 and percent_left(uuid, claims) >= request.gpu_percent
    ]
    own = _own(request, claims)
    best = min(fitting, key=lambda uuid: (own(uuid), left[uuid], order[uuid]), default=None)
    return None if best is None else (best,)


def lacking(request: Request, pool: Pool, claims: Sequence[Claim]) -> str:
    """Why ``choose`` finds nothing, with figures."""
    if request.gpus:
        usable = _whole_ones(request, pool)
        slices = len(usable) < len(pool.cards)
        what = f"{request.gpus} {'whole ' * slices}GPU{'s' * (request.gpus > 1)}"
        note = " (of MIG slices a process sees only one)" if slices else ""
        holders = [
            (one.label, _held(one, usable)) for one in claims if not usable.keys().isdisjoint(one.cards)
        ]
        return f"needs {what}{note}; {pool.title}: {len(usable) or 'none'}{named(holders)}"
    what = _share(request.gpu_memory, request.gpu_percent)
    shown = [_card(uuid, one, claims) for uuid, one in list(pool.cards.items())[:_MOST_CARDS]]
    if more := len(pool.cards) - len(shown):
        shown.append(f"{more} more without room")
    return f"needs {what} of one GPU; {pool.title}: {'; '.join(shown) or 'none'}"


def memory_left(uuid: str, card: Gpu, claims: Iterable[Claim]) -> int:
    """Bytes of the card that nobody has; nothing when somebody has it whole."""
    here = [one for one in claims if uuid in one.cards]
    if any(not one.gpu_memory for one in here):
        return 0
    return max(0, card.memory_bytes - sum(one.gpu_memory for one in here))


def percent_left(uuid: str, claims: Iterable[Claim]) -> int:
    """Percent of the card's compute that nobody has."""
    here = [one for one in claims if uuid in one.cards]
    if any(not one.gpu_memory for one in here):
        return 0
    return max(0, ALL - sum(one.gpu_percent for one in here))


def title(uuid: str, card: Gpu) -> str:
    """``A10 GPU-5fd4bd6b``."""
    return f"{card.name} {uuid[:12]}"


# --- whole cards ----------------------------------------------------------------------------------------


def _whole_ones(request: Request, pool: Pool) -> Mapping[str, Gpu]:
    """What counts as a card for who wants so many."""
    return {uuid: one for uuid, one in pool.cards.items() if request.gpus == 1 or not one.card}


def _whole(request: Request, usable: Mapping[str, Gpu], claims: Sequence[Claim]) -> tuple[str, ...] | None:
    """Free ones, of one NUMA node where that can be had."""
    taken = {uuid for one in claims for uuid in one.cards}
    free = [uuid for uuid in usable if uuid not in taken]
    if len(free) < request.gpus:
        return None
    own = _own(request, claims)
    nodes = list(dict.fromkeys(usable[uuid].node for uuid in free))
    crowd = {node: sum(own(uuid) for uuid, one in usable.items() if one.node == node) for node in nodes}
    for node in sorted(nodes, key=lambda node: crowd[node]):
        there = [uuid for uuid in free if usable[uuid].node == node]
        if len(there) >= request.gpus:
            return tuple(there[: request.gpus])
    return tuple(free[: request.gpus])


def _own(request: Request, claims: Iterable[Claim]) -> Callable[[str], int]:
    """How many instances of the service have a card, by its UUID; 0 for all when they aren't spread."""
    asks = (request.workspace, request.service)
    mine = [one for one in claims if request.spread != "default" and (one.workspace, one.service) == asks]
    held = Counter(uuid for one in mine for uuid in one.cards)
    return lambda uuid: held[uuid]


# --- for people -----------------------------------------------------------------------------------------


def _share(memory: int, percent: int) -> str:
    return f"{size(memory)} and {percent}%" if percent else size(memory)


def _held(claim: Claim, usable: Mapping[str, Gpu]) -> str:
    if claim.gpu_memory:
        return f"{_share(claim.gpu_memory, claim.gpu_percent)} of one"
    return str(sum(uuid in usable for uuid in claim.cards))


def _card(uuid: str, card: Gpu, claims: Sequence[Claim]) -> str:
    """``A10 GPU-5fd4bd6b: 24 GiB, of which ocr-0 has 8 GiB and 30%``."""
    here = [one for one in claims if uuid in one.cards]
    holders = [
        (one.label, _share(one.gpu_memory, one.gpu_percent) if one.gpu_memory else "all of it")
        for one in here
    ]
    return f"{title(uuid, card)}: {size(card.memory_bytes)}{named(holders)}"
