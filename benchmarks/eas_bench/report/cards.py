"""The cards under load, as plots: how busy, how full, how much power, how hot, at which clock.

A run whose server has no cards has none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from eas_bench import units
from eas_bench.record import Card, Reading, Run
from eas_bench.report.plot import POINTS, ROWS, Plot, Table, colours, figure, line, timed
from eas_bench.report.stretches import thinned


@dataclass(frozen=True, slots=True)
class _Level:
    """One plot: a figure of each card."""

    key: str
    title: str
    axis: str
    value: Callable[[Card], float | None]
    words: Callable[[float], str]
    caption: str
    suffix: str = ""


_UTILIZATION: Final = _Level(
    "gpu-utilization",
    "Use of the cards",
    "part of the time",
    lambda card: card.utilization,
    lambda value: f"{value:.0%}",
    "Part of the driver's sample period (at most a second) in which a kernel was running, however few of the "
    "card's processors it used.",
)
_MEMORY: Final = _Level(
    "gpu-memory",
    "Memory of the cards",
    "bytes in use",
    lambda card: card.memory_bytes,
    units.size,
    "In use by all processes on the card.",
    "B",
)
_POWER: Final = _Level(
    "gpu-power", "Power of the cards", "watts", lambda card: card.watts, lambda value: f"{value:,.0f} W", ""
)
_TEMPERATURE: Final = _Level(
    "gpu-temperature",
    "Temperature of the cards",
    "degrees C",
    lambda card: card.celsius,
    lambda value: f"{value:.0f}",
    "Of the core.",
)
_CLOCK: Final = _Level(
    "gpu-clock",
    "Clock of the cards",
    "clock of the processors",
    lambda card: card.clock_hertz,
    lambda value: f"{value / 1e6:,.0f} MHz",
    "",
    "Hz",
)


def utilization(run: Run) -> Plot | None:
    """How busy; None where there is no card."""
    return _levels(run, _UTILIZATION, "")


def memory(run: Run) -> Plot | None:
    """How full; None where there is no card."""
    return _levels(run, _MEMORY, "")


def power(run: Run) -> Plot | None:
    """How much they take; None where no card tells."""
    return _levels(run, _POWER, "")


def temperature(run: Run) -> Plot | None:
    """How hot; None where no card tells."""
    return _levels(run, _TEMPERATURE, _faults(run))


def clock(run: Run) -> Plot | None:
    """At which clock, and why it was lower than it could be; None where no card tells."""
    return _levels(run, _CLOCK, _throttled(run))


def _levels(run: Run, level: _Level, told: str) -> Plot | None:
    seen = [reading for reading in run.readings if _known(reading, level)]
    if not seen:
        return None
    series = list(dict.fromkeys(uuid for reading in seen for uuid in _known(reading, level)))
    names = _names(seen)
    plot = figure("", level.axis)
    shown = thinned(seen, POINTS)
    times = [reading.at for reading in shown]
    for uuid, colour in colours(series, {}).items():
        values = [_known(reading, level).get(uuid) for reading in shown]
        plot.add_trace(line(names[uuid], times, values, colour))
    timed(plot, run.seconds).update_yaxes(rangemode="tozero", hoverformat=".4s", ticksuffix=level.suffix)
    rows = tuple(
        (f"{reading.at:,.1f} s", *(_cell(_known(reading, level).get(uuid), level) for uuid in series))
        for reading in thinned(seen, ROWS)
    )
    caption = " ".join(part for part in (level.caption, told) if part)
    table = Table(("time", *(names[uuid] for uuid in series)), rows)
    return Plot(level.key, level.title, caption, plot, table)


def _known(reading: Reading, level: _Level) -> dict[str, float]:
    values = {card.uuid: level.value(card) for card in reading.cards}
    return {uuid: value for uuid, value in values.items() if value is not None}


def _cell(value: float | None, level: _Level) -> str:
    return units.NONE if value is None else level.words(value)


def _names(readings: list[Reading]) -> dict[str, str]:
    """A card by its model; where several are of one, with the beginning of its UUID."""
    models = {card.uuid: card.name for reading in readings for card in reading.cards}
    counts = Counter(models.values())
    return {
        uuid: model if model and counts[model] == 1 else f"{model} {uuid[:12]}".strip()
        for uuid, model in models.items()
    }


def _throttled(run: Run) -> str:
    """How often the clocks were lowered, and why."""
    looks = [reading for reading in run.readings if reading.cards]
    names = _names(looks)
    counts = Counter(
        (card.uuid, reason) for reading in looks for card in reading.cards for reason in card.throttles
    )
    told = [
        f"{names[uuid]}: {reason} at {count} of {len(looks)} looks"
        for (uuid, reason), count in counts.most_common()
    ]
    return f"Lowered: {'; '.join(told)}." if told else "Never lowered while it was looked at."


def _faults(run: Run) -> str:
    """The Xid errors that came during the run."""
    looks = [reading for reading in run.readings if reading.cards]
    names = _names(looks)
    came: Counter[str] = Counter()
    for before, after in pairwise(looks):
        known = {card.uuid: card.xid_errors for card in before.cards}
        for card in after.cards:
            came[card.uuid] += int(max(0.0, card.xid_errors - known.get(card.uuid, card.xid_errors)))
    told = [f"{names[uuid]}: {count}" for uuid, count in came.items() if count]
    return f"Xid errors during the run: {', '.join(told)}." if told else ""
