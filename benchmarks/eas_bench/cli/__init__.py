"""``eas-bench``: one module a command, which imports what it needs when it runs, so that ``--help`` is quick.

Exit status: 0; 1 when an objective was missed or an answer was wrong; 2 when it couldn't be measured.
"""

from __future__ import annotations

import typer

from eas_bench.cli.baseline import baseline
from eas_bench.cli.scenario import scenario

app = typer.Typer(name="eas-bench", no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def _about() -> None:
    """Find out what a model server holds: open-loop load, percentiles that are right, reports to look at."""


app.command()(scenario)
app.command()(baseline)


def main() -> None:
    """The console script."""
    app()
