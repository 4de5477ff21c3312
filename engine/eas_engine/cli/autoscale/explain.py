"""``eas-engine autoscale explain``: the document of ``/api/v1/autoscale`` for a person."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from eas_engine.cli.engines import ask, pick

PAGE = "/api/v1/autoscale"
_SHOWN = 20  # decisions; all that are kept with --json


def run(state_dir: Path | None, name: str | None, workspace_id: str | None, *, as_json: bool) -> bool:
    """Print it. Did the engine say?"""
    from eas_engine.cli.output import print_json

    code, found = ask(pick(state_dir, name, workspace_id), PAGE)
    if code != 200:
        print(f"eas-engine: {found.get('error', code)}", file=sys.stderr)
        return False
    if as_json:
        print_json(found)
    else:
        show(found)
    return True


def show(found: Mapping[str, Any]) -> None:
    """The settings in a line, the last decisions, and the figures of the newest."""
    from eas_engine.cli.output import console, listing, plain

    out = console()
    settings, decisions = found["settings"], found["decisions"]
    if settings is None:
        out.print(plain("the service has no autoscaler: nothing moves the number of instances"))
    else:
        out.print(plain(_summary(settings)))
    if not decisions:
        out.print(plain("nothing was decided yet"))
        return
    out.print()
    rows = [(_time(one["since"]), _number(one), _lasted(one), one["reason"]) for one in decisions[-_SHOWN:]]
    listing(out, ("since", "instances", "seconds", "reason"), rows)
    if (more := len(decisions) - _SHOWN) > 0:
        out.print(plain(f"{more} older ones: --json shows them", "dim"))
    _show_newest(out, decisions[-1])


def _show_newest(out: Any, newest: Mapping[str, Any]) -> None:
    from eas_engine.cli.output import plain, table

    out.print()
    bounds = f"{newest['lower_bound']}..{newest['upper_bound']}"
    facts = [
        (
            "instances",
            f"{newest['instances']} wanted, {newest['ready']} ready, {newest['starting']} starting",
        ),
        (
            "bounds",
            bounds + (f" (job {newest['job']['name']}: {newest['job']['size']})" if newest["job"] else ""),
        ),
        ("last request", f"{newest['idle_seconds']:.0f} s ago"),
    ]
    if newest["recommended"] is not None:
        window = f"{newest['lowest_in_up_window']} upwards, {newest['highest_in_down_window']} downwards"
        facts.append(("asked for", f"{newest['recommended']}; with the windows {window}"))
    out.print(plain(f"at {_time(newest['at'])}", "bold"))
    out.print(table(("", ""), facts))
    if newest["metrics"]:
        out.print()
        columns = ("metric", "per instance", "threshold", "asks for", "")
        out.print(table(columns, [_metric(one) for one in newest["metrics"]]))


def _metric(one: Mapping[str, Any]) -> Sequence[object]:
    value = "no figure" if one["per_instance"] is None else f"{one['per_instance']:.4g}"
    return (one["metric"], value, f"{one['threshold']:g}", one["desired"], one["note"])


def _summary(settings: Mapping[str, Any]) -> str:
    metrics = ", ".join(f"{name} {value:g}" for name, value in settings["thresholds"].items()) or "no metric"
    windows = f"up after {settings['scale_up_window_seconds']:g} s"
    windows += f", down after {settings['scale_down_window_seconds']:g} s"
    zero = f", to zero after {settings['zero_grace_seconds']:g} s" if settings["min"] == 0 else ""
    jobs = f"; {len(settings['jobs'])} job(s)" if settings["jobs"] else ""
    return f"{settings['min']}..{settings['max']} instances by {metrics}; {windows}{zero}{jobs}"


def _number(one: Mapping[str, Any]) -> str:
    before, after = one["instances_before"], one["instances"]
    return str(after) if before == after else f"{before} -> {after}"


def _lasted(one: Mapping[str, Any]) -> str:
    return f"{one['at'] - one['since']:.0f}" if one["instances_before"] == one["instances"] else ""


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
