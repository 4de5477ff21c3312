"""What this machine will do with each parameter, in words, with its figures filled in.

Only what is in effect, or says more than "not yet", has words of its own; ``check`` fills in the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from eas_engine.spec import addresses, cards, cpu_list, presets
from eas_engine.spec.engine.pools import Pool, pools_for
from eas_engine.spec.loops import body_threads, has_gil, loops
from eas_engine.spec.machine import Machine
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.rpc import Rpc
from eas_engine.spec.sizing import clip, room

Words = Callable[[ServiceSpec, Machine], str]

_GIB: Final = 2**30
_MIB: Final = 2**20


def size(value: int) -> str:
    """A number of bytes for a person."""
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (1024, "KiB")):
        if value >= unit:
            return f"{value / unit:.4g} {name}"
    return f"{value} bytes"


def _name(spec: ServiceSpec, _: Machine) -> str:
    return f"served at /api/predict/{spec.name}"


def _token(spec: ServiceSpec, _: Machine) -> str:
    if spec.token:
        return "callers must show it: raw, as Bearer, or as key of a signature"
    if spec.generate_token:
        return "generated at the first start, and kept in the state directory"
    return "none: every caller is answered"


def _address(address: str) -> str:
    scheme = addresses.scheme(address)
    if scheme:
        then = " and unpacked" if addresses.is_archive(address) else ""
        return f"fetched by {scheme}{then}, kept in the cache"
    return "unpacked into the cache" if addresses.is_archive(address) else "copied into the workspace"


def _model_path(spec: ServiceSpec, _: Machine) -> str:
    return _address(spec.model_path) if spec.model_path else "no model: the processor gets an empty path"


def _processor(spec: ServiceSpec, machine: Machine) -> str:
    if not spec.processor:
        return "no preset"
    return presets.serving(spec, machine)


def _processor_path(spec: ServiceSpec, _: Machine) -> str:
    return (
        _address(spec.processor_path)
        if spec.processor_path
        else "the entry is looked for beside service.json"
    )


def _instances(spec: ServiceSpec, _: Machine) -> str:
    count = spec.start_count
    clamped = f", clamped by the autoscaler's bounds to {count}" if count != spec.metadata.instance else ""
    return f"{spec.metadata.instance} processor process(es) at the start{clamped}"


def _cpu(spec: ServiceSpec, machine: Machine) -> str:
    cpu = spec.metadata.cpu
    if cpu is None:
        return f"no share set: each instance may use all {machine.cpus} CPUs"
    how = machine.cgroups.by("cpu")
    whole = max(1, math.ceil(cpu))
    by = how or f"affinity, so {whole} whole CPU{'s'[: whole > 1]} ({machine.cgroups.reason('cpu')})"
    return f"at most {cpu:g} of this machine's {machine.cpus} CPUs, by {by}"


def _memory(spec: ServiceSpec, machine: Machine) -> str:
    here = size(machine.memory_bytes)
    if spec.metadata.memory is None:
        return f"no limit (this machine has {here})"
    by = machine.cgroups.by("memory") or f"a watchdog ({machine.cgroups.reason('memory')})"
    return f"at most {spec.metadata.memory} MB of this machine's {here}, by {by}"


def _qos(spec: ServiceSpec, machine: Machine) -> str:
    if not spec.metadata.qos:
        return "instances share CPUs that all of them want by their cpu"
    last = "" if machine.cgroups.by("cpu") else " (not here: that needs a cgroup)"
    return f"CPU is shared between instances, and others come first{last}; cpu is the most one may use"


def _shm(spec: ServiceSpec, _: Machine) -> str:
    if spec.metadata.shm_size is None:
        return "the machine's /dev/shm"
    private = f"a /dev/shm of its own of {spec.metadata.shm_size:g} GiB for each instance"
    return f"{private}, if the kernel gives mount namespaces; the status says whether it does"


def _scratch(spec: ServiceSpec, machine: Machine) -> str:
    limit = spec.features.extra_ephemeral_storage
    if not limit:
        return "no limit, and the machine's /tmp"
    return f"each instance may write {size(limit)}; {size(machine.disk_free_bytes)} are free now"


_NO_GPU: Final = "impossible: this machine has no GPU (`eas-engine doctor` says what is missing)"


def _gpu(spec: ServiceSpec, machine: Machine) -> str:
    wanted = cards.wanted(spec)
    if not machine.gpus and (wanted.whole or wanted.memory):
        return _NO_GPU
    if wanted.whole:
        return f"{wanted.whole} of this machine's {len(machine.gpus)} GPUs, its alone: it sees no other"
    if spec.metadata.gpu:
        return f"no effect: {cards.unused(spec)}"
    if wanted.memory:
        return "no whole one: a share, by gpu_memory"
    return "an instance sees none of this machine's GPUs" if machine.gpus else "none"


def _gpu_memory(spec: ServiceSpec, machine: Machine) -> str:
    wanted = cards.wanted(spec)
    if not spec.metadata.gpu_memory:
        return "no share of a GPU"
    if not wanted.memory:
        return f"no effect: {cards.unused(spec) or 'whole GPUs come with all their memory'}"
    if not machine.gpus:
        return _NO_GPU
    by = "MPS and a watchdog" if wanted.percent and machine.mps else "a watchdog"
    share = f"{size(wanted.memory)} of one of this machine's {len(machine.gpus)} GPUs"
    return f"{share}, by {by}; presets take no more"


def _gpu_percent(spec: ServiceSpec, machine: Machine) -> str:
    wanted = cards.wanted(spec)
    if not wanted.percent:
        return "no effect without gpu_memory" if spec.metadata.gpu_core_percentage else "no share is set"
    if not machine.gpus:
        return _NO_GPU
    by = f"by MPS ({machine.mps})" if machine.mps else "enforced by nothing: MPS isn't installed"
    return f"counted: at most 100% of a GPU are given away; {wanted.percent}% are {by}"


def _cuda(spec: ServiceSpec, machine: Machine) -> str:
    if not spec.metadata.cuda:
        return "what the machine has at /usr/local/cuda"
    if spec.metadata.cuda not in machine.cuda_toolkits:
        return f"not installed (installed: {', '.join(machine.cuda_toolkits) or 'none'})"
    return f"/usr/local/cuda-{spec.metadata.cuda}, for the instances alone at /usr/local/cuda"


def _keepalive(spec: ServiceSpec, _: Machine) -> str:
    rpc = spec.metadata.rpc
    answer = f"a request not answered {rpc.keepalive_ms} ms after its first byte gets 408"
    return (
        answer if rpc.keepalive is not None else f"{answer}, unless the processor's code sets another value"
    )


def _io_threads(spec: ServiceSpec, machine: Machine) -> str:
    asked = spec.metadata.rpc.io_threads
    here = loops(asked, gil=has_gil())
    loop = f"one event loop: {here.reason}" if here.reason else "one event loop"
    return f"{loop}; up to {body_threads(asked, machine.cpus)} thread(s) inflate and compress bodies"


def _decompressor(spec: ServiceSpec, _: Machine) -> str:
    codec = spec.metadata.rpc.decompressor
    return f"every request's body is inflated with {codec}" if codec else "bodies are taken as they come"


def _queue(spec: ServiceSpec, _: Machine) -> str:
    queue = spec.metadata.rpc.max_queue_size
    return f"{queue} request{'' if queue == 1 else 's'} may wait per instance; one more gets 450"


def _batching(spec: ServiceSpec, _: Machine) -> str:
    rpc = spec.metadata.rpc
    return f"up to {rpc.batch_rows} rows are one call of the model" if rpc.batching else _NO_BATCHES


def _batched(words: Callable[[Rpc], str]) -> Words:
    """What holds only with ``rpc.batching``."""
    return lambda spec, _: words(spec.metadata.rpc) if spec.metadata.rpc.batching else _NO_BATCHES


def _batch_timeout(rpc: Rpc) -> str:
    if rpc.batch_when_idle:
        return "no effect: a batch goes as soon as a worker thread is idle"
    return f"a batch waits up to {rpc.max_batch_timeout} ms to fill while a worker thread is idle"


def _batch_when_idle(rpc: Rpc) -> str:
    if rpc.batch_when_idle:
        return "a batch goes at once when a worker thread is idle, without waiting to fill up"
    return f"a batch waits for company until {rpc.max_batch_timeout} ms are over, or a deadline is near"


def _batch_padding(rpc: Rpc) -> str:
    if rpc.batch_padding:
        return "variable-length dimensions are padded to the batch's longest, and outputs cut back"
    return "nothing is padded: tensors whose rows differ in shape aren't joined"


def _batch_sizes(rpc: Rpc) -> str:
    sizes = ", ".join(map(str, rpc.batch_sizes))
    return f"the model sees batches of {sizes} rows only, padded up" if sizes else "batches of any size"


def _retry(spec: ServiceSpec, _: Machine) -> str:
    if spec.metadata.rpc.retry_on_crash:
        return "what was begun when an instance died is tried once more, suspects alone"
    return "what was begun when an instance died gets 500, and isn't tried again"


def _entry(spec: ServiceSpec, _: Machine) -> str:
    if not spec.processor_entry:
        return "none"
    what = _ENTRIES.get(spec.processor_type)
    where = "in the processor's package" if spec.processor_path else "beside service.json"
    return f"{what}, {where}" if what else "no effect without processor_type"


_NO_BATCHES: Final = "no batching: every request is a call of its own"
_ENTRIES: Final = MappingProxyType(
    {
        "cpp": "the library that is loaded",
        "java": "the jar that is loaded",
        "python": "the Python file that is run",
    }
)


def _threads(spec: ServiceSpec, _: Machine) -> str:
    rpc = spec.metadata.rpc
    calls = f"{rpc.threads} threads per instance call the processor"
    if rpc.threads == 1:
        calls = "1 thread per instance calls the processor"
    return (
        calls
        if rpc.worker_threads is not None
        else f"{calls}, unless its constructor asks for another number"
    )


def _rate(spec: ServiceSpec, _: Machine) -> str:
    rate = spec.metadata.rpc.rate_limit
    return f"more than {rate:g} requests per second and instance get 429" if rate else "no limit"


def _body(spec: ServiceSpec, _: Machine) -> str:
    return f"a body over {size(spec.metadata.rpc.max_body_size)} gets 413"


def _inflight(spec: ServiceSpec, _: Machine) -> str:
    return f"over {size(spec.metadata.rpc.max_inflight_bytes)} of bodies, reading pauses"


def _stuck(spec: ServiceSpec, _: Machine) -> str:
    rpc = spec.metadata.rpc
    return f"a call that takes longer than {rpc.stuck_timeout_ms(rpc.keepalive_ms)} ms ends its instance"


def _sigterm(spec: ServiceSpec, _: Machine) -> str:
    return "sent when an instance begins to leave" if spec.metadata.rpc.enable_sigterm else "not sent"


def _grace(spec: ServiceSpec, _: Machine) -> str:
    grace = spec.metadata.eas.termination_grace_period
    return f"a leaving instance that isn't empty after {grace} s is killed"


def _callers(spec: ServiceSpec, _: Machine) -> str:
    if spec.networking.disable_internet_endpoint:
        return "callers whose address isn't loopback, private or link-local get 403"
    return "callers with any address are answered"


def _time_zone(spec: ServiceSpec, _: Machine) -> str:
    if spec.autoscaler is None or not spec.autoscaler.scaleJobs:
        return "no jobs"
    from eas_engine.spec.schedules import zone  # noqa: PLC0415 - the calendar is for those who have jobs

    where = spec.autoscaler.timeZone or "the machine's own time"
    now = datetime.now(zone(spec.autoscaler.timeZone))
    return f"jobs go by {where}, now {now:%H:%M} {now.tzname()}"


def _container(spec: ServiceSpec, machine: Machine) -> str:
    if not spec.containers:
        return "none"
    one = spec.containers[0]
    program = f"command {one.command!r}" if one.command else "a script"
    where = f"in the image {one.image}" if one.image else "as plain processes"
    tool = f" by {machine.container_tool}" if one.image and machine.container_tool else ""
    return f"{program}, port {one.port}, {where}{tool}"


def _storage(spec: ServiceSpec, _: Machine) -> str:
    if not spec.storage:
        return "nothing is mounted"
    return "; ".join(
        f"{mount.mount_path} from {next(name for name in _MOUNTS if getattr(mount, name) is not None)}"
        for mount in spec.storage
    )


_MOUNTS: Final = ("oss", "nfs", "git", "empty_dir", "local")


def _resource(spec: ServiceSpec, machine: Machine) -> str:
    resource = spec.metadata.resource
    choices = pools_for(spec, machine)
    if not choices:
        return f"no group of this machine; it has {', '.join(one.name for one in machine.settings.groups)}"
    if not machine.settings.groups:
        return "no resource groups on this machine: the whole machine" if resource else "whole machine"
    return ", else ".join(
        f"{one.title} (CPUs {cpu_list.text(one.cpus)}{_gpus_of(one)})"
        if one.cpus
        else f"{one.title}: nothing"
        for one in choices
    )


def _gpus_of(pool: Pool) -> str:
    count = len(pool.cards)
    return (
        f", {count} GPU{'s' * (count > 1)}{' shared' * bool(pool.name and pool.shares_cards)}"
        if count
        else ""
    )


def _spread(spec: ServiceSpec, machine: Machine) -> str:
    count = len(machine.nodes)
    if spec.metadata.scheduling.spread.policy == "default":
        return "the first place with room"
    gpus = len(machine.gpus) if cards.wanted(spec) else 0
    if count < 2 and gpus < 2:
        return "no effect: this machine has one NUMA node"
    over = [f"{gpus} GPUs"] * (gpus > 1) + [f"{count} NUMA nodes"] * (count > 1)
    return f"instances are spread over this machine's {' and '.join(over)}"


def _rebalancing(spec: ServiceSpec, machine: Machine) -> str:
    choices = pools_for(spec, machine)
    if not spec.metadata.resource_rebalancing:
        return "an instance stays where it was started"
    if len(choices) < 2:
        return "no effect: there is only one place to be in"
    return f"instances move up when there is room: {', '.join(one.title for one in choices)}"


def _instance_type(spec: ServiceSpec, machine: Machine) -> str:
    name = spec.cloud.computing.instance_type
    wanted = machine.machine_type(name)
    if wanted is None:
        return "not in the table of machine types, nor in the engine settings" if name else "none"
    gives = f"{wanted.cpu} CPUs, {wanted.memory} MB, {wanted.gpu} GPUs where metadata says nothing"
    own = ", an own type" if name in machine.settings.types else ""
    clipped = (
        "" if clip(wanted, machine, room(spec, machine)) == wanted else ", clipped to what there is here"
    )
    return gives + own + clipped


WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "name": _name,
        "token": _token,
        "model_path": _model_path,
        "processor": _processor,
        "processor_path": _processor_path,
        "containers": _container,
        "storage": _storage,
        "processor_entry": _entry,
        "cloud.computing.instance_type": _instance_type,
        "networking.disable_internet_endpoint": _callers,
        "autoscaler.timeZone": _time_zone,
        "metadata.instance": _instances,
        "metadata.cpu": _cpu,
        "metadata.memory": _memory,
        "metadata.qos": _qos,
        "metadata.shm_size": _shm,
        "features.eas.aliyun.com/extra-ephemeral-storage": _scratch,
        "metadata.gpu": _gpu,
        "metadata.gpu_memory": _gpu_memory,
        "metadata.gpu_core_percentage": _gpu_percent,
        "metadata.cuda": _cuda,
        "metadata.resource": _resource,
        "metadata.scheduling.spread.policy": _spread,
        "metadata.resource_rebalancing": _rebalancing,
        "metadata.rpc.keepalive": _keepalive,
        "metadata.rpc.io_threads": _io_threads,
        "metadata.rpc.decompressor": _decompressor,
        "metadata.rpc.max_queue_size": _queue,
        "metadata.rpc.worker_threads": _threads,
        "metadata.rpc.batching": _batching,
        "metadata.rpc.max_batch_size": _batched(lambda rpc: f"at most {rpc.batch_rows} rows in a batch"),
        "metadata.rpc.max_batch_timeout": _batched(_batch_timeout),
        "metadata.rpc.batch_when_idle": _batched(_batch_when_idle),
        "metadata.rpc.batch_padding": _batched(_batch_padding),
        "metadata.rpc.batch_sizes": _batched(_batch_sizes),
        "metadata.rpc.retry_on_crash": _retry,
        "metadata.rpc.rate_limit": _rate,
        "metadata.rpc.max_body_size": _body,
        "metadata.rpc.max_inflight_bytes": _inflight,
        "metadata.rpc.stuck_timeout": _stuck,
        "metadata.rpc.enable_sigterm": _sigterm,
        "metadata.eas.termination_grace_period": _grace,
    }
)
