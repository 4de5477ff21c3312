"""Files that the commands leave, given to ``report`` and ``compare``: shown, or told what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eas_bench import kept, record, slo
from eas_bench.chaos.run import Outcome as Chaos
from eas_bench.chaos.run import Plan
from eas_bench.cli import app
from eas_bench.cli.chaos import document
from eas_bench.compare import compare
from eas_bench.gpu.session import FORMAT as GPU
from eas_bench.peers.record import FORMAT as PEERS
from eas_bench.scenarios.results import FORMAT as RESULTS
from eas_bench.search import Done, End, Trial
from eas_bench.search import Result as Said
from eas_bench.soak.growth import Limits
from eas_bench.soak.run import Outcome as Life
from eas_bench.soak.steady import judge
from eas_bench.sweep import Found, Point
from support.bench_runs import a_curve, a_run


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "300"})


def a_sweep(*rates: float) -> Found:
    """Each rate twice: the second run is the one that counts."""
    objective = slo.parse("p99=1s,errors=100%")
    points = []
    for number, run in enumerate([*a_curve(rates), *a_curve(rates)]):
        named = run.model_copy(update={"notes": [f"run {number}"]})
        points.append(Point(Trial(run.load.rate or 0, Said.MET), slo.judge(named, objective), named))
    return Found(objective, Done(rates[-1] if rates else None, End.CEILING, None), tuple(points))


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_of_a_sweep_the_runs_of_its_curve_are_shown(tmp_path: Path) -> None:
    found = a_sweep(50, 100)
    file = written(tmp_path / "sweep.json", found.document())
    assert kept.runs(file).runs == [point.run for point in found.curve]
    assert [run.notes for run in kept.runs(file).runs] == [["run 2"], ["run 3"]]
    told = bench("report", file, "-o", tmp_path / "page.html")
    assert told.exit_code == 0, told.output
    assert "page.html: 2 runs" in told.output
    assert (
        "100/s meets p99=1s,errors=100%: no higher rate was to be tried"
        in (tmp_path / "page.html").read_text()
    )


def test_of_a_soak_its_run_is_shown_and_compared(tmp_path: Path) -> None:
    run = a_run(seconds=10)
    file = written(tmp_path / "soak.json", judge(run, Limits(), None).document())
    assert kept.runs(file).runs == [run] == [kept.run(file)]
    assert bench("report", file, "-o", tmp_path / "page.html").exit_code == 0
    record.write(run, tmp_path / "run.json")
    assert bench("compare", file, tmp_path / "run.json").exit_code == 0


def test_a_sweep_is_no_side_of_a_comparison(tmp_path: Path) -> None:
    file = written(tmp_path / "sweep.json", a_sweep(50, 100).document())
    told = bench("compare", file, file)
    assert told.exit_code == 2
    assert "sweep.json: is what `eas-bench sweep --json` wrote" in told.stderr
    assert "measure both at one rate" in told.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            document([Chaos(Plan(seconds=1))], stopped=False),
            "`eas-bench chaos --json` wrote: counts and faults",
        ),
        (Life().document(), "`eas-bench soak --json` wrote: counts and faults"),
        (compare([a_run(seconds=3)], [a_run(seconds=3)]).document(), "give the runs that were compared"),
        ({"format": RESULTS}, "file.json` judges it"),
        ({"format": PEERS}, "eas-bench peers --json /"),
        ({"format": GPU}, "eas-bench gpu-check --update-docs /"),
        ({"format": "eas-bench.run/9"}, "whose format is eas-bench.run/1"),
        (["a"], "is no record of a run; expected"),
        (a_sweep().document(), "was ended before its first run was over"),
        ({**a_sweep(50).document(), "runs": []}, "is no whole record of a sweep"),
        ({**a_sweep(50).document(), "runs": [1, 2]}, "is no record of a run; expected"),
        ({"format": "eas-bench.soak/1"}, "is no record of a run; expected"),
    ],
)
@pytest.mark.parametrize("command", ["report", "compare"])
def test_what_holds_no_run_is_told_with_what_it_is(
    tmp_path: Path, command: str, content: Any, words: str
) -> None:
    file = written(tmp_path / "file.json", content)
    rest: tuple[object, ...] = (file,) if command == "compare" else ("-o", tmp_path / "page.html")
    told = bench(command, file, *rest)
    assert told.exit_code == 2
    of_a_sweep = "eas-bench.sweep/1" in str(content)
    assert ("runs at many rates" if of_a_sweep and command == "compare" else words) in told.stderr
    assert not (tmp_path / "page.html").exists()
