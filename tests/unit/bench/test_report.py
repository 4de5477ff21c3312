"""The figures on the terminal and in the documentation."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pytest
from rich.console import Console

from eas_bench import places
from eas_bench.plots import Bars, Lines
from eas_bench.scenarios import report
from eas_bench.scenarios.baseline import changes
from eas_bench.scenarios.results import Figure, Results

RUN = {"rate": 100000.0, "p50_ms": 0.6, "p99_ms": 0.9, "cpu_us": 9.0}
ENGINE = {**RUN, "rate": 52000.0, "cpu_us": 16.5}
OPEN = {"p50_ms": 0.1, "p99_ms": 0.5, "p99.9_ms": 1.5}


def figure(key: str, told: list[float], **changed: Any) -> Figure:
    content: dict[str, Any] = {
        "scenario": key.split("-", maxsplit=1)[0],
        "key": key,
        "words": f"the words of {key}",
        "sense": "at least",
        "limit": 0.6,
        "unit": "",
        "value": sorted(told)[len(told) // 2],
        "low": min(told),
        "high": max(told),
        "samples": told,
        "met": True,
        "reliable": True,
        "faults": [],
        "doubts": [],
    }
    return Figure(**{**content, **changed})


def curve(unit: str) -> dict[str, Any]:
    points = [{"x": x, "us": [10.0 + x / 100, 11.0 + x / 100]} for x in (0, 1000, 10000)]
    shape = {"shape": "linear", "fixed_us": 10.5, "each_us": 0.01, "exponent": 0.75}
    return {"unit": unit, "points": points, **shape}


def results() -> Results:
    doubt = "others took 0.30 cores meanwhile (at most 0.2)"
    return Results.model_validate(
        {
            "taken": dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC),
            "machine": {"cpu": "A processor", "cores": 2, "kernel": "6.1", "python": "3.11.7"},
            "versions": {"eas-engine": "0.1.0 (compiled)", "wrk": "4.1.0"},
            "settings": {"rounds": 5, "seconds": 4.0, "pinned": "server on core 0", "engine": "eas-engine"},
            "load_average": {"before": [0.1, 0.2, 0.3], "after": [2.0, 1.0, 0.5]},
            "figures": [
                figure("W1-64", [0.5, 0.52, 0.61], reliable=False, met=False, doubts=[doubt]),
                figure("W1-1", [2.0], sense="at most", limit=2.2, reliable=False, doubts=[doubt]),
                figure("W1-open", [0.5], sense="at most", limit=None, unit="ms"),
                figure("W9-idle", [90], sense="under", limit=60, unit="MB", met=False),
                figure("W4-health", [3], limit=50, unit="ms", met=False, faults=["GET /healthz: reset"]),
            ],
            "scenarios": {
                "W1": {
                    "title": "echo",
                    "seconds": 60,
                    "cores_taken_by_others": 0.04,
                    "faults": ["the engine exited with 1"],
                    "raw": {
                        "pairs": {"64": [{"reference": RUN, "engine": ENGINE}]},
                        "open": {"rate": 20000.0, "reference": [OPEN], "engine": [OPEN, OPEN]},
                    },
                },
                "W5": {
                    "title": "overload",
                    "seconds": 30,
                    "cores_taken_by_others": 0.1,
                    "faults": [],
                    "raw": {"pairs": {"60-256": [{"reference": {}, "engine": {}}]}},
                },
                "cost": {
                    "title": "cost",
                    "seconds": 30,
                    "cores_taken_by_others": 0.1,
                    "faults": [],
                    "raw": {
                        "curves": {
                            "bare": curve("bytes, bare"),
                            "body": curve("bytes"),
                            "instances": curve("instances"),
                        }
                    },
                },
                "loops": {
                    "title": "loops",
                    "seconds": 30,
                    "cores_taken_by_others": 0.1,
                    "faults": [],
                    "raw": {
                        "loops": {
                            place: {"1": [3.0, 1.0], "2": [900.0]} for place in ("one_core", "every_core")
                        }
                    },
                },
            },
            "unmeasured": {"java": "javac isn't installed"},
        }
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.45, "", "0.450"),
        (2.2, "", "2.20"),
        (54.73, "MB", "54.73 MB"),
        (158, "ms", "158 ms"),
        (123.45, "", "123.5"),
        (118234.7, "", "118,235"),
        (0, "", "0"),
    ],
)
def test_numbers_have_as_many_digits_as_they_deserve(value: float, unit: str, text: str) -> None:
    assert report.number(value, unit) == text


def test_the_terminal_has_a_line_for_each_figure_and_words_for_whatever_was_wrong() -> None:
    out = io.StringIO()
    report.show(Console(file=out), results())
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "\x1b" not in out.getvalue()
    assert [line.rsplit("  ", 1)[-1].strip() for line in lines[1:6]] == [
        "missed, unreliable",
        "met, unreliable",
        "0.500 ms",  # nothing is asked, so nothing is met
        "missed",
        "missed",
    ]
    assert lines[6:] == [
        "W4-health: GET /healthz: reset",
        "unreliable, others took 0.30 cores meanwhile (at most 0.2): W1-64, W1-1",
        "W1: the engine exited with 1",
        "java: not measured: javac isn't installed",
    ]


def test_a_comparison_has_a_line_for_each_ratio() -> None:
    out = io.StringIO()
    told = changes([figure("W1-64", [0.6]), figure("W2", [0.9])], [figure("W1-64", [0.5])])
    report.show_changes(Console(file=out), told)
    lines = [line.split() for line in out.getvalue().splitlines()[1:]]
    assert [(line[0], line[-1]) for line in lines] == [("W1-64", "worse"), ("W2", "gone")]
    assert "0.833" in lines[0]


def test_the_page_keeps_everything_but_what_is_between_its_markers() -> None:
    page = f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n"
    updated = report.update(page, results(), ["plot.svg"])
    assert updated.startswith(f"above\n{report.BEGIN}\nTaken on 2026-01-02 03:04 UTC: A processor, 2 cores")
    assert updated.endswith(f"\n{report.END}\nbelow\n")
    assert "](plot.svg)" in updated
    assert "old" not in updated
    assert report.update(updated, results(), ["plot.svg"]) == updated


def test_the_page_shows_figures_rates_curves_and_loops() -> None:
    lines = report.markdown(results()).splitlines()
    for line in (
        "| W1 | the words of W1-64 | at least 0.600 | 0.520 (0.500 to 0.610) | missed, unreliable |",
        "| W1 | the words of W1-open |  | 0.500 ms |  |",
        "| W1, 64 connections | reference | 100,000 | 0.600 | 0.900 | 9 |",
        "| W1, 64 connections | engine | 52,000 | 0.600 | 0.900 | 16.50 |",
        "| W1 | engine | 20,000 | 0.100 | 0.500 | 1.50 |",
        "| instances | 0: 10.50, 1,000: 20.50, 10,000: 110.5 | linear | 0.750 |",
        "| bare loop in threads, requests/s | 1 loop | 2 loops |",
        "| server on one core | 2 | 900 |",
        "Not measured: java.",
    ):
        assert line in lines


def test_plots_are_the_ratios_and_the_curves() -> None:
    ratios, body, instances = report.panels(results())
    assert isinstance(ratios, Bars)
    assert [(bar.label, bar.value, bar.ours) for bar in ratios.bars] == [("W1-64 (0.600)", 0.52, False)]
    assert isinstance(body, Lines)
    assert isinstance(instances, Lines)
    assert [line.label for line in body.lines] == ["engine and hosts", "bare loop"]
    assert [line.label for line in instances.lines] == ["engine and hosts"]
    assert instances.lines[0].fit[1] == (1000, 20.5)


@pytest.mark.parametrize("page", ["", report.BEGIN, report.END, f"{report.END}\n{report.BEGIN}"])
def test_a_page_without_markers_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="has no lines"):
        report.update(page, results())


def test_the_documentation_has_its_markers() -> None:
    assert report.update(places.PERFORMANCE.read_text(), results())
