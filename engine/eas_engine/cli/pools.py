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
    if found["cards"]:
        heads = ("GPU", "UUID", "pool", "memory", "free", "compute free", "instances")
        out.print(table(heads, [_card(one) for one in found["cards"]]))
        out.print()
    with_cards = bool(found["cards"]) or any(one["cards"] for one in found["instances"])
    last = ("GPU",) if with_cards else ()
    rows = [(*_instance(one), *([_cards(one)] if with_cards else ())) for one in found["instances"]]
    titles = ("instance", "service", "pool", "CPUs", "runs on", "memory", *last)
    out.print(table(titles, rows) if rows else f"nobody has anything of it (engines of {found['state_dir']})")


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


def _card(one: Mapping[str, Any]) -> Sequence[object]:
    from eas_engine.cli.output import size

    return (
        one["name"],
        one["uuid"],
        ", ".join(one["pools"]),
        size(one["memory"]),
        size(one["memory_free"]),
        f"{one['percent_free']}%",
        ", ".join(one["instances"]) + " alone" * one["alone"],
    )


def _cards(one: Mapping[str, Any]) -> str:
    """Which cards an instance has, and how much of one."""
    from eas_engine.cli.output import size

    if not one["cards"]:
        return "none"
    names = ", ".join(uuid[:12] for uuid in one["cards"])
    if not one["gpu_memory"]:
        return f"{names} alone"
    percent = f" and {one['gpu_percent']}%" if one["gpu_percent"] else ""
    return f"{size(one['gpu_memory'])}{percent} of {names}"


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
