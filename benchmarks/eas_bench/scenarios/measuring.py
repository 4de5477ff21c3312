"""Any scenario by its file: what it gave is held against what it is asked."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from eas_bench.client import NotMeasured
from eas_bench.machine import Missing, Ours, taken_by_others
from eas_bench.scenarios import (
    batching,
    cold,
    crashes,
    curves,
    loops,
    overload,
    shapes,
    turns,
    updates,
)
from eas_bench.scenarios.bars import Verdict
from eas_bench.scenarios.figures import NoFigures
from eas_bench.scenarios.files import Scenario
from eas_bench.scenarios.setting import Result, Setting
from eas_bench.servers import NotServing

MEASURES: Final[Mapping[str, Callable[[Any, Setting], Result]]] = {
    "turns": turns.measure,
    "batching": batching.measure,
    "overload": overload.measure,
    "shapes": shapes.measure,
    "crashes": crashes.measure,
    "updates": updates.measure,
    "cold": cold.measure,
    "curves": curves.measure,
    "loops": loops.measure,
}
_UNMOVED: Final = {"MB", "requests", "answers", "connections", "faults", "instances"}
"""Units of what is the same however busy others keep the machine."""


class Unmeasurable(Exception):
    """A scenario couldn't be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scenario, measured and judged."""

    verdicts: tuple[Verdict, ...]
    result: Result
    seconds: float
    taken: float  # cores that others used meanwhile, on average


def measure(scenario: Scenario, setting: Setting) -> Outcome:
    """Run it. Errors: Unmeasurable."""
    before, began = Ours.now(), time.monotonic()
    try:
        result = MEASURES[scenario.kind](scenario, setting)
    except subprocess.CalledProcessError as error:
        raise Unmeasurable(f"{error.cmd[0]} failed with {error.returncode}") from error
    except (Missing, NotServing, NoFigures, NotMeasured, OSError) as error:
        raise Unmeasurable(str(error) or repr(error)) from error
    except (ArithmeticError, ValueError) as error:
        raise Unmeasurable(f"the runs gave figures that make no sense: {error!r}") from error
    taken = taken_by_others(before)
    return Outcome(judged(scenario, setting.rounds, result, taken), result, time.monotonic() - began, taken)


def judged(scenario: Scenario, rounds: int, result: Result, taken: float) -> tuple[Verdict, ...]:
    """Its figures held against its bars. Pure."""
    verdicts = [Verdict.of(asked.bar, result.figures[asked.figure]) for asked in scenario.bars]
    return tuple(
        verdict.with_doubts(0.0 if verdict.bar.unit in _UNMOVED else taken, rounds) for verdict in verdicts
    )
