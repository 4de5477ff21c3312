"""Figures as a person reads them: three digits, with the unit that fits."""

from __future__ import annotations

from eas_bench.record import Percentiles

NONE = "-"  # there is no such figure


def micros(value: float | None) -> str:
    """A latency that is given in microseconds: ``870 us``, ``2.03 ms``, ``1.5 s``; never ``1000 us``."""
    if value is None:
        return NONE
    for unit, scale in (("us", 1), ("ms", 1_000), ("s", 1_000_000)):
        if value / scale < 999.5:
            return f"{short(value / scale)} {unit}"
    return f"{value / 1_000_000:,.0f} s"


def latencies(told: Percentiles | None) -> tuple[str, str, str, str, str]:
    """``p50``, ``p90``, ``p99``, ``p99.9`` and the largest."""
    if told is None:
        return NONE, NONE, NONE, NONE, NONE
    return micros(told.p50), micros(told.p90), micros(told.p99), micros(told.p999), micros(told.max)


def rate(value: float) -> str:
    """A second: ``12.5/s``, ``4,210/s``."""
    return f"{short(value)}/s"


def size(value: float) -> str:
    """Bytes: ``64 B``, ``1.25 MB``; decimal, as networks count."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5:
            return f"{short(value)} {unit}"
        value /= 1000
    return f"{value:,.0f} PB"


def short(value: float) -> str:
    """Three digits, and all of the whole part: ``0.0123``, ``7.5``, ``187``, ``52,000``."""
    if value == 0 or abs(value) >= 99.95:
        return f"{value:,.0f}"
    digits = f"{value:.3g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in digits else digits


def count(value: int) -> str:
    """``1,234,567``."""
    return f"{value:,}"


def share(part: float, whole: float) -> str:
    """In percent: ``98.5%``; a small one isn't rounded away: ``<0.01%``."""
    if not whole:
        return NONE
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "<0.01%"
    if 99.99 < percent < 100:
        return ">99.99%"
    return f"{percent:.2f}".rstrip("0").rstrip(".") + "%"


def seconds(value: float) -> str:
    """A length of time: ``12 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if value < 10:
        return f"{short(round(value, 1))} s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def plain(text: str) -> str:
    """On one line and without a control character: what a server or a file says must not steer a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
