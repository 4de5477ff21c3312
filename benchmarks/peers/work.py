"""The work, once for everybody: what a request costs besides the server is the same everywhere.

``echo``, ``large`` (the first 4096 bytes), ``mlp`` (the network of processors/mlp), ``spin`` (a millisecond
of pure Python), ``sleep`` (10 ms without a core).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BATCH, WAIT_MS = 16, 5  # of the network
SLEEPERS, PLACES = 5, 64  # workers that sleep at the same time, and requests that may wait for them
LARGE_ANSWER = 4096
SLEEP = 0.010  # seconds
NETWORK = "mlp"

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "processors" / "spin"))

from spinning import spin  # noqa: E402 - found by the line above


def kind() -> str:
    """Which of them this server does."""
    return os.environ["EAS_BENCH_WORK"]


def one() -> Callable[[bytes], bytes]:
    """A body to its answer."""
    return {"echo": _echo, "large": _large, "spin": _spin, "sleep": _sleep}.get(kind()) or _Network().one


def many() -> Callable[[Sequence[bytes]], list[bytes]]:
    """Bodies to their answers, the network's computed together."""
    if kind() == NETWORK:
        return _Network().many
    answer = one()
    return lambda bodies: [answer(body) for body in bodies]


def rows() -> Callable[[Any], Any]:
    """The network for servers that speak numpy: (n, 784) float32 to (n, 10) float32."""
    return _Network().rows


class _Network:
    def __init__(self) -> None:
        import mlp  # noqa: PLC0415 - torch, which nothing else needs
        import torch  # noqa: PLC0415

        self._mlp, self._torch, self._model = mlp, torch, mlp.made()

    def one(self, body: bytes) -> bytes:
        return self._mlp.answers(self._model, [body])[0]

    def many(self, bodies: Sequence[bytes]) -> list[bytes]:
        return self._mlp.answers(self._model, bodies)

    def rows(self, array: Any) -> Any:
        with self._torch.inference_mode():
            return self._model(self._torch.from_numpy(array)).numpy()


def _echo(body: bytes) -> bytes:
    return body


def _large(body: bytes) -> bytes:
    return bytes(body[:LARGE_ANSWER])


def _spin(body: bytes) -> bytes:
    spin()
    return body


def _sleep(body: bytes) -> bytes:
    time.sleep(SLEEP)
    return body
