"""``eas-bench gpu-check`` without a card: verdicts on scripted results, and that it says there is none."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from typer.testing import CliRunner

from eas_bench.cli import app
from eas_bench.gpu import bars, page, served, session
from eas_bench.gpu.served import Work
from eas_bench.gpu.session import CHECKS, Check, NoCard, NoResults, Results
from eas_bench.places import PERFORMANCE
from eas_bench.scenarios.bars import Measured
from eas_bench.servers import NotServing
from support.clock import FakeClock

GOOD = {
    "card": {"card": bars.parts({"arena": "", "graphs": ""})},
    "G1": {
        "G1-rate": bars.throughput([960.0, 970.0, 980.0], {"rate": 1000.0}, 0),
        "G1-p99": bars.latency([14.0, 15.0, 13.0], 5.0, 0),
        "G1-copies": bars.copies(0, 1 << 20, in_arena=True),
    },
    "shares": {"shares": bars.shares(35.0, 65.0)},
    "beside": {"beside": bars.beside(10.0, 11.0, 0)},
}


def scripted(told: Mapping[str, dict[str, Measured] | BaseException]) -> dict[str, Check]:
    """Checks that give or raise what is told."""

    def check(name: str) -> Check:
        def run(work: Work) -> dict[str, Measured]:
            work.raw[name] = "seen"
            outcome = told[name]
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return run

    return {name: check(name) for name in told}


def run(told: Mapping[str, dict[str, Measured] | BaseException]) -> Results:
    """Results of scripted checks on a card that isn't there."""
    results = Results(card="Card X", torch="2.13.0", taken="2026-01-02T03:04:05+00:00")
    work = Work(Path("/nowhere"), 1.0, ["eas-engine"])
    session.run(scripted(told), results, work, lambda _: None, clock=FakeClock().now)
    return results


def outcomes(results: Results) -> dict[str, str]:
    return {line.bar.key: line.outcome for line in results.lines}


def test_every_bar_that_holds_makes_status_0() -> None:
    results = run(GOOD)
    assert set(outcomes(results).values()) == {"holds"}
    assert list(outcomes(results)) == ["G1-rate", "G1-p99", "G1-copies", "shares", "beside", "card"]
    assert bars.status(results.lines) == 0


@pytest.mark.parametrize(
    ("check", "figures"),
    [
        ("G1", {"G1-rate": bars.throughput([940.0], {"rate": 1000.0}, 0)}),
        ("G1", {"G1-rate": bars.throughput([1000.0], {"rate": 1000.0}, errors=1)}),
        ("G2", {"G2-p99": bars.latency([15.1], 5.0, 0)}),
        ("G2", {"G2-copies": bars.copies(1001, 1000, in_arena=True)}),
        ("G2", {"G2-copies": bars.copies(0, 1000, in_arena=False)}),
        ("shares", {"shares": bars.shares(41.0, 59.0)}),
        ("shares", {"shares": bars.shares(0.0, 0.0)}),
        ("shares", {"shares": bars.shares(0.0, 10.0)}),
        ("beside", {"beside": bars.beside(10.0, 12.1, 0)}),
        ("beside", {"beside": bars.beside(10.0, 10.0, errors=1)}),
        ("card", {"card": bars.parts({"arena": "", "graphs": "RuntimeError: no"})}),
    ],
)
def test_a_bar_that_doesnt_hold_makes_status_1(check: str, figures: dict[str, Measured]) -> None:
    results = run({check: figures})
    (key,) = figures
    assert outcomes(results)[key] == "doesn't hold"
    assert bars.status(results.lines) == 1


def test_a_check_that_fails_is_unmeasured_with_its_reason_and_the_others_go_on() -> None:
    results = run({"G1": NotServing("the engine exited with 1"), "shares": GOOD["shares"]})
    assert outcomes(results) == {
        "G1-rate": "not measured",
        "G1-p99": "not measured",
        "G1-copies": "not measured",
        "shares": "holds",
    }
    assert {line.why for line in results.lines} == {"the engine exited with 1", ""}
    assert bars.status(results.lines) == 2


def test_what_nobody_thought_of_ends_its_check_only() -> None:
    results = run({"G1": ZeroDivisionError("no answers"), "shares": GOOD["shares"]})
    assert results.unmeasured == {"G1": "ZeroDivisionError: no answers"}
    assert outcomes(results)["shares"] == "holds"


def test_a_check_that_forgets_a_figure_is_noticed() -> None:
    results = run({"G1": {"G1-rate": GOOD["G1"]["G1-rate"]}})
    assert [line.why for line in results.lines] == ["", bars.LACKING, bars.LACKING]


def test_small_bodies_are_told_of_and_judged_by_nobody() -> None:
    results = run({"G3": {"G3-copies": bars.copies(4000, 4000, in_arena=False)}})
    assert outcomes(results)["G3-copies"] == "told"
    assert "4" in page.value(results.lines[-1])


def test_when_time_is_over_nothing_new_is_begun() -> None:
    now = [0.0]

    def slow(_: Work) -> dict[str, Measured]:
        now[0] += session.MOST_SECONDS + 1
        return GOOD["card"]

    results = Results(card="Card X", torch="2.13.0", taken="2026-01-02T03:04:05+00:00")
    checks = {"card": slow, **scripted({"G1": GOOD["G1"], "beside": GOOD["beside"]})}
    session.run(checks, results, Work(Path("/nowhere"), 1.0, []), lambda _: None, clock=lambda: now[0])
    assert outcomes(results)["card"] == "holds"
    assert outcomes(results)["beside"] == "not measured"
    assert results.unmeasured["G1"] == "no time was left: the others took 421 s"


def test_what_a_check_had_found_before_it_failed_is_kept() -> None:
    def half(work: Work) -> dict[str, Measured]:
        work.figures["G1-rate"] = GOOD["G1"]["G1-rate"]
        raise NotServing("the generator failed")

    results = Results(card="Card X", torch="2.13.0", taken="2026-01-02T03:04:05+00:00")
    session.run({"G1": half}, results, Work(Path("/nowhere"), 1.0, []), lambda _: None)
    assert outcomes(results) == {"G1-rate": "holds", "G1-p99": "not measured", "G1-copies": "not measured"}
    assert {line.why for line in results.lines[1:]} == {"the generator failed"}


def test_results_are_kept_after_each_check() -> None:
    kept: list[list[str]] = []
    results = Results(card="Card X", torch="2.13.0", taken="2026-01-02T03:04:05+00:00")
    told: dict[str, dict[str, Measured] | BaseException] = {
        "card": GOOD["card"],
        "G1": NotServing("no"),
        "shares": GOOD["shares"],
    }
    work = Work(Path("/nowhere"), 1.0, [])
    keep = lambda: kept.append([*results.figures, *results.unmeasured])  # noqa: E731
    session.run(scripted(told), results, work, lambda _: None, keep=keep)
    assert kept == [["card"], ["card", "G1"], ["card", "shares", "G1"]]


def test_a_check_that_takes_too_long_is_ended_and_the_others_have_no_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "LAST_SECOND", 0.05)

    def hangs(_: Work) -> dict[str, Measured]:
        while True:  # whoever waits for something that doesn't come, and expects errors of all kinds
            with contextlib.suppress(Exception):
                threading.Event().wait(60)

    results = Results(card="Card X", torch="2.13.0", taken="2026-01-02T03:04:05+00:00")
    before = signal.getsignal(signal.SIGALRM)
    session.run({"G1": hangs}, results, Work(Path("/nowhere"), 1.0, []), lambda _: None)
    assert "wasn't done" in results.unmeasured["G1"]
    assert signal.getsignal(signal.SIGALRM) is before


@pytest.mark.parametrize(
    ("answered", "met"),
    [
        ({"200": 14, "500": 3}, True),
        ({"200": 14, "ConnectionError": 1}, True),
        ({"200": 40}, False),
        ({"500": 40}, False),
        ({}, False),
    ],
)
def test_who_misuses_memory_must_have_met_its_limit(answered: dict[str, int], met: bool) -> None:
    assert served.misused(Counter(answered)) is met


@pytest.mark.parametrize(
    ("program", "outcome", "words"),
    [
        ('print(\'{"a": ""}\')', "holds", ""),
        ('print(\'{"a": "no"}\')', "doesn't hold", "a: no"),
        (
            'import os; print(\'noise\'); print(\'{"a": "", "b": "untried"}\', flush=True); os.abort()',
            "doesn't hold",
            "b: untried; the process: eas_bench.gpu.card ended with -6: ",
        ),
        ("raise SystemExit('no torch')", "not measured", "eas_bench.gpu.card ended with 1: no torch"),
        ("", "not measured", "eas_bench.gpu.card said nothing"),
    ],
)
def test_a_part_that_ends_the_process_takes_nothing_along_that_was_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, outcome: str, words: str
) -> None:
    python = tmp_path / "python"
    (tmp_path / "program.py").write_text(program)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "program.py"}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    results = Results(card="Card X", torch="2.13.0", taken="2026-01-02T03:04:05+00:00")
    session.run({"card": served.card}, results, Work(tmp_path, 1.0, []), lambda _: None)
    (line,) = results.lines
    assert line.outcome == outcome
    assert "; ".join(line.verdict.faults if line.verdict else [line.why]) == words


def test_a_model_that_the_engine_put_on_the_processor_is_not_measured() -> None:
    why = "PyTorch 2.9 sees no GPU: the model runs on the CPU (Error 805: MPS client failed to connect)"
    assert served.on_processor(f"12:00 share30-0 | warning\n12:00 share30-0 | {why}\nready\n") == why
    assert served.on_processor("12:00 ready\n") == ""


@pytest.mark.parametrize(("gib", "share"), [(140, 16), (24, 8), (8, 2), (2, 1)])
def test_a_share_is_one_that_the_card_has_thrice(gib: int, share: int) -> None:
    work = Work(Path("/nowhere"), 1.0, [], gib << 30)
    assert work.share(30) == {"gpu": 0, "gpu_memory": share, "gpu_core_percentage": 30}


def test_ctrl_c_keeps_what_was_measured() -> None:
    results = run({"card": GOOD["card"], "G1": KeyboardInterrupt(), "shares": GOOD["shares"]})
    again = run({"card": GOOD["card"], "G1": SystemExit(143), "shares": GOOD["shares"]})
    assert again.unmeasured == results.unmeasured
    assert results.unmeasured == {"G1": "interrupted", "shares": "interrupted"}
    assert outcomes(results)["card"] == "holds"


def test_results_survive_their_file(tmp_path: Path) -> None:
    results, file = run(GOOD), tmp_path / "gpu.json"
    session.write(results, file)
    again = session.read(file)
    assert outcomes(again) == outcomes(results)
    assert page.markdown(again) == page.markdown(results)
    assert again.raw == dict.fromkeys(GOOD, "seen")
    for text in (
        "",
        "[]",
        '{"format": "other"}',
        '{"format": "eas-bench.gpu/1", "lines": [], "figures": {}}',
    ):
        file.write_text(text)
        with pytest.raises(NoResults, match=r"gpu.json"):
            session.read(file)


def test_the_table_says_each_bar_the_figure_and_whether_it_holds() -> None:
    results = run({**GOOD, "beside": {"beside": bars.beside(10.0, 20.0, 3)}, "G2": NotServing("no [card]")})
    out = io.StringIO()
    page.show(Console(file=out, width=200), results)
    text = out.getvalue()
    assert "Card X, torch 2.13.0" in text
    assert "0.97 (0.96 to 0.98)" in text
    assert "beside: 3 requests failed beside it" in text
    assert "G2-rate, G2-p99, G2-copies: no [card]" in text, "one reason, told once"
    rows = page.markdown(results).splitlines()
    assert len(rows) == 4 + len(results.lines)
    assert "| at least 0.95 | holds |" in rows[4]


def test_the_picture_has_a_bar_for_each_figure_with_a_limit() -> None:
    results = run({**GOOD, "G3": {"G3-copies": bars.copies(4000, 4000, in_arena=False)}})
    root = ET.fromstring(page.picture(results.lines))
    assert len(root.findall("{*}rect")) == 5  # not G3-copies, and not card, whose limit is nothing
    assert root.findall("{*}line")


def test_the_page_has_its_place_for_the_table() -> None:
    text = PERFORMANCE.read_text()
    told = page.update(text, "what was measured")
    assert page.update(told, page.markdown(run(GOOD))).count("| G1: requests a second") == 1
    assert told.startswith(text.partition(page.BEGIN)[0])
    with pytest.raises(ValueError, match="no lines"):
        page.update("", "")


def test_without_a_card_it_says_so_and_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "there", session_without_card)
    result = CliRunner().invoke(app, ["gpu-check"])
    assert result.exit_code == 2
    assert "there is no card here that torch 2.13.0 can use: nothing was measured" in result.output


def session_without_card() -> tuple[str, str, int]:
    return THERE((sys.executable, "-c", 'print(\'["2.13.0", "", 0]\')'))


THERE = session.there


def test_what_torch_says_of_the_machine_is_asked_in_a_process_of_its_own() -> None:
    says = "print('a warning'); print('[\"2.13.0\", \"Card X\", 7]')"
    assert THERE((sys.executable, "-c", says)) == ("2.13.0", "Card X", 7)
    with pytest.raises(NoCard, match=r"torch can't be imported: ModuleNotFoundError: .*no_torch"):
        THERE((sys.executable, "-c", "import no_torch"))


def test_unknown_checks_are_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(app, ["gpu-check", "--only", "G9"])
    assert result.exit_code == 2
    assert "G9" in result.output
    assert {"card", "G1", "G2", "G3", "shares", "beside"} == set(CHECKS)
