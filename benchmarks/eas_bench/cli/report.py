"""``eas-bench report``: records of runs, as one page with plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN.json...",
            help="What `eas-bench run --json` wrote, or sweep, or soak of a server; several are compared.",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            help="The page to write, in the place of what is there.",
            show_default="RUN.html, of one record",
        ),
    ] = None,
) -> None:
    """Make one HTML file of one run or several: plots, tables and all that a reader must know to repeat it.

    The file holds everything, fetches nothing and can be sent to somebody. Of several runs it also shows
    what latency a throughput costs, and the percentiles side by side. Of a sweep it shows the runs of its
    curve, as the sweep's own --report does.
    """
    from eas_bench import record
    from eas_bench import report as reports

    if output is None:
        if len(files) > 1:
            raise typer.BadParameter("a page of several records: name it", param_hint="--output")
        output = files[0].with_suffix(".html")
    if output.resolve() in [file.resolve() for file in files]:
        typer.echo(f"eas-bench report: {output} is one of the records; name another file", err=True)
        raise typer.Exit(2)
    try:
        found = [reports.read_all(file) for file in files]
        runs = [run for each in found for run in each.runs]
        reports.write(runs, output, [note for each in found for note in each.notes])
    except record.NoRecord as error:
        typer.echo(f"eas-bench report: {error}", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"eas-bench report: {output}: can't be written: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"wrote {output}: {'1 run' if len(runs) == 1 else f'{len(runs)} runs'}")
