"""Latencies as HDR histograms: whole microseconds from 1 us to an hour, three significant digits.

Where values come by the ten thousand a second they are counted in an array of numpy's with one place a
bucket (:func:`count`), the very buckets of ``HdrHistogram``, and become a histogram at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from hdrh.histogram import HdrHistogram

from eas_bench.record import Percentiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 3_600_000_000  # us
DIGITS = 3
USUAL: Final = (50.0, 90.0, 99.0, 99.9)

_HALF_BITS: Final = 10  # half of the 2048 linear places that three digits need
_HALF: Final = 1 << _HALF_BITS
BUCKETS: Final = (LONGEST.bit_length() - _HALF_BITS + 1) << _HALF_BITS


def empty() -> HdrHistogram:
    """A histogram without a value."""
    return HdrHistogram(1, LONGEST, DIGITS)


def encoded(histogram: HdrHistogram) -> str:
    """As text, in the format that HdrHistogram's libraries share (V2, compressed, base64)."""
    text: bytes = histogram.encode()
    return text.decode("ascii")


def decoded(text: str) -> HdrHistogram:
    """What :func:`encoded` gave."""
    return HdrHistogram.decode(text)


def percentile(histogram: HdrHistogram, percent: float) -> int:
    """In microseconds, at or below which ``percent`` (0 to 100) of the values are; 0 without a value."""
    return int(histogram.get_value_at_percentile(percent))


def summary(histogram: HdrHistogram) -> Percentiles | None:
    """The usual ones; None without a value."""
    return summary_of(counts_of(histogram))


def merged(histograms: Mapping[str, HdrHistogram]) -> HdrHistogram:
    """All of them in one."""
    whole = empty()
    for histogram in histograms.values():
        whole.add(histogram)
    return whole


# --- many at once ---------------------------------------------------------------------------------------


def no_counts() -> NDArray[np.int64]:
    """Of no value: one place for each bucket of :func:`empty`."""
    return np.zeros(BUCKETS, np.int64)


def count(values: NDArray[np.int64], into: NDArray[np.int64]) -> None:
    """Add these latencies, in microseconds, each to its bucket; what is longer than an hour counts as one."""
    whole = np.clip(values, 0, LONGEST)
    bits = np.frexp(whole.astype(np.float64))[1]  # exact below 2**53: the number of binary digits
    bucket = np.maximum(bits - _HALF_BITS - 1, 0)
    places = (bucket << _HALF_BITS) + (whole >> bucket)
    into += np.bincount(places, minlength=BUCKETS)


def highest(place: int) -> int:
    """The greatest latency that falls into this bucket, in microseconds."""
    bucket = max((place >> _HALF_BITS) - 1, 0)
    return ((place - (bucket << _HALF_BITS) + 1) << bucket) - 1


def summary_of(counts: NDArray[np.int64]) -> Percentiles | None:
    """Of counted values, as the histogram would give them; None without a value."""
    running = np.cumsum(counts)
    total = int(running[-1])
    if not total:
        return None
    p50, p90, p99, p999 = (
        highest(int(np.searchsorted(running, max(1, int(percent * total / 100 + 0.5))))) for percent in USUAL
    )
    most = highest(int(np.flatnonzero(counts)[-1]))
    return Percentiles(p50=p50, p90=p90, p99=p99, p999=p999, max=most)


def histogram_of(counts: NDArray[np.int64]) -> HdrHistogram:
    """The histogram that has these counts."""
    made = empty()
    used = np.flatnonzero(counts)
    if len(used):
        np.ctypeslib.as_array(made.counts)[:] = counts
        made.set_internal_tacking_values(int(used[0]), int(used[-1]), int(counts.sum()))
    return made


def counts_of(histogram: HdrHistogram) -> NDArray[np.int64]:
    """The counts of a histogram, also of one that was decoded."""
    counts = no_counts()
    kept = np.ctypeslib.as_array(histogram.counts)  # a decoded one may have fewer places
    counts[: len(kept)] = kept
    return counts
