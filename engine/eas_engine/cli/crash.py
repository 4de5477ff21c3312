"""``eas-engine crash show`` and ``crash clear``: what was kept of crashes (``runtime.enable_crash_block``).

Showing reads the state directory, so it works after the engine's end, too. Clearing asks a running engine,
which starts the blocked instances again; what an engine that has ended left behind is just deleted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eas_engine.cli.engines import find, tell
from eas_engine.cli.target import Target
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass
from eas_engine.state import Found, default_root
from eas_engine.supervisor.scene import Scene, remove, scenes

_LOG_LINES = 20


@dataclass(frozen=True, slots=True)
class _Service:
    """A service's state directory, and its engine if one runs."""

    path: Path
    engine: Found | None
    workspace: str

    @property
    def crashes(self) -> Path:
        return self.path / "crashes"


def run_show(target: Target, wanted: str | None, *, as_json: bool) -> bool:
    """Print the crashes that were kept, or one of them. Were there any?"""
    from eas_engine.cli.output import print_json

    found = [one for service in _services(target) for one in scenes(service.crashes)]
    if wanted is not None:
        found = [one for one in found if one.name == wanted]
    if as_json:
        records = [{**one.record, "path": str(one.path), "bytes": one.size} for one in found]
        print_json(records if wanted is None else next(iter(records), None))
    elif wanted is None:
        _list(found)
    else:
        for one in found:
            _show(one)
    if wanted is not None and not found:
        print(f"eas-engine: no crash {wanted!r} was kept", file=sys.stderr)
    return bool(found) or wanted is None


def run_clear(target: Target, wanted: str | None) -> bool:
    """Delete what was kept, all of it or one crash, and start the blocked instances again. Was there any?

    Errors: ConfigurationError when several services have something and none was named, or when one is of a
    workspace that wasn't named; NoAnswerError.
    """
    services = list(_services(target))
    if wanted is not None:
        services = [one for one in services if any(scene.name == wanted for scene in scenes(one.crashes))]
    elif target.name is None and len(services) > 1:
        names = ", ".join(sorted(one.path.name for one in services))
        raise ConfigurationError(
            f"several services are here ({names}); say which with --name, or name a crash"
        )
    for one in services:
        if one.workspace and target.workspace_id is None:
            say = f"--workspace-id {one.workspace} says that it is meant"
            raise ConfigurationError(f"{one.path.name} is of workspace {one.workspace}; {say}")
    cleared = [line for service in services for line in _clear(service, wanted)]
    for line in cleared:
        print(line)
    if not cleared:
        print(f"eas-engine: {f'no crash {wanted!r}' if wanted else 'no crash'} was kept", file=sys.stderr)
    return bool(cleared)


def _services(target: Target) -> Iterator[_Service]:
    """Those that have crashes or a running engine, by path.

    Errors: ConfigurationError when there never was one of that name.
    """
    root, name = (target.state_dir or default_root()).absolute(), target.name
    running = {one.path: one for one in find(target.state_dir)[0] if one.running}
    paths = {path.parent for pattern in ("*/crashes", "*/*/crashes") for path in root.glob(pattern)}
    if name is not None and name not in {path.name for path in (*root.glob("*"), *root.glob("*/*"))}:
        known = ", ".join(sorted({path.name for path in paths | set(running)})) or "none"
        raise ConfigurationError(
            f"--name {name}: no such service in {root}; with crashes or running: {known}"
        )
    for path in sorted(paths | set(running)):
        workspace = "" if path.parent == root else path.parent.name
        if name in (None, path.name) and target.workspace_id in (None, workspace):
            yield _Service(path, running.get(path), workspace)


def _clear(service: _Service, wanted: str | None) -> Iterator[str]:
    if service.engine is None:
        names = [wanted] if wanted is not None else [one.name for one in scenes(service.crashes)]
        for each in names:
            if remove(service.crashes, each):
                yield f"{each} deleted"
        return
    query = {"workspace_id": service.workspace, **({"id": wanted} if wanted is not None else {})}
    code, answer = tell(service.engine, "/api/v1/crashes/clear", query)
    if code == 404:
        return
    if code != 200:
        raise ConfigurationError(f"the engine says {code}: {answer.get('error', answer)}")
    yield from (f"{each} deleted" for each in answer["deleted"])
    yield from (f"{each} is started again" for each in answer["restarted"])


def _list(found: list[Scene]) -> None:
    from eas_engine.cli.output import console, size, table

    rows = [
        (
            one.name,
            one.record.get("time", ""),
            one.record.get("instance", ""),
            _text(one.record, "cause", "text"),
            "yes" if _text(one.record, "core", "path") else "no",
            size(one.size),
        )
        for one in found
    ]
    columns = ("id", "time", "instance", "cause", "core", "size")
    console().print(table(columns, rows) if rows else "none")


def _show(scene: Scene) -> None:
    from eas_engine.cli.output import console, duration, plain, size, table

    record, out = scene.record, console()
    core = _text(record, "core", "path")
    rows = [
        ("time", record.get("time", "")),
        ("instance", f"{record.get('instance')} ({record.get('host')}, pid {record.get('pid')})"),
        ("cause", f"{_text(record, 'cause', 'text')} ({_text(record, 'cause', 'kind')})"),
        ("it was", f"{record.get('state')}, {duration(record.get('lived_seconds') or 0.0)} after its start"),
        ("kept in", f"{scene.path} ({size(scene.size)})"),
        ("directory", record.get("working_directory", "")),
        ("core", _place(scene, core) if core else f"none: {_text(record, 'core', 'why_none')}"),
        ("hs_err", _place(scene, record.get("hs_err")) or "none"),
        ("stacks", _place(scene, record.get("stacks")) or "none"),
        ("in flight", _requests(scene)),
        (
            "versions",
            ", ".join(f"{name} {value}" for name, value in record.get("versions", {}).items() if value),
        ),
    ]
    out.print(plain(scene.name, "bold"))
    out.print(table(("", ""), rows))
    for line in _log(scene)[-_LOG_LINES:]:
        out.print(plain(f"  | {line}"))


def _requests(scene: Scene) -> str:
    from eas_engine.cli.output import size

    requests = scene.record.get("in_flight", [])
    lines = [
        f"{_place(scene, one['body'])} ({size(one['size'])}, {'begun' if one['begun'] else 'not begun'}"
        f"{'' if one['kept'] == one['size'] else ', cut'})"
        for one in requests
    ]
    return "\n".join(lines) or "none"


def _log(scene: Scene) -> list[str]:
    try:
        return (scene.path / "log.txt").read_text(errors="replace").splitlines()
    except OSError:
        return []


def _place(scene: Scene, name: object) -> str:
    """A name of the record as a path: relative ones lie in the scene."""
    return str(scene.path / str(name)) if name else ""


def _text(record: Mapping[str, Any], *keys: str) -> str:
    value: Any = record
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)
