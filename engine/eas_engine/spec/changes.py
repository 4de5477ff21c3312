"""From one configuration to another: which parameters differ, and what that costs. Pure.

Three lists say it; a parameter in none of them takes new processes, because a processor may see it: what the
processor is, what it is given, and what its process may use.

Within a cost nothing is decided by the value alone: a queue that grows and one that shrinks both change at
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eas_engine.operations import Change, Effect, Plan
from eas_engine.spec.check import shown_value
from eas_engine.spec.load import Loaded
from eas_engine.spec.parameters import settable, value_of

AT_ONCE: Final = frozenset(
    {
        "token",
        "generate_token",
        "labels",
        "oss_endpoint",  # what lies there counts, and is looked at
        "cloud",  # gives metadata.cpu and its like, which count themselves
        "autoscaler",
        "networking",
        "runtime.enable_crash_block",
        "metadata.rpc.keepalive",
        "metadata.rpc.io_threads",
        "metadata.rpc.decompressor",
        "metadata.rpc.max_batch_size",
        "metadata.rpc.max_batch_timeout",
        "metadata.rpc.batch_when_idle",
        "metadata.rpc.batch_padding",
        "metadata.rpc.batch_sizes",
        "metadata.rpc.max_queue_size",
        "metadata.rpc.rate_limit",
        "metadata.rpc.max_body_size",
        "metadata.rpc.max_inflight_bytes",
        "metadata.rpc.stuck_timeout",
        "metadata.rpc.retry_on_crash",
        "metadata.rpc.enable_sigterm",
        "metadata.eas.termination_grace_period",
        "metadata.rollout_timeout",
        "metadata.rolling_strategy",
        "metadata.resource_rebalancing",
        "metadata.warm_up_count",  # instances that start from now on
    }
)
"""Parameters, and whole objects, that apply without touching an instance."""

INSTANCES: Final = frozenset({"metadata.instance"})
"""Instances start or leave; none is replaced."""

ENGINE: Final = frozenset(
    {
        "name",
        "metadata.workspace_id",
        "metadata.type",
        "metadata.enable_grpc",
        "metadata.enable_webservice",
    }
)
"""Another service, or another protocol on its port: takes another engine."""

_ORDER: Final = tuple(Effect)


def plan(before: Loaded, after: Loaded) -> Plan:
    """What it takes to get from one to the other."""
    found = tuple(changes(before, after))
    effect = max((one.effect for one in found), key=_ORDER.index, default=Effect.NOTHING)
    return Plan(effect=effect, changes=found, warnings=tuple(str(one) for one in after.warnings))


def changes(before: Loaded, after: Loaded) -> Iterator[Change]:
    """The parameters whose values differ, in the order of the reference."""
    for parameter in settable():
        if "[]" in parameter.path:
            continue  # its list counts as one
        if value_of(before.spec, parameter.path) != value_of(after.spec, parameter.path):
            yield Change(
                parameter.path,
                shown_value(before, parameter),
                shown_value(after, parameter),
                effect_of(parameter.path),
            )


def effect_of(path: str) -> Effect:
    """What a change of this parameter costs."""
    if _within(path, ENGINE):
        return Effect.ENGINE
    if _within(path, INSTANCES):
        return Effect.INSTANCES
    return Effect.AT_ONCE if _within(path, AT_ONCE) else Effect.ROLLOUT


def _within(path: str, listed: frozenset[str]) -> bool:
    return any(path == one or path.startswith(f"{one}.") for one in listed)
