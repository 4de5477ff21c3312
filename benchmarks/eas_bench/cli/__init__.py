"""``eas-bench``: one module a command, which imports what it needs when it runs, so that ``--help`` is quick.

Exit status: 0; 1 when an objective was missed or an answer was wrong; 2 when it couldn't be measured.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Final

import typer

from eas_bench import interrupts
from eas_bench.cli.baseline import baseline
from eas_bench.cli.chaos import chaos
from eas_bench.cli.compare import compare
from eas_bench.cli.gpu_check import gpu_check
from eas_bench.cli.peers import peers
from eas_bench.cli.report import report
from eas_bench.cli.run import run
from eas_bench.cli.scenario import scenario
from eas_bench.cli.soak import soak
from eas_bench.cli.sweep import sweep

_EXTRA: Final = "pip install 'eas-engine[bench]'"
_TO_GET: Final = {
    **dict.fromkeys(("hdrh", "numpy", "plotly"), _EXTRA),
    "grpc": "pip install 'eas-engine[grpc]'",
    **dict.fromkeys(("matplotlib", "mosec"), "`make bench` in a checkout installs it"),
}
"""Packages that some commands need, and where they come from."""

app = typer.Typer(
    name="eas-bench", no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False
)
app.command()(run)
app.command()(sweep)
app.command()(compare)
app.command()(report)
app.command()(soak)
app.command()(chaos)
app.command()(scenario)
app.command()(baseline)
app.command()(peers)
app.command()(gpu_check)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        print(f"eas-bench {importlib.metadata.version('eas-engine')}")
        raise typer.Exit


@app.callback()
def _about(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="And no more.")
    ] = False,
) -> None:
    """Find out what a model server holds: open-loop load, percentiles that are right, reports to look at."""
    del version  # its callback has answered


def main() -> None:
    """The console script."""
    try:
        app()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _TO_GET:
            raise
        typer.echo(f"eas-bench: {package} isn't installed: {_TO_GET[package]}", err=True)
        raise SystemExit(2) from None
    except SystemExit as end:
        end.code = interrupts.status(end.code)
        raise
