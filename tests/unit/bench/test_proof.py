"""What the load tester's own test takes for true, and how it tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eas_bench.proof import known, page
from eas_bench.record import Load
from eas_bench.schedule import SECOND

LOAD = Load(kind="open", rate=2, arrivals="constant", connections=9, duration=2, timeout=1)
MS = 1_000_000


def test_what_is_implied_counts_from_the_moment_each_was_due() -> None:
    began = 77 * SECOND
    due = [began, began + SECOND // 2, began + SECOND, began + 3 * SECOND // 2]
    log = [(due[0] + 3 * MS, due[0] + 10 * MS), *((moment + MS, moment + 20 * MS) for moment in due[1:])]
    assert known.implied(log, LOAD) == [9_000, 19_000, 19_000, 19_000]  # the shortest way is taken for none


def test_a_request_that_had_no_answer_implies_nothing() -> None:
    with pytest.raises(ValueError, match="3 requests were answered, 4 were due"):
        known.implied([(1, 2)] * 3, LOAD)


def test_percentiles_are_values_that_were_there() -> None:
    assert known.percentiles(list(range(1, 1001))) == [500, 900, 990, 999]
    assert known.percentiles([7]) == [7, 7, 7, 7]
    assert known.apart([98, 103], [100, 100]) == [0.02, 0.03]


def figures(**changes: Any) -> dict[str, Any]:
    closed = {"rate": 100.0, "p50": 20_000, "p99": 21_000, "max": 1_500_000}
    found = {
        "plan": {},
        "true": [20_000, 200_000, 201_000, 202_000],
        "open": [20_100, 200_000, 201_000, 202_000],
        "closed": closed,
        "wrk": closed,
    }
    return {
        "machine": {"cpu": "a cpu", "usable_cores": 2, "kernel": "6", "python": "3"},
        "pinned": "nothing",
        "rounds": 1,
        "known": {"bimodal": found, "stalls": found},
        "wrk": {"64": [[{"rate": 100.0, "p50": 1, "p99": 2}, {"rate": 98.0, "p50": 1, "p99": 2}]]},
        "limit": {"64": [90_000.0, 70_000.0, 80_000.0], "602112": [9_000.0]},
        **changes,
    }


def test_the_bars_are_held_against_medians() -> None:
    assert page.missed(figures()) == []
    assert "less than 40,000" in page.missed(figures(limit={"64": [39_000.0]}))[0]
    slow = {"16": [[{"rate": 100.0, "p50": 1, "p99": 2}, {"rate": 94.0, "p50": 1, "p99": 2}]]}
    assert "0.940 of wrk's rate" in page.missed(figures(wrk=slow))[0]
    wrong = figures()
    wrong["known"]["stalls"] = {**wrong["known"]["stalls"], "open": [20_000, 200_000, 206_000, 202_000]}
    assert "stalls: a percentile of the open loop is 2.5% off" in page.missed(wrong)[0]


def test_the_page_gets_the_figures_between_its_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "page.md"
    monkeypatch.setattr(page, "PAGE", file)
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.update(figures())
    text = file.read_text()
    assert text.startswith(f"before\n{page.BEGIN}\na cpu, 2 cores")
    assert text.endswith(f"{page.END}\nafter\n")
    assert "old" not in text
    assert "| 64 bytes | 80,000 (70,000 to 90,000) |" in text
    page.update(figures())
    assert file.read_text() == text
    file.write_text("no markers")
    with pytest.raises(ValueError, match="has no markers"):
        page.update(figures())


def test_the_documentation_has_the_markers() -> None:
    assert page.PAGE.read_text().count(page.BEGIN) == page.PAGE.read_text().count(page.END) == 1
