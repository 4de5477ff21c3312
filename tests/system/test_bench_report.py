"""Reports in a real browser: everything is drawn, nothing is fetched, and nobody's text is a program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from eas_bench import report
from eas_bench.record import Asked, Generator, Process, Reading, Run
from support import browser
from support.bench_runs import a_curve, a_run, without_answers

pytestmark = [
    pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.WHY_NOT),
    pytest.mark.timeout(600),  # a browser on a machine that has other things to do
]

EVIL = "http://evil.test"
HOSTILE = (
    "</script><script>document.documentElement.dataset.owned=1</script>"
    f"\"'><img src={EVIL}/i onerror='document.documentElement.dataset.owned=2'>"
    f'<a href="{EVIL}/a">x</a>'
)


def page(directory: Path, *runs: Run) -> Path:
    file = directory / "report.html"
    report.write(runs, file)
    return file


def expected(file: Path) -> dict[str, int]:
    """Lines of each plot, as the page asks for them."""
    data = re.search(r'id="figures">(.*?)</script>', file.read_text())
    assert data is not None
    return {key: len(figure["data"]) for key, figure in json.loads(data[1]).items()}


def test_every_line_of_every_plot_is_drawn_and_nothing_is_fetched(tmp_path: Path) -> None:
    file = page(tmp_path, a_run(seconds=20))
    shown = browser.show(file)
    assert shown.root == {"lang": "en", "data-drawn": "14"}
    assert shown.traces == expected(file)
    assert set(shown.traces) >= {"latency", "percentiles", "throughput", "ends", "split", "cpu", "memory"}
    assert "p99.9" in shown.texts["latency"]
    assert "99.9%" in shown.texts["percentiles"]
    assert "echo-1" in shown.texts["cpu"]
    assert "GPU-1" in shown.texts["gpu-temperature"]
    assert shown.wanted == []


def test_without_its_policy_it_wants_nothing_from_others_either(tmp_path: Path) -> None:
    file = page(tmp_path, *a_curve((50, 100)))
    text = file.read_text()
    file.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text, count=1))
    shown = browser.show(file)
    assert shown.traces == expected(file)
    assert shown.wanted == []


def test_the_proxy_would_have_seen_it(tmp_path: Path) -> None:
    """That none is seen above means that there was none."""
    file = tmp_path / "page.html"
    file.write_text(f"<img src={EVIL}/seen>")
    assert browser.show(file).wanted == [f"{EVIL}/seen"]


def test_of_many_runs_the_plots_of_all_together_are_drawn_and_the_others_wait(tmp_path: Path) -> None:
    file = page(tmp_path, *a_curve((50, 100, 200), instances=1))
    shown = browser.show(file)
    drawn = {key: count for key, count in shown.traces.items() if count}
    assert drawn == {"all-throughput-latency": 3, "all-percentiles": 3}
    assert "data-error" not in shown.root


def test_what_a_record_says_is_neither_run_nor_fetched(tmp_path: Path) -> None:
    run = a_run(seconds=1)
    named = Process(name=HOSTILE, pid=1, cpu_seconds=0, memory_bytes=1, threads=1)
    hostile = a_run(
        seconds=1,
        title=HOSTILE,
        notes=[HOSTILE],
        machine={HOSTILE: HOSTILE},
        asked=Asked(url=EVIL + HOSTILE, body_bytes=[1]),
        generator=Generator(limit=None, late_p99=0, cpu_seconds=0, invalid=[HOSTILE]),
        latency={HOSTILE: run.latency["200"], "450": run.latency["450"]},
        readings=[Reading(at=0, processes=[named]), Reading(at=1, processes=[named])],
    )
    shown = browser.show(page(tmp_path, hostile))
    assert shown.root == {"lang": "en", "data-drawn": "7"}
    assert shown.links == []
    assert "</script><script>" in shown.texts["memory"]  # as text, where plotly wrote it
    assert shown.wanted == []


def test_a_run_without_answers_is_shown_for_what_it_is(tmp_path: Path) -> None:
    shown = browser.show(page(tmp_path, without_answers()))
    assert shown.traces == {"throughput": 3, "ends": 1}


@pytest.mark.parametrize(
    ("flags", "ink"), [((), "rgb(90, 100, 114)"), ((browser.DARK,), "rgb(163, 173, 186)")]
)
def test_plots_have_the_colours_of_the_page(tmp_path: Path, flags: tuple[str, ...], ink: str) -> None:
    shown = browser.show(page(tmp_path, a_run(seconds=1, readings=[])), *flags)
    assert shown.inks == {ink}
