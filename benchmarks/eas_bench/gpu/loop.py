"""The network of a scenario without a server: requests from memory to the card and answers back.

Prints, as JSON, the best batch in rows, requests a second with it, and the milliseconds that it takes; and
the requests a second of the others. Usage: python -m eas_bench.gpu.loop G1 SECONDS [cuda|cpu].
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from eas_bench.gpu import networks, scenarios

_WARM = 5  # calls


def main(name: str, seconds: str, device: str = "cuda") -> None:
    """Each batch size in turn, then the best of them for longer, and what came of it."""
    scenario = scenarios.SCENARIOS[name]
    network = networks.made(name).to(device)
    arrays = scenarios.arrays(scenario)

    def rate(rows: int, seconds: float) -> float:
        """Requests a second, in batches of so many rows."""
        calls = _calls(arrays, rows // scenario.rows)

        def call() -> None:
            with torch.inference_mode():
                network(torch.from_numpy(next(calls)).to(device)).cpu()

        return _rate(call, seconds) * rows / scenario.rows

    rates = {rows: rate(rows, float(seconds) / 3) for rows in scenario.batches}
    best = max(rates, key=lambda rows: rates[rows])
    rates[best] = rate(best, float(seconds))
    print(json.dumps(told(rates, scenario.rows)), flush=True)  # noqa: T201 - the starter reads it


def told(rates: dict[int, float], rows: int) -> dict[str, object]:
    """The best of them; ``rates``: requests of ``rows`` rows a second, by the rows of a batch. Pure."""
    best = max(rates, key=lambda batch: rates[batch])
    return {
        "batch": best,
        "rate": rates[best],
        "batch_ms": 1000 * best / rows / rates[best],
        "rates": {str(batch): round(rate, 1) for batch, rate in rates.items()},
    }


def _calls(arrays: Sequence[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Batches of so many requests, each as long as its longest: joining them is part of the work."""
    requests = itertools.cycle(arrays)
    while True:
        several = [next(requests) for _ in range(count)]
        if several[0].ndim != 2 or several[0].dtype != np.int64:
            yield np.concatenate(several)
            continue
        joined = np.zeros((sum(map(len, several)), max(one.shape[1] for one in several)), np.int64)
        for at, one in enumerate(several):
            joined[at, : one.shape[1]] = one[0]
        yield joined


def _rate(call: Callable[[], None], seconds: float) -> float:
    """Calls a second."""
    for _ in range(_WARM):
        call()
    count, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        call()
        count += 1
    return count / took


if __name__ == "__main__":
    main(*sys.argv[1:])
