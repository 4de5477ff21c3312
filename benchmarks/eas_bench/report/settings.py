"""What was asked of whom, where and with what, as names and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eas_bench import units
from eas_bench.record import Asked, Load, Run

GROUPS: Final = ("Target", "Load", "Generator", "Machine", "Versions")

Settings = dict[str, dict[str, str]]
"""By group, then by name."""


def of(run: Run) -> Settings:
    """Everything that a reader must know to repeat the run."""
    return {
        "Target": _target(run.asked),
        "Load": _load(run),
        "Generator": _generator(run),
        "Machine": dict(_fact(key, value) for key, value in run.machine.items()),
        "Versions": dict(run.versions),
    }


def common(all_of_them: Sequence[Settings]) -> Settings:
    """What is the same in all of them."""
    first, *others = all_of_them
    return {
        group: {
            name: value
            for name, value in first[group].items()
            if all(one[group].get(name) == value for one in others)
        }
        for group in GROUPS
    }


def without(settings: Settings, shared: Settings) -> Settings:
    """What isn't in ``shared``."""
    return {
        group: {name: value for name, value in settings[group].items() if name not in shared[group]}
        for group in GROUPS
    }


def _target(asked: Asked) -> dict[str, str]:
    least, most = min(asked.body_bytes), max(asked.body_bytes)
    several = f" to {units.size(most)}, {len(asked.body_bytes)} in turns" if len(asked.body_bytes) > 1 else ""
    return {
        "URL": asked.url,
        "protocol": asked.protocol,
        "method": asked.method,
        "body": units.size(least) + several,
        "authentication": asked.authentication,
    }


def _load(run: Run) -> dict[str, str]:
    load = run.load
    return {
        **_kind(load),
        "measured": units.seconds(run.seconds),
        "warm-up": units.seconds(load.warm_up),
        "timeout": units.seconds(load.timeout),
        "taken": run.taken,
    }


def _kind(load: Load) -> dict[str, str]:
    if load.kind == "closed":
        return {
            "loop": "closed: a connection sends when it has its answer",
            "connections": str(load.connections),
        }
    return {
        "loop": "open: send times are fixed in advance",
        "rate": units.rate(load.rate or 0),
        "arrivals": load.arrivals or units.NONE,
        "connections": f"at most {load.connections}",
    }


def _generator(run: Run) -> dict[str, str]:
    generator = run.generator
    told = {
        "could do": units.NONE if generator.limit is None else f"{units.rate(generator.limit)} by itself",
        "processes": str(run.load.processes),
        "CPU": f"{units.short(generator.cpu_seconds / run.seconds)} cores",
        "seed": str(run.load.seed),
    }
    if run.load.kind == "open":
        told["late at p99"] = units.micros(generator.late_p99)
    return told


def _fact(key: str, value: str) -> tuple[str, str]:
    """``memory_mb`` as ``memory``, in the unit that fits."""
    if key.endswith("_mb") and value.isdecimal():
        key, value = key.removesuffix("_mb"), units.size(int(value) * 1e6)
    return key.replace("_", " "), value
