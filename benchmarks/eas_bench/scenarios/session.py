"""A measurement from its beginning to its end: scenarios one after the other, each told of as it goes."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eas_bench import machine, places
from eas_bench.machine import Cores
from eas_bench.scenarios.files import Scenario
from eas_bench.scenarios.load import Clients, prepare
from eas_bench.scenarios.measuring import Outcome, Unmeasurable, measure
from eas_bench.scenarios.results import Averages, Figure, Ran, Results, Settings
from eas_bench.scenarios.setting import Setting

ENGINE: Final = shlex.join([sys.executable, "-m", "eas_engine"])
INTERRUPTED: Final = "it was interrupted before"
_ALSO: Final = ("mosec", "torch", "numpy")  # what has a part in some figures


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure."""

    rounds: int = 5
    seconds: float = 2.0
    engine: str = ENGINE  # a command line


def without_place(command: str) -> str:
    """The command as another machine may read it: where its program lies is this one's own affair."""
    program, *words = shlex.split(command)
    return shlex.join([Path(program).name, *words])


def run(scenarios: Mapping[str, Scenario], plan: Plan, console: Console) -> Results:
    """All of them; one that can't be measured doesn't end it. Errors: Missing: no checkout, no client.

    Ctrl-C ends it with what was measured until then (:func:`interrupted`).
    """
    places.check()
    cores = Cores.of_this_process()
    before, taken = machine.load_average(), dt.datetime.now(dt.UTC)
    with tempfile.TemporaryDirectory(prefix="eas-bench-") as folder:
        clients = prepare(Path(folder), cores.load)
        versions = _versions(plan, clients)
        console.print(f"load average {before}; {cores.text}", soft_wrap=True)
        os.sched_setaffinity(0, cores.load)  # the probes and scrapes of this process belong to the load
        try:
            outcomes, unmeasured = _all(scenarios, plan, cores, clients, console)
        finally:
            os.sched_setaffinity(0, cores.every)
    return Results(
        taken=taken,
        machine=machine.describe(),
        versions=versions,
        settings=Settings(
            rounds=plan.rounds, seconds=plan.seconds, pinned=cores.text, engine=without_place(plan.engine)
        ),
        load_average=Averages(before=before, after=machine.load_average()),
        figures=[
            Figure.of(name, verdict) for name, outcome in outcomes.items() for verdict in outcome.verdicts
        ],
        scenarios={name: Ran.of(scenarios[name].title, outcome) for name, outcome in outcomes.items()},
        unmeasured=unmeasured,
    )


def interrupted(results: Results) -> bool:
    """Whether it was ended early."""
    return INTERRUPTED in results.unmeasured.values()


def seconds_of(scenario: Scenario, plan: Plan) -> float:
    """About how long it will take."""
    return scenario.seconds + rounds_of(scenario, plan) * scenario.round_seconds(plan.seconds)


def rounds_of(scenario: Scenario, plan: Plan) -> int:
    """As many as are asked for, or as it has at most."""
    return min(plan.rounds, scenario.most_rounds)


def _all(
    scenarios: Mapping[str, Scenario], plan: Plan, cores: Cores, clients: Clients, console: Console
) -> tuple[dict[str, Outcome], dict[str, str]]:
    outcomes: dict[str, Outcome] = {}
    unmeasured: dict[str, str] = {}
    setting = Setting(
        rounds=plan.rounds,
        seconds=plan.seconds,
        clients=clients,
        cores=cores,
        engine=shlex.split(plan.engine),
        directory=clients.directory,
        tell=lambda text: console.print(f"  {text}", style="dim", soft_wrap=True, markup=False),
    )
    with _progress(console, sum(seconds_of(one, plan) for one in scenarios.values())) as progress:
        for number, (name, scenario) in enumerate(scenarios.items(), 1):
            expected = seconds_of(scenario, plan)
            progress.update(progress.task_ids[0], description=name)
            console.print(
                f"[bold]{name}[/] {scenario.title} ({number} of {len(scenarios)}, about {expected:.0f} s)",
                soft_wrap=True,
            )
            try:
                outcomes[name] = measure(scenario, replace(setting, rounds=rounds_of(scenario, plan)))
            except Unmeasurable as error:
                unmeasured[name] = str(error)
                console.print(f"  not measured: {error}", style="red", markup=False, soft_wrap=True)
            except KeyboardInterrupt:
                left = [each for each in scenarios if each not in {*outcomes, *unmeasured}]
                unmeasured.update(dict.fromkeys(left, INTERRUPTED))
                break
            progress.advance(progress.task_ids[0], expected)
    return outcomes, unmeasured


@contextlib.contextmanager
def _progress(console: Console, seconds: float) -> Iterator[Progress]:
    """A line at the bottom of a terminal; nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        progress.add_task("", total=seconds)
        yield progress


def _versions(plan: Plan, clients: Clients) -> dict[str, str]:
    """Of everything that has a part in the figures; the engine tells itself whether it is compiled."""
    told = machine.versions(clients.wrk)
    for package in _ALSO:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            told[package] = importlib.metadata.version(package)
    printed = _output([*shlex.split(plan.engine), "--version"])
    commit = _output(["git", "-C", str(places.BENCHMARKS), "describe", "--always", "--dirty"])
    told["eas-engine"] = printed.removeprefix("eas-engine ") or told["eas-engine"]
    return {**told, **({"commit": commit} if commit else {})}


def _output(command: list[str]) -> str:
    """What a command says in its first line; nothing when there is no such command, or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else ""
