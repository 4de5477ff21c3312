"""Does the service fit this machine? Refusals name both figures: what was asked for and what there is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from eas_engine.devices import VISIBLE
from eas_engine.spec import addresses, presets, schemes
from eas_engine.spec.engine.pools import Pool, pools_for
from eas_engine.spec.machine import Machine
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.problems import Origin, Problem, problem_at

_MB: Final = 2**20
_GB: Final = 2**30
_CROWD: Final = 8  # instances for each CPU that are still no accident
_GPU_USE: Final = "gpu[util]"


def problems(spec: ServiceSpec, origins: Mapping[str, Origin], machine: Machine) -> Iterator[Problem]:
    """Errors: can't be served here. Warnings: served otherwise than was asked."""
    for path, message, severity in _findings(spec, machine):
        yield problem_at(path, origins, message, severity)


_Finding = tuple[str, str, Literal["error", "warning"]]


def _findings(spec: ServiceSpec, machine: Machine) -> Iterator[_Finding]:
    yield from _kind(spec, machine)
    yield from _pools(spec, machine)
    yield from _disk(spec, machine)
    yield from _gpu_use(spec, machine)
    yield from _software(spec, machine)
    if not spec.token and not spec.generate_token:
        yield "generate_token", "an open service: every caller is answered, no token is asked for", "warning"


def _kind(spec: ServiceSpec, machine: Machine) -> Iterator[_Finding]:
    if spec.metadata.type != "Standard":
        yield "metadata.type", f'"{spec.metadata.type}": only services of type Standard are served', "error"
    preset = presets.find(spec.processor) if spec.processor else None
    if preset is not None and not preset.is_served:
        message = f'"{spec.processor}" is a bundle of the vendor that is not public; {preset.instead}'
        yield "processor", message, "error"
    elif preset is not None and presets.is_other_version(
        spec.processor, machine.packages.version(preset.distributions)
    ):
        yield "processor", f'"{spec.processor}": {presets.serving(spec, machine)}', "warning"


def _pools(spec: ServiceSpec, machine: Machine) -> Iterator[_Finding]:
    """Could one instance be placed, if nobody else were there, and could all of them?"""
    resource, groups = spec.metadata.resource, machine.settings.groups
    choices = pools_for(spec, machine)
    if resource and not groups:
        message = f'"{resource}": no resource groups are defined on this machine; the whole machine is used'
        yield "metadata.resource", message, "warning"
    elif not choices:
        known = ", ".join(one.name for one in groups)
        yield "metadata.resource", f'"{resource}": no resource group of this machine; it has {known}', "error"
        return
    if not choices[0].cpus:
        known = ", ".join(one.name for one in groups)
        message = f"every CPU of this machine is in a resource group: name one of {known}"
        yield "metadata.resource", message, "error"
        return
    yield from _one_instance(spec, choices)
    yield from _gpus(spec, machine, choices)
    yield from _all_instances(spec, choices, spec.start_count)
    if spec.metadata.resource_rebalancing and len(choices) == 1:
        why = f"{choices[0].title} has nothing below it" if groups else "there are no resource groups"
        yield "metadata.resource_rebalancing", f"no effect: {why}", "warning"


def _one_instance(spec: ServiceSpec, choices: Sequence[Pool]) -> Iterator[_Finding]:
    cpu, memory = spec.metadata.cpu, spec.metadata.memory
    most = max(choices, key=lambda one: len(one.cpus))
    if cpu is not None and cpu > len(most.cpus):
        yield "metadata.cpu", f"{cpu:g} CPUs asked for, {most.title} has {len(most.cpus)}", "error"
    most = max(choices, key=lambda one: one.memory)
    if memory is not None and memory * _MB > most.memory:
        message = f"{memory} MB asked for, {most.title} has {most.memory // _MB} MB"
        yield "metadata.memory", message, "error"


def crowds(spec: ServiceSpec, machine: Machine, instances: int) -> tuple[str, ...]:
    """What so many instances, instead of the file's, are warned of on this machine; for people."""
    found = _all_instances(spec, pools_for(spec, machine), instances)
    return tuple(f"{path}: {message}" for path, message, _ in found)


def _all_instances(spec: ServiceSpec, choices: Sequence[Pool], count: int) -> Iterator[_Finding]:
    """Said at once, for the log of a start is where it is looked for when some stay pending."""
    cpu = 0.0 if spec.metadata.qos == "BestEffort" else spec.metadata.cpu or 0.0
    memory = (spec.metadata.memory or 0) * _MB
    room = sum(min(_holds(one, cpu, memory), _holds_by_cards(one, spec)) for one in choices)
    where = " and ".join(one.title for one in choices)
    cpus = sum(len(one.cpus) for one in choices)
    if 0 < room < count:
        message = f"{count} asked for, {where} can hold {room}: the others stay pending"
        yield "metadata.instance", message, "warning"
    elif count > _CROWD * cpus > 0:
        have = f"{cpus} CPU{'s'[: cpus > 1]}"
        message = (
            f"{count} asked for, {where} has {have}, which all of them share: starts and calls take long"
        )
        yield "metadata.instance", message, "warning"


def _holds(pool: Pool, cpu: float, memory: int) -> float:
    """How many instances fit into the pool when it is empty."""
    by_cpu = (len(pool.cpus) * 1000) // max(1, round(cpu * 1000)) if cpu else math.inf
    return min(by_cpu, pool.memory // memory if memory else math.inf)


def _holds_by_cards(pool: Pool, spec: ServiceSpec) -> float:
    """The same by its cards alone."""
    if not spec.metadata.gpu and not spec.metadata.gpu_memory:
        return math.inf
    from eas_engine.spec import cards  # noqa: PLC0415 - as below

    wanted = cards.wanted(spec)
    return wanted.fits(pool.cards.values()) if wanted else math.inf


def _disk(spec: ServiceSpec, machine: Machine) -> Iterator[_Finding]:
    yield from _shm(spec, machine)
    disk = spec.features.extra_ephemeral_storage
    if disk is not None and disk > machine.disk_free_bytes:
        message = f"{disk / _GB:g} GiB asked for, {machine.disk_free_bytes / _GB:.1f} GiB are free"
        yield "features.eas.aliyun.com/extra-ephemeral-storage", message, "error"


def _shm(spec: ServiceSpec, machine: Machine) -> Iterator[_Finding]:
    shm, memory = spec.metadata.shm_size, spec.metadata.memory
    if shm is None:
        return
    if shm * _GB > machine.memory_bytes:
        here = machine.memory_bytes / _GB
        message = f"{shm:g} GB asked for, and it is in memory: this machine has {here:.1f} GB"
        yield "metadata.shm_size", message, "warning"
    elif memory is not None and shm * _GB > memory * _MB:
        message = f"{shm:g} GB can't be filled: what is in it counts in metadata.memory ({memory} MB)"
        yield "metadata.shm_size", message, "warning"


def _gpus(spec: ServiceSpec, machine: Machine, choices: Sequence[Pool]) -> Iterator[_Finding]:
    """Cards that one instance could never be given, and what comes of asking for none."""
    asks = spec.metadata.gpu or spec.metadata.gpu_memory
    if not asks and spec.processor and presets.wants_gpu(spec.processor):
        why = f" ({machine.no_gpus})" if machine.no_gpus else ""
        none = "metadata.gpu and gpu_memory ask for none" if machine.gpus else f"this machine has none{why}"
        yield "processor", f'"{spec.processor}" is for GPUs; {none}, so it runs on the CPU', "warning"
    if machine.gpus and any(one.name == VISIBLE for one in spec.processor_envs):
        message = (
            f"{VISIBLE} has no effect: instances see the GPUs that metadata.gpu or gpu_memory gives them"
        )
        yield "processor_envs", message, "warning"
    if asks:
        from eas_engine.spec import cards  # noqa: PLC0415 - only for who asks for some

        yield from cards.findings(spec, machine, choices)
    elif spec.metadata.cuda:
        message = "the instances get the toolkit and no GPU: metadata.gpu and gpu_memory ask for none"
        yield "metadata.cuda", message, "warning"


def _gpu_use(spec: ServiceSpec, machine: Machine) -> Iterator[_Finding]:
    """An autoscaler that goes by what no instance will ever have a figure of."""
    scaler = spec.autoscaler
    asked = spec.metadata.gpu or spec.metadata.gpu_memory or presets.device(spec, machine) == "gpu"
    if scaler is None or (machine.gpus and asked):
        return
    why = "the service asks for none (metadata.gpu, gpu_memory)" if machine.gpus else "this machine has none"
    message = f"no instance will have a figure of its GPUs, so the number never falls: {why}"
    if _GPU_USE in scaler.strategies:
        yield f"autoscaler.strategies.{_GPU_USE}", message, "warning"
    for index, one in enumerate(scaler.scaleStrategies):
        if one.metricName == _GPU_USE:
            yield f"autoscaler.scaleStrategies[{index}].metricName", message, "warning"


def _meant(cuda: str, machine: Machine) -> str:
    """What was meant by a version that isn't there: 13.0 by "13"; 12.10 by 12.1, which JSON makes of it."""
    longer = [one for one in machine.cuda_toolkits if one.startswith(f"{cuda}.")]
    if longer:
        return f"; did you mean {' or '.join(longer)}?"
    tenth = f"{cuda}0"
    if "." in cuda and tenth in machine.cuda_toolkits:
        return f'; did you mean "{tenth}"? As a number it is {cuda}: write it in quotes'
    if cuda.endswith(".1"):  # nobody can tell how it was written
        return f'; if "{tenth}" is meant, write it in quotes: as a number it is {cuda}'
    return ""


def _software(spec: ServiceSpec, machine: Machine) -> Iterator[_Finding]:
    cuda = spec.metadata.cuda
    if cuda and cuda not in machine.cuda_toolkits:
        installed = ", ".join(machine.cuda_toolkits) or "none"
        yield (
            "metadata.cuda",
            f"CUDA {cuda} is not installed on this machine (installed: {installed}){_meant(cuda, machine)}",
            "error",
        )
    for index, container in enumerate(spec.containers):
        if container.image and not machine.container_tool:
            message = (
                f'"{container.image}" needs podman or Docker, and neither is installed: apt install podman'
            )
            yield f"containers[{index}].image", message, "error"
    for path, address in (
        ("model_path", spec.model_path),
        ("processor_path", spec.processor_path),
        ("warm_up_data_path", spec.warm_up_data_path),
    ):
        wrong = schemes.what_is_wrong(addresses.scheme(address))
        if wrong:
            yield path, wrong, "error"
        named = spec.oss_endpoint or addresses.names_endpoint(address)
        if addresses.scheme(address) == "oss" and not named:
            yield path, "oss:// needs oss_endpoint, or OSS_ENDPOINT in the environment", "error"
