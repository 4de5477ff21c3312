"""The JSON that tells what a service looks like, of ``status`` and of what its processes use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

from eas_engine.telemetry.processes import Figures, figures
from eas_engine.telemetry.status import InstanceStatus, ServiceStatus, without_secrets


def document(
    status: ServiceStatus, measure: Callable[[Iterable[int]], Figures] = figures
) -> dict[str, object]:
    """The JSON of ``/api/v1/service``, without secrets. Measures processes: not on the gateway's loop."""
    load = status.load
    return {
        "name": status.name,
        "workspace_id": status.workspace_id,
        "labels": dict(status.labels),
        "version": status.version,
        "pid": status.pid,
        "uptime_seconds": round(status.uptime, 3),
        "url": status.url,
        "admin_url": status.admin_url,
        "authentication": "none" if status.open else "token",
        "ready": status.readiness.ready,
        "reasons": list(status.readiness.reasons),
        "queue": {"depth": load.queue_depth, "capacity": load.queue_capacity, "in_flight": load.in_flight},
        "body_bytes": {"now": load.body_bytes, "limit": load.body_capacity},
        "unread_bytes": {"now": load.unread_bytes, "limit": load.body_capacity},
        "connections": {
            "now": load.connections,
            "limit": load.connections_limit,
            "closed_for_room": status.closed_for_room,
            "refused": status.refused_connections,
        },
        "threads": {"busy": load.busy_threads, "all": load.threads},
        "io_threads": {
            "requested": status.io_threads_requested,
            "effective": status.io_threads_effective,
            "reason": status.io_threads_reason,
            "for_bodies": status.body_threads,
        },
        "batches": None if status.batches is None else asdict(status.batches),
        "rates": asdict(status.rates),
        "answers": {str(code): count for code, count in sorted(status.statuses.items())},
        "event_loop_lag_seconds": {"average": status.lag, "maximum": status.lag_max},
        "engine": _process(measure([status.pid]), without=measure(pids_of(load.instances))),
        "instances": [_instance(instance, measure(instance.pids)) for instance in load.instances],
        "warnings": list(status.warnings),
        "configuration_version": status.configuration_version,
        "wanted": status.wanted,
        "rollout": None if status.rollout is None else dict(status.rollout),
        "trial": None if status.trial is None else dict(status.trial),
        "configuration": without_secrets(status.configuration),
    }


def pids_of(instances: Iterable[InstanceStatus]) -> list[int]:
    """Of all their hosts."""
    return [pid for instance in instances for pid in instance.pids]


def _instance(instance: InstanceStatus, measured: Figures) -> dict[str, object]:
    return {
        "name": instance.name,
        "state": instance.state,
        "version": instance.version,
        "release": instance.release,
        "reason": instance.reason,
        "pids": list(instance.pids),
        "uptime_seconds": None if instance.uptime is None else round(instance.uptime, 3),
        "threads": {"busy": instance.busy_threads, "all": instance.threads},
        "batch_cap": instance.batch_cap,
        "workspace": {
            "visible": None if instance.mounts is None else not instance.mounts,
            "reason": instance.mounts or "",
        },
        **_process(measured),
        "limits": {name: by for name, by in instance.enforced.items() if by},
        "used": None if instance.used is None else asdict(instance.used),
        "restarts": dict(instance.restarts),
        "last_crash": None if instance.last_crash is None else dict(instance.last_crash),
        "log": list(instance.log),
    }


def _process(measured: Figures, without: Figures | None = None) -> dict[str, object]:
    less = without or Figures()
    return {
        "memory_bytes": max(0, measured.memory - less.memory),
        "cpu_seconds": round(max(0.0, measured.cpu - less.cpu), 3),
        "processes": max(0, measured.processes - less.processes),
        "os_threads": max(0, measured.threads - less.threads),
    }
