"""The commands that look at a running service, and their options; ``history`` and ``changing`` do it."""

from __future__ import annotations

from typing import Annotated

import typer

from eas_engine.cli import options as o
from eas_engine.cli import words as w
from eas_engine.cli.command import App
from eas_engine.cli.target import Target
from eas_engine.cli.told import told

PANEL = "Looking at a running service"

looking = App()

Follow = Annotated[bool, typer.Option("-f", "--follow", help="And what comes, until the engine ends.")]


@looking.command(rich_help_panel=PANEL)
def operations(
    ctx: typer.Context,
    words: w.ServiceAndVersion = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Watch operation N until it is done.")] = False,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """What changes became of, or one of them."""
    from eas_engine.cli.changing import Manner, run_operations

    meant, number = w.service_and_maybe_number(ctx, words, name)
    with told(debug=debug):
        good = run_operations(Target(state_dir, meant, workspace_id), number, Manner(wait, json))
    raise typer.Exit(0 if good else 1)


@looking.command(rich_help_panel=PANEL)
def versions(
    ctx: typer.Context,
    words: w.ServiceAndVersion = None,
    *,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """The configurations that were accepted, or one of them with its values."""
    from eas_engine.cli.history import run_versions

    meant, number = w.service_and_maybe_number(ctx, words, name)
    with told(debug=debug):
        run_versions(Target(state_dir, meant, workspace_id), number, as_json=json)


@looking.command(rich_help_panel=PANEL)
def instances(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """The instances: state, processes, restarts and why."""
    from eas_engine.cli.history import run_instances

    with told(debug=debug):
        run_instances(Target(state_dir, w.service(ctx, words, name), workspace_id), as_json=json)


@looking.command(rich_help_panel=PANEL)
def canary(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """The canary, or the shadow, compared with the service."""
    from eas_engine.cli.history import run_canary

    with told(debug=debug):
        run_canary(Target(state_dir, w.service(ctx, words, name), workspace_id), as_json=json)


@looking.command(rich_help_panel=PANEL)
def events(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    follow: Follow = False,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """What happened, and who asked for it."""
    from eas_engine.cli.history import run_events

    with told(debug=debug):
        target = Target(state_dir, w.service(ctx, words, name), workspace_id)
        run_events(target, following=follow, as_json=json)


@looking.command(rich_help_panel=PANEL)
def logs(
    ctx: typer.Context,
    words: w.ServiceAndMaybeInstance = None,
    *,
    follow: Follow = False,
    lines: Annotated[
        int, typer.Option("-n", "--lines", metavar="N", min=0, max=100_000, help="The last N lines.")
    ] = 100,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """What the processors printed; of one instance alone, if it is named."""
    from eas_engine.cli.engines import find
    from eas_engine.cli.history import run_logs

    with told(debug=debug):
        running = {one.record.name for one in find(state_dir)[0] if one.running}
    meant, instance = w.service_and_maybe_instance(ctx, words, name, running)
    with told(debug=debug):
        target = Target(state_dir, meant, workspace_id)
        run_logs(target, instance, lines, following=follow, as_json=json)
