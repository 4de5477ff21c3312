"""Latencies that are to be compared: finer than those of ``counters``.

The buckets of ``Counters`` double, so 1.0 and 1.1 ms may lie in two of them and look a factor of two apart.
Here each doubling has 32 buckets: a quantile is right within 2 %.
"""

from __future__ import annotations

from typing import Final

_BITS: Final = 5
_FINE: Final = 1 << _BITS
_MOST: Final = 40
"""Bits of the longest duration told apart, in microseconds: 12 days."""


class Latencies:
    """A histogram of durations."""

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self.count = 0
        self._counts = [0] * ((_MOST - _BITS + 1) * _FINE)

    def __repr__(self) -> str:
        return f"<Latencies of {self.count}>"

    def note(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self._counts[_bucket(max(0, int(seconds * 1e6)))] += 1

    def quantile(self, fraction: float) -> float:
        """Seconds below which that fraction lies, 0.0 when there are none."""
        wanted = fraction * self.count
        for bucket, count in enumerate(self._counts):
            wanted -= count
            if count and wanted <= 0:
                low, high = _least(bucket), _least(bucket + 1)
                return (low + high - 1) / 2e6
        return 0.0


def _bucket(microseconds: int) -> int:
    """Up to 32 us each has its own; above, the five bits behind the first choose one of its doubling."""
    if microseconds < _FINE:
        return microseconds
    shift = min(microseconds.bit_length(), _MOST) - _BITS - 1
    return (shift << _BITS) + min(microseconds >> shift, 2 * _FINE - 1)


def _least(bucket: int) -> int:
    """The smallest duration of the bucket."""
    if bucket < 2 * _FINE:
        return bucket
    shift = (bucket >> _BITS) - 1
    return (bucket - (shift << _BITS)) << shift
