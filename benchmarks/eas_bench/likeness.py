"""What two runs have in common, and what not: whether their figures answer the same question.

*One thing measured again* is a run with every setting the same: those of one side must be such.

Two sides may differ in what somebody compares on purpose: the server and its path, the protocol, the method,
how requests are authenticated. They may not differ in the load, for a rate, a latency or a share of errors
are figures *of a load*: at half the rate every server looks better. So these make two sides unlike each
other: the kind of the loop, the rate, the arrivals, the connections of a closed loop, the sizes of the bodies
(by more than a twentieth: forms of the same rows are of different lengths), and one run that lasted several
times as long as the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eas_bench import units
from eas_bench.record import Load, Run

LONGER: Final = 4.0
"""So many times as long one side may be measured as the other."""
_BODIES: Final = 0.05
_WORK: Final = ("protocol", "method", "body_bytes", "authentication")
_SENDING: Final = ("kind", "rate", "arrivals", "burst", "connections", "duration", "warm_up", "timeout")
_OPEN: Final = ("rate", "arrivals", "burst")


def differences(one: Run, other: Run) -> dict[str, str]:
    """In which of their settings two runs differ, each by its name and in words."""
    pairs = {
        **{name: (getattr(one.asked, name), getattr(other.asked, name)) for name in _WORK},
        **{name: (getattr(one.load, name), getattr(other.load, name)) for name in _SENDING},
    }
    return {
        name: f"{name} ({_told(here)} and {_told(there)})"
        for name, (here, there) in pairs.items()
        if here != there
    }


def other_load(one: Run, other: Run) -> dict[str, str]:
    """Those of :func:`differences` that make the figures of two sides answers to different questions."""
    found, differ = {}, differences(one, other)
    if one.load.kind != other.load.kind:
        found["kind"] = f"the load ({_load(one.load)}, and {_load(other.load)})"
        differ = {name: words for name, words in differ.items() if name not in {"connections", *_OPEN}}
    if one.load.kind == "open":
        differ.pop("connections", None)  # a bound, that is seldom reached
    if not _apart(_mean(one.asked.body_bytes), _mean(other.asked.body_bytes), 1 + _BODIES):
        differ.pop("body_bytes", None)
    names = (*_OPEN, "connections", "body_bytes")
    found.update({name: words for name, words in differ.items() if name in names})
    if _apart(one.seconds, other.seconds, LONGER):
        times = f"{units.seconds(one.seconds)} and {units.seconds(other.seconds)}"
        found["duration"] = f"how long they were measured ({times})"
    return found


def _apart(one: float, other: float, factor: float) -> bool:
    return max(one, other) > factor * min(one, other)


def _mean(sizes: Sequence[int]) -> float:
    return sum(sizes) / len(sizes)


def _told(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _load(load: Load) -> str:
    if load.kind == "open":
        return f"open loop, {units.rate(load.rate or 0)}"
    return f"closed loop, {load.connections} connections"
