"""G1 to G3: what is sent, and how the engine is told to serve it. No torch here.

Bodies are ``.npy`` files, which the preset reads in place.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

TYPE: Final = "application/x-npy"
_SEED: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One model and its requests.

    Attributes:
        name: as bars and files are called.
        title: for people.
        rows: of a request.
        batches: rows of a call that the loop tries, of which it takes the best.
        padding: requests differ in a dimension beyond 0.
        bodies: how many different ones there are.
    """

    name: str
    title: str
    rows: int
    batches: Sequence[int]
    padding: bool = False
    bodies: int = 16


SCENARIOS: Final = {
    one.name: one
    for one in (
        Scenario(
            name="G1",
            title="MLP, 1024-8192 (8 times)-1000, 32 rows of float32 a request",
            rows=32,
            batches=(128, 256, 512, 1024),
        ),
        Scenario(
            name="G2",
            title="shaped like ResNet-50, one uint8 image of 224 x 224 a request, normalised on the card",
            rows=1,
            batches=(16, 32, 64, 128),
        ),
        Scenario(
            name="G3",
            title="shaped like BERT base, one text of 32 to 512 tokens a request, padded to the longest",
            rows=1,
            batches=(8, 16, 32, 64),
            padding=True,
            bodies=64,
        ),
    )
}


def arrays(scenario: Scenario) -> list[np.ndarray]:
    """The inputs of its requests; always the same."""
    noise = np.random.default_rng(_SEED)
    if scenario.name == "G1":
        return [noise.standard_normal((scenario.rows, 1024), np.float32) for _ in range(scenario.bodies)]
    if scenario.name == "G2":
        return [
            noise.integers(0, 256, (scenario.rows, 3, 224, 224), np.uint8) for _ in range(scenario.bodies)
        ]
    lengths = [round(32 + (512 - 32) * at / (scenario.bodies - 1)) for at in range(scenario.bodies)]
    random.Random(_SEED).shuffle(lengths)  # noqa: S311 - always the same
    return [noise.integers(1, 30_000, (scenario.rows, length), np.int64) for length in lengths]


def body(array: np.ndarray) -> bytes:
    """A request's."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def service(
    name: str, model: Path, scenario: Scenario, batch: int, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A service.json.

    Args:
        name: of the service.
        model: its file.
        scenario: whose requests it gets.
        batch: rows of a call at most.
        changes: keys of ``metadata`` that are other.
    """
    rpc: dict[str, Any] = {
        "worker_threads": 2,
        "batching": True,
        "max_batch_size": batch,
        "max_batch_timeout": 5,
        "max_queue_size": 4096,
        "keepalive": 30000,
    }
    if scenario.padding:
        rpc["batch_padding"] = True
    metadata: dict[str, Any] = {"instance": 1, "gpu": 1, "rpc": rpc, **(changes or {})}
    return {
        "name": name,
        "processor": "pytorch_gpu_2.0",
        "model_path": str(model),
        "model_config": {"batched": True},
        "metadata": metadata,
    }
