"""THE list of parameters whose effect comes later, and what a start makes of them.

Every parameter is either in ``IN_EFFECT`` or in ``LATER`` (or in both, when only some of its values are in
effect); a parameter inside a listed object or list counts as listed. A test fails when one is in neither.

``LATER`` knows two outcomes. *warn*: the service runs without it, and one warning at start names all of them.
*refuse*: running without it would drop a restriction, hand the processor other bytes, or run something else
than was asked for; the start ends with exit status 2 and ``not yet``. A parameter at its default is never
mentioned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final, Literal

from eas_engine.records import dataclass
from eas_engine.spec import fit
from eas_engine.spec.load import Loaded
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.parameters import value_of
from eas_engine.spec.problems import Origin, Problem, problem_at

IN_EFFECT: Final = frozenset(
    {
        "name",
        "token",
        "generate_token",
        "processor",
        "processor_type",
        "processor_mainclass",
        "processor_path",
        "processor_entry",
        "model_path",
        "model_entry",
        "oss_endpoint",
        "model_config",
        "warm_up_data_path",
        "runtime.enable_crash_block",
        "processor_envs",
        "labels",
        "autoscaler",
        "cloud",
        "features.eas.aliyun.com/extra-ephemeral-storage",
        "metadata.instance",
        "metadata.cpu",
        "metadata.memory",
        "metadata.gpu",
        "metadata.gpu_memory",
        "metadata.gpu_core_percentage",
        "metadata.cuda",
        "metadata.qos",
        "metadata.shm_size",
        "metadata.java_opts",
        "metadata.warm_up_count",
        "metadata.workspace_id",
        "metadata.rollout_timeout",
        "metadata.rolling_strategy",
        "metadata.resource",
        "metadata.resource_rebalancing",
        "metadata.scheduling",
        "metadata.type",
        "metadata.rpc.batching",
        "metadata.rpc.keepalive",
        "metadata.rpc.io_threads",
        "metadata.rpc.decompressor",
        "metadata.rpc.max_batch_size",
        "metadata.rpc.max_batch_timeout",
        "metadata.rpc.max_queue_size",
        "metadata.rpc.worker_threads",
        "metadata.rpc.rate_limit",
        "metadata.rpc.enable_sigterm",
        "metadata.rpc.max_body_size",
        "metadata.rpc.max_inflight_bytes",
        "metadata.rpc.stuck_timeout",
        "metadata.rpc.cpp_batch",
        "metadata.rpc.retry_on_crash",
        "metadata.rpc.batch_when_idle",
        "metadata.rpc.batch_padding",
        "metadata.rpc.batch_sizes",
        "metadata.eas.termination_grace_period",
        "networking.disable_internet_endpoint",
    }
)


@dataclass(frozen=True, slots=True)
class Later:
    """One parameter (or a whole object) whose effect comes later.

    ``why`` says, for a refusal, what would go wrong without it; ``when`` narrows it to some values.
    """

    path: str
    outcome: Literal["warn", "refuse"] = "warn"
    why: str = ""
    when: Callable[[Any], bool] | None = None

    def applies(self, value: object, default: object) -> bool:
        """Whether a spec with ``value`` meets it."""
        return value != default and (self.when is None or self.when(value))


LATER: Final = (
    Later("containers", "refuse", "containers are not run"),
    Later("storage", "refuse", "nothing is mounted, and the processor would not find its files"),
    Later("metadata.enable_grpc", "refuse", "8080 would speak HTTP, not gRPC"),
    Later("metadata.enable_webservice", "refuse", "8080 would answer predict requests alone"),
    Later("metadata.rpc.proxy_path"),
)


@cache
def default_spec() -> ServiceSpec:
    """Every parameter at its default."""
    return ServiceSpec(name="unnamed")


def not_in_effect(loaded: Loaded) -> Iterator[Later]:
    """The entries of ``LATER`` that this service meets.

    What only its machine type gave is no reason to refuse it: nobody has asked for that figure by name.
    """
    for later in LATER:
        origin = loaded.origins.get(later.path, Origin("default"))
        value, default = value_of(loaded.spec, later.path), value_of(default_spec(), later.path)
        if later.applies(value, default):
            yield replace(later, outcome="warn") if origin.kind == "instance_type" else later


def startable(loaded: Loaded) -> tuple[list[Problem], list[Problem]]:
    """What keeps the service from starting on this machine now, and what it will do without."""
    origins = loaded.origins
    refusals = [
        problem_at(later.path, origins, f"not yet: {later.why}")
        for later in not_in_effect(loaded)
        if later.outcome == "refuse"
    ]
    warned = [later.path for later in not_in_effect(loaded) if later.outcome == "warn"]
    warnings = [Problem("", None, f"not in effect yet: {', '.join(warned)}", "warning")] if warned else []
    for problem in fit.problems(loaded.spec, origins, loaded.machine):
        (refusals if problem.severity == "error" else warnings).append(problem)
    return refusals, warnings
