"""Every scenario by its name, and how one is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from eas_bench.machine import Ours, taken_by_others
from eas_bench.spine import batching, scenarios, starts
from eas_bench.spine.scenarios import Result, Setting

SCENARIOS: Mapping[str, Callable[[Setting], Result]] = {
    "echo": scenarios.echo,
    "large": scenarios.large,
    "cpp": scenarios.cpp,
    "java": scenarios.java,
    "batching": batching.mlp,
    "overload": scenarios.overload,
    "health": scenarios.health,
    "idle": scenarios.idle,
    "start": scenarios.start,
    "starts": starts.eight,
    "loops": scenarios.loops,
}
IN_ROUNDS = ("echo", "large", "cpp", "java", "batching", "overload", "health")


def measure(name: str, setting: Setting) -> Result:
    """Run one scenario, and note how much of the machine others took meanwhile."""
    before = Ours.now()
    result = SCENARIOS[name](setting)
    taken = taken_by_others(before)
    result.raw["cores_taken_by_others"] = round(taken, 3)
    if name != "idle":  # memory doesn't care who else is busy
        rounds = setting.rounds if name in IN_ROUNDS else None
        result.verdicts = [verdict.with_doubts(taken, rounds) for verdict in result.verdicts]
    return result
