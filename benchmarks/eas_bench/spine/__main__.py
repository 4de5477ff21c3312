"""``python -m eas_bench.spine``: run the scenarios, show the verdicts, keep the figures.

Exit status: 0; 1 when ``--check`` was asked for and a bar was missed or something went wrong meanwhile; 2
when it couldn't be measured: a tool is missing, the engine doesn't start, a file isn't there.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from eas_bench import machine, places
from eas_bench.machine import Cores, Missing
from eas_bench.servers import NotServing
from eas_bench.spine import report
from eas_bench.spine.bars import Verdict
from eas_bench.spine.catalogue import SCENARIOS, measure
from eas_bench.spine.figures import NoFigures
from eas_bench.spine.load import prepare
from eas_bench.spine.scenarios import Result, Setting

ENGINE = shlex.join([sys.executable, "-m", "eas_engine"])


def main(
    *,
    only: Annotated[
        str, typer.Option(metavar="NAME,...", help=f"Of {', '.join(SCENARIOS)}; all when not given.")
    ] = ",".join(SCENARIOS),
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of runs: reference, engine, reference...")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="Of one run.")] = 4,
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="Keep everything that was measured here.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a bar is missed.")] = False,
    engine: Annotated[str, typer.Option(metavar="COMMAND", help="What starts the engine.")] = ENGINE,
    update_docs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Measure nothing: put a --json FILE's figures into the documentation."
        ),
    ] = None,
) -> None:
    """Measure the engine's spine against the least that could answer the same requests."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # no server is left behind
    try:
        if update_docs:
            _update(update_docs)
            return
        good = _measure(_chosen(only), rounds, seconds, json_file, engine)
    except (Missing, NotServing, NoFigures, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    if check and not good:
        raise typer.Exit(1)


def _chosen(only: str) -> list[str]:
    names = [name.strip() for name in only.split(",")]
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise typer.BadParameter(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return names


def _measure(names: list[str], rounds: int, seconds: float, json_file: Path | None, engine: str) -> bool:
    """Whether every bar was met and nothing went wrong."""
    places.check()
    console, cores = Console(highlight=False), Cores.of_this_process()
    with tempfile.TemporaryDirectory(prefix="eas-bench-") as directory:
        clients = prepare(Path(directory), cores.load)
        record = _beginning(clients.wrk, rounds, seconds, cores)
        console.print(f"load average {record['load_average']['before']}; {cores.text}", soft_wrap=True)
        os.sched_setaffinity(0, cores.load)  # the probes and scrapes of this process belong to the load
        setting = Setting(
            rounds=rounds,
            seconds=seconds,
            clients=clients,
            cores=cores,
            engine=shlex.split(engine),
            directory=Path(directory),
            tell=lambda text: console.print(text, style="dim", soft_wrap=True),
        )
        results = {name: measure(name, setting) for name in names}
    verdicts = [verdict for result in results.values() for verdict in result.verdicts]
    faults = [f"{name}: {fault}" for name, result in results.items() for fault in result.faults]
    report.show(console, verdicts, faults)
    if json_file:
        json_file.write_text(json.dumps(_finished(record, results, verdicts), indent=1) + "\n")
    return all(verdict.met for verdict in verdicts) and not faults


def _beginning(wrk: str, rounds: int, seconds: float, cores: Cores) -> dict[str, Any]:
    return {
        "taken": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.describe(),
        "versions": machine.versions(wrk),
        "settings": {"rounds": rounds, "seconds": seconds, "pinned": cores.text},
        "load_average": {"before": machine.load_average()},
    }


def _finished(record: dict[str, Any], results: dict[str, Result], verdicts: list[Verdict]) -> dict[str, Any]:
    averages = {**record["load_average"], "after": machine.load_average()}
    return {
        **record,
        "load_average": averages,
        "verdicts": [verdict.as_json() for verdict in verdicts],
        "scenarios": {name: {**result.raw, "faults": result.faults} for name, result in results.items()},
    }


def _update(file: Path) -> None:
    page = places.PERFORMANCE
    # Through JSON and back already: keys are texts, as report.markdown wants them.
    page.write_text(report.update(page.read_text(), json.loads(file.read_text())))
    typer.echo(f"{page} has the figures of {file}")


if __name__ == "__main__":
    typer.run(main)
