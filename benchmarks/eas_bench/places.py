"""What lies beside this package in a checkout. Nothing of it is part of the installed package."""

from __future__ import annotations

from pathlib import Path

from eas_bench.machine import Missing

BENCHMARKS = Path(__file__).resolve().parents[1]
NATIVE = BENCHMARKS / "native"
PROCESSORS = BENCHMARKS / "processors"
SCENARIOS = BENCHMARKS / "scenarios"
RESULTS = BENCHMARKS / "results"
PARTS = BENCHMARKS.parent / "build" / "results"  # measurements that weren't whole
HEADERS = BENCHMARKS.parent / "sdk" / "cpp" / "include"
PERFORMANCE = BENCHMARKS.parent / "docs" / "performance.md"


def check() -> None:
    """Errors: Missing, when this package isn't in a checkout."""
    if not (BENCHMARKS / "reference" / "echo.py").exists():
        raise Missing(
            "the reference servers aren't there: run this from a checkout of eas-engine, not an installed one"
        )
