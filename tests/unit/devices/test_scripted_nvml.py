"""The scripted NVML has the functions of the real package, and is what the code says that it takes."""

from __future__ import annotations

import inspect

import pytest

from eas_engine.devices import nvml
from eas_engine.devices.nvml import Nvml
from support.nvml import NVMLError, ScriptedNvml, Slice, card

_NAMES = sorted(name for name in vars(Nvml) if name.lower().startswith("nvml"))


def test_it_is_an_nvml() -> None:
    scripted: Nvml = ScriptedNvml()
    assert scripted.nvmlDeviceGetCount() == 0


@pytest.mark.parametrize("name", _NAMES)
def test_the_package_has_what_is_used_of_it(name: str) -> None:
    pynvml = pytest.importorskip("pynvml")
    real = getattr(pynvml, name)
    if inspect.isclass(real):
        assert issubclass(real, Exception)
        return
    asked = inspect.signature(getattr(Nvml, name))
    taken = inspect.signature(inspect.unwrap(real))
    taken.bind(*list(asked.parameters)[1:])
    assert len(inspect.signature(getattr(ScriptedNvml, name)).parameters) == len(asked.parameters)


def test_the_numbers_are_the_packages_own() -> None:
    pynvml = pytest.importorskip("pynvml")
    names = [
        "NOT_SUPPORTED",
        "NO_PERMISSION",
        "NOT_FOUND",
        "DRIVER_NOT_LOADED",
        "TIMEOUT",
        "FUNCTION_NOT_FOUND",
        "GPU_IS_LOST",
        "RESET_REQUIRED",
        "UNKNOWN",
    ]
    assert [getattr(nvml, name) for name in names] == [
        getattr(pynvml, f"NVML_ERROR_{name}") for name in names
    ]
    assert nvml.number(pynvml.NVMLError(nvml.GPU_IS_LOST)) == nvml.GPU_IS_LOST
    assert pynvml.nvmlEventTypeXidCriticalError == nvml.XID
    modes = (pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS, pynvml.NVML_COMPUTEMODE_PROHIBITED)
    assert modes == (nvml.EXCLUSIVE_PROCESS, nvml.PROHIBITED)
    assert (nvml.SM_CLOCK, nvml.MEMORY_CLOCK) == (pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM)
    assert nvml.MIG_ENABLED == pynvml.NVML_DEVICE_MIG_ENABLE
    assert nvml.NODE_SCOPE == pynvml.NVML_AFFINITY_SCOPE_NODE


def test_a_lost_card_answers_nothing() -> None:
    scripted = ScriptedNvml(card(0), card(1))
    handle = scripted.nvmlDeviceGetHandleByIndex(1)
    scripted.cards[1].lost = True
    for ask in (
        scripted.nvmlDeviceGetUUID,
        scripted.nvmlDeviceGetMemoryInfo,
        scripted.nvmlDeviceGetPowerUsage,
    ):
        with pytest.raises(NVMLError) as error:
            ask(handle)
        assert nvml.number(error.value) == nvml.GPU_IS_LOST


def test_a_slice_has_memory_and_no_utilisation() -> None:
    scripted = ScriptedNvml(card(0, slices=[None, Slice(uuid="MIG-a", processes={7: 5})]))
    handle = scripted.nvmlDeviceGetMigDeviceHandleByIndex(scripted.cards[0], 1)
    assert scripted.nvmlDeviceGetMemoryInfo(handle).used == 5
    with pytest.raises(NVMLError) as error:
        scripted.nvmlDeviceGetUtilizationRates(handle)
    assert nvml.number(error.value) == nvml.NOT_SUPPORTED
