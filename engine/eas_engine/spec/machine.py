"""What this machine has, as a value: rules and ``check`` take it as a parameter, so tests make one up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from eas_engine.devices import DRIVER, MPS, VISIBLE, Gpu, can_be_asked, has_driver
from eas_engine.records import dataclass
from eas_engine.spec import cgroups, numa
from eas_engine.spec.cgroups import Cgroups
from eas_engine.spec.engine.settings import EngineSettings
from eas_engine.spec.machine_types import MachineType, machine_types
from eas_engine.spec.numa import NumaNode
from eas_engine.spec.packages import InstalledPackages, KnownPackages, Packages

__all__ = ["Gpu", "Machine", "this_machine"]

_CGROUPS: Final = "EAS_CGROUPS"
_OFF: Final = ("off", "0", "no", "false")
_OSS_VARIABLES: Final = ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET")


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts that parameters are held against, and what its operator has made of them."""

    cpus: int
    """How many the engine may use."""
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    disk_free_bytes: int = 0
    cuda_toolkits: tuple[str, ...] = ()
    container_tool: str = ""
    """The path of podman or docker; empty: neither is installed."""
    oss_credentials: str = ""
    """Where credentials for oss:// come from; empty: there are none (anonymous)."""
    packages: Packages = field(default_factory=KnownPackages)
    """The Python packages beside the engine."""
    cpu_numbers: tuple[int, ...] = ()
    """Which CPUs these are, ascending; empty: from 0 on."""
    nodes: tuple[NumaNode, ...] = ()
    """The NUMA nodes; empty: unknown, so one for all."""
    settings: EngineSettings = field(default_factory=EngineSettings)
    """Resource groups and own machine types (``eas-engine.toml``)."""
    mps: str = ""
    """The path of NVIDIA's daemon for the Multi-Process Service; empty: it isn't installed."""
    no_gpus: str = ""
    """Why there are no GPUs, where that is known."""
    cgroups: Cgroups = field(default_factory=Cgroups)
    """Where the engine may make control groups for its instances."""

    @property
    def usable(self) -> tuple[int, ...]:
        """The numbers of the CPUs that the engine may use, ascending."""
        return self.cpu_numbers or tuple(range(self.cpus))

    def machine_type(self, name: str) -> MachineType | None:
        """The machine type of that name: an own one, else the table's."""
        return self.settings.types.get(name) or machine_types().get(name)


def this_machine(environ: Mapping[str, str] | None = None, *, nodes: Path = numa.DIRECTORY) -> Machine:
    """Look at the machine the engine runs on. No GPU library installed: no GPUs, and no error.

    The CPUs are those of the engine's own affinity mask, which the kernel keeps inside its cpuset (a
    container's ``--cpuset-cpus``, a unit's ``AllowedCPUs=``); the cards are those that its own
    ``CUDA_VISIBLE_DEVICES`` leaves it. ``settings`` are not looked for here.
    """
    environ = os.environ if environ is None else environ
    gpus, no_gpus = _gpus(environ.get(VISIBLE))
    usable = tuple(sorted(os.sched_getaffinity(0)))
    return Machine(
        cpus=len(usable),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=gpus,
        disk_free_bytes=shutil.disk_usage("/").free,
        cuda_toolkits=_cuda_toolkits(Path("/usr/local")),
        container_tool=shutil.which("podman") or shutil.which("docker") or "",
        oss_credentials=_oss_credentials(environ),
        mps=shutil.which(MPS) or "",
        no_gpus=no_gpus,
        packages=InstalledPackages(),
        cpu_numbers=usable,
        nodes=numa.nodes(nodes, usable),
        cgroups=cgroups.NONE if environ.get(_CGROUPS, "").lower() in _OFF else cgroups.find(),
    )


def _gpus(only: str | None) -> tuple[tuple[Gpu, ...], str]:
    """The cards; or why there are none."""
    if not can_be_asked():
        if has_driver():
            return (), "the package that asks NVIDIA's driver isn't installed: pip install 'eas-engine[gpu]'"
        return (), f"NVIDIA's driver isn't installed ({DRIVER})"
    from eas_engine.devices.inventory import Inventory  # noqa: PLC0415 - only where there is a driver
    from eas_engine.devices.nvml import load  # noqa: PLC0415 - as above
    from eas_engine.spec import card_names  # noqa: PLC0415 - as above

    nvml = load()
    if nvml is None:
        return (), "NVIDIA's driver doesn't answer: nvidia-smi says why"
    try:
        there = Inventory(nvml).gpus()
    finally:
        nvml.nvmlShutdown()
    left = card_names.visible(there, only)
    if left:
        return left, ""
    return (), f"{VISIBLE}={only} leaves the engine none" if there else "NVIDIA's driver shows none"


def _cuda_toolkits(root: Path) -> tuple[str, ...]:
    return tuple(
        sorted(path.name.removeprefix("cuda-") for path in root.glob("cuda-[0-9]*") if path.is_dir())
    )


def _oss_credentials(environ: Mapping[str, str]) -> str:
    if all(environ.get(name) for name in _OSS_VARIABLES):
        return "environment"
    home = environ.get("HOME")
    file = Path(home) / ".ossutilconfig" if home else None
    return str(file) if file and file.is_file() else ""
