"""What the data plane and the supervisor are told: each parameter in its place."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from eas_engine.admission.gate import Limits
from eas_engine.artifacts import libraries
from eas_engine.artifacts.class_path import class_path
from eas_engine.artifacts.workspace import variables
from eas_engine.batching.cut import Rules as BatchRules
from eas_engine.devices import VISIBLE
from eas_engine.gateway.front import Rules
from eas_engine.plane import Plane, PlaneSettings
from eas_engine.spec import presets
from eas_engine.spec.loops import body_threads
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.limits.enforcer import Enforcer
from eas_engine.supervisor.limits.variables import threads
from eas_engine.supervisor.mounts import TOOLKIT, workspace_mounts
from eas_engine.supervisor.place import Limits as InstanceLimits
from eas_engine.supervisor.place import Needs, Wishes
from eas_engine.supervisor.settings import Batching, Preset, Processor, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from eas_engine.clock import Clock
    from eas_engine.configuration import Configured
    from eas_engine.devices.inventory import Inventory
    from eas_engine.devices.nvml import Nvml
    from eas_engine.options import ServeOptions
    from eas_engine.prepare import Parts
    from eas_engine.spec import Machine, ServiceSpec
    from eas_engine.state import Token
    from eas_engine.supervisor.gpu.mps import Mps
    from eas_engine.supervisor.gpu.share import Cards
    from eas_engine.telemetry.logs import Logs


_MB, _GB = 2**20, 2**30


def plane(parts: Parts, logs: Logs, clock: Clock) -> Plane:
    """The data plane of the service."""
    return Plane(
        plane_settings(parts.first, parts.token, parts.options),
        prefix=secrets.token_hex(4),
        clock=clock,
        log=logs.log,
        descriptors=parts.descriptors,
        access=parts.access,
    )


def plane_settings(of: Configured, token: Token | None, options: ServeOptions) -> PlaneSettings:
    """What the data plane is told about a version: all of it may change while it runs."""
    service = of.loaded.spec
    rpc = service.metadata.rpc
    return PlaneSettings(
        Rules(
            service.name,
            token.text if token else "",
            rpc.max_body_size,
            options.any_path,
            rpc.decompressor,
            service.networking.disable_internet_endpoint,
        ),
        Limits(
            rpc.max_queue_size,
            rpc.threads,
            float(rpc.rate_limit),
            rpc.keepalive_ms / 1000,
            rpc.batch_rows if rpc.batching else 1,
        ),
        inflight=rpc.max_inflight_bytes,
        stuck_ms=rpc.stuck_timeout,
        retry=rpc.retry_on_crash,
        batching=batch_rules(of),
        io_threads=body_threads(rpc.io_threads, of.loaded.machine.cpus),
        keepalive_given=rpc.keepalive is not None,
    )


def on_card(of: Configured) -> bool:
    """Whether a version's preset runs on a card, which reads bodies where they lie."""
    service = of.loaded.spec
    return bool(service.processor) and presets.device(service, of.loaded.machine) == "gpu"


def batch_rules(of: Configured) -> BatchRules | None:
    """By which rules requests of a version leave together; None: each goes alone."""
    rpc = of.loaded.spec.metadata.rpc
    if not rpc.batching:
        return None
    return BatchRules(rpc.batch_rows, rpc.max_batch_timeout / 1000, rpc.batch_when_idle)


def settings(of: Configured, sdk: Path) -> Settings:
    """What the supervisor is told about a version; ``sdk``: the hosts' first working directory."""
    service, artifacts = of.loaded.spec, of.artifacts
    rpc, workspace = service.metadata.rpc, artifacts.workspace
    return Settings(
        service=service.name,
        program=Program(
            interpreter=sys.executable if service.processor else _interpreter(str(artifacts.interpreter)),
            sdk_directory=sdk,
            toolkit=toolkit(service),
            environment=_environment(of),
            core_files=service.runtime.enable_crash_block,
            mounts=workspace_mounts(workspace.root, workspace.links) if workspace else (),
            needs=_needs(of, sdk),
        ),
        processor=Processor(
            entry=str(artifacts.entry),
            entry_class=artifacts.entry_class,
            processor_type="preset" if service.processor else service.processor_type,
            preset=_preset(of),
            processor_dir=str(artifacts.processor_dir),
            model_path=artifacts.model_path,
            model_entry=artifacts.model_entry,
            model_config=service.model_config_text,
            warm_up=str(artifacts.warm_up or ""),
            warm_up_count=service.metadata.warm_up_count,
            cpp_batch=rpc.cpp_batch,
            batching=Batching(rpc.batch_rows, rpc.batch_padding, rpc.batch_sizes) if rpc.batching else None,
            main_class=service.processor_mainclass,
            class_path=_class_path(of),
            java_opts=service.metadata.java_opts,
            memory_mb=service.metadata.memory,
            cpus=None if service.metadata.cpu is None else threads(service.metadata.cpu),
        ),
        threads=rpc.worker_threads,
        keepalive_ms=rpc.keepalive,
        enable_sigterm=rpc.enable_sigterm,
        crash_block=service.runtime.enable_crash_block,
        grace=float(service.metadata.eas.termination_grace_period),
        limits=limits(service),
        wishes=wishes(service),
    )


def wishes(service: ServiceSpec) -> Wishes:
    """Where its instances should run."""
    metadata = service.metadata
    return Wishes(
        resource=metadata.resource,
        spread=metadata.scheduling.spread.policy,
        rebalancing=metadata.resource_rebalancing,
    )


def limits(service: ServiceSpec) -> InstanceLimits:
    """What one instance may use."""
    wanted = service.metadata
    found = InstanceLimits(
        cpu=wanted.cpu,
        best_effort=wanted.qos == "BestEffort",
        memory=None if wanted.memory is None else wanted.memory * _MB,
        shm=None if wanted.shm_size is None else int(wanted.shm_size * _GB),
        scratch=service.features.extra_ephemeral_storage or None,
    )
    if not wanted.gpu and not wanted.gpu_memory:
        return found
    from eas_engine.spec import cards  # noqa: PLC0415 - only for who asks for some

    share = cards.wanted(service)
    return replace(
        found, gpus=share.whole, gpu_memory=share.memory or None, gpu_percent=share.percent or None
    )


def toolkit(service: ServiceSpec) -> Path | None:
    """The CUDA toolkit that its instances see; None: the machine's."""
    return TOOLKIT.with_name(f"cuda-{service.metadata.cuda}") if service.metadata.cuda else None


def autoscaling(of: Configured) -> AutoscaleSettings | None:
    """What the autoscaler goes by; None without one."""
    spec, machine = of.loaded.spec, of.loaded.machine
    if spec.autoscaler is None:
        return None
    return AutoscaleSettings.of(spec.autoscaler, spec.metadata.cpu or float(machine.cpus))


def enforcer(parts: Parts, logs: Logs, cards: Inventory | None = None, mps: Mps | None = None) -> Enforcer:
    """Who holds the instances within their limits: ``cards`` tells what they have, ``mps`` shares compute."""
    loaded = parts.first.loaded
    return Enforcer(
        loaded.spec.name,
        parts.state.path / "scratch",
        loaded.machine.cgroups,
        warn=logs.log.warning,
        cards=_shared(loaded.machine, cards, mps),
    )


def nvml(parts: Parts) -> Nvml | None:
    """The driver of the machine's cards; None: it has none."""
    if not parts.first.loaded.machine.gpus:
        return None
    from eas_engine.devices.nvml import load  # noqa: PLC0415 - only where there are cards

    return load()


def mps(parts: Parts, logs: Logs) -> Mps | None:
    """The daemons by which instances share the compute of cards; None where there is nothing to share."""
    machine = parts.first.loaded.machine
    if not machine.gpus or not machine.mps:
        return None
    from eas_engine.supervisor.gpu.mps import Mps  # noqa: PLC0415 - few machines have it

    return Mps(machine.mps, parts.root, warn=logs.log.warning)


def inventory(opened: Nvml | None) -> Inventory | None:
    """The cards, and which processes have how much of them; None: there are none."""
    if opened is None:
        return None
    from eas_engine.devices.inventory import Inventory  # noqa: PLC0415 - only where there are cards

    return Inventory(opened)


def _shared(machine: Machine, cards: Inventory | None, mps: Mps | None) -> Cards | None:
    """The machine's cards as instances have them; None: there are none."""
    if not machine.gpus:
        return None
    from eas_engine.supervisor.gpu.share import Cards  # noqa: PLC0415 - only where there are cards

    return Cards(machine.gpus, cards, mps)


def _needs(of: Configured, sdk: Path) -> Needs:
    """What the instances of a version share and read."""
    artifacts, service = of.artifacts, of.loaded.spec
    paths = (
        *(str(one) for one in (artifacts.entry, artifacts.processor_dir, artifacts.warm_up or "")),
        *(str(one) for one in (sdk, artifacts.interpreter, sys.prefix, sys.base_prefix)),
        *(artifacts.model_path, artifacts.model_entry, *_class_path(of)),
        *(variable.value for variable in service.processor_envs),
    )
    return Needs(of.workspace, paths)


def _preset(of: Configured) -> Preset | None:
    """What the host is told of a preset."""
    service = of.loaded.spec
    preset = presets.find(service.processor) if service.processor else None
    if preset is None:
        return None
    device = presets.device(service, of.loaded.machine)
    return Preset(service.processor, preset.name, device, preset.served_by, preset.install)


def _class_path(of: Configured) -> tuple[str, ...]:
    """Of a Java processor; empty for others."""
    service, artifacts = of.loaded.spec, of.artifacts
    if service.processor_type != "java":
        return ()
    return class_path(service.processor_path, artifacts.processor_dir, artifacts.entry)


def _environment(of: Configured) -> dict[str, str]:
    """``processor_envs`` and where things are; for libraries also their search path, which exec must know."""
    service, artifacts = of.loaded.spec, of.artifacts
    given = variables.variables(artifacts)
    if service.processor and presets.device(service, of.loaded.machine) == "cpu":
        given[VISIBLE] = "-1"  # frameworks take what they see, whole cards of it
    given |= {variable.name: variable.value for variable in service.processor_envs}
    if (chosen := toolkit(service)) is not None:
        from eas_engine.supervisor.gpu import cuda  # noqa: PLC0415 - few services choose one

        given |= cuda.variables(chosen, given, os.environ)
    if service.processor_type in ("cpp", "java"):
        path = given.get(libraries.VARIABLE, os.environ.get(libraries.VARIABLE, ""))
        given[libraries.VARIABLE] = libraries.search_path(artifacts.processor_dir, artifacts.entry, path)
    return given


def _interpreter(found: str) -> str:
    """A processor started by hand says which Python it was started with, unless its package brings one."""
    return os.environ.get("EAS_PROCESSOR_PYTHON", found) if found == sys.executable else found
