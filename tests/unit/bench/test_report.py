"""The figures on the terminal and in the documentation."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from eas_bench import places
from eas_bench.spine import bars, report
from eas_bench.spine.bars import Verdict

RUN = {"rate": 100000.0, "p50_ms": 0.6, "p99_ms": 0.9}


def record() -> dict[str, Any]:
    told = {
        "taken": "2026-01-02 03:04 UTC",
        "machine": {"cpu": "A processor", "cores": 2, "kernel": "6.1", "python": "3.11.7"},
        "versions": {"eas-engine": "0.1.0", "wrk": "4.1.0"},
        "settings": {"rounds": 5, "seconds": 4.0, "pinned": "server on core 0, load on core 1"},
        "load_average": {"before": [0.1, 0.2, 0.3], "after": [2.0, 1.0, 0.5]},
        "verdicts": [
            Verdict.of(bars.ECHO[64], [0.5, 0.52, 0.61]).as_json(),
            Verdict.of(bars.IDLE, [54.7]).as_json(),
            Verdict.of(bars.START, [1.2], wavering=2).as_json(),
        ],
        "scenarios": {
            "echo": {
                "pairs": {"echo-64": [{"reference": RUN, "engine": {**RUN, "rate": 52000.0}}]},
                "cores_taken_by_others": 0.04,
                "faults": [],
            },
            "loops": {
                "cores_taken_by_others": 0.1,
                "loops": {place: {1: [3.0, 1.0], 2: [900.0]} for place in ("one_core", "every_core")},
            },
        },
    }
    kept: dict[str, Any] = json.loads(json.dumps(told))  # as a --json file gives it
    return kept


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.45, "", "0.450"),
        (2.2, "", "2.20"),
        (54.73, "MB", "54.73 MB"),
        (158, "ms", "158 ms"),
        (123.45, "", "123.5"),
    ],
)
def test_numbers_have_as_many_digits_as_they_deserve(value: float, unit: str, text: str) -> None:
    assert report.number(value, unit) == text


def test_large_numbers_are_grouped() -> None:
    assert report.number(118234.7, "") == "118,235"


def test_the_terminal_has_a_line_for_each_bar_and_words_for_each_fault() -> None:
    out = io.StringIO()
    verdicts = [
        Verdict.of(bars.ECHO[64], [0.5], wavering=1.8),
        Verdict.of(bars.IDLE, [90]),
        Verdict.of(bars.HEALTH, [3], faults=["GET /healthz: [Errno 104] reset"]),
    ]
    report.show(Console(file=out), verdicts, ["echo: the engine exited with 1"])
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "\x1b" not in out.getvalue()
    assert [line.rsplit("  ", 1)[-1] for line in lines[1:4]] == ["met, unreliable", "missed", "missed"]
    assert lines[4:] == [
        "echo-64: unreliable, the reference itself wavers by a factor of 1.80 (at most 1.5)",
        "health: GET /healthz: [Errno 104] reset",
        "echo: the engine exited with 1",
    ]


def test_the_page_keeps_everything_but_what_is_between_its_markers() -> None:
    page = f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n"
    updated = report.update(page, record())
    assert updated.startswith(f"above\n{report.BEGIN}\nTaken on 2026-01-02 03:04 UTC: A processor, 2 cores")
    assert updated.endswith(f"\n{report.END}\nbelow\n")
    assert "old" not in updated
    assert report.update(updated, record()) == updated


def test_the_page_shows_verdicts_rates_and_loops() -> None:
    lines = report.markdown(record()).splitlines()
    assert f"| {bars.ECHO[64].title} | at least 0.450 | 0.520 (0.500 to 0.610) | met |" in lines
    assert f"| {bars.START.title} | under 0.700 s | 1.20 s | missed, unreliable |" in lines
    assert "| echo-64 | 100,000 | 0.600 | 0.900 | 52,000 | 0.600 | 0.900 |" in lines
    assert "| bare loop in threads, requests/s | 1 loop | 2 loops |" in lines
    assert "| server on one core | 2 | 900 |" in lines


@pytest.mark.parametrize("page", ["", report.BEGIN, report.END, f"{report.END}\n{report.BEGIN}"])
def test_a_page_without_markers_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="has no lines"):
        report.update(page, record())


def test_the_documentation_has_its_markers() -> None:
    assert report.update(places.PERFORMANCE.read_text(), record())
