"""``eas-engine autoscale``: explain and record ask a running engine, simulate asks nobody."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from eas_engine.cli.app import app
from eas_engine.cli.autoscale.panels import panels
from eas_engine.cli.autoscale.record import PERIOD, write
from eas_engine.supervisor.autoscale.document import document
from eas_engine.supervisor.autoscale.driver import Kept
from eas_engine.supervisor.autoscale.simulate import Model, simulate
from eas_engine.supervisor.autoscale.trace import parse, read
from support.admin_page import engine_with_page
from support.clock import FakeClock
from support.scaling import Loop, second, settings
from support.services import python_service

PAGE = "/api/v1/autoscale"
TRACE = "seconds,qps\n0,5\n60,32\n180,5\n900,5\n"
AUTOSCALER: dict[str, Any] = {"min": 1, "max": 6, "strategies": {"qps": 8}}


def eas(*arguments: str | Path) -> Result:
    result: Result = CliRunner().invoke(app, ["autoscale", *map(str, arguments)])
    return result


def recorded(given: Any = None) -> Any:
    """The document of an engine with 30 seconds of load behind it."""
    loop = Loop(given or settings(thresholds={"qps": 10.0, "gpu[util]": 50.0}), 1)
    loop.run(30, 35.0)
    kept = [Kept(one.at, 1, one) for one in loop.decisions]
    return json.loads(json.dumps(document(loop.settings, kept, loop.samples)))


class TestExplain:
    def test_the_last_decisions_and_the_figures_of_the_newest(self, tmp_path: Path) -> None:
        with engine_with_page(tmp_path, PAGE, recorded()):
            result = eas("explain", "--state-dir", tmp_path)
        assert result.exit_code == 0
        text = result.stdout
        assert "1..10 instances by qps 10, gpu[util] 50; up after 0 s, down after 300 s" in text
        assert "1 -> 4" not in text, "30 decisions are more than are shown"
        assert "10 older ones: --json shows them" in text
        assert re.search(r"instances +4 wanted, 4 ready, 0 starting", text)
        assert re.search(r"asked for +4; with the windows 4 upwards, 4 downwards", text)
        assert re.search(r"qps +8\.75 +10 +4 *\n", text)
        assert re.search(r"gpu\[util\] +no figure +50 +no instance has a figure", text)
        assert "\x1b" not in text, "no colours in a pipe"

    def test_a_change_is_shown_with_both_numbers(self, tmp_path: Path) -> None:
        page = recorded()
        page["decisions"] = page["decisions"][:6]
        with engine_with_page(tmp_path, PAGE, page):
            text = eas("explain", "--state-dir", tmp_path).stdout
        assert "1 -> 4" in text
        assert "qps: 35 per instance, threshold 10, asks for 4" in text

    def test_for_machines_it_is_the_document(self, tmp_path: Path) -> None:
        page = recorded()
        with engine_with_page(tmp_path, PAGE, page):
            result = eas("explain", "--state-dir", tmp_path, "--json")
        assert json.loads(result.stdout) == page

    def test_without_an_autoscaler_or_a_decision_it_says_so(self, tmp_path: Path) -> None:
        with engine_with_page(tmp_path, PAGE, {"settings": None, "decisions": [], "samples": []}):
            text = eas("explain", "--state-dir", tmp_path).stdout
        assert "the service has no autoscaler" in text
        assert "nothing was decided yet" in text

    def test_an_engine_that_has_no_such_page(self, tmp_path: Path) -> None:
        with engine_with_page(tmp_path, PAGE, None):
            result = eas("explain", "--state-dir", tmp_path)
        assert (result.exit_code, result.stderr) == (1, "eas-engine: no such page\n")

    def test_no_engine(self, tmp_path: Path) -> None:
        result = eas("explain", "--state-dir", tmp_path)
        assert result.exit_code == 1
        assert "no engine runs" in result.stderr


class TestRecord:
    def test_what_the_engine_remembers_becomes_a_trace(self, tmp_path: Path) -> None:
        file = tmp_path / "load.jsonl"
        with engine_with_page(tmp_path, PAGE, recorded()):
            result = eas("record", "--state-dir", tmp_path, "--output", file, "--seconds", "1")
        assert result.exit_code == 0, result.stderr
        assert f"simulate --trace {file}" in result.stderr
        trace = read(file)
        assert {one.qps for one in trace.stretches} == {35.0}
        assert trace.end == 15.0

    async def test_each_sample_is_written_once_in_order(self) -> None:
        clock, file, asked = FakeClock(), io.StringIO(), []

        def fetch() -> list[dict[str, float]]:
            asked.append(clock.now())
            newest = int(clock.now())
            return [{"seconds": float(at), "qps": 1.0} for at in range(newest - 15, newest)]

        import asyncio

        task = asyncio.ensure_future(write(fetch, file, clock, 25.0))
        await clock.advance(25.0)
        await task
        assert asked == [1000.0, 1000.0 + PERIOD, 1000.0 + 2 * PERIOD, 1025.0]
        seconds = [json.loads(line)["seconds"] for line in file.getvalue().splitlines()]
        assert seconds == [float(at) for at in range(985, 1025)]

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        with engine_with_page(tmp_path, PAGE, recorded()):
            result = eas(
                "record", "--state-dir", tmp_path, "--output", tmp_path / "no" / "x", "--seconds", "1"
            )
        assert result.exit_code == 2
        assert "can't be written: No such file" in result.stderr

    def test_an_engine_that_has_no_such_page(self, tmp_path: Path) -> None:
        with engine_with_page(tmp_path, PAGE, None):
            result = eas("record", "--state-dir", tmp_path, "--output", "-", "--seconds", "1")
        assert (result.exit_code, result.stderr) == (1, "eas-engine: no such page\n")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A service and a trace."""
    service, trace = tmp_path / "service.json", tmp_path / "load.csv"
    service.write_text(json.dumps(python_service(autoscaler=AUTOSCALER, metadata={"rpc.worker_threads": 1})))
    trace.write_text(TRACE)
    return service, trace


class TestSimulate:
    def test_it_draws_the_load_and_tells_what_was_lost(self, files: tuple[Path, Path]) -> None:
        service, trace = files
        result = eas(
            "simulate", service, "--trace", trace, "--service-time", "100", "--at", "2026-11-11T08:00"
        )
        assert result.exit_code == 0, result.stderr
        text = result.stdout
        for title in ("requests/s, at most 32", "instances (░ starting), at most 4", "waiting", "lost/s"):
            assert title in text
        assert re.search(r"requests +11,340", text)
        assert re.search(r"over capacity +\d+ s", text)
        assert re.search(
            r"2026-11-11 08:01:0\d +1 -> 2 +qps: \S+ per instance, threshold 8, asks for 2", text
        )
        assert "\x1b" not in text, "no colours in a pipe"

    def test_for_machines_with_every_second(self, files: tuple[Path, Path]) -> None:
        service, trace = files
        result = eas("simulate", "--config", service, "--trace", trace, "--service-time", "100", "--json")
        found = json.loads(result.stdout)
        figures = found["figures"]
        assert figures["requests"] == 5 * 60 + 32 * 120 + 5 * 720 + 5 * 720
        assert figures["most_instances"] == 4
        lost = figures["refused_450"] + figures["limited_429"] + figures["late_408"]
        assert figures["served"] + lost == pytest.approx(figures["requests"])
        assert len(found["seconds"]) == 1620
        assert found["changes"][0]["before"] == 1
        assert found["changes"][-1]["instances"] == 1

    def test_overrides_and_options_are_part_of_what_is_tried(self, files: tuple[Path, Path]) -> None:
        service, trace = files
        plain = ("simulate", service, "--trace", trace, "--service-time", "100", "--json")

        def most(*more: str) -> int:
            return int(json.loads(eas(*plain, *more).stdout)["figures"]["most_instances"])

        assert most() == 4
        assert most("-D", "autoscaler.strategies.qps=16") == 2
        assert most("-D", "autoscaler.max=3") == 3
        assert most("--instances", "6") == 6
        assert most("--instances", "99") == 6, "bounded"

        def lost(*more: str) -> float:
            figures = json.loads(eas(*plain, *more).stdout)["figures"]
            return float(figures["refused_450"] + figures["late_408"])

        assert lost() > lost("--threads", "4") == 0
        assert lost("--startup", "60") > lost("--startup", "0")

    @pytest.mark.parametrize("name", ["plot.html", "plot.svg", "PLOT.SVG"])
    def test_the_plot_is_one_file_that_needs_nothing_else(self, files: tuple[Path, Path], name: str) -> None:
        service, trace = files
        plot = trace.with_name(name)
        result = eas("simulate", service, "--trace", trace, "--service-time", "100", "--plot", plot)
        assert result.exit_code == 0, result.stderr
        text = plot.read_text(encoding="utf-8")
        assert not re.search(r"(href|src)=|url\(|@import", text)
        drawing = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
        assert len(drawing.findall("{*}path")) == 4
        if name.endswith("html"):
            assert "<title>demo: load.csv</title>" in text
            assert "seconds_over_capacity" in text
            assert "asks for 4" in text

    @pytest.mark.parametrize(
        ("arguments", "wrong"),
        [
            ((), "how long does a call of the processor take? --service-time MS, or a column service_time"),
            (
                ("--service-time", "9", "--plot", "x.png"),
                "--plot x.png: expected a name that ends with .html or .svg",
            ),
            (("--service-time", "9", "--at", "noon"), "--at noon: expected a time such as 2026-11-11T08:00"),
            (("--service-time", "9", "-D", "autoscaler.max=0"), "autoscaler.max"),
            (("--service-time", "9", "--plot", "/nowhere/x.svg"), "can't be written: No such file"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, files: tuple[Path, Path], arguments: tuple[str, ...], wrong: str
    ) -> None:
        service, trace = files
        result = eas("simulate", service, "--trace", trace, *arguments)
        assert result.exit_code == 2
        assert wrong in result.stderr

    def test_without_an_autoscaler_there_is_nothing_to_simulate(self, files: tuple[Path, Path]) -> None:
        service, trace = files
        service.write_text(json.dumps(python_service()))
        result = eas("simulate", service, "--trace", trace, "--service-time", "9")
        assert result.exit_code == 2
        assert "it has no autoscaler, so there is nothing to simulate" in result.stderr

    def test_a_trace_with_service_times_and_a_date_needs_no_options(self, files: tuple[Path, Path]) -> None:
        service, trace = files
        lines = [second(float(at), 4.0, service_time=0.05) for at in range(20)]
        trace.write_text(json.dumps(document(None, (), lines)))
        found = json.loads(eas("simulate", service, "--trace", trace, "--json").stdout)
        assert found["begins"] == lines[0].wall
        assert found["figures"]["served"] == 80
        slow = ("simulate", service, "--trace", trace, "--service-time", "1000", "--json")
        assert json.loads(eas(*slow).stdout)["figures"]["served"] < 80, "the option beats the trace"


@pytest.mark.parametrize("width", [20, 60, 100])
@pytest.mark.parametrize("seconds", [1, 7, 90, 1000])
def test_the_panels_fit_any_width(width: int, seconds: int) -> None:
    outcome = simulate(settings(), Model(service_time=0.1), parse(f"0,50\n{seconds},50\n"), instances=1)
    lines = list(panels(outcome, width))
    assert len(lines) >= 4 * 2 + 1
    drawn = [line for line, style in lines if style and style != "bold"]
    assert max(cell_len(line) for line in drawn) <= width
    assert any("█" in line for line in drawn)
