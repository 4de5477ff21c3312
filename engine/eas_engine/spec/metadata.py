"""``metadata``: instances, their resources, rollout and scheduling."""

from __future__ import annotations

from typing import Literal

from eas_engine.spec.rpc import Rpc
from eas_engine.spec.values import Boolean, Integer, Number, Section, Share, Text, parameter, section


class RollingStrategy(Section):
    """How an update replaces instances."""

    max_surge: Share = parameter(
        "2%", "Instances above the wanted number during an update: a number, or a percentage (rounded up)."
    )
    max_unavailable: Share | None = parameter(
        None,
        "Instances that may be missing during an update: a number, or a percentage (rounded down). When "
        "both are 0, `max_surge` becomes 1.",
        shown_default="1 with `resource`, else 0",
    )


class Eas(Section):
    """``metadata.eas``: how an instance leaves."""

    termination_grace_period: Integer = parameter(
        30,
        "A leaving instance gets no new request, finishes what it has and goes as soon as it is empty; "
        "SIGKILL when this time is over.",
        unit="seconds",
        ge=0,
        le=7 * 24 * 3600,
    )


class Spread(Section):
    """``metadata.scheduling.spread``: where instances are put."""

    policy: Literal["default", "host", "zone"] = parameter(
        "default",
        "`host`: each instance is put in the NUMA node that has the fewest of the service's, and stays "
        "there (also over machines, where there are several), and is given one of the GPUs that do; `zone`: "
        "over zones, then as `host`; `default`: the first place with room.",
    )


class Scheduling(Section):
    """``metadata.scheduling``."""

    spread: Spread = section("Where instances are put.")


class Metadata(Section):
    """The instances of the service and what each may use."""

    instance: Integer = parameter(
        1,
        "Number of instances (processor processes). Changing only this starts or drains instances, and is "
        "never a rolling update.",
        ge=1,
        le=1000,
    )
    workspace_id: Text = parameter(
        "",
        "A label on metrics, logs and status. The state directory is kept apart by it, and the admin API "
        "and the command line refuse to touch a service of another workspace unless told its id.",
        pattern=r"^[A-Za-z0-9._-]{0,128}$",
    )
    cpu: Number | None = parameter(
        None,
        "CPUs of one instance: a cgroup quota where writable, else affinity; and the thread default of OMP, "
        "MKL, torch, TensorFlow and ONNX Runtime. More than the machine has: refused.",
        unit="CPUs",
        shown_default="machine's share",
        gt=0,
        le=4096,
    )
    memory: Integer | None = parameter(
        None,
        "Memory of one instance: a cgroup limit where writable, else a watchdog on its resident memory. "
        "Over it the instance is killed and restarted, reason `OOMKilled`. `-Xmx` of Java processors "
        "follows it.",
        unit="MB",
        shown_default="no limit",
        ge=1,
        le=2**31,
    )
    gpu: Integer = parameter(
        0,
        "Whole GPUs (or one MIG slice) of one instance, exclusive: it sees no other (`CUDA_VISIBLE_DEVICES` "
        "by UUID). Not enough free: the instance stays pending with the reason; none on the machine: "
        "refused.",
        ge=0,
        le=1024,
    )
    gpu_memory: Integer | None = parameter(
        None,
        "GPU memory of one instance, with `gpu` 0: instances share cards by memory, best fit. Presets take "
        "no more; a watchdog ends an instance that does (`GPUMemoryExceeded`); `EAS_GPU_MEMORY_BYTES` tells "
        "custom processors. Ignored with a warning when `gpu` is 1 or more.",
        unit="GB",
        shown_default="none",
        ge=0,
        le=2**20,
    )
    gpu_core_percentage: Integer | None = parameter(
        None,
        "Share of one GPU's compute, through MPS, whose daemon is started for it; without MPS the status "
        "says that nothing enforces it. Needs `gpu_memory`, else it has no effect, and a warning says so.",
        unit="percent",
        shown_default="no share",
        ge=1,
        le=100,
    )
    qos: Literal["", "BestEffort"] = parameter(
        "",
        "`BestEffort`: CPU is shared between instances; `cpu` is then the most one may use, and placement "
        "looks at memory and GPU memory only.",
    )
    resource: Text = parameter(
        "",
        "A resource group: a named pool of this machine's CPUs, memory and GPUs, defined in the engine "
        "settings (docs/settings.md); instances are placed there, or stay pending (docs/pools.md). No "
        "groups defined at all: a warning, and the whole machine. Groups, but not this one: refused with "
        "the list. Not given: the CPUs that are in no group.",
    )
    cuda: Text = parameter(
        "",
        "The CUDA toolkit that is put at `/usr/local/cuda` for the instance, and on its library path. Not "
        "installed: refused, listing what is.",
        pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){0,2})?$",
    )
    enable_grpc: Boolean = parameter(
        False,
        "8080 speaks gRPC instead of HTTP; with `containers` it is a transparent gRPC proxy.",
    )
    enable_webservice: Boolean = parameter(
        False,
        "The processor or container is a web application: every path, method, WebSocket, server-sent "
        "events, redirects and cookies go through on 8080.",
    )
    rpc: Rpc = section("Network, queue, worker threads, batching.")
    java_opts: tuple[Text, ...] = parameter((), "Options of the JVM, for Java processors.", ours=True)
    warm_up_count: Integer = parameter(
        5, "How often each warm-up request is sent.", ours=True, ge=1, le=1_000_000
    )
    rollout_timeout: Integer = parameter(
        300, "When an unfinished rollout rolls back.", unit="seconds", ours=True, ge=1, le=7 * 24 * 3600
    )
    rolling_strategy: RollingStrategy = section("How an update replaces instances.")
    eas: Eas = section("How an instance leaves.")
    scheduling: Scheduling = section("Where instances are put.")
    resource_rebalancing: Boolean = parameter(
        False,
        "With several resource groups by priority: an instance that doesn't fit into its group may be in a "
        "lower one meanwhile. From time to time a probe instance is tried in a higher group; when it fits, "
        "2, 4 ... follow, until one doesn't. Each ready probe replaces an instance in a lower group.",
    )
    shm_size: Number | None = parameter(
        None, "`/dev/shm` private to the instance.", unit="GB", shown_default="the machine's", gt=0, le=2**20
    )
    type: Text = parameter(
        "Standard", "The kind of service. Only `Standard` is served; others are refused by name."
    )
