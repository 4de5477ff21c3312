"""When requests are due in open loop: fixed before the run, from the load and its seed alone.

Times are whole nanoseconds from the start of the measured part; those of the warm-up are negative. Several
generator processes deal one schedule among them, so their number changes nothing about when requests come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eas_bench.record import Load

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND: Final = 1_000_000_000
CHUNK: Final = 4096  # requests that are planned at once: some 50 us of work, and a bounded amount of memory


def send_times(load: Load, share: int = 0, of: int = 1) -> Iterator[list[int]]:
    """Ascending, in chunks: of the whole schedule every ``of``-th request, the first being number ``share``.

    Raises ValueError: the load isn't open.
    """
    if load.kind != "open" or load.rate is None:
        raise ValueError("only an open load has a schedule")
    begin, end = -round(load.warm_up * SECOND), round(load.duration * SECOND)
    first = 0  # the number of the chunk's first request
    for chunk in _ARRIVALS[load.arrivals or "constant"](load):
        times = begin + chunk
        inside = int(np.searchsorted(times, end))  # before the end
        yield times[(share - first) % of : inside : of].tolist()
        if inside < len(times):
            return
        first += len(times)


def burst_of(load: Load) -> int:
    """How many requests come at once with ``bursts``: as asked, or a tenth of a second's, at least two."""
    return load.burst or max(2, round((load.rate or 0) / 10))


def _constant(load: Load) -> Iterator[NDArray[np.int64]]:
    """One every 1/rate seconds."""
    yield from _numbered(load, 1)


def _bursts(load: Load) -> Iterator[NDArray[np.int64]]:
    """Groups of requests that are due at the same moment, at even distances; the rate is kept on average."""
    yield from _numbered(load, burst_of(load))


def _numbered(load: Load, group: int) -> Iterator[NDArray[np.int64]]:
    apart = SECOND / (load.rate or 1)
    first = 0
    while True:
        numbers = np.arange(first, first + CHUNK, dtype=np.int64)
        yield np.rint(numbers // group * group * apart).astype(np.int64)
        first += CHUNK


def _poisson(load: Load) -> Iterator[NDArray[np.int64]]:
    """Independent of each other, as many users are: exponential distances."""
    chance = np.random.default_rng(load.seed)
    last = 0.0
    while True:
        times = last + np.cumsum(chance.exponential(SECOND / (load.rate or 1), CHUNK))
        last = float(times[-1])
        yield np.rint(times).astype(np.int64)


_ARRIVALS: Final[dict[str, Any]] = {"constant": _constant, "poisson": _poisson, "bursts": _bursts}
