"""eascmd's own words, hidden from the help: fingers that know them find what they mean here.

``stop``, ``start``, ``list`` and the rest have the same words and take the service's name, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eas_engine.cli import options as o
from eas_engine.cli import running as r
from eas_engine.cli import words as w
from eas_engine.cli.command import App
from eas_engine.cli.looking import instances

aliases = App()

for _alias in ("w", "showworkers"):
    aliases.command(_alias, hidden=True)(instances)
for _alias in ("dw", "deleteworkers"):
    aliases.command(_alias, hidden=True)(r.replace)


@aliases.command(hidden=True)
def modify(
    ctx: typer.Context,
    words: w.Service = None,
    *,
    file: Annotated[Path | None, typer.Option("-s", metavar="FILE", help="A service.json.")] = None,
    define: o.Define = None,
    wait: r.Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """As `update`."""
    r.update(
        file,
        define=define,
        wait=wait,
        name=w.service(ctx, words, name),
        workspace_id=workspace_id,
        state_dir=state_dir,
        json=json,
        debug=debug,
    )


@aliases.command(hidden=True)
def version(
    ctx: typer.Context,
    words: w.ServiceAndCount = None,
    *,
    wait: r.Wait = True,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """As `rollback N`."""
    w.service_and_number(ctx, words, name, "which version")
    r.rollback(
        ctx,
        words,
        wait=wait,
        name=name,
        workspace_id=workspace_id,
        state_dir=state_dir,
        json=json,
        debug=debug,
    )
