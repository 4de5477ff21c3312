"""The cards of this machine, through the driver's NVML: which there are, how they are, and who is on them.

Here is only what an engine imports everywhere, also where there is no driver.
"""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from typing import Final

from eas_engine.records import dataclass

DRIVER: Final = "libnvidia-ml.so.1"
"""The driver's library, which ``pynvml`` calls."""
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""Environment: the cards that CUDA shows to a process."""
MPS: Final = "nvidia-cuda-mps-control"
"""The program by which processes share a card's compute."""
PACKAGE: Final = "pynvml"
"""The module of the package ``nvidia-ml-py``."""
THROTTLES: Final = {
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""Why clocks are lower than they could be, by the driver's bit. Idleness (1) is no reason to worry."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card, or one MIG slice of a card: what an instance may be given.

    Attributes:
        name: the model's, of a slice with its profile.
        memory_bytes: all that it has.
        uuid: the driver's name of it, which ``CUDA_VISIBLE_DEVICES`` takes; empty: unknown.
        card: the UUID of the card that a slice is part of; empty: it is a whole card.
        node: the NUMA node that it is attached to; None: unknown.
    """

    name: str
    memory_bytes: int
    uuid: str = ""
    card: str = ""
    node: int | None = None


def has_driver() -> bool:
    """Whether the driver's library is there. ``pynvml`` says it, too, but takes 2 MB and 10 ms to import."""
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return False
    return True


def can_be_asked() -> bool:
    """Whether there are driver and package: everything else here is for then."""
    return find_spec(PACKAGE) is not None and has_driver()
