"""``eas-bench compare``: two sides, and how sure their difference is."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eas_bench.cli import outputs

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench.compare import Change, Comparison
    from eas_bench.record import Run

_READABLE = 1000.0
"""By what factor the ends of an interval may differ that still tells somebody something."""
Sides = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[A B]", help="Two records, or two folders of records: all *.json in them."),
]


def compare(
    files: Sides = None,
    *,
    a: Annotated[
        list[Path] | None, typer.Option("--a", metavar="PATH", help="Of the one side; give it repeatedly.")
    ] = None,
    b: Annotated[
        list[Path] | None, typer.Option("--b", metavar="PATH", help="Of the other; as many, best in turns.")
    ] = None,
    fail_if_worse: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Exit with 1 when B is worse by more, and surely worse: 5%, or rate=5%,p99=10%,errors=0.1%.",
        ),
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway",
            help="Also invalid runs, and when A and B had another load: rate, connections, bodies, or times.",
        ),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write it there; - is stdout.")
    ] = None,
) -> None:
    """Tell how two sides differ, with the interval that holds the true difference 19 times of 20.

    The interval needs several runs a side; taken in turns (A B A B) they are compared pair by pair, and what
    changes on the machine meanwhile does no harm:

    [b]for n in 1 2 3; do eas-bench run URL_A --json a/$n.json; eas-bench run URL_B --json b/$n.json; done[/b]

    [b]eas-bench compare a b[/b]

    Both must have been asked the same: rate or connections, bodies, about as long. The server, its path, the
    protocol and the authentication may differ.

    Exit status 1: B is worse than --fail-if-worse allows. 2: the runs can't be compared, or are too short
    to tell whether it is.
    """
    from rich.console import Console

    from eas_bench import compare as comparing
    from eas_bench.record import NoRecord

    outputs.check(json_file=json_file)
    paths_a, paths_b = _sides(files or [], a or [], b or [])
    try:
        bounds = comparing.bounds(fail_if_worse) if fail_if_worse is not None else {}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fail-if-worse") from None
    try:
        comparison = comparing.compare(_runs(paths_a), _runs(paths_b), anyway=anyway)
    except (NoRecord, comparing.Incomparable) as error:
        typer.echo(f"eas-bench compare: {error}", err=True)
        raise typer.Exit(2) from None
    if json_file != outputs.STDOUT:
        show(comparison, bounds, Console(highlight=False))
    outputs.keep("compare", (json_file, outputs.document(comparison.document())))
    if comparison.invalid and bounds:
        typer.echo(
            "eas-bench compare: whether B is worse can't be told: an invalid run proves nothing", err=True
        )
        raise typer.Exit(2)
    bounded = [change for change in comparison.changes if change.name in bounds]
    if any(change.fails(bounds[change.name]) for change in bounded):
        raise typer.Exit(1)
    if any(math.isinf(change.by.low) for change in bounded):
        typer.echo(
            "eas-bench compare: whether B is worse can't be told from so short a run of each: measure ten "
            "seconds or more, or several runs a side in turns",
            err=True,
        )
        raise typer.Exit(2)


def _sides(files: list[Path], a: list[Path], b: list[Path]) -> tuple[list[Path], list[Path]]:
    if len(files) == 2 and not a and not b:
        return files[:1], files[1:]
    if a and b and not files:
        return a, b
    raise typer.BadParameter(
        "give two records or folders, or those of each side with --a and --b: "
        "`eas-bench compare A.json B.json`, "
        "`eas-bench compare --a A1.json --a A2.json --b B1.json --b B2.json`"
    )


def _runs(paths: list[Path]) -> list[Run]:
    """What is in these files and folders. Raises NoRecord."""
    from eas_bench import record, report

    found: list[Run] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - what is wrong with a name is told where it is read
            found.append(report.read(path))
            continue
        files = sorted(path.glob("*.json"))
        if not files:
            raise record.NoRecord(f"{path}: there is no *.json in this folder")
        found += [report.read(file) for file in files]
    return found


def show(comparison: Comparison, bounds: dict[str, float], console: Console) -> None:
    """The table, and what a reader must know of it."""
    from rich.table import Table
    from rich.text import Text

    from eas_bench import units

    for told in comparison.invalid:
        console.print(Text.assemble(("INVALID: ", "bold red"), (units.plain(told), "red")), soft_wrap=True)
    words = {"pairs": "pairs of runs", "runs": "runs a side", "seconds": "the seconds of one run a side"}
    table = Table(box=None, padding=(0, 1))
    for title in ("", "A", "B", "change", "95% interval", ""):
        table.add_column(title, no_wrap=True)
    for change in comparison.changes:
        table.add_row(change.name, *_figures(change), *_interval(change), _word(change))
    count_a, count_b = comparison.runs
    console.print(table)
    console.print(f"from {words[comparison.basis]}: {count_a} of A, {count_b} of B", style="dim")
    for note in comparison.notes:
        console.print(Text(f"note: {units.plain(note)}", "yellow"), soft_wrap=True)
    for change in comparison.changes:
        most = bounds.get(change.name)
        if most is not None and change.fails(most):
            told = (
                f"{change.name} is worse by {_signed(change, change.loss.figure)}; {100 * most:g}% is allowed"
            )
            console.print(Text(told, "bold red"))
        elif most is not None and change.may_fail(most):
            told = f"{change.name} may be worse by more than {100 * most:g}%: more runs would tell"
            console.print(Text(told, "yellow"))


def _figures(change: Change) -> tuple[str, str]:
    from eas_bench import units

    if change.name == "rate":
        return units.rate(change.a), units.rate(change.b)
    if change.name == "errors":
        return units.share(change.a, 1), units.share(change.b, 1)
    return units.micros(change.a), units.micros(change.b)


def _interval(change: Change) -> tuple[str, str]:
    change_text = _signed(change, change.by.figure)
    if math.isinf(change.by.low):
        return change_text, "can't be told"
    if change.name != "errors" and 1 + change.by.high > _READABLE * (1 + change.by.low):
        return change_text, "unbounded: too few runs"
    return change_text, f"{_signed(change, change.by.low)} .. {_signed(change, change.by.high)}"


def _signed(change: Change, value: float) -> str:
    digits = 3 if change.name == "errors" else 1
    return f"{100 * value:+.{digits}f}{' pt' if change.name == 'errors' else '%'}"


def _word(change: Change) -> str:
    if change.by.low == change.by.high == 0:
        return "[dim]equal[/]"
    if not change.loss.sure:
        return "[dim]unclear[/]"
    return "[red]worse[/]" if change.loss.figure > 0 else "[green]better[/]"
