"""Files that a command leaves: it says which, and a page has its place without being told."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from eas_bench import record
from eas_bench.cli import app, outputs
from support.bench_runs import a_run


def test_what_was_written_is_said_on_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    outputs.keep("run", (file, outputs.document({})), (None, outputs.document({})))
    outputs.keep("run", (outputs.STDOUT, outputs.document({})))
    assert capfd.readouterr() == ("{}\n", f"wrote {file}\n")


def test_a_report_of_one_record_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    record.write(a_run(seconds=2), file)
    done = CliRunner().invoke(app, ["report", str(file)])
    page = tmp_path / "run.html"
    assert (done.exit_code, done.stdout) == (0, f"wrote {page}: 1 run\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    again = CliRunner().invoke(app, ["report", str(file)])
    assert again.exit_code == 0, "made anew from the same record, as --report does"


def test_a_report_of_several_wants_a_name(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.json" for name in "ab"]
    for file in files:
        record.write(a_run(seconds=2), file)
    done = CliRunner().invoke(app, ["report", *map(str, files)])
    assert done.exit_code == 2
    assert "of several records: name it" in " ".join(done.stderr.replace("│", " ").split())
    assert sorted(tmp_path.iterdir()) == files


def test_a_report_does_not_take_the_place_of_its_record(tmp_path: Path) -> None:
    file = tmp_path / "run.html"
    record.write(a_run(seconds=2), file)
    done = CliRunner().invoke(app, ["report", str(file)])
    assert (done.exit_code, "is one of the records" in done.stderr) == (2, True)
