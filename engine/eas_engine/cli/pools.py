"""``eas-engine pools``: the pools of this machine, who has what, what is free."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eas_engine.spec.engine.load import here
from eas_engine.spec.engine.pools import pools_of
from eas_engine.state import default_root
from eas_engine.supervisor.pools.ledger import survey
from eas_engine.supervisor.pools.report import report


def run(settings: Path | None, state_dir: Path | None, *, as_json: bool) -> None:
    """Print it. Errors: ConfigurationError when the settings are wrong."""
    root = (state_dir or default_root()).absolute()
    machine = here(settings, root, os.environ)
    claims, problems = survey(root)
    found = {
        "settings": machine.settings.source,
        "state_dir": str(root),
        **report(pools_of(machine), claims),
        "problems": problems,
    }
    if as_json:
        from eas_engine.cli.output import print_json

        print_json(found)
        return
    show(found)
    for problem in problems:
        print(f"eas-engine: {problem}", file=sys.stderr)


def show(found: Mapping[str, Any]) -> None:
    """What ``report`` says, for a person."""
    from eas_engine.cli.output import console, table

    out = console()
    columns = ("pool", "priority", "CPUs", "of these free", "memory", "free")
    out.print(table(columns, [_pool(one) for one in found["pools"]]))
    out.print()
    rows = [_instance(one) for one in found["instances"]]
    columns = ("instance", "service", "pool", "CPUs", "runs on", "memory")
    out.print(
        table(columns, rows) if rows else f"nobody has anything of it (engines of {found['state_dir']})"
    )


def _pool(one: Mapping[str, Any]) -> Sequence[object]:
    from eas_engine.cli.output import size

    shared = " (shared)" if one["memory_shared"] and one["name"] else ""
    return (
        one["title"],
        one["priority"],
        f"{one['cpu']} ({one['cpus']})",
        f"{one['cpu_free']:g}",
        f"{size(one['memory'])}{shared}",
        size(one["memory_free"]),
    )


def _instance(one: Mapping[str, Any]) -> Sequence[object]:
    from eas_engine.cli.output import size

    service = f"{one['workspace_id']}/{one['service']}" if one["workspace_id"] else one["service"]
    alone = " alone" if one["alone"] else ""
    node = f" (node {one['node']})" if one["node"] is not None else ""
    return (
        one["instance"],
        service,
        f"group {one['group']}" if one["group"] else "-",
        f"{one['cpu']:g}" if one["cpu"] else "not counted",
        f"{one['cpus']}{alone}{node}" if one["cpus"] else "any",
        size(one["memory"]) if one["memory"] else "not counted",
    )
