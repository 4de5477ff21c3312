"""``eas-engine versions``, ``instances``, ``canary``, ``events`` and ``logs``: looking at a service."""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from eas_engine.cli.engines import NoAnswerError, follow, get, is_running
from eas_engine.cli.target import Target
from eas_engine.cli.told import complain
from eas_engine.cli.watching import LOOK
from eas_engine.state import Found
from eas_engine.telemetry.logs import printable, wants_colours

_VERSION_COLOURS = {"current": "green", "trying": "cyan", "preparing": "yellow", "failed": "red"}
_INSTANCE_COLOURS = ("36", "33", "32", "35", "34")  # of ANSI; neighbours differ
_DIGEST = 12  # characters
_WAIT = 5  # seconds that the engine holds an answer back: less than the command waits for one
_TRIES = 100  # looks whether an engine that doesn't answer has ended


def run_versions(target: Target, number: int | None, *, as_json: bool) -> None:
    """Print the accepted configurations, or one of them with its values."""
    from eas_engine.cli.output import console, listing, print_json

    engine = target.find()
    if number is not None:
        found = get(engine, f"/versions/{number}")
        if as_json:
            print_json(found)
        else:
            _show_version(found)
        return
    versions = get(engine, "/versions")["versions"]
    if as_json:
        print_json(versions)
    elif versions:
        columns = ("number", "time", "state", "kind", "by", "instances", "digest", "files", "file", "reason")
        listing(console(), columns, [_row(one) for one in versions])
    else:
        print("none")


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    from eas_engine.cli.output import plain, when

    state = plain(one["state"], _VERSION_COLOURS.get(one["state"], ""))
    digest = one["digest"][:_DIGEST]
    return (
        one["number"], when(one["time"]), state, one["kind"], one["by"], one["instances"], digest,
        one["files"][:_DIGEST], one["source"], one["reason"],
    )  # fmt: skip


def _show_version(found: Mapping[str, Any]) -> None:
    from eas_engine.cli.output import console, plain, print_json, table, when

    out = console()
    out.print(plain(f"version {found['number']}", "bold"))
    rows = [
        ("state", found["state"] + (f": {found['reason']}" if found["reason"] else "")),
        ("rejected", "an operator went back from it" if found.get("rejected") else ""),
        ("time", when(found["time"])),
        ("kind", found["kind"]),
        ("by", found["by"]),
        ("instances", found["instances"]),
        ("file", found["source"]),
        ("overrides", " ".join(found["overrides"])),
        ("digest", found["digest"]),
        ("files", found["files"] + (" (it keeps them: it was gone back to)" if found["pinned"] else "")),
    ]
    out.print(table(("", ""), [row for row in rows if row[1] != ""]))
    if found["configuration"] is not None:
        print_json(found["configuration"])


def run_instances(target: Target, *, as_json: bool) -> None:
    """Print the instances."""
    from eas_engine.cli.output import console, print_json
    from eas_engine.cli.status import show_instances

    found = get(target.find(), "/instances")["instances"]
    if as_json:
        print_json(found)
    elif found:
        show_instances(console(), found)
    else:
        print("none")


def run_canary(target: Target, *, as_json: bool) -> None:
    """Print the comparison of the canary, or the shadow, with the service."""
    from eas_engine.cli.output import console, print_json, table

    found = get(target.find(), "/canary", absent=1)
    if as_json:
        print_json(found)
    else:
        console().print(table(("", ""), list(_leaves(found))))


def _leaves(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Each value behind its path."""
    rows: list[tuple[str, str]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            rows += _leaves(value, f"{above}{name} ")
        else:
            rows.append((above + name.replace("_", " "), _leaf(name, value, tree)))
    return rows


def _leaf(name: str, value: Any, beside: Mapping[str, Any]) -> str:
    from eas_engine.cli.output import duration

    if name in ("p50", "p99"):  # seconds; of nothing they are 0
        return duration(value) if beside.get("measured") else "-"
    if name == "share":
        return f"{value * 100:.4g}%"
    return f"{value:.6g}" if isinstance(value, float) else "-" if value in (None, "") else str(value)


def run_events(target: Target, *, following: bool, as_json: bool) -> None:
    """Print the history; ``following``: and what happens, until the engine ends."""
    engine = target.find()
    page = get(engine, "/events")
    if as_json and not following:
        from eas_engine.cli.output import print_json

        print_json(page["events"])
        return
    while True:
        _print_events(page["events"], as_json=as_json)
        if not following:
            return
        try:
            page = get(engine, "/events", {"since": str(page["next"]), "wait": str(_WAIT)})
        except NoAnswerError:
            if not _ends(engine):
                raise
            complain(f"{engine.record.name} has ended")
            return


def _ends(engine: Found) -> bool:
    """Whether an engine that doesn't answer any more ends: its admin port goes first."""
    for _ in range(_TRIES):
        if not is_running(engine):
            return True
        select.select([], [], [], LOOK)
    return False


def _print_events(events: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from eas_engine.cli.output import when

    for one in events:
        by = f" ({one['by']})" if one["by"] else ""
        line = f"{when(one['time'])}  {one['kind']:<20} {one['text']}{by}"
        print(json.dumps(one, ensure_ascii=False) if as_json else printable(line), flush=True)


def run_logs(target: Target, instance: str, lines: int, *, following: bool, as_json: bool) -> None:
    """Print what the processors printed last; ``following``: and what they print, until the engine ends."""
    engine = target.find()
    query = {"instance": instance, "lines": str(lines), **({"follow": "1"} if following else {})}
    colours = wants_colours(sys.stdout)
    with follow(engine, "/logs", query, "application/x-ndjson") as found:
        for line in found:
            print(line.decode() if as_json else _log_line(json.loads(line), colours=colours), flush=following)
    if following:
        complain(f"{engine.record.name} has ended")


def _log_line(one: Mapping[str, str], *, colours: bool) -> str:
    name, text = one["instance"], printable(one["text"]).encode(errors="replace").decode()
    if not colours:
        return f"{name} | {text}"
    seat = name.rpartition("-")[2].partition(".")[0]
    colour = _INSTANCE_COLOURS[int(seat) % len(_INSTANCE_COLOURS) if seat.isdecimal() else 0]
    return f"\x1b[{colour}m{name}\x1b[0m | {text}"
