"""``eas-engine status`` and ``list``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from eas_engine.cli.engines import ask, find, pick
from eas_engine.state import Found
from eas_engine.telemetry.last_words import telling

_LOG_LINES = 5  # of each instance that isn't well, those that tell most; all of them with --json
STATE_COLOURS = {"READY": "green", "CRASHED": "red", "BLOCKED": "red", "running": "green", "stale": "yellow"}


def run(state_dir: Path | None, name: str | None, workspace_id: str | None, *, as_json: bool) -> bool:
    """Print how the engine is. Did it say? When its loop is stuck, it can't."""
    from eas_engine.cli.output import print_json

    engine = pick(state_dir, name, workspace_id)
    code, status = ask(engine, "/api/v1/service")
    if code != 200:
        print(f"eas-engine: {status.get('error', code)}", file=sys.stderr)
        return False
    status["token_file"] = engine.record.token_file
    if as_json:
        print_json(status)
    else:
        _show(status, engine)
    return True


def run_list(state_dir: Path | None, *, as_json: bool) -> None:
    """Print every engine of the state directory."""
    from eas_engine.cli.output import console, listing, plain, print_json

    found, problems = find(state_dir)
    for problem in problems:
        print(f"eas-engine: {problem}", file=sys.stderr)
    if as_json:
        print_json(
            [asdict(one.record) | {"running": one.running, "state_dir": str(one.path)} for one in found]
        )
        return
    rows = []
    for one in found:
        state, record = "running" if one.running else "stale", one.record
        rows.append(
            [
                record.name,
                record.workspace_id,
                plain(state, STATE_COLOURS[state]),
                record.pid,
                record.url,
                one.path,
            ]
        )
    if rows:
        listing(console(), ("name", "workspace", "state", "pid", "URL", "state directory"), rows)
    else:
        print("none")


def _show(status: Mapping[str, Any], engine: Found) -> None:
    from eas_engine.cli.output import console, duration, plain, table

    out = console()
    rates, queue, threads, lag = (
        status[key] for key in ("rates", "queue", "threads", "event_loop_lag_seconds")
    )
    word, colour = ("ready", "green") if status["ready"] else ("not ready", "red")
    ready = plain("; ".join(status["reasons"]) or word, colour)
    rows = [
        ("state", ready),
        *_tried(status.get("trial")),
        ("URL", status["url"]),
        ("admin", status["admin_url"]),
        ("token", _token(engine)),
        (
            "engine",
            f"{_process(status['engine'])}, pid {status['pid']}, up {duration(status['uptime_seconds'])}",
        ),
        ("queue", f"{queue['depth']} waiting, {queue['in_flight']} of {queue['capacity']} in the system"),
        ("threads", f"{threads['busy']} of {threads['all']} busy"),
        *([("batches", _batches(status["batches"]))] if status.get("batches") else []),
        ("clients", _clients(status["connections"])),
        ("rate", f"{rates['requests_per_second']:.1f} requests/s, {rates['errors_per_second']:.1f} errors/s"),
        (
            "latency",
            _latency(rates),
        ),
        ("answers", ", ".join(f"{code}: {count}" for code, count in status["answers"].items()) or "none yet"),
        (
            "loop lag",
            f"{duration(lag['average'])} on average, {duration(lag['maximum'])} at worst in a minute",
        ),
        (
            "io_threads",
            _io_threads(status["io_threads"]),
        ),
    ]
    out.print(plain(f"{engine.record.name} (eas-engine {status['version']})", "bold"))
    out.print(table(("", ""), rows))
    out.print()
    show_instances(out, status["instances"])
    for warning in status["warnings"]:
        out.print(plain(f"warning: {warning}", "yellow"))


def _token(engine: Found) -> str:
    """Itself for a person who looks; elsewhere, where it would be kept in a log, its file."""
    if not engine.record.token_file:
        return "none: the service is open"
    return engine.token() or "" if sys.stdout.isatty() else f"in {engine.record.token_file}"


def _latency(rates: Mapping[str, Any]) -> str:
    from eas_engine.cli.output import duration

    if not rates["requests_per_second"]:
        return f"- (nothing was answered in the last {rates['seconds']:.0f} s)"
    return f"p50 {duration(rates['p50'])}, p99 {duration(rates['p99'])} (last {rates['seconds']:.0f} s)"


def _io_threads(shown: Mapping[str, Any]) -> str:
    numbers = f"{shown['requested']} asked for, {shown['effective']} in effect"
    bodies = f"; up to {shown['for_bodies']} for bodies" if "for_bodies" in shown else ""
    return (f"{numbers}: {shown['reason']}" if shown.get("reason") else numbers) + bodies


def show_instances(out: Any, instances: Sequence[Mapping[str, Any]]) -> None:
    """A table of them, and what explains the state of those that aren't well."""
    from eas_engine.cli.output import duration, listing, plain

    rows = [
        (
            one["name"],
            plain(one["state"], STATE_COLOURS.get(one["state"], "yellow")),
            one["version"],
            " ".join(str(pid) for pid in one["pids"]),
            duration(one["uptime_seconds"]),
            f"{one['threads']['busy']}/{one['threads']['all']}",
            _process(one),
            ", ".join(f"{count} ({cause})" for cause, count in one["restarts"].items()),
            one["reason"],
        )
        for one in instances
    ]
    headings = ("instance", "state", "version", "pid", "up", "busy", "process", "restarts", "reason")
    listing(out, headings, rows)
    for one in instances:
        if one["workspace"]["visible"] is False:
            why = f"/eas/workspace is not visible: {one['workspace']['reason']}"
            out.print(plain(f"{one['name']}: {why}", "yellow"))
        if one.get("limits"):
            colour = "yellow" if any(by.startswith("nothing") for by in one["limits"].values()) else "dim"
            out.print(plain(f"{one['name']}: {_limits(one)}", colour))
        if one.get("batch_cap"):
            why = f"batches of at most {one['batch_cap']} requests: more didn't fit into its GPU's memory"
            out.print(plain(f"{one['name']}: {why}", "yellow"))
        if one["last_crash"]:
            out.print(plain(f"{one['name']}: last crash: {_crash(one['last_crash'])}", "red"))
        for line in telling(_lines(one), _LOG_LINES):
            out.print(plain(f"  {one['name']} | {line}"))


def _limits(one: Mapping[str, Any]) -> str:
    """``limits: cpu by cgroup v1, memory by cgroup v1 (312.0 MiB at most so far)``."""
    from eas_engine.cli.output import size

    used = one["used"] or {}
    figures = {"memory": used.get("peak"), "scratch": used.get("scratch")}
    words = {"memory": "at most so far", "scratch": "written"}
    parts = []
    for name, by in one["limits"].items():
        if by.startswith("nothing: "):
            parts.append(f"{name} not enforced ({by.removeprefix('nothing: ')})")
            continue
        figure = figures.get(name)
        parts.append(f"{name} by {by}" + (f" ({size(figure)} {words[name]})" if figure is not None else ""))
    return f"limits: {', '.join(parts)}"


def _lines(one: Mapping[str, Any]) -> Sequence[str]:
    """What it printed last that explains its state: before its crash, if that is what there is to explain."""
    if one["last_crash"] and one["last_crash"].get("lines"):
        return list(one["last_crash"]["lines"])
    return [] if one["state"] == "READY" else list(one["log"])


def _batches(of: Mapping[str, Any]) -> str:
    """``12.3 requests each (idle: 7, full: 40), 16.0 rows a call, 4% padding``."""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in of["reasons"].items() if count)
    if not reasons:
        return "none yet"
    text = f"{of['requests_per_batch']:.1f} requests each ({reasons}), {of['rows_per_call']:.1f} rows a call"
    return text + (f", {of['padding_share']:.0%} padding" if of["padding_share"] else "")


def _tried(trial: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What is tried out beside the service; nothing when that is over."""
    if trial is None or trial["state"] != "trying":
        return []
    kind = trial.get("kind", "trial")
    share = f" of {trial['share'] * 100:.4g}%" if trial.get("share") else ""
    objective = f" that must keep {trial['objective']}" if trial.get("objective") else ""
    ready = f"{trial['ready']} of {trial['wanted']} ready"
    return [(kind, f"version {trial['version']}, a {kind}{share}{objective}; {ready}")]


def _clients(connections: Mapping[str, Any]) -> str:
    """``12 connected, room for 948``, and who had to go for want of room."""
    text = f"{connections['now']} connected, room for {connections['limit']}"
    if connections["closed_for_room"] or connections["refused"]:
        text += f" (so far {connections['closed_for_room']} idle ones closed for others"
        text += f", {connections['refused']} not taken; ulimit -n is too low)"
    return text


def _crash(crash: Mapping[str, Any]) -> str:
    """``exit 3 at 2026-01-31 16:40:12 (it was READY)``, in the time of this machine."""
    at = datetime.fromtimestamp(crash["at"]).astimezone()
    return f"{crash['cause']} at {at:%Y-%m-%d %H:%M:%S} (it was {crash['state']})"


def _process(of: Mapping[str, Any]) -> str:
    from eas_engine.cli.output import duration, size

    return f"{size(of['memory_bytes'])}, {duration(of['cpu_seconds'])} CPU"
