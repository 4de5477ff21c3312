"""The commands that change a running service and their options; the files beside this one do it.

``app`` takes them over. The service may be named behind the command, as eascmd does it, or by ``--name``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eas_engine.cli import options as o
from eas_engine.cli import words as w
from eas_engine.cli.command import App
from eas_engine.cli.target import Target
from eas_engine.cli.told import told

PANEL = "Changing a running service"

running = App()

Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Until it is done. [default: wait]", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")]
Canary = Annotated[
    str,
    typer.Option("--canary", metavar="SHARE", help="Give it 10% of the requests, until promote or rollback."),
]
Shadow = Annotated[
    str,
    typer.Option(
        "--shadow", metavar="SHARE", help="Give it copies of 5% of the requests, and compare answers."
    ),
]
NewFiles = Annotated[
    bool, typer.Option("--new-files", help="With the model and processor that lie at its addresses now.")
]
Slo = Annotated[
    str,
    typer.Option(
        "--slo", metavar="LIMITS", help="With --canary: roll back over errors=1%,p99=2x (of the service's)."
    ),
]


@running.command(rich_help_panel=PANEL)
def update(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A service.json.", show_default=False)
    ] = None,
    *,
    define: o.Define = None,
    dry_run: DryRun = False,
    canary: Canary = "",
    shadow: Shadow = "",
    slo: Slo = "",
    strict: o.Strict = False,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Another configuration, without losing a request; goes back by itself if it doesn't start."""
    from eas_engine.cli import update as updating
    from eas_engine.cli.changing import Manner

    if file is None and not define:
        raise typer.BadParameter("update to what? eas-engine update FILE, or -D KEY=VALUE")
    target = Target(state_dir, name, workspace_id)
    wanted = updating.Wanted(
        file=file, define=define or (), strict=strict, canary=canary, shadow=shadow, slo=slo
    )
    with told(debug=debug):
        if dry_run:
            raise SystemExit(0 if updating.run_plan(target, wanted, as_json=json) else 2)
        good = updating.run_update(target, wanted, Manner(wait, json))
    raise typer.Exit(0 if good else 1)


@running.command(rich_help_panel=PANEL)
def scale(
    ctx: typer.Context,
    words: w.ServiceAndCount = None,
    *,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Another number of instances: some start or leave, none is replaced."""
    meant, instances = w.service_and_number(ctx, words, name, "how many instances")
    _change(
        Target(state_dir, meant, workspace_id), "/scale", {"instances": str(instances)}, (wait, json, debug)
    )


@running.command(rich_help_panel=PANEL)
def restart(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """The same configuration in new processes, a few at a time."""
    _change(Target(state_dir, w.service(ctx, words, name), workspace_id), "/restart", {}, (wait, json, debug))


@running.command(rich_help_panel=PANEL)
def stop(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Finish what is there, then end the instances; the engine stays and answers 503. `start` undoes it."""
    _change(Target(state_dir, w.service(ctx, words, name), workspace_id), "/stop", {}, (wait, json, debug))


@running.command(rich_help_panel=PANEL)
def start(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Undo `stop` and `drain`. An engine is started by `serve`."""
    meant = w.service(ctx, words, name)
    if meant is not None and meant.endswith(".json"):
        raise typer.BadParameter(f"start undoes stop; eas-engine serve {meant} starts an engine", ctx=ctx)
    _change(Target(state_dir, meant, workspace_id), "/start", {}, (wait, json, debug))


@running.command(rich_help_panel=PANEL)
def drain(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Take nothing new (503), finish what is there, keep the instances. `start` undoes it."""
    _change(Target(state_dir, w.service(ctx, words, name), workspace_id), "/drain", {}, (wait, json, debug))


@running.command(rich_help_panel=PANEL)
def replace(
    ctx: typer.Context,
    words: w.ServiceAndInstance = None,
    *,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """An instance finishes what it has and leaves; another takes its place. Several: one after the other."""
    from eas_engine.cli.changing import Manner, run_replace

    meant, listed = w.service_and_word(ctx, words, name, "which instance")
    instances = [one for one in listed.split(",") if one]
    if not instances:
        raise typer.BadParameter("which instance?", ctx=ctx)
    target = Target(state_dir, meant, workspace_id)
    with told(debug=debug):
        good = run_replace(target, instances, Manner(wait, json))
    raise typer.Exit(0 if good else 1)


@running.command(rich_help_panel=PANEL)
def rollback(
    ctx: typer.Context,
    words: w.ServiceAndVersion = None,
    *,
    new_files: NewFiles = False,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Back to version N, as it was; without N end a canary or an unfinished update, else one version back."""
    meant, version = w.service_and_maybe_number(ctx, words, name)
    query = {"version": str(version)} if version is not None else {}
    if new_files:
        query["new_files"] = "1"
    _change(Target(state_dir, meant, workspace_id), "/rollback", query, (wait, json, debug))


@running.command(rich_help_panel=PANEL)
def promote(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    wait: Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """The canary, or the shadow, becomes the service."""
    _change(Target(state_dir, w.service(ctx, words, name), workspace_id), "/promote", {}, (wait, json, debug))


def _change(target: Target, page: str, query: dict[str, str], how: tuple[bool, bool, bool]) -> None:
    """``how``: wait, json, debug. Raises typer.Exit."""
    from eas_engine.cli.changing import Manner, run

    wait, as_json, debug = how
    with told(debug=debug):
        good = run(target, page, query, Manner(wait, as_json))
    raise typer.Exit(0 if good else 1)
