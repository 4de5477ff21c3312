"""What a service looks like from outside: plain immutable values.

The gateway's loop makes them (``Load`` at each scrape, ``ServiceStatus`` when somebody asks); the admin
thread turns them into metrics and JSON. They are the only thing the two threads share, besides plain
counters.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field

from eas_engine.records import dataclass
from eas_engine.secrecy import is_secret, redacted, without_users
from eas_engine.telemetry.batches import Batches
from eas_engine.telemetry.window import Rates

MASK = "********"
_ADDRESSES = frozenset({"model_path", "processor_path", "warm_up_data_path"})


@dataclass(frozen=True, slots=True)
class Readiness:
    """Can a request be served now? If not, ``reasons`` say why, for a person."""

    ready: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cleared:
    """What clearing crashes has done."""

    deleted: tuple[str, ...] = ()
    """Ids of what was kept of them."""
    restarted: tuple[str, ...] = ()
    """Hosts that they had blocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceUsage:
    """What an instance uses, as its limits see it (`supervisor/limits/report.Used`); None: not known here."""

    memory: int | None = None  # bytes, without idle file cache
    peak: int | None = None
    cpu_seconds: float | None = None  # of all its processes, those that have ended included
    throttled_seconds: float | None = None  # that it waited for its share
    scratch: int | None = None  # bytes written
    oom_kills: int = 0  # processes of it that the kernel killed for want of memory


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """One instance, as the supervisor and its links see it."""

    name: str
    state: str  # the word of the lifecycle table: PENDING, STARTING, WARMING, READY, DRAINING, ...
    version: int = 1  # of the configuration whose processes it has
    release: int = (
        1  # what it was started from: one more with each rollout and trial since the engine started
    )
    reason: str = ""  # why it isn't ready; of one that is, what hangs in it
    pids: tuple[int, ...] = ()  # of its hosts
    uptime: float | None = None  # seconds since it became ready
    threads: int = 0
    busy_threads: int = 0
    batch_cap: int | None = None  # requests of a batch that its GPU's memory leaves it; None: all that fit
    restarts: Mapping[str, int] = field(default_factory=dict)  # by cause
    mounts: str | None = None  # why /eas/workspace isn't visible to it; empty: it is; None: it has none
    enforced: Mapping[str, str] = field(default_factory=dict)  # limit: what enforces it, empty without one
    used: InstanceUsage | None = None
    log: tuple[str, ...] = ()  # the last lines that the processor printed
    last_crash: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How full the service is at one instant."""

    ready: bool = False
    queue_depth: int = 0  # requests that wait, handed out but not begun included
    queue_capacity: int = 0
    in_flight: int = 0  # requests in the system: uploading, waiting and in the processor
    suspects: int = 0  # requests whose instance died, and that wait for or have their second try
    body_bytes: int = 0  # of bodies in memory
    body_capacity: int = 0  # rpc.max_inflight_bytes
    unread_bytes: int = 0  # of answers that wait for slow readers
    connections: int = 0
    connections_limit: int = 0
    instances: tuple[InstanceStatus, ...] = ()

    @property
    def threads(self) -> int:
        """Worker threads of all instances."""
        return sum(instance.threads for instance in self.instances)

    @property
    def busy_threads(self) -> int:
        """Those that are inside the processor."""
        return sum(instance.busy_threads for instance in self.instances)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """Everything ``/api/v1/service`` tells. ``configuration`` is masked when it is shown, by ``document``."""

    name: str
    version: str
    pid: int
    uptime: float  # seconds
    url: str
    admin_url: str
    load: Load
    readiness: Readiness
    rates: Rates
    lag: float = 0.0  # seconds, see Window
    lag_max: float = 0.0
    workspace_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    open: bool = False  # no token is asked for
    io_threads_requested: int = 1
    io_threads_effective: int = 1
    io_threads_reason: str = ""  # why they differ
    body_threads: int = 1  # at most so many inflate and compress bodies
    statuses: Mapping[int, int] = field(default_factory=dict)  # answers by HTTP status since the start
    batches: Batches | None = None  # with rpc.batching
    closed_for_room: int = 0  # connections that were closed because there were too many, since the start
    refused_connections: int = 0  # those that were closed unheard
    warnings: tuple[str, ...] = ()  # about the configuration and this machine
    configuration: Mapping[str, object] = field(default_factory=dict)  # effective
    configuration_version: int = 1  # the number under which it is kept
    wanted: int = 1  # instances that should be ready
    rollout: Mapping[str, object] | None = None  # the one under way, else the last one
    trial: Mapping[str, object] | None = None  # a canary or a shadow, or the last one


def without_secrets(value: object, name: str = "") -> object:
    """The same tree with values of secret-looking names, environment values and passwords in URLs masked.

    An environment's values are masked by the name of the variable, whether it is written as
    ``{"name": ..., "value": ...}`` or as a map.
    """
    if isinstance(value, Mapping):
        variable = value.get("name") if set(value) == {"name", "value"} else None
        if isinstance(variable, str) and is_secret(variable):
            return {"name": variable, "value": MASK}
        return {str(key): without_secrets(item, str(key)) for key, item in value.items()}
    if value in (None, "", True, False):
        return value
    if is_secret(name):
        return MASK
    if isinstance(value, str):
        return _text_without_secrets(value, name)
    if isinstance(value, Sequence):
        return [without_secrets(item, name) for item in value]
    return value


def _text_without_secrets(text: str, name: str) -> str:
    """The same for a text: an address, or the JSON that ``model_config`` is."""
    if name == "model_config" and text.lstrip().startswith(("{", "[")):
        with contextlib.suppress(ValueError, RecursionError):
            return json.dumps(without_secrets(json.loads(text)))
    return redacted(text) if name in _ADDRESSES else without_users(text, MASK)
