"""``eas-bench``: one module a command, which imports what it needs when it runs, so that ``--help`` is quick.

Exit status: 0; 1 when an objective was missed or an answer was wrong; 2 when it couldn't be measured.
"""

from __future__ import annotations

import typer

from eas_bench.cli.baseline import baseline
from eas_bench.cli.chaos import chaos
from eas_bench.cli.compare import compare
from eas_bench.cli.peers import peers
from eas_bench.cli.report import report
from eas_bench.cli.run import run
from eas_bench.cli.scenario import scenario
from eas_bench.cli.soak import soak
from eas_bench.cli.sweep import sweep

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


@app.callback()
def _about() -> None:
    """Find out what a model server holds: open-loop load, percentiles that are right, reports to look at."""


def main() -> None:
    """The console script."""
    app()
