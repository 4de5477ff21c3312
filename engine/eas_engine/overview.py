"""What the two planes look like together: the fleet and the requests, as the values that telemetry shows."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from eas_engine.telemetry.status import InstanceStatus, InstanceUsage, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.plane import Plane
    from eas_engine.supervisor.limits.report import Used
    from eas_engine.supervisor.observe import FleetSnapshot, InstanceSnapshot


def load(
    fleet: FleetSnapshot,
    plane: Plane,
    usage: Callable[[str], Used | None] = lambda _name: None,
    lines: Callable[[str], tuple[str, ...]] = lambda _name: (),
) -> Load:
    """How full the service is now.

    `usage`: what an instance uses; `lines`: its last log lines, where they are wanted.

    Only reads, so that the admin thread may call it: what it sees may be a moment apart, never torn.
    """
    links = plane.lanes.links()
    busy = {link.name: link.busy() for link in links}
    caps = {link.name: cap.requests for link in links if (cap := getattr(link, "cap", None)) is not None}
    overdue = plane.overdue()
    quarantine = plane.lanes.quarantine
    return Load(
        ready=fleet.ready_count > 0,
        queue_depth=plane.lanes.waiting(),
        queue_capacity=plane.gate.capacity,
        in_flight=plane.gate.count,
        suspects=quarantine.count() if quarantine is not None else 0,
        body_bytes=plane.bodies.budget.used,
        body_capacity=plane.bodies.budget.limit,
        unread_bytes=plane.front.unread.total,
        connections=plane.counters.connections,
        connections_limit=plane.front.room.limit,
        instances=tuple(
            replace(
                _instance(instance, busy, caps, usage(instance.name), lines),
                reason=instance.reason
                or plane.delay(sum(overdue.get(host.name, 0) for host in instance.hosts)),
            )
            for instance in fleet.instances
        ),
    )


def _instance(
    seen: InstanceSnapshot,
    busy: dict[str, int],
    caps: dict[str, int],
    used: Used | None,
    lines: Callable[[str], tuple[str, ...]],
) -> InstanceStatus:
    crash = seen.last_crash
    return InstanceStatus(
        name=seen.name,
        state=seen.state.name,
        version=seen.version,
        release=seen.release,
        reason=seen.reason,
        pids=seen.pids,
        uptime=seen.uptime or None,
        threads=seen.threads or 0,
        busy_threads=sum(busy.get(host.name, 0) for host in seen.hosts),
        batch_cap=min((caps[host.name] for host in seen.hosts if host.name in caps), default=None),
        restarts=dict(seen.restarts),
        mounts=seen.mounts,
        enforced=asdict(seen.enforced) if seen.enforced else {},
        used=None if used is None else InstanceUsage(**asdict(used)),
        log=lines(seen.name),
        last_crash=None if crash is None else asdict(crash) | {"state": crash.state.name},
    )
