"""What ``eas-engine doctor`` finds on this machine: values that are JSON, and what is wrong with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from eas_engine import __version__
from eas_engine.devices import MPS, has_driver, nvml
from eas_engine.devices.inventory import Inventory
from eas_engine.devices.nvml import Nvml
from eas_engine.devices.readings import reading
from eas_engine.records import dataclass
from eas_engine.spec.cgroups import CONTROLLERS
from eas_engine.spec.machine import Gpu, Machine
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.packages import Packages
from eas_engine.spec.presets import PRESETS

PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "java": ("java", "javac"),
    "compilers": ("cc", "c++", "nvcc", "make"),
    "containers": ("podman", "docker"),
}
"""Looked for on PATH, and asked for their versions."""
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    **{one.extra: one.modules for one in PRESETS if one.is_served},
    "java": ("jpype",),
    "grpc": ("grpc", "google"),
    "oss": ("fsspec", "ossfs", "oss2"),
    "gpu": ("pynvml",),
    "bench": ("hdrh", "numpy", "plotly"),
}
"""The modules that each extra brings."""
_GPU_EXTRA: Final = "pip install 'eas-engine[gpu]'"
_MODES: Final = {nvml.PROHIBITED: "compute mode is PROHIBITED: no process can use it"}
_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the facts come from.

    Attributes:
        nvml: the driver, opened; None: there is none, or it doesn't answer.
        driver: whether the driver's library is there.
        which: the path of a program; None: it isn't there.
        version: what a program at a path says of its version; empty: nothing.
        environ: the environment.
    """

    nvml: Nvml | None
    driver: bool
    which: Callable[[str], str | None]
    version: Callable[[str], str]
    environ: Mapping[str, str]


def here() -> Sources:
    """This machine's. Whoever asks for it closes ``nvml``."""
    return Sources(nvml.load(), has_driver(), shutil.which, version_of, os.environ)


def facts(machine: Machine, sources: Sources) -> dict[str, Any]:
    """Everything that a person or a program may want to know of it; ``troubles`` is what is wrong."""
    packages = machine.packages
    found: dict[str, Any] = {
        "engine": {"version": __version__, "python": sys.version.split()[0], "prefix": sys.prefix},
        "cpus": {
            "usable": machine.cpus,
            "numbers": list(machine.usable),
            "nodes": {str(one.number): list(one.cpus) for one in machine.nodes},
        },
        "memory_bytes": machine.memory_bytes,
        "disk_free_bytes": machine.disk_free_bytes,
        "cgroups": {
            name: {"by": machine.cgroups.by(name), "reason": _reason(machine, name)} for name in CONTROLLERS
        },
        "driver": _driver(sources, packages),
        "cards": list(_cards(sources.nvml)),
        "cuda_toolkits": list(machine.cuda_toolkits),
        "mps": sources.which(MPS) or "",
        "java_home": sources.environ.get("JAVA_HOME", ""),
        **{kind: dict(_programs(names, sources)) for kind, names in PROGRAMS.items()},
        "extras": {name: list(packages.lacking(modules)) for name, modules in EXTRAS.items()},
    }
    return {**found, "troubles": list(_troubles(found, sources.nvml))}


def lacking(spec: ServiceSpec, found: Mapping[str, Any]) -> Iterator[str]:
    """What a service needs of this machine that ``check`` doesn't look for, a sentence each."""
    metadata = spec.metadata
    wants_card = bool(metadata.gpu or metadata.gpu_memory)
    if spec.processor_type == "java" and not (found["java"]["java"] or found["java_home"]):
        yield "Java: neither java on PATH nor JAVA_HOME (apt-get install openjdk-17-jre-headless)"
    if wants_card and not found["driver"]["library"]:
        yield "NVIDIA's driver: its library libnvidia-ml.so.1 is not on this machine"
    elif wants_card and found["extras"]["gpu"]:
        yield f"the package that asks the driver: {_GPU_EXTRA}"
    if metadata.gpu_core_percentage and metadata.gpu_memory and not found["mps"]:
        yield f"{MPS}: without it nothing enforces metadata.gpu_core_percentage"
    newest = found["driver"]["cuda"]
    if metadata.cuda and newest and _major(metadata.cuda) > _major(newest):
        yield f"a newer driver: CUDA {metadata.cuda} asked for, this one can do {newest}"


def version_of(program: str) -> str:
    """The first line with a figure that it prints when asked for its version; a copyright's are years."""
    flag = "-version" if Path(program).name in ("java", "javac") else "--version"
    try:
        done = subprocess.run(
            [program, flag],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode:
        return ""
    lines = done.stdout.decode(errors="replace").splitlines()
    figures = (line.strip() for line in lines if any(map(str.isdecimal, line)))
    return next((line for line in figures if not line.startswith("Copyright")), "")


def _driver(sources: Sources, packages: Packages) -> dict[str, Any]:
    newest, version = 0, ""
    if sources.nvml is not None:
        ask = Inventory(sources.nvml).ask
        newest = ask(sources.nvml.nvmlSystemGetCudaDriverVersion) or 0
        version = ask(sources.nvml.nvmlSystemGetDriverVersion) or ""
    return {
        "library": sources.driver,
        "package": not packages.lacking(EXTRAS["gpu"]),
        "answers": sources.nvml is not None,
        "version": version,
        "cuda": f"{newest // 1000}.{newest % 1000 // 10}" if newest else "",
    }


def _cards(driver: Nvml | None) -> Iterator[dict[str, Any]]:
    if driver is None:
        return
    inventory = Inventory(driver)
    for gpu in inventory.devices():
        yield _card(driver, inventory, gpu)


def _card(driver: Nvml, inventory: Inventory, gpu: Gpu) -> dict[str, Any]:
    found, users = reading(driver, inventory, gpu), inventory.used_by(gpu.uuid)
    mode = inventory.ask(driver.nvmlDeviceGetComputeMode, inventory.handle(gpu.uuid))
    return {
        "name": gpu.name,
        "uuid": gpu.uuid,
        "card": gpu.card,
        "node": gpu.node,
        "memory_bytes": gpu.memory_bytes,
        "memory_used_bytes": found.memory if found else None,
        "utilization": found.utilization if found else None,
        "watts": found.watts if found else None,
        "celsius": found.celsius if found else None,
        "throttles": list(found.throttles or ()) if found else [],
        "uncorrected_errors": found.uncorrected if found else None,
        "processes": None if users is None else {str(pid): memory for pid, memory in users.items()},
        "trouble": inventory.trouble(gpu.uuid) or _MODES.get(mode or 0, ""),
    }


def _troubles(found: Mapping[str, Any], driver: Nvml | None) -> Iterator[str]:
    state = found["driver"]
    if state["library"] and not state["package"]:
        yield f"NVIDIA's driver is here, and cards are not found without its package: {_GPU_EXTRA}"
    elif state["library"] and not state["answers"]:
        yield "NVIDIA's driver is here and doesn't answer: nvidia-smi says why"
    if driver is not None:
        yield from Inventory(driver).absent()
    for card in found["cards"]:
        if card["trouble"]:
            yield f"{card['uuid']}: {card['trouble']}"
        if errors := card["uncorrected_errors"]:
            yield f"{card['uuid']}: {errors} uncorrected ECC errors since the driver was loaded"


def _programs(names: tuple[str, ...], sources: Sources) -> Iterator[tuple[str, str]]:
    """What each says of its version, else its path; empty: it isn't there."""
    for name in names:
        path = sources.which(name)
        yield name, (sources.version(path) or path) if path else ""


def _reason(machine: Machine, controller: str) -> str:
    return "" if machine.cgroups.by(controller) else machine.cgroups.reason(controller)


def _major(version: str) -> int:
    digits = version.partition(".")[0]
    return int(digits) if digits.isdecimal() else 0
