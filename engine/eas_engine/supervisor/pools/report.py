"""The pools of this machine for people and programs: who has what, what is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eas_engine.spec import cpu_list
from eas_engine.spec.engine.pools import Pool, Pools
from eas_engine.spec.machine import Gpu
from eas_engine.supervisor.pools.assign import concerns, used_cpu, used_memory
from eas_engine.supervisor.pools.cards import memory_left, percent_left
from eas_engine.supervisor.pools.claims import WHOLE, Claim


def report(pools: Pools, claims: Sequence[Claim]) -> dict[str, Any]:
    """JSON-able. Claims of engines with other settings count in every pool whose CPUs they may use."""
    return {
        "pools": [_pool(one, claims) for one in pools.every],
        "nodes": [{"number": one.number, "cpus": cpu_list.text(one.cpus)} for one in pools.nodes],
        "cards": [_card(uuid, one, pools, claims) for uuid, one in pools.cards.items()],
        "instances": [
            {"service": one.service, "workspace_id": one.workspace, **one.as_data()} for one in claims
        ],
    }


def _card(uuid: str, card: Gpu, pools: Pools, claims: Sequence[Claim]) -> dict[str, Any]:
    here = [one for one in claims if uuid in one.cards]
    return {
        "uuid": uuid,
        "name": card.name,
        "card": card.card,
        "node": card.node,
        "pools": [one.title for one in pools.every if uuid in one.cards],
        "memory": card.memory_bytes,
        "memory_free": memory_left(uuid, card, claims),
        "percent_free": percent_left(uuid, claims),
        "alone": any(not one.gpu_memory for one in here),
        "instances": [one.label for one in here],
    }


def _pool(pool: Pool, claims: Sequence[Claim]) -> dict[str, Any]:
    count = len(pool.cpus)
    memory = used_memory(pool, claims)
    cpu = used_cpu(pool, claims)
    return {
        "name": pool.name,
        "title": pool.title,
        "priority": pool.priority if pool.name else None,
        "cpus": cpu_list.text(pool.cpus),
        "cpu": count,
        "cpu_free": max(0, count * WHOLE - cpu) / WHOLE,
        "memory": pool.memory,
        "memory_shared": pool.shares_memory,
        "memory_free": max(0, pool.memory - memory),
        "cards": list(pool.cards),
        "cards_shared": pool.shares_cards,
        "instances": [one.label for one in claims if concerns(pool, one)],
    }
