"""Commands that change a running service: ask for it, watch it, say how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eas_engine.cli.engines import Query, change, get
from eas_engine.cli.target import Target
from eas_engine.cli.told import complain
from eas_engine.cli.watching import Operation, again, of, settled, watch
from eas_engine.records import dataclass
from eas_engine.state import Found

_DONE: Mapping[str, str] = {
    "stop": "stopped",
    "drain": "takes nothing new",
    "start": "takes requests again",
    "replace": "the instance was replaced",
    "restart": "every instance is new",
}
_UNDO: Mapping[str, str] = {"stop": "start", "drain": "start"}
_OF_VERSIONS = frozenset({"update", "rollback", "promote", "restart"})
"""Of these it says how many instances there are, and what they cost."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a change is watched and told."""

    wait: bool = True
    as_json: bool = False


def run(target: Target, page: str, query: Query, manner: Manner, body: str = "") -> bool:
    """Change it. Did it end well (or, without waiting, was it accepted)?

    Errors: NoAnswerError, RefusedByEngineError, ConfigurationError.
    """
    engine = target.find_to_change()
    return _finish(engine, change(engine, page, query, body), manner)


def run_replace(target: Target, instances: Sequence[str], manner: Manner) -> bool:
    """Replace them one after the other. Did all of it end well?"""
    from urllib.parse import quote

    engine = target.find_to_change()
    done = [
        _finish(engine, change(engine, f"/instances/{quote(one, safe='')}/replace", {}), manner)
        for one in instances
    ]
    return all(done)


def run_operations(target: Target, number: int | None, manner: Manner) -> bool:
    """Print what changes became of, or one of them; ``wait``: watch it. Did that one end well?"""
    engine = target.find()
    if number is None:
        _list(get(engine, "/operations")["operations"], as_json=manner.as_json)
        return True
    return _finish(engine, get(engine, f"/operations/{number}"), manner)


def _finish(engine: Found, operation: Operation, manner: Manner) -> bool:
    for warning in operation.get("warnings", ()):
        complain(f"warning: {warning}")
    if manner.wait:
        operation = watch(engine, operation)
    if manner.as_json:
        from eas_engine.cli.output import print_json

        print_json(operation)
    if operation["over"] and operation["state"] != "done":
        complain(_failure(operation))
        return False
    if not manner.as_json:
        _tell(engine, operation)
    return True


def _failure(operation: Operation) -> str:
    reason = operation["reason"] or "it says no reason"
    if operation["state"] == "superseded":
        return f"{operation['kind']}: a later change took its place: {reason}"
    lines = [f"{operation['kind']} failed: {reason}"]
    for one in operation["problems"]:
        if one["message"] not in reason:
            line = f"line {one['line']}: " if one.get("line") is not None else ""
            lines.append(f"  {line}{one['path']}: {one['message']}")
    return "\n".join(lines)


def _tell(engine: Found, operation: Operation) -> None:
    from eas_engine.cli.output import console, plain

    out, name = console(), engine.record.name
    if not settled(operation):
        out.print(
            plain(f"{name}: {operation['kind']} was accepted; {again(engine, operation)}"), soft_wrap=True
        )
        return
    text = outcome(operation, _serves(engine) if _dropped(operation) else None)
    out.print(plain(f"{name}: {text}", "green"), soft_wrap=True)
    if operation["state"] == "trying":
        for label, command in (
            ("look", "canary"),
            ("take it for all", "promote"),
            ("drop it", "rollback"),
        ):
            out.print(plain(f"  {label:<16} eas-engine {command}{of(engine)}"), soft_wrap=True)


def _dropped(operation: Operation) -> bool:
    """Whether it ended what was tried, or under way: then it leads to no version."""
    return operation["kind"] == "rollback" and operation["version"] is None


def _serves(engine: Found) -> int | None:
    """The version that serves; None: nobody knows."""
    found = get(engine, "/versions")["versions"]
    return next((one["number"] for one in found if one["state"] == "current"), None)


def outcome(operation: Operation, serving: int | None = None) -> str:
    """How it ended well, in one line. ``serving``: the version that serves as before."""
    from eas_engine.cli.output import duration

    kind, reason = operation["kind"], f" ({operation['reason']})" if operation["reason"] else ""
    if operation["state"] == "trying":
        return f"version {operation['version']} is tried out beside the service{reason}"
    if operation["effect"] == "nothing" and kind in _OF_VERSIONS:
        return f"nothing to do: it is so already{reason}"
    took = max(0.0, (operation["ended"] or 0.0) - operation["started"])
    parts = [_done(operation, serving), *_cost(operation), *([duration(took)] if took else [])]
    undo = f"; `eas-engine {_UNDO[kind]}` undoes it" if kind in _UNDO else ""
    return f"{', '.join(parts)}{reason}{undo}"


def _done(operation: Operation, serving: int | None) -> str:
    kind, version, count = operation["kind"], operation["version"], operation["wanted"]
    if kind == "scale":
        return f"scaled to {count} {_instances(count)}"
    if kind in _DONE:
        return _DONE[kind]
    if serving is not None:
        return f"version {serving} serves, as before"
    return f"version {version} serves" if version is not None else f"{kind} is done"


def _cost(operation: Operation) -> list[str]:
    if operation["kind"] not in _OF_VERSIONS:
        return []
    if operation["effect"] == "at_once":
        return ["at once: no instance was touched"]
    count = operation["wanted"]
    return [f"{count} {_instances(count)}"] if count else []


def _instances(count: int) -> str:
    return "instance" if count == 1 else "instances"


def _list(operations: Sequence[Operation], *, as_json: bool) -> None:
    from eas_engine.cli.output import console, duration, listing, plain, print_json, when

    if as_json:
        print_json(operations)
        return
    if not operations:
        print("none")
        return
    colours = {"done": "green", "failed": "red", "superseded": "yellow"}
    rows: list[Sequence[Any]] = [
        (
            one["number"],
            one["kind"],
            plain(one["state"], colours.get(one["state"], "")),
            one["version"],
            when(one["started"]),
            duration(one["ended"] - one["started"]) if one["ended"] else "",
            one["by"],
            one["reason"],
        )
        for one in operations
    ]
    columns = ("number", "kind", "state", "version", "began", "took", "by", "reason")
    listing(console(), columns, rows)
