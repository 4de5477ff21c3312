"""``eas-bench`` before anything is measured: its help, its version, and what it needs that isn't there."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import pytest
import typer.main
from typer.testing import CliRunner

from eas_bench.cli import app
from eas_bench.cli.sweep import LONGER

COMMANDS = ("run", "sweep", "compare", "report", "soak", "chaos", "scenario", "baseline", "peers")
# Packages that aren't installed are imported all the same by a test's own process.
WITHOUT = (
    "import sys; sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(',')));"
    "from eas_bench.cli import main; main()"
)
BENCH = "hdrh,numpy,plotly"


def without(packages: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, packages, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "http://127.0.0.1:1/"],
        ["sweep", "http://127.0.0.1:1/", "--slo", "p99=1s"],
        ["compare", "a", "b"],
        ["report", "a", "-o", "b"],
        ["soak", "http://127.0.0.1:1/", "--pid", "1"],
        ["scenario", "--only", "W6"],
        ["baseline"],
        ["peers", "--list"],
    ],
)
def test_without_the_extra_one_line_says_what_to_install(arguments: list[str]) -> None:
    done = without(BENCH, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("isn't installed: pip install 'eas-engine[bench]'")


def test_plots_that_can_t_be_drawn_are_told_before_the_run() -> None:
    done = without("plotly", "run", "http://127.0.0.1:1/", "--report", "page.html")
    assert done.stderr == "eas-bench: plotly isn't installed: pip install 'eas-engine[bench]'\n"


def test_help_and_version_need_nothing() -> None:
    for command in COMMANDS:
        assert without(BENCH, command, "--help").returncode == 0
    assert without(BENCH, "--version").stdout == f"eas-bench {importlib.metadata.version('eas-engine')}\n"


def test_a_package_that_nobody_promised_is_a_fault_of_ours() -> None:
    assert "Traceback" in without("eas_bench.record", "run", "http://127.0.0.1:1/").stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_is_shown(name: str) -> None:
    """In brackets within a help text it would be taken for markup and vanish."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300"}).output
    assert not [each.name for each in command.params if "efault:" in (getattr(each, "help", None) or "")]
    for option in command.params:
        if isinstance(option.show_default, str):
            assert f"[default: ({option.show_default})]" in shown
    for name_of_old in ("--html", "<dir>", "<float"):
        assert name_of_old not in shown


def test_a_sweep_says_how_long_its_runs_may_last() -> None:
    shown = CliRunner().invoke(app, ["sweep", "--help"], env={"COLUMNS": "300"}).output
    assert f"Of each run; up to {LONGER:g} times as long" in shown
    assert "up to six times as long" in " ".join(shown.split())


def test_the_shell_completes_commands_and_options() -> None:
    def completed(typed: str) -> str:
        told = {"_EAS_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": "1"}
        told["COMP_CWORD"] = str(len(typed.split()) - 1)
        command = [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'eas-bench'; from eas_bench.cli import main; main()",
        ]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **told}
        ).stdout

    assert completed("eas-bench sc").split() == ["scenario"]
    assert completed("eas-bench run --rep").split() == ["--report"]
