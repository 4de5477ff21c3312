"""What presets take of a card that they share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eas_processors import gpu_memory

GIB = 2**30


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ("", None),
        (str(16 * GIB), 15 * GIB),
        (str(8 * GIB), 7 * GIB),
        (str(4 * GIB), 4 * GIB - GIB // 2),
        (str(GIB), GIB // 2),
        (str(GIB // 2), GIB // 4),
    ],
)
def test_cuda_has_its_part_of_the_share(given: str, most: int | None) -> None:
    assert gpu_memory.cap({gpu_memory.VARIABLE: given}) == most
    assert gpu_memory.cap({}) is None


@pytest.mark.parametrize("given", ["8G", "-1", "0"])
def test_what_is_no_number_of_bytes(given: str) -> None:
    with pytest.raises(ValueError, match=f"EAS_GPU_MEMORY_BYTES={given}: expected a number of bytes"):
        gpu_memory.cap({gpu_memory.VARIABLE: given})


class Cuda:
    """As ``torch.cuda``."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.fractions: list[tuple[float, int]] = []

    def get_device_properties(self, device: int) -> SimpleNamespace:
        assert device == 0
        return SimpleNamespace(total_memory=self._total)

    def set_per_process_memory_fraction(self, fraction: float, device: int) -> None:
        self.fractions.append((fraction, device))


def test_torch_counts_in_parts_of_the_card() -> None:
    cuda = Cuda(16 * GIB)
    gpu_memory.cap_torch(cuda, 4 * GIB)
    gpu_memory.cap_torch(cuda, 17 * GIB)
    gpu_memory.cap_torch(cuda, None)
    assert cuda.fractions == [(0.25, 0), (1.0, 0)]


def test_tensorflow_counts_in_megabytes_of_a_logical_device() -> None:
    made: list[tuple[str, list[Any]]] = []
    config = SimpleNamespace(
        list_physical_devices=lambda kind: [f"{kind}:0"],
        LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
        set_logical_device_configuration=lambda card, parts: made.append((card, parts)),
    )
    gpu_memory.cap_tensorflow(config, None)
    gpu_memory.cap_tensorflow(config, 3 * GIB)
    assert made == [("GPU:0", [3072])]


def test_a_session_of_tensorflow_has_the_same_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = pytest.importorskip("eas_processors.tensorflow.runtime", exc_type=ImportError)
    options = SimpleNamespace(intra_op_threads=1, inter_op_threads=1)
    assert not runtime.session_config(options, "gpu").gpu_options.experimental.virtual_devices
    monkeypatch.setenv(gpu_memory.VARIABLE, str(4 * GIB))
    (device,) = runtime.session_config(options, "gpu").gpu_options.experimental.virtual_devices
    assert list(device.memory_limit_mb) == [3584.0]
    assert not runtime.session_config(options, "cpu").gpu_options.experimental.virtual_devices


def test_onnx_runtimes_arena_grows_by_what_is_asked_for() -> None:
    assert gpu_memory.onnx_options(None) == {}
    assert gpu_memory.onnx_options(GIB) == {
        "gpu_mem_limit": str(GIB),
        "arena_extend_strategy": "kSameAsRequested",
    }
