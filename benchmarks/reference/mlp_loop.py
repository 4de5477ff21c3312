"""The network of ``processors/mlp`` without any server: batches of 16 as fast as they can be computed.

Prints the rows a second. Bodies are bytes, answers too, so what is left out is the network and nothing else.
Usage: python -m reference.mlp_loop SECONDS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

BATCH = 16
_WARM = 50  # calls

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "processors" / "mlp"))

import mlp  # noqa: E402 - found by the line above


def main(seconds: float) -> None:
    """Compute and count."""
    model, bodies = mlp.made(), [bytes(mlp.ROW)] * BATCH
    for _ in range(_WARM):
        mlp.answers(model, bodies)
    calls, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        mlp.answers(model, bodies)
        calls += 1
    print(f"{calls * BATCH / took:.1f}", flush=True)  # noqa: T201 - the starter reads it


if __name__ == "__main__":
    main(float(sys.argv[1]))
