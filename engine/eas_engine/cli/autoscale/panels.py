"""A simulation drawn on a terminal, in block characters: one panel a figure, all with the same time axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eas_engine.cli.output import duration
from eas_engine.supervisor.autoscale.simulate import Outcome, Step

HEIGHT = 5
_LABEL = 10  # columns left of the drawing
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_SHADE = "░"


def panels(outcome: Outcome, width: int) -> Iterator[tuple[str, str]]:
    """Lines with their styles, ``width`` columns wide at most."""
    columns = buckets(outcome.steps, max(10, width - _LABEL - 1))
    lost = [max(step.lost for step in column) for column in columns]
    qps = [max(step.arrived for step in column) for column in columns]
    waiting = [max(step.queue for step in column) for column in columns]
    ready = [max(step.ready for step in column) for column in columns]
    all_of_them = [max(step.ready + step.starting for step in column) for column in columns]
    yield from _panel("requests/s", qps, qps, "cyan")
    yield from _panel(f"instances ({_SHADE} starting)", ready, all_of_them, "green")
    yield from _panel("waiting", waiting, waiting, "yellow")
    yield from _panel("lost/s (450, 429, 408)", lost, lost, "red")
    end = duration(float(len(outcome.steps)))
    yield f"{'':{_LABEL}}0{end:>{len(columns) - 1}}", ""


def buckets(steps: Sequence[Step], most: int) -> list[Sequence[Step]]:
    """At most so many groups of seconds, all but the last of the same length."""
    size = -(-len(steps) // most)
    return [steps[at : at + size] for at in range(0, len(steps), size)]


def _panel(
    title: str, solid: Sequence[float], whole: Sequence[float], style: str
) -> Iterator[tuple[str, str]]:
    """``solid`` as bars, what ``whole`` is more as a shade above them."""
    top = max(whole)
    yield f"{'':{_LABEL}}{title}, at most {top:.4g}", "bold"
    if top == 0:
        yield f"{'0':>{_LABEL - 1}} {'▁' * len(whole)}", style
        return
    for row in range(HEIGHT - 1, -1, -1):
        label = f"{top:.4g}" if row == HEIGHT - 1 else "0" if row == 0 else ""
        cells = "".join(
            _cell(HEIGHT * some / top - row, HEIGHT * all_ / top - row)
            for some, all_ in zip(solid, whole, strict=True)
        )
        yield f"{label:>{_LABEL - 1}} {cells.rstrip()}", style


def _cell(solid: float, whole: float) -> str:
    """One character: how much of it is filled."""
    if solid > 0:
        return _EIGHTHS[max(1, min(8, round(8 * solid)))]
    return _SHADE if whole > 0 else " "
