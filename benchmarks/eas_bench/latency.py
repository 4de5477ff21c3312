"""Latencies as HDR histograms: whole microseconds from 1 us to an hour, three significant digits."""

from __future__ import annotations

from collections.abc import Mapping

from hdrh.histogram import HdrHistogram

from eas_bench.record import Percentiles

LONGEST = 3_600_000_000  # us
DIGITS = 3


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
    if not histogram.get_total_count():
        return None
    p50, p90, p99, p999 = (percentile(histogram, at) for at in (50, 90, 99, 99.9))
    return Percentiles(p50=p50, p90=p90, p99=p99, p999=p999, max=int(histogram.get_max_value()))


def merged(histograms: Mapping[str, HdrHistogram]) -> HdrHistogram:
    """All of them in one."""
    whole = empty()
    for histogram in histograms.values():
        whole.add(histogram)
    return whole
