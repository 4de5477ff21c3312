"""A run on a terminal, and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from eas_bench.record import Generator, Run
from eas_bench.terminal import LINE_EVERY, Live, sparkline, summary
from support.bench_runs import a_run, without_answers
from support.clock import FakeClock


def console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(
        file=file, width=120, force_terminal=terminal, color_system="standard" if terminal else None
    ), file


def told(run: Run) -> str:
    out, file = console()
    summary(run, out)
    return file.getvalue()


def rows(text: str) -> dict[str, list[str]]:
    """Lines of the tables by their first column."""
    lines = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if len(cells) > 1}


def test_a_summary_has_the_figures() -> None:
    text = told(a_run())
    assert (
        "2,000 requests in 10 s: 200/s answered, 196/s with 2xx; 35.9 kB/s received, 42.8 kB/s sent" in text
    )
    assert "the generator itself could do 52,000/s" in text
    table = rows(text)
    assert table["latency of"] == ["answers", "p50", "p90", "p99", "p99.9", "max"]
    assert table["all answers"][0] == "1,996"
    assert table["2xx"] == ["1,956", "2 ms", "3.36 ms", "4.96 ms", "6.93 ms", "8.46 ms"]
    assert table["450"][0] == "40"
    assert "INVALID" not in text


def test_a_summary_counts_every_end_of_a_request() -> None:
    lines = told(a_run()).splitlines()
    ends = [line.split() for line in lines[lines.index(next(one for one in lines if "share" in one)) + 1 :]]
    assert ends == [["200", "1,956", "97.8%"], ["450", "40", "2%"], ["no", "answer:", "timeout", "4", "0.2%"]]


def test_an_invalid_run_is_called_so_with_every_reason() -> None:
    generator = Generator(limit=900, late_p99=0, cpu_seconds=1, invalid=["at its limit", "late by 2 s"])
    text = told(a_run(generator=generator))
    assert "INVALID: at its limit" in text
    assert "INVALID: late by 2 s" in text
    out, file = console(terminal=True)
    summary(a_run(generator=generator), out)
    assert "\x1b[1;31mINVALID" in file.getvalue()


def test_a_run_without_an_answer_has_no_latencies() -> None:
    table = rows(told(without_answers()))
    assert table["all answers"] == ["0", "-", "-", "-", "-", "-"]
    assert table["no answer: refused"] == ["100", "100%"]


def test_a_title_is_text_and_nothing_else() -> None:
    text = told(a_run(title="[red]x[/red] \x1b[2J"))
    assert "[red]x[/red] \ufffd[2J" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("values", "blocks"),
    [([], ""), ([0, 0], "▁▁"), ([0, 1, 2, 4, 8], "▁▂▃▅█"), ([5], "█"), ([9, 0, 0, 1, 2, 4, 8], "▁▂▃▅█")],
)
def test_a_sparkline_begins_at_nothing_and_shows_the_last(values: list[float], blocks: str) -> None:
    assert sparkline(values, width=5) == blocks


def test_a_pipe_gets_a_plain_line_now_and_then() -> None:
    clock = FakeClock()
    out, file = console()
    run = a_run()
    with Live(run.title, run.load, out, clock=clock.now) as live:
        for interval in run.intervals:
            live.show(interval)
            clock.jump(1)
    lines = file.getvalue().splitlines()
    assert len(lines) == 10 / LINE_EVERY
    assert lines[0].startswith(
        "1 s of 10 s: 200/s, p50 2.03 ms, p90 3.54 ms, p99 4.96 ms, p99.9 6.21 ms; 200: 193, 450: 7"
    )
    assert "\x1b" not in file.getvalue()


def test_a_terminal_gets_a_view_that_goes_away() -> None:
    out, file = console(terminal=True)
    run = a_run()
    with Live(run.title, run.load, out) as live:
        assert "warming up" in file.getvalue()
        for interval in run.intervals[:4]:
            live.show(interval)
    text = file.getvalue()
    assert "4 s of 10 s, 6 s left" in text
    assert "████" in text
    assert "450: 18" in text  # all of them until now
    assert text.rstrip().endswith("\x1b[2K")  # erased


def test_a_view_without_an_answer() -> None:
    out, file = console(terminal=True)
    run = without_answers()
    with Live(run.title, run.load, out) as live:
        for interval in run.intervals:
            live.show(interval)
    assert "refused: 100" in file.getvalue()
