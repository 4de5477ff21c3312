"""How much of a shared card's memory a framework's allocator may take.

``EAS_GPU_MEMORY_BYTES`` is the instance's share (``metadata.gpu_memory``), and a watchdog ends an instance
that has more. CUDA itself needs part of it: a context, the code of its libraries, their workspaces, which no
allocator knows of. So the cap is less than the share, and a model that doesn't fit gets an error of its
framework's instead of a death.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

VARIABLE = "EAS_GPU_MEMORY_BYTES"
_MIB = 2**20
_CUDAS = 512 * _MIB
_CUDAS_MOST = 1024 * _MIB
"""What a process with a framework has beside its tensors. The larger the card, the more: its context alone
takes half a GiB on large ones, and such cards are cut into large shares. Of a small share at most half."""


def cap(environ: Mapping[str, str] | None = None) -> int | None:
    """Bytes for the allocator; None: the instance shares no card.

    Raises:
        ValueError: the variable is no number of bytes.
    """
    given = (os.environ if environ is None else environ).get(VARIABLE, "")
    if not given:
        return None
    if not given.isdigit() or not int(given):
        raise ValueError(f"{VARIABLE}={given}: expected a number of bytes")
    share = int(given)
    return share - cudas(share)


def cudas(share: int) -> int:
    """Bytes of a share that CUDA itself may take."""
    return min(max(_CUDAS, share // 8), _CUDAS_MOST, share // 2)


def cap_torch(cuda: Any, most: int | None) -> None:
    """Hold torch's allocator to ``most`` bytes of the first card. ``cuda`` is ``torch.cuda``."""
    if most is not None:
        whole = cuda.get_device_properties(0).total_memory
        cuda.set_per_process_memory_fraction(min(1.0, most / whole), 0)


def cap_tensorflow(config: Any, most: int | None) -> None:
    """Hold TensorFlow's allocator to ``most`` bytes of each card that it sees. ``config`` is ``tf.config``.

    Raises:
        RuntimeError: TensorFlow has run already.
    """
    for card in [] if most is None else config.list_physical_devices("GPU"):
        part = config.LogicalDeviceConfiguration(memory_limit=megabytes(most))
        config.set_logical_device_configuration(card, [part])


def megabytes(most: int | None) -> int:
    """As TensorFlow counts them, of at least one; 0: all."""
    return 0 if most is None else max(1, most // _MIB)


def onnx_options(most: int | None) -> dict[str, str]:
    """Options of ONNX Runtime's ``CUDAExecutionProvider``; its arena doubles unless it is told not to."""
    if most is None:
        return {}
    return {"gpu_mem_limit": str(most), "arena_extend_strategy": "kSameAsRequested"}
