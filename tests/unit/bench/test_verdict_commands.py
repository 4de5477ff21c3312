"""``eas-bench compare``, and how the commands that judge refuse, tell and write (servers: tests/system)."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from eas_bench import record, slo
from eas_bench.cli import app
from eas_bench.cli.curve import show
from eas_bench.cli.telling import Telling, tell_faults
from eas_bench.record import Generator, Run
from eas_bench.search import Done, End, Trial
from eas_bench.search import Result as Said
from eas_bench.sweep import Found, Point
from support.bench_runs import a_curve, a_run, without_answers


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of three runs each, taken in turns; those of b are a fifth slower."""
    tmp_path = tmp_path_factory.mktemp("sides")
    for number in range(3):
        for name, us, minute in (("a", 2000, 2 * number), ("b", 2400, 2 * number + 1)):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            run = a_run(seconds=12, median_us=us, seed=number, taken=f"2026-11-29T02:{minute:02}:00Z")
            record.write(run, folder / f"{number}.json")
    return tmp_path / "a", tmp_path / "b"


def test_two_folders(sides: tuple[Path, Path]) -> None:
    told = bench("compare", *sides)
    assert told.exit_code == 0
    (line,) = (line for line in told.output.splitlines() if line.startswith(" p50"))
    assert line.split()[-1] == "worse"
    assert "ms  +" in line
    assert "from pairs of runs: 3 of A, 3 of B" in told.output


def test_files_of_each_side_are_the_same(sides: tuple[Path, Path]) -> None:
    a = [word for file in sides[0].iterdir() for word in ("--a", file)]
    b = [word for file in sides[1].iterdir() for word in ("--b", file)]
    assert bench("compare", *a, *b).output == bench("compare", *sides).output


def test_two_files_say_that_there_is_no_interval_across_runs(sides: tuple[Path, Path]) -> None:
    told = bench("compare", sides[0] / "0.json", sides[1] / "0.json")
    assert told.exit_code == 0
    assert "no interval across runs can be given" in told.output
    assert "from the seconds of one run a side" in told.output


@pytest.mark.parametrize(
    ("bound", "status", "words"),
    [
        ("5%", 1, "p50 is worse by +20"),
        ("p50=5%", 1, "p50 is worse by +20"),
        ("50%", 0, ""),
        ("errors=10%", 0, ""),
        ("rate=5%", 0, ""),
    ],
)
def test_a_bound_decides_the_exit_status(
    sides: tuple[Path, Path], bound: str, status: int, words: str
) -> None:
    told = bench("compare", *sides, "--fail-if-worse", bound)
    assert told.exit_code == status
    assert words in told.output
    assert bench("compare", *reversed(sides), "--fail-if-worse", bound).exit_code == 0


def test_it_is_written_for_programs(sides: tuple[Path, Path], tmp_path: Path) -> None:
    printed = json.loads(bench("compare", *sides, "--json", "-").stdout)
    assert bench("compare", *sides, "--json", tmp_path / "out.json").exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text()) == printed
    assert printed["basis"] == "pairs"
    change = printed["changes"]["p50"]
    assert change["low"] < change["change"] < change["high"]


def test_half_the_rate_is_no_success(sides: tuple[Path, Path], tmp_path: Path) -> None:
    record.write(a_run(seconds=12, rate=100, median_us=1000), tmp_path / "half.json")
    arguments = ["compare", sides[0] / "0.json", tmp_path / "half.json", "--fail-if-worse", "rate=60%"]
    told = bench(*arguments)
    assert told.exit_code == 2
    assert "rate (200 and 100). Measure both with the same load" in told.stderr
    assert "--anyway" in told.stderr
    forced = bench(*arguments, "--anyway")
    assert forced.exit_code == 0
    assert "asked different things" in forced.output


def test_a_bound_that_can_t_be_judged_is_no_success(tmp_path: Path) -> None:
    """Two runs of a few seconds have no interval at all: whatever the bound, it was met."""
    for name, us in (("a", 1000), ("b", 9000)):
        record.write(a_run(seconds=3, median_us=us), tmp_path / f"{name}.json")
    told = bench("compare", tmp_path / "a.json", tmp_path / "b.json", "--fail-if-worse", "5%")
    assert told.exit_code == 2
    assert "measure ten seconds or more, or several runs a side" in told.stderr
    assert bench("compare", tmp_path / "a.json", tmp_path / "b.json").exit_code == 0


def broken(tmp_path: Path, name: str) -> Path:
    """What can't be compared."""
    path = tmp_path / name
    match name:
        case "empty":
            path.mkdir()
        case "nonsense":
            path.write_text("nonsense")
        case "silent":
            record.write(without_answers(), path)
        case "damaged":
            whole = a_run(seconds=1)
            record.write(whole.model_copy(update={"latency": {"200": whole.latency["200"][:-5]}}), path)
        case "invalid":
            late = Generator(limit=1, late_p99=1, cpu_seconds=1, invalid=["too slow"])
            record.write(a_run(seconds=1, generator=late), path)
        case _:
            pass
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "there is no *.json in this folder"),
        ("nonsense", "is no JSON"),
        ("missing", "can't be read"),
        ("damaged", "latency.200: is no HDR histogram"),
        ("silent", "has no good answer"),
        ("invalid", "says nothing about the server: too slow"),
    ],
)
def test_what_can_t_be_compared_is_2_with_words(
    sides: tuple[Path, Path], tmp_path: Path, name: str, words: str
) -> None:
    told = bench("compare", sides[0] / "0.json", broken(tmp_path, name))
    assert told.exit_code == 2
    assert words in told.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare"], "give two records or folders"),
        (["compare", "a"], "give two records or folders"),
        (["compare", "a", "b", "c"], "give two records or folders"),
        (["compare", "a", "b", "--a", "c"], "give two records or folders"),
        (["compare", "--a", "c"], "give two records or folders"),
        (["compare", "a", "b", "--fail-if-worse", "much"], "is no share"),
        (["sweep", "http://127.0.0.1:1/"], "--slo"),
        (["sweep", "http://127.0.0.1:1/", "--slo", "p98=1ms"], "is no term of an objective"),
        (["sweep", "http://127.0.0.1:1/", "--slo", "p99=1ms", "--precision", "0%"], "is no share"),
        (["sweep", "--slo", "p99=1ms"], "one of the two"),
        (
            ["sweep", "http://127.0.0.1:1/", "--slo", "p99=1ms", "--from", "9", "--to", "8"],
            "--from 9 is above --to 8",
        ),
        (["soak", "--rate", "5"], "--rate: only for the soak of a server"),
        (["soak", "--header", "A: b", "--memory", "0"], "--header, --memory: only for the soak of a server"),
        (["soak", "http://127.0.0.1:1/"], "nothing of the server can be watched"),
        (
            ["soak", "http://127.0.0.1:1/", "--pid", "1", "--most", "3"],
            "--most: only for the soak without URL",
        ),
        (["soak", "http://127.0.0.1:1/", "--pid", "1", "-r", "1", "-c", "1"], "exclude each other"),
        (["soak", "http://127.0.0.1:1/", "--pid", "1", "--slo", "p99"], "is no term"),
        (["soak", "--only", "party"], "no deed party"),
        (["chaos", "--only", "kills,party"], "no run party"),
    ],
)
def test_bad_usage_is_2_with_words(arguments: Sequence[str], words: str) -> None:
    told = bench(*arguments)
    assert told.exit_code == 2
    assert words in told.stderr


@pytest.mark.parametrize("command", ["sweep", "soak"])
def test_a_server_that_isn_t_there_is_2_with_words(command: str) -> None:
    extra = {"sweep": ["--slo", "p99=1s"], "soak": ["--pid", "1"]}[command]
    told = bench(command, "http://127.0.0.1:1/", *extra)
    assert told.exit_code == 2
    assert "nobody listens at 127.0.0.1:1" in told.stderr


# -- the curve


def found_in(runs: Sequence[Run], done: Done) -> Found:
    objective = slo.parse("p99=5ms,errors=5%")
    points = []
    for run in runs:
        verdict = slo.judge(run, objective)
        result = Said.MET if verdict.met else Said.MISSED
        points.append(Point(Trial(run.load.rate or 0, result), verdict, run))
    return Found(objective, done, tuple(points))


def shown(found: Found) -> str:
    out = io.StringIO()
    show(found, Console(file=out, width=100))
    return out.getvalue()


def test_a_sweep_shows_its_curve_and_its_answer() -> None:
    text = shown(found_in(a_curve(), Done(100, End.FOUND, 200)))
    lines = text.splitlines()
    assert "100/s meets p99=5ms,errors=5% (not 200/s)" in text
    assert [line.split()[0] for line in lines if line.lstrip()[:1].isdigit()][:5] == [
        "50/s", "100/s", "200/s", "300/s", "400/s",
    ]  # fmt: skip
    bars = [line.count("\N{FULL BLOCK}") for line in lines if "missed" in line or " met " in line]
    assert bars == sorted(bars)
    assert bars[0] < bars[-1]


def test_a_sweep_without_an_answer_says_why() -> None:
    text = shown(found_in([without_answers()], Done(None, End.NOTHING, 1)))
    assert "no rate is known to meet p99=5ms,errors=5%: no rate meets it" in text


def test_a_rate_without_its_proof_is_not_told_as_none() -> None:
    """Of ten runs that met it, once each, it said: no rate is known to meet it."""
    text = shown(found_in(a_curve(), Done(None, End.TRIALS, None)))
    assert "no rate is proved to meet p99=5ms,errors=5%, which takes a second run at it" in text
    assert "(--trials)" in text


def test_a_run_that_met_it_and_is_invalid_is_explained() -> None:
    late = Generator(limit=1, late_p99=1, cpu_seconds=1, invalid=["late"])
    done = Done(100, End.FOUND, 200)
    (answer,) = found_in(a_curve((50,)), done).notes
    assert found_in(a_curve((50,), generator=late), done).notes[0] == answer
    assert "have met it" in found_in(a_curve((50,), generator=late), done).notes[1]


# -- telling


def test_a_pipe_gets_a_line_now_and_then() -> None:
    out, now = io.StringIO(), [0.0]
    with Telling(Console(file=out), "the work", 100, clock=lambda: now[0]) as telling:
        for second in range(70):
            now[0] = float(second)
            telling.now(second, f"{second} [b]done[/b]")
    assert out.getvalue().splitlines() == [
        "the work, 100 s",
        "30 s: 30 [b]done[/b]",
        "60 s: 60 [b]done[/b]",
    ]


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with Telling(console, "the work", 100) as telling:
        telling.now(50, "half of it")
    assert "the work" in out.getvalue()
    assert "half of it" in out.getvalue()


def test_faults_are_told_as_they_are() -> None:
    out = io.StringIO()
    tell_faults(["[b]one[/b]"], Console(file=out))
    tell_faults([], Console(file=out))
    assert out.getvalue() == "fault: [b]one[/b]\nnothing happened that must not\n"
