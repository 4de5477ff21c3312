"""The parts of the PyTorch preset that only a card can show, each against what the processor says.

Prints lines of JSON: that none of them was tried, and then what went wrong with each, empty for those that
are right. So what ends the process, as a fault in a library does, takes nothing along that was known before.
Usage: python -m eas_bench.gpu.card
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

import eas_sdk
from eas_bench.gpu import networks, scenarios
from eas_processors import gpu_memory
from eas_processors.pytorch import Preset
from eas_processors.pytorch.cards import Card

UNTRIED: Final = "it was not tried"
_ARENA: Final = 4 << 20
_SHARE: Final = 16 << 30
_LOG: Final = logging.getLogger("eas_processors")


class OnCard(Preset):
    """As the host makes it for ``pytorch_gpu``."""

    device = "gpu"


class Heard(logging.Handler):
    """What the preset warns of: each warning is something that didn't work."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(record.getMessage())


def checks(model: Path) -> Mapping[str, Callable[[], None]]:
    """By what they show; each raises what is wrong."""
    return {
        "answers": lambda: _same(model, {}, 1e-3),
        "float16": lambda: _same(model, {"dtype": "float16"}, 3e-2),
        "bfloat16": lambda: _same(model, {"dtype": "bfloat16"}, 1e-1),
        "compile": lambda: _same(model, {"compile": True}, 1e-3),
        "graphs": lambda: _same(model, {"cuda_graphs": True}, 1e-3),
        "threads": lambda: _threads(model, {}),
        "threads with graphs": lambda: _threads(model, {"cuda_graphs": True}),
        "arena": lambda: _arena(model),
        "memory of CUDA itself": _beside_tensors,
    }


def run(
    told: Mapping[str, Callable[[], None]], tell: Callable[[dict[str, str]], None] = lambda _: None
) -> dict[str, str]:
    """All of them: what was wrong, or what the preset warned of. ``tell`` hears of each as it is done."""
    tell(dict.fromkeys(told, UNTRIED))
    found: dict[str, str] = {}
    for name, check in told.items():
        heard = Heard()
        _LOG.addHandler(heard)
        try:
            check()
            found[name] = "; ".join(heard.said)
        except Exception as error:  # noqa: BLE001 - it is what the check has found
            found[name] = f"{type(error).__name__}: {error}"[:500]
        finally:
            _LOG.removeHandler(heard)
        tell({name: found[name]})
    return found


def _started(kind: type[Preset], model: Path, config: Mapping[str, Any]) -> Preset:
    preset = kind()
    preset.batching = eas_sdk.Batching(8, sizes=[2, 4, 8])
    preset.initialize(str(model), json.dumps(config))
    return preset


def _answer(preset: Preset, body: bytes | memoryview) -> np.ndarray:
    (answer,) = preset.process_batch([eas_sdk.Request.build(body)])
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(answer, eas_sdk.Response)  # noqa: S101 - .npy is answered so
    if answer.status != 200:
        raise RuntimeError(bytes(answer.body).decode())
    return np.frombuffer(bytes(answer.body)[-4 * 1000 :], np.float32)


def _bodies(count: int) -> list[bytes]:
    noise = np.random.default_rng(1)
    return [scenarios.body(noise.standard_normal((2, 1024), np.float32)) for _ in range(count)]


def _same(model: Path, config: Mapping[str, Any], tolerance: float) -> None:
    there, here = _started(OnCard, model, config), _started(Preset, model, {})
    if not isinstance(there.place, Card):
        raise TypeError("the model doesn't run on the card")
    for body in _bodies(4):
        np.testing.assert_allclose(_answer(there, body), _answer(here, body), tolerance, tolerance)


def _threads(model: Path, config: Mapping[str, Any]) -> None:
    preset, bodies = _started(OnCard, model, config), _bodies(64)
    alone = [_answer(preset, body) for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        for ours, wanted in zip(pool.map(lambda body: _answer(preset, body), bodies), alone, strict=True):
            np.testing.assert_allclose(ours, wanted, 1e-4, 1e-4)


def _arena(model: Path) -> None:
    """As the engine shares it: written by one mapping, registered and read through another."""
    fd = os.memfd_create("arena")
    os.ftruncate(fd, 2 * _ARENA)
    written, read = mmap.mmap(fd, 2 * _ARENA), mmap.mmap(fd, 2 * _ARENA, access=mmap.ACCESS_READ)
    preset, here = _started(OnCard, model, {}), _started(Preset, model, {})
    preset.arena(memoryview(read), _ARENA)
    preset.model.copied = 0  # type: ignore[attr-defined]  # both kinds of models count
    for body in _bodies(4):
        written[: len(body)] = body
        ours = _answer(preset, memoryview(read)[: len(body)])
        np.testing.assert_allclose(ours, _answer(here, body), 1e-3, 1e-3)
    copied = preset.model.copied  # type: ignore[attr-defined]
    preset.close()
    if copied:
        raise RuntimeError(f"{copied} bytes were copied in memory although the card reads the arena")


def _beside_tensors() -> None:
    """What this process has on the card beside its tensors, against what a share leaves for that."""
    import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - an extra

    pynvml.nvmlInit()
    try:
        card = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        found = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
        used = sum(one.usedGpuMemory or 0 for one in found if one.pid == os.getpid())
    finally:
        pynvml.nvmlShutdown()
    beside = used - torch.cuda.memory_reserved(0)  # less than nothing where a container hides our number
    left = gpu_memory.cudas(_SHARE)
    if beside > left:
        raise MemoryError(f"{beside >> 20} MiB; of a share of {_SHARE >> 30} GiB {left >> 20} MiB are left")


def main() -> None:
    """With a network of its own, small enough that the processor has an answer, too."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "small.pt2")
        torch.manual_seed(0)
        network = networks.Perceptron(width=256, depth=2).eval()
        torch.export.save(networks.exported(network, torch.zeros(2, 1024)), model)
        run(checks(model), lambda told: print(json.dumps(told), flush=True))  # noqa: T201 - the starter reads


if __name__ == "__main__":
    main()
