"""The pools of this machine for people and programs: who has what, what is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eas_engine.spec import cpu_list
from eas_engine.spec.engine.pools import Pool, Pools
from eas_engine.supervisor.pools.assign import concerns, used_cpu, used_memory
from eas_engine.supervisor.pools.claims import WHOLE, Claim


def report(pools: Pools, claims: Sequence[Claim]) -> dict[str, Any]:
    """JSON-able. Claims of engines with other settings count in every pool whose CPUs they may use."""
    return {
        "pools": [_pool(one, claims) for one in pools.every],
        "nodes": [{"number": one.number, "cpus": cpu_list.text(one.cpus)} for one in pools.nodes],
        "instances": [
            {"service": one.service, "workspace_id": one.workspace, **one.as_data()} for one in claims
        ],
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
        "instances": [one.label for one in claims if concerns(pool, one)],
    }
